"""What decides a version's frames, as a short key: app and engine find the same cached frames without asking.

Keys follow from content, not from places and dates, so that a project that was moved keeps its frames. A
model gives slightly other pictures on another device or in another integer backend. Which of them runs, only
the engine knows: it adds them to the key (`rendered_key`); the app takes what was rendered last (`latest` of
the store).
"""

import functools
import hashlib
import time
from dataclasses import dataclass
from pathlib import Path

from quantvsr.hashing import hash_json
from quantvsr.resources import resource

LQ, BICUBIC, FP, GT = "lq", "bicubic", "fp", "gt"
PLAIN = (LQ, BICUBIC, FP, GT)
"""Versions that are no file; every other version is the path of a quantized checkpoint."""

_BUNDLED = "bundled"
_SAMPLE = 1 << 20
_FRESH = 2.0  # seconds


@dataclass(frozen=True)
class Scene:
    """A clip, the part of it that is used, and how models run on it.

    Attributes:
        clip: The low-quality video or folder of pictures.
        first: First frame of the part; windows are counted from it.
        last: Frame after the part's last; None for the clip's end.
        gt: The ground truth; None where there is none.
        model: As the jobs take it.
        seed: Of the noise.
        steps: Sampling steps; None for the model's own number.
        tile: Tile size; None for the engine's.
        overlap: Of tiles; None for the engine's.
    """

    clip: str
    first: int = 0
    last: int | None = None
    gt: str | None = None
    model: str = _BUNDLED
    seed: int = 42
    steps: int | None = None
    tile: int | None = None
    overlap: int | None = None


def version_key(scene: Scene, version: str) -> str:
    """What a version's frames are, wherever they are computed.

    Args:
        scene: What is rendered.
        version: `lq`, `bicubic`, `fp`, `gt`, or the path of a checkpoint.

    Raises:
        OSError: A file is missing or cannot be read.
    """
    if version == GT:
        return f"gt-{_digest({'clip': fingerprint(scene.gt or '')})}"
    clip = fingerprint(scene.clip)
    if version in (LQ, BICUBIC):
        return f"{version}-{_digest({'clip': clip})}"
    model = str(resource("models")) if scene.model == _BUNDLED else scene.model
    content = {
        "clip": clip,
        "part": [scene.first, scene.last],
        "model": fingerprint(model),
        "checkpoint": None if version == FP else fingerprint(version),
        "run": [scene.seed, scene.steps, scene.tile, scene.overlap],
    }
    return f"{'fp' if version == FP else 'run'}-{_digest(content)}"


def rendered_key(key: str, execution: str) -> str:
    """Name of the folder of a version's frames.

    Args:
        key: Of `version_key`.
        execution: What computes them, such as "cpu" or "cpu-oneDNN_int8-bfloat16"; empty where no model does.
    """
    return f"{key}-{execution}" if execution else key


def execution_words(folder: str) -> str:
    """What computed a folder's frames, for people: "cpu, oneDNN int8, bfloat16"; empty where no model did."""
    return ", ".join(folder.split("-")[2:]).replace("_", " ")


def _digest(value: object) -> str:
    return hash_json(value)[:16]


def fingerprint(path: str) -> str:
    """Hash of a file's size and parts of its content (all of a small file); of a folder, of its files.

    Fast enough to be asked for at every look: of large files three mebibytes are read, and again only when
    size or date change.

    Raises:
        OSError: It is missing or cannot be read.
    """
    place = Path(path).expanduser()
    if not place.is_dir():
        return _file(place)
    # Several versions of one clip are asked for at once: a folder of many pictures is looked through once.
    return _folder(place, int(time.monotonic() / _FRESH))


@functools.lru_cache(maxsize=16)
def _folder(place: Path, moment: int) -> str:
    files = sorted(file for file in place.rglob("*") if file.is_file() and not file.name.startswith("."))
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.relative_to(place).as_posix()}\0{file.stat().st_size}\0".encode())
    # Of many pictures the first and the last stand for all: names and sizes are known of each.
    for file in (files[0], files[-1]) if len(files) > 16 else files:
        digest.update(_file(file).encode())
    return digest.hexdigest()


def _file(place: Path) -> str:
    stat = place.stat()
    return _hash(place, stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=256)
def _hash(place: Path, size: int, stamp: int) -> str:
    digest = hashlib.sha256(str(size).encode())
    with place.open("rb") as file:
        if size <= 4 * _SAMPLE:
            digest.update(file.read())
        else:
            for start in (0, (size - _SAMPLE) // 2, size - _SAMPLE):
                file.seek(start)
                digest.update(file.read(_SAMPLE))
    return digest.hexdigest()

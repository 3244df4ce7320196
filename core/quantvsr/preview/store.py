"""Raw frames in folders, one file a frame, made to be mapped into memory and drawn as they are.

A frame is `000012.384x256.bgrx`: rows of 4 bytes a pixel (blue, green, red, 255), which is what screens and
Qt (`Format_RGB32`) take without conversion. A project that comes with the program keeps them as JPEG or PNG.
"""

import contextlib
import os
import re
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quantvsr.errors import BadInput
from quantvsr.files import atomic_json, atomic_path, read_json

_NAME = re.compile(r"(\d{6,})\.(\d+)x(\d+)\.(bgrx|png|jpg)")
_VALUES = "values.json"
_CLIP = "clip.json"
Values = dict[str, dict[int, float]]
"""Figures per frame by name: `psnr/<key of the reference>`, `warp_error/<key of the guide>`, ..."""


@dataclass(frozen=True)
class StoredFrame:
    """Where a frame is.

    Attributes:
        path: The file.
        width, height: In pixels.
        raw: Whether it can be mapped; otherwise it is a JPEG or PNG picture.
    """

    path: Path
    width: int
    height: int
    raw: bool

    @property
    def exact(self) -> bool:
        """Whether it is what was rendered, to the last bit; a JPEG is not."""
        return self.path.suffix != ".jpg"


class VersionFrames:
    """The frames of one version of one scene.

    Args:
        folder: Named by `rendered_key`; made when the first frame is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def scan(self) -> dict[int, StoredFrame]:
        """All frames that are there, by index, in rising order."""
        found: dict[int, StoredFrame] = {}
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(self.folder) as entries:
            for entry in entries:
                match = _NAME.fullmatch(entry.name)
                if match:
                    index, width, height = (int(match[i]) for i in (1, 2, 3))
                    raw = match[4] == "bgrx"
                    if raw or index not in found:
                        found[index] = StoredFrame(Path(entry.path), width, height, raw)
        return dict(sorted(found.items()))

    def write(self, index: int, rgb: NDArray) -> Path:
        """Keep a frame, whole or not at all.

        Args:
            index: Number in the clip.
            rgb: (H, W, 3), uint8, or floats in 0..1 (rounded to 8 bits).

        Raises:
            DiskFull: No space left.
        """
        height, width = rgb.shape[:2]
        if rgb.dtype != np.uint8:
            rgb = np.rint(np.clip(rgb, 0, 1) * 255).astype(np.uint8)
        pixels = np.full((height, width, 4), 255, np.uint8)
        pixels[..., :3] = rgb[..., ::-1]
        target = self.folder / f"{index:06d}.{width}x{height}.bgrx"
        with atomic_path(target) as temporary:
            pixels.tofile(temporary)
        return target

    def values(self) -> Values:
        """Figures kept with the frames; those that cannot be read count as none."""
        try:
            content = read_json(self.folder / _VALUES)
            assert isinstance(content, dict)
            return {name: {int(i): float(v) for i, v in each.items()} for name, each in content.items()}
        except (BadInput, AssertionError, ValueError, TypeError, AttributeError):
            return {}

    def add_values(self, values: Mapping[str, Mapping[int, float]]) -> None:
        """Keep more figures."""
        kept = self.values()
        for name, each in values.items():
            kept.setdefault(name, {}).update(each)
        atomic_json(
            self.folder / _VALUES,
            {name: {str(i): v for i, v in sorted(each.items())} for name, each in kept.items()},
        )


def map_frame(frame: StoredFrame) -> NDArray[np.uint8]:
    """A raw frame mapped into memory, (H, W, 4): blue, green, red, 255. Read-only.

    Raises:
        BadInput: The file is gone or cut off.
    """
    try:
        return np.memmap(frame.path, np.uint8, "r", shape=(frame.height, frame.width, 4))
    except (OSError, ValueError) as error:
        raise BadInput(f"{frame.path} cannot be read ({error}); render the frame again.") from error


def read_rgb(frame: StoredFrame) -> NDArray[np.uint8]:
    """A frame as (H, W, 3) RGB, whatever its file."""
    if frame.raw:
        return np.ascontiguousarray(map_frame(frame)[..., 2::-1])
    from PIL import Image

    with Image.open(frame.path) as picture:
        return np.asarray(picture.convert("RGB"))


class FrameStore:
    """All versions' frames below one folder.

    Args:
        folder: The project's `cache/frames`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def version(self, key: str) -> VersionFrames:
        """The frames of the version with that key."""
        return VersionFrames(self.folder / key)

    def latest(self, key: str) -> str:
        """The folder of a version: of several, by device and backend, the one that was rendered into last.

        Args:
            key: Of `version_key`.

        Returns:
            Its name; `key` itself where there is none.
        """
        found: list[tuple[int, str]] = []
        with contextlib.suppress(OSError), os.scandir(self.folder) as entries:
            for entry in entries:
                if entry.name == key or entry.name.startswith(f"{key}-"):
                    found.append((entry.stat().st_mtime_ns, entry.name))
        return max(found, default=(0, key))[1]

    def touch(self, key: str) -> None:
        """Note that a version was used, for `prune` and `latest`."""
        # Not the file system's own time, which stands still for some milliseconds.
        moment = time.time_ns()
        with contextlib.suppress(OSError):
            os.utime(self.folder / key, ns=(moment, moment))

    def prune(self, limit: int, keep: frozenset[str] = frozenset()) -> int:
        """Remove versions that were not used for longest until all take at most `limit` bytes.

        Args:
            limit: Bytes.
            keep: Keys that stay.

        Returns:
            Bytes that are left.
        """
        sizes: list[tuple[float, int, Path]] = []
        with contextlib.suppress(FileNotFoundError), os.scandir(self.folder) as entries:
            for entry in entries:
                if entry.is_dir():
                    size = sum(file.stat().st_size for file in os.scandir(entry.path))
                    sizes.append((entry.stat().st_mtime, size, Path(entry.path)))
        total = sum(size for _, size, _ in sizes)
        for _, size, folder in sorted(sizes):
            if total <= limit:
                break
            if folder.name not in keep:
                shutil.rmtree(folder, ignore_errors=True)
                total -= size
        return total


def compress(version: VersionFrames, quality: int = 92) -> None:
    """Keep a version's raw frames as JPEG instead, for projects that come with the program."""
    from PIL import Image

    for frame in version.scan().values():
        if frame.raw:
            with atomic_path(frame.path.with_suffix(".jpg")) as temporary:
                Image.fromarray(read_rgb(frame)).save(
                    temporary, format="JPEG", quality=quality, subsampling=0
                )
            frame.path.unlink()


@dataclass(frozen=True)
class ClipFacts:
    """What is known of a clip, kept beside its low-quality frames.

    Attributes:
        width, height: Of its frames.
        times: Seconds at which each frame is shown.
    """

    width: int
    height: int
    times: tuple[float, ...]

    @property
    def frames(self) -> int:
        """Number of frames."""
        return len(self.times)

    @classmethod
    def read(cls, folder: Path) -> "ClipFacts | None":
        """What `write` left in a folder; None where there is nothing usable."""
        try:
            content = read_json(folder / _CLIP)
            assert isinstance(content, dict)
            times = tuple(float(value) for value in content["times"])
            return cls(int(content["width"]), int(content["height"]), times) if times else None
        except (BadInput, AssertionError, KeyError, TypeError, ValueError):
            return None

    def write(self, folder: Path) -> None:
        """Keep it."""
        atomic_json(folder / _CLIP, {"width": self.width, "height": self.height, "times": list(self.times)})

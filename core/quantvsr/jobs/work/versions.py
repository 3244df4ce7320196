"""Several versions of one clip: enlarged with the same noise, measured, and shown side by side."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from quantvsr.files import atomic_path
from quantvsr.jobs.base import plain
from quantvsr.jobs.work.clips import Piece
from quantvsr.jobs.work.ledger import Ledger
from quantvsr.jobs.work.lowbit import Way
from quantvsr.jobs.work.scene import SCALE, Scene
from quantvsr.jobs.work.upscaling import run_model
from quantvsr.media.types import Frame
from quantvsr.media.writer import open_writer
from quantvsr.metrics.measure import Comparison
from quantvsr.models.adapter import VSRAdapter
from quantvsr.progress import Progress
from quantvsr.upscale.bicubic import enlarge
from quantvsr.upscale.engine import UpscaleReport
from quantvsr.upscale.render import ComparisonRenderer, Pane, Region, busiest_region

METRICS = ("psnr", "psnr_y", "ssim", "warp_error", "flicker")
# Above this height and width a comparison is shrunk, so that ordinary screens and players can show it.
_LARGEST = (3840, 2160)


@dataclass(frozen=True)
class Version:
    """One way to enlarge the clip.

    Attributes:
        name: Its folder and its ending in metrics.json: fp, lowbit, minmax.
        label: Shown in the comparison.
        key: What decides it besides the clip, as JSON values.
        open: Opens the model ready to run, and says how it computes.
    """

    name: str
    label: str
    key: Mapping[str, Any]
    open: Callable[[Progress], tuple[VSRAdapter, Way]]


@dataclass(frozen=True)
class Run:
    """How all versions are run; the same for each, so that differences come from the models alone."""

    seed: int
    steps: int | None
    tile: int | None = None
    overlap: int | None = None


def make_versions(
    scene: Scene, versions: Sequence[Version], run: Run, folder: Path, ledger: Ledger, progress: Progress
) -> dict[str, str]:
    """Enlarge the clip with each version into a folder of pictures.

    Returns:
        Keys of the stages by version.
    """
    keys: dict[str, str] = {}
    for number, version in enumerate(versions):
        inner = progress.stage(
            f"upscale {version.name}", number / len(versions), (number + 1) / len(versions)
        )
        target = folder / version.name
        settings = {"scene": scene.key, "model": dict(version.key), "run": vars(run)}
        work = functools.partial(_enlarge, scene, version, run, target)
        outcome = ledger.stage(f"upscale_{version.name}", settings, [target], work, inner)
        keys[version.name] = outcome.key
        # Where memory ran out the tiles became smaller: the other versions get the same ones.
        run = replace(run, tile=outcome.figures["tile"], overlap=outcome.figures["overlap"])
    return keys


def _enlarge(scene: Scene, version: Version, run: Run, target: Path, progress: Progress) -> dict[str, Any]:
    adapter, way = version.open(progress.stage(f"open {version.name}", 0.0, 0.02))
    report = UpscaleReport()
    size = (scene.width * adapter.scale, scene.height * adapter.scale)
    inner = progress.stage(f"upscale {version.name}", 0.02, 1.0)
    with scene.lq.open() as reader, open_writer(target, *size, codec="png", overwrite=True) as writer:
        frames = run_model(
            adapter, scene.lq, reader, run.seed, run.steps, inner, report, tile=run.tile, overlap=run.overlap
        )
        with closing(frames):
            for frame in frames:
                writer.write(frame.rgb)
    return {
        "frames": report.frames,
        "tile": report.tile,
        "overlap": report.overlap,
        "execution": way.execution,
        "compute": way.compute,
        "peak_memory": report.peak_ram,
        "peak_device_memory": report.peak_gpu,
    }


def measure_versions(
    scene: Scene, folder: Path, keys: Mapping[str, str], ledger: Ledger, progress: Progress
) -> dict[str, float | None]:
    """Figures of all versions, from the 8-bit pictures, before any video coding.

    Args:
        scene: The clip.
        folder: Holds the pictures of each version in a folder of its name.
        keys: Keys of the versions' stages by name.
        ledger: Keeps the figures.
        progress: Of this stage.

    Returns:
        `<metric>_<reference>_<version>` and `<metric>_<version>`; references are `gt` (where there is
        one) and `fp`. With a ground truth plain bicubic enlargement is measured as well, as a yardstick.
    """
    pieces = _pieces(scene, folder, keys)
    settings = {"scene": scene.key, "versions": dict(keys), "metrics": list(METRICS)}
    outcome = ledger.stage("measure", settings, [], lambda inner: _measure(pieces, scene, inner), progress)
    return outcome.figures


def _pieces(scene: Scene, folder: Path, names: Sequence[str] | Mapping[str, str]) -> dict[str, Piece]:
    return {
        name: Piece(place) for name, place in {**scene.pictures, **{n: folder / n for n in names}}.items()
    }


def _measure(pieces: Mapping[str, Piece], scene: Scene, progress: Progress) -> dict[str, float | None]:
    candidates = [name for name in pieces if name not in ("lq", "gt")]
    references = [name for name in ("gt", "fp") if name in pieces]
    if "gt" in pieces:
        candidates.append("bicubic")
    comparison = Comparison(candidates, references, METRICS)
    for number, moment in enumerate(_moments(pieces)):
        progress.check()
        if "gt" in moment:
            moment["bicubic"] = Frame(number, enlarge(moment["lq"].rgb, SCALE).clip(0, 1), moment["lq"].time)
        comparison.add({name: frame.rgb for name, frame in moment.items() if name != "lq"})
        progress.report((number + 1) / scene.frames, f"frame {number + 1} of {scene.frames}")
    return comparison.result()


def _moments(pieces: Mapping[str, Piece]) -> Iterator[dict[str, Frame]]:
    """The frames of all pieces, moment by moment."""
    with ExitStack() as stack:
        readers = {name: stack.enter_context(piece.open()) for name, piece in pieces.items()}
        for frames in zip(*(pieces[name].frames(readers[name]) for name in pieces), strict=True):
            yield dict(zip(pieces, frames, strict=True))


@dataclass(frozen=True)
class Shown:
    """One pane of the comparison video.

    Attributes:
        name: Whose pictures: a version's name, `lq` or `gt`.
        label: In the corner.
        figures: Below, as (name, value).
    """

    name: str
    label: str
    figures: tuple[tuple[str, str], ...] = ()


def draw_comparison(
    scene: Scene,
    shown: Sequence[Shown],
    folder: Path,
    keys: Mapping[str, str],
    out: Path,
    title: str,
    ledger: Ledger,
    progress: Progress,
) -> Path:
    """Write compare.mp4 (all panes side by side, times and sound of the clip) and compare.png (its middle).

    Returns:
        The video.
    """
    video, still = out / "compare.mp4", out / "compare.png"
    settings = {"scene": scene.key, "versions": dict(keys), "shown": plain(list(shown)), "title": title}
    pieces = _pieces(scene, folder, [pane.name for pane in shown if pane.name not in scene.pictures])
    wanted = {pane.name: pieces[pane.name] for pane in shown}
    ledger.stage(
        "draw",
        settings,
        [video, still],
        lambda inner: _draw(scene, shown, wanted, video, still, title, inner),
        progress,
    )
    return video


def _draw(
    scene: Scene,
    shown: Sequence[Shown],
    pieces: Mapping[str, Piece],
    video: Path,
    still: Path,
    title: str,
    progress: Progress,
) -> None:
    height, width = scene.height * SCALE, scene.width * SCALE
    panes = [Pane(pane.label, pane.figures, "bicubic" if pane.name == "lq" else "nearest") for pane in shown]
    renderer: ComparisonRenderer | None = None
    with ExitStack() as stack:
        source = stack.enter_context(scene.source.open())
        writer = None
        for number, (moment, timing) in enumerate(zip(_moments(pieces), scene.times(), strict=True)):
            progress.check()
            if renderer is None:
                zoom = _detail(moment[shown[1 % len(shown)].name].rgb)
                renderer = ComparisonRenderer(panes, height, width, zoom=zoom, title=title, largest=_LARGEST)
                size = (renderer.size[1], renderer.size[0])
                writer = stack.enter_context(
                    open_writer(video, *size, source=source, pixel_format="yuv420p", overwrite=True)
                )
            assert writer is not None
            picture = renderer.render([moment[pane.name].rgb for pane in shown])
            writer.write(picture, *timing)
            if number == scene.frames // 2:
                _write_picture(still, picture)
            progress.report((number + 1) / scene.frames, f"frame {number + 1} of {scene.frames}")


def _detail(picture: NDArray[np.float32]) -> Region:
    """The part to magnify: where a picture has most edges, below the strip that labels cover."""
    height, width = picture.shape[:2]
    top = height // 8
    found = busiest_region(picture[top:], max(height // 6, 1), max(width // 6, 1))
    return replace(found, y=found.y + top)


def _write_picture(path: Path, picture: NDArray[np.uint8]) -> None:
    with atomic_path(path) as temporary:
        Image.fromarray(picture).save(temporary, format="PNG")

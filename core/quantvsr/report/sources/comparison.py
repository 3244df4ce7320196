"""The folder that `compare` or `demo` wrote: full precision against low-bit on one clip."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantvsr.errors import BadInput
from quantvsr.metrics import metrics
from quantvsr.progress import Progress
from quantvsr.report.data import Clip, Entry, Pictures, Report, written
from quantvsr.report.pictures import load_picture, shrink
from quantvsr.report.sources.reading import (
    CHECKPOINT,
    Source,
    checkpoint_header,
    method_title,
    optional_object,
    read_layers,
    read_object,
    settings_rows,
)
from quantvsr.upscale.bicubic import enlarge
from quantvsr.upscale.render import Region, busiest_region
from quantvsr.upscale.slices import Slice

FILE = "metrics.json"
_CLIP = "clip"
_ENDINGS = (".png", ".jpg", ".webp", ".tif")
# Share of the picture that crops show, and their largest side.
_SHARE, _LARGEST = 4, 256
# Lines of a slice.
_LINES = 160
_BITLESS = ("gt", "bicubic", "fp")


def read(folder: Path, pictures: bool, progress: Progress) -> Report:
    """Read it.

    Raises:
        BadInput: metrics.json is damaged.
    """
    path = folder / FILE
    content = read_object(path)
    try:
        return _report(folder, content, pictures, progress)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise BadInput(f"{path} is damaged ({error}); run 'quantvsr compare' again.") from error


def _report(folder: Path, content: Mapping[str, Any], pictures: bool, progress: Progress) -> Report:
    header = checkpoint_header(folder / CHECKPOINT)
    meta = header.get("meta") or {}
    given = str((content.get("labels") or {}).get("lowbit") or "").removeprefix(f"{content['bits']} ")
    label = given or method_title(meta.get("method"))
    entries = [_entry(name, content, label) for name in ("gt", "bicubic", *content["versions"])]
    layers = read_layers(folder, f"{label} {content['bits']}")
    clip = _clip(folder, content, pictures, progress)
    compute = (content.get("compute") or {}).get("lowbit")
    facts = [
        ("Program", f"QuantVSR Studio {content['program']}"),
        ("Execution", ", ".join(str(each) for each in (content["execution"], compute) if each)),
        ("Device", str(content["device"])),
        *settings_rows({key: meta[key] for key in ("preset", "seed") if key in meta}),
    ]
    hashes = [("Checkpoint", content["checkpoint_sha256"])]
    hashes += [(f"Learned from {each['name']}", each["sha256"]) for each in meta.get("clips") or ()]
    return Report(
        title=f"{content['bits']} against full precision",
        subtitle=f"{clip.name}, {clip.frames} frames of {clip.width}×{clip.height}",
        measured=written(folder / FILE),
        clips=(clip,),
        entries=tuple(entry for entry in entries if entry.figures),
        metrics={name: each.to_json() for name, each in metrics().items()},
        layers=() if layers is None else (layers,),
        sensitivity=optional_object(folder / "sensitivity.json") or None,
        facts=tuple(facts),
        command=content["command"],
        hashes=tuple(hashes),
    )


def _entry(name: str, content: Mapping[str, Any], label: str) -> Entry:
    figures = _figures(name, content)
    labels = {"gt": "Ground truth", "bicubic": "Bicubic", "fp": "Full precision", "minmax": "Plain min-max"}
    seconds = content["seconds"].get(f"upscale_{name}")
    times = {} if seconds is None else {"upscale": seconds}
    if name == "lowbit" and "quantize" in content["seconds"]:
        times = {"quantize": content["seconds"]["quantize"], **times}
    lowbit = name == "lowbit"
    return Entry(
        key=name,
        label=labels.get(name, label),
        bits="" if name in _BITLESS else content["bits"],
        figures={_CLIP: figures} if figures else {},
        mean=figures,
        bytes_fp32=content["bytes_fp32"] if lowbit or name == "fp" else None,
        bytes_lowbit=content["bytes_lowbit"] if lowbit else None,
        seconds=times,
        checkpoint=content["checkpoint_sha256"] if lowbit else None,
    )


def _figures(version: str, content: Mapping[str, Any]) -> dict[str, float]:
    """`METRIC_REFERENCE_VERSION` and `METRIC_VERSION` of one version, with its name taken off."""
    found: dict[str, float] = {}
    for name in metrics():
        for figure in (f"{name}_gt", f"{name}_fp", name):
            value = content.get(f"{figure}_{version}")
            if isinstance(value, int | float) and not isinstance(value, bool):
                found[figure] = float(value)
    return found


def _clip(folder: Path, content: Mapping[str, Any], pictures: bool, progress: Progress) -> Clip:
    frames = folder / "frames"
    height, width = int(content["height"]), int(content["width"])
    names = [name for name in ("lq", "gt", *content["versions"]) if (frames / name).is_dir()]
    shown: dict[str, Pictures] = {}
    region, middle = None, int(content["frames"]) // 2
    if pictures and names:
        guide = _frame(frames / ("gt" if "gt" in names else names[-1]), middle)
        if guide is not None:
            guide = _full(guide, height, width)
            side = min(max(min(height, width) // _SHARE, 96), _LARGEST, height, width)
            region = busiest_region(guide, side, min(side * 4 // 3, width))
            row = region.y + region.height // 2
            for number, name in enumerate(names):
                progress.report(number / len(names), f"pictures of {name}")
                shown[name] = _pictures(frames / name, middle, region, row, height, width, progress)
            if "lq" in shown:
                # Enlarged as a yardstick; the input itself is shown by it.
                shown["bicubic"] = shown.pop("lq")
    return Clip(
        id=_CLIP,
        name=str(content.get("clip") or folder.resolve().name),
        frames=int(content["frames"]),
        width=width,
        height=height,
        has_gt=content.get("psnr_gt_fp") is not None,
        region=None if region is None else (region.y, region.x, region.height, region.width),
        frame=middle if region is not None else None,
        row=None if region is None else region.y + region.height // 2,
        pictures=shown,
    )


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in _ENDINGS)


def _frame(folder: Path, number: int) -> NDArray[np.uint8] | None:
    files = _files(folder)
    return load_picture(files[min(number, len(files) - 1)]) if files else None


def _full(picture: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """The picture at full size: low-quality ones enlarged as the yardstick is."""
    if picture.shape[:2] == (height, width):
        return picture
    enlarged = enlarge(picture.astype(np.float32) / 255, height // picture.shape[0])
    return np.rint(enlarged.clip(0, 1) * 255).astype(np.uint8)


def _pictures(
    folder: Path, middle: int, region: Region, row: int, height: int, width: int, progress: Progress
) -> Pictures:
    followed = Slice(row)
    crop = thumb = None
    files = _files(folder)
    # Of a long clip not every frame is read: a slice is no finer than the screen.
    step = -(-len(files) // _LINES)
    for number, path in enumerate(files):
        if number % step and number != middle:
            continue
        progress.check()
        picture = load_picture(path)
        if picture is None:
            continue
        picture = _full(picture, height, width)
        if picture.shape[:2] != (height, width):
            continue
        if number % step == 0:
            followed.add(picture)
        if number == middle:
            crop = picture[region.y : region.y + region.height, region.x : region.x + region.width]
            thumb = shrink(picture)
    lines = followed.result()
    return Pictures(crop, lines if lines.size else None, thumb)


SOURCE = Source((FILE,), read)

"""What can be exported: each kind says what it needs, where it goes and which job does it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from quantvsr.errors import BadInput
from quantvsr.jobs.base import Job
from quantvsr.jobs.deliver import DeliverJob
from quantvsr.jobs.report import ReportJob
from quantvsr.jobs.sidebyside import SideBySideJob
from quantvsr.jobs.upscale import UpscaleJob
from quantvsr.preview.keys import FP
from quantvsr.project import ClipEntry, Settings
from quantvsr_gui.pages.compare.versions import Version
from quantvsr_gui.widgets.text import size as size_text

CODECS = {
    "h264": "H.264",
    "h265": "H.265",
    "av1": "AV1",
    "ffv1": "FFV1 (lossless)",
    "prores": "ProRes 422 HQ",
}
CONTAINERS: Mapping[str, tuple[str, ...]] = {
    "h264": (".mp4", ".mov", ".mkv", ".m4v"),
    "h265": (".mp4", ".mov", ".mkv", ".m4v"),
    "av1": (".mp4", ".mkv", ".webm"),
    "ffv1": (".mkv",),
    "prores": (".mov", ".mkv"),
}
"""File endings by codec, the usual one first; a test holds them to what the engine writes."""
RATED = ("h264", "h265", "av1")
"""Codecs whose quality can be chosen."""


@dataclass(frozen=True)
class Wish:
    """What the form says.

    Attributes:
        settings: The project's settings.
        clip: The clip; None where there is none.
        versions: One version, or up to four.
        out: File or folder to write.
        codec: One of `CODECS`.
        quality: 0 (best) to 51.
        streams: Whether sound and subtitles are copied.
        detail: Whether a magnified detail is shown side by side.
        overwrite: Whether an existing output may be replaced.
        folder: Of the project, where it has results that a report can show.
        figures: Measured figures of the version, for the stamp.
    """

    settings: Settings
    clip: ClipEntry | None
    versions: tuple[Version, ...]
    out: Path
    codec: str = "h264"
    quality: int = 18
    streams: bool = True
    detail: bool = True
    overwrite: bool = False
    folder: Path | None = None
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Kind:
    """A kind of export.

    Attributes:
        id: Stable name.
        title: For people.
        summary: One sentence.
        needs: Parts of the form it uses: clip, version, run, versions, codec, sound, detail.
        make: The job of a wish.
        ending: Of the file; empty for a folder, `*` for that of the chosen container.
        suffix: Added to the clip's name for the output.
    """

    id: str
    title: str
    summary: str
    needs: frozenset[str]
    make: Callable[[Wish], Job]
    ending: str = "*"
    suffix: str = "x4"

    def name(self, wish_clip: ClipEntry | None, versions: tuple[Version, ...], project: str) -> str:
        """File name without its ending."""
        clip = Path(wish_clip.path).stem if wish_clip is not None and "clip" in self.needs else project
        words = [clip]
        if len(versions) == 1 and self.needs:
            words.append("full-precision" if versions[0].id == FP else versions[0].label)
        if self.suffix:
            words.append(self.suffix)
        return "_".join("-".join("".join(c if c.isalnum() else " " for c in w).split()) for w in words)


def _clip_of(wish: Wish) -> ClipEntry:
    if wish.clip is None:
        raise BadInput("There is no clip; add one on the Clips page.")
    return wish.clip


def _version_of(wish: Wish) -> Version:
    if not wish.versions:
        raise BadInput("There is no version to export; choose full precision or a run.")
    return wish.versions[0]


def _part(clip: ClipEntry) -> dict[str, Any]:
    return {"start": clip.start, "frames": None if clip.stop is None else clip.stop - clip.start}


def _model(settings: Settings) -> dict[str, Any]:
    names = ("model", "device", "seed", "steps")
    return {name: getattr(settings, name) for name in names}


def _upscale(wish: Wish, codec: str) -> UpscaleJob:
    clip, version = _clip_of(wish), _version_of(wish)
    return UpscaleJob(
        **_model(wish.settings),
        **_part(clip),
        clip=clip.path,
        out=str(wish.out),
        checkpoint=version.source if version.run else None,
        codec=codec,
        quality=wish.quality,
        streams=wish.streams,
        overwrite=wish.overwrite,
    )


def _side_by_side(wish: Wish) -> SideBySideJob:
    clip = _clip_of(wish)
    if len(wish.versions) < 2:
        raise BadInput("One version alone is no comparison; choose two to four.")
    return SideBySideJob(
        **_model(wish.settings),
        **_part(clip),
        clip=clip.path,
        gt=clip.gt,
        versions=tuple(version.source for version in wish.versions),
        labels=tuple(version.label for version in wish.versions),
        out=str(wish.out),
        codec=wish.codec,
        quality=wish.quality,
        streams=wish.streams,
        detail=wish.detail,
        overwrite=wish.overwrite,
    )


def _deliver(wish: Wish) -> DeliverJob:
    version = next((each for each in wish.versions if each.run), None)
    if version is None:
        raise BadInput("There is no finished run yet; quantize first.")
    figures = tuple(f"{name}={value:.6g}" for name, value in sorted(wish.figures.items()))
    return DeliverJob(checkpoint=version.source, out=str(wish.out), figures=figures, overwrite=wish.overwrite)


def _report(wish: Wish) -> ReportJob:
    if wish.folder is None:
        raise BadInput("There is nothing to report on yet; analyse or quantize first.")
    return ReportJob(folder=str(wish.folder), out=str(wish.out))


KINDS: dict[str, Kind] = {
    kind.id: kind
    for kind in (
        Kind(
            "video",
            "Upscaled video",
            "The clip four times as large, from full precision or a run.",
            frozenset({"clip", "version", "codec", "sound"}),
            lambda wish: _upscale(wish, wish.codec),
        ),
        Kind(
            "side",
            "Side-by-side video",
            "Two to four versions in one video, labelled.",
            frozenset({"clip", "versions", "codec", "sound", "detail"}),
            _side_by_side,
            suffix="compared",
        ),
        Kind(
            "images",
            "PNG sequence",
            "The enlarged frames as pictures in a folder, without loss.",
            frozenset({"clip", "version"}),
            lambda wish: _upscale(wish, "png"),
            ending="",
            suffix="x4-frames",
        ),
        Kind(
            "checkpoint",
            "Quantized checkpoint",
            "The packed weights of a run, with a stamp that says what they are, byte by byte.",
            frozenset({"run"}),
            _deliver,
            ending=".safetensors",
            suffix="",
        ),
        Kind(
            "report",
            "HTML report",
            "One file with tables, charts and figures of all runs of the project, readable offline.",
            frozenset(),
            _report,
            ending=".html",
            suffix="report",
        ),
    )
}


def told(job: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    """What a finished export really is, measured in what was written."""
    if "content" in result:
        content = result["content"]
        bits, size = content["effective_bits"], content["bytes"]["file"]
        weights = f"{bits['all']:.2f} effective bits a weight ({bits['codes']:.2f} of them codes)"
        return f"{size_text(size)}, {weights}, runs here as: {' / '.join(content['execution'])}"
    if "frames" in result:
        parts = [f"{result['frames']} frames of {result['width']}x{result['height']}"]
        if result.get("duration") is not None:
            parts.append(f"{result['duration']:.2f} s")
        text = ", ".join(parts) + ", counted in the file"
        return text + (f"; went on after frame {result['resumed']}" if result.get("resumed") else "")
    if "size" in result:
        return size_text(result["size"])
    return ""


def what(job: Mapping[str, Any]) -> str:
    """Title of an export by its job as JSON."""
    names = {"side-by-side": "side", "deliver": "checkpoint", "report": "report"}
    name = str(job.get("job", ""))
    if name == "upscale":
        return KINDS["images" if job.get("settings", {}).get("codec") == "png" else "video"].title
    return KINDS[names[name]].title if name in names else name

"""What clips are: size, length, codec, what is odd about them, and small pictures of them."""

from dataclasses import dataclass
from typing import Any

from quantvsr.jobs.base import Job, Result, register
from quantvsr.jobs.options import INTEGER, PATH, SWITCH, option
from quantvsr.progress import Progress
from quantvsr.words import counted


@dataclass(frozen=True, kw_only=True)
class ProbeResult(Result):
    """Clips.

    Attributes:
        clips: One entry per clip found, in the order given: `path`; `info` (see `ClipInfo`; `frames` by the
            duration where nothing counts them) and `pictures` (paths of thumbnails, first to last frame), or
            `error`, a sentence; `gt`, the path of a clip NAME_gt beside a clip NAME_lq, or None.
    """

    clips: tuple[dict[str, Any], ...]

    def rows(self) -> list[tuple[str, str]]:
        """One line per clip."""
        return [(clip["path"], clip.get("error") or _line(clip["info"])) for clip in self.clips]


def _line(info: dict[str, Any]) -> str:
    frames = "unknown length" if info["frames"] is None else counted(info["frames"], "frame")
    notes = "".join(f"; {text}" for text in info["warnings"])
    return f"{info['width']}x{info['height']}, {frames}, {info['codec']}{notes}"


@register("probe")
@dataclass(frozen=True, kw_only=True)
class ProbeJob(Job):
    """Look at clips."""

    summary = "Show size, length, codec and oddities of clips."
    details = "Of a folder all videos are taken; one without videos is a clip of pictures."
    example = "quantvsr probe walk.mp4 more-clips"
    group = "quantize"

    clips: tuple[str, ...] = option(PATH, "Videos and folders.", default=(), many=True, positional=True)
    count: bool = option(SWITCH, "Count frames by decoding instead of trusting the container.", default=False)
    thumbnails: str | None = option(
        PATH, "Folder for small pictures of each clip.", default=None, reproducible=False
    )
    pictures: int = option(INTEGER, "Pictures of each clip.", default=1, least=1, most=64)
    edge: int = option(INTEGER, "Longer edge of the pictures.", default=256, least=16, most=2048)

    def run(self, progress: Progress) -> ProbeResult:
        """Run it."""
        from quantvsr.jobs.work.probing import probe_clips

        return probe_clips(self, progress)

"""Several versions of a clip in one labelled video."""

from dataclasses import dataclass
from pathlib import Path

from quantvsr.jobs.base import Result, register
from quantvsr.jobs.options import INTEGER, PATH, SWITCH, TEXT, option
from quantvsr.jobs.settings import CODECS, VersionsSettings
from quantvsr.progress import Progress
from quantvsr.words import counted


@dataclass(frozen=True, kw_only=True)
class SideBySideResult(Result):
    """A written comparison.

    Attributes:
        out: The video or the folder of pictures.
        frames: Number of frames that it holds, counted in it.
        duration: Seconds that it lasts, measured in it; None for pictures.
        resumed: Frames that an interrupted run had left.
        width, height: Size of a frame.
        seconds: Time taken.
    """

    out: Path
    frames: int
    duration: float | None
    resumed: int
    width: int
    height: int
    seconds: float

    def rows(self) -> list[tuple[str, str]]:
        """Size and place."""
        length = "" if self.duration is None else f", {self.duration:.2f} s"
        return [
            ("Video", f"{counted(self.frames, 'frame')} of {self.width}x{self.height}{length}"),
            ("Time", f"{self.seconds:.1f} s"),
            ("Written to", str(self.out)),
        ]


@register("side-by-side")
@dataclass(frozen=True, kw_only=True)
class SideBySideJob(VersionsSettings):
    """Write versions of a clip beside each other, labelled."""

    summary = "Write one video with up to four versions of a clip side by side, labelled."
    details = (
        "All versions are computed together, frame by frame, so the memory holds all their models. Stopped "
        "at any moment, the same command goes on from the parts that wait beside the output in NAME.parts."
    )
    example = "quantvsr side-by-side walk.mp4 --versions lq fp my-model-4bit --out walk_compared.mp4"

    labels: tuple[str, ...] = option(
        TEXT, "A label for each version; their usual names if left out.", default=(), many=True
    )
    out: str | None = option(
        PATH, "Output video; NAME_compared.mp4 beside the clip if left out.", default=None, reproducible=False
    )
    codec: str = option(TEXT, "Video codec; png writes a folder of pictures.", default="h264", choices=CODECS)
    quality: int = option(
        INTEGER, "Quality: 0 is best, 18 looks clean, 51 is worst.", default=18, least=0, most=51
    )
    streams: bool = option(SWITCH, "Copy sound, subtitles, chapters and tags of the clip.", default=True)
    detail: bool = option(SWITCH, "Show a magnified detail in each picture.", default=True)
    overwrite: bool = option(SWITCH, "Replace an existing output.", default=False, reproducible=False)

    def run(self, progress: Progress) -> SideBySideResult:
        """Run it."""
        from quantvsr.jobs.work.sidebyside import write_side_by_side

        return write_side_by_side(self, progress)

"""A clip through MGLD-VSR as its published program runs it."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from quantvsr.jobs.base import Result, register
from quantvsr.jobs.options import INTEGER, PATH, RATE, SWITCH, option
from quantvsr.jobs.settings import ModelSettings
from quantvsr.progress import Progress


@dataclass(frozen=True, kw_only=True)
class PublishedResult(Result):
    """An enlarged clip.

    Attributes:
        out: Folder of pictures.
        frames: Number of frames.
        width, height: Size of a frame.
        seconds: How long it took, opening included.
    """

    out: Path
    frames: int
    width: int
    height: int
    seconds: float

    def rows(self) -> list[tuple[str, str]]:
        """Size, time, place."""
        return [
            ("Pictures", f"{self.frames} of {self.width}x{self.height}"),
            ("Time", f"{self.seconds:.1f} s"),
            ("Written to", str(self.out)),
        ]


@register("published")
@dataclass(frozen=True, kw_only=True)
class PublishedJob(ModelSettings):
    """Run MGLD-VSR with the published program's chunks, padding, tiles and random numbers."""

    summary = "Enlarge a clip with MGLD-VSR exactly as its published program does, for comparing with it."
    details = (
        "Chunks of 5 frames that share nothing, motion of whole frames, tiles of 960 pixels averaged where "
        "they overlap, fresh noise for each, pictures cut off to 8 bits. 'upscale' blends windows and tiles "
        "instead, shares noise between them, and looks better at their seams."
    )
    example = "quantvsr published walk.mp4 --model MGLD-VSR --out walk-published"

    clip: str = option(PATH, "The video or folder of pictures to enlarge.", positional=True)
    out: str = option(PATH, "Folder for the pictures.", reproducible=False)
    checkpoint: str | None = option(PATH, "Quantized checkpoint (of 'quantize').", default=None)
    start: int = option(INTEGER, "First frame, counted from 0.", default=0, least=0)
    frames: int | None = option(INTEGER, "Number of frames; all if left out.", default=None, least=1)
    frame_rate: Fraction | None = option(  # noqa: RUF009  (makes a field)
        RATE, "Frames per second of a folder of pictures (25 if left out).", default=None
    )
    overwrite: bool = option(SWITCH, "Replace an existing output.", default=False, reproducible=False)

    def run(self, progress: Progress) -> PublishedResult:
        """Run it."""
        from quantvsr.jobs.work.publishing import run_published

        return run_published(self, progress)

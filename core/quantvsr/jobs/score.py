"""How close a quantized model comes to full precision, on the middle of some clips."""

from dataclasses import dataclass
from pathlib import Path

from quantvsr.jobs.base import Result, register
from quantvsr.jobs.options import INTEGER, PATH, option
from quantvsr.jobs.settings import ModelSettings
from quantvsr.progress import Progress


@dataclass(frozen=True, kw_only=True)
class ScoreResult(Result):
    """The figures.

    Attributes:
        checkpoint: The checkpoint that was looked at.
        psnr_fp: PSNR of its pictures against full precision's, mean over clips, in dB.
        clips: The same by the clip's name.
        crop: Edge of the region that was enlarged, in LQ pixels.
        frames: Frames of each clip.
        seconds: Time taken.
    """

    checkpoint: Path
    psnr_fp: float
    clips: dict[str, float]
    crop: int
    frames: int
    seconds: float

    def rows(self) -> list[tuple[str, str]]:
        """The figures."""
        where = f"middle {self.crop}x{self.crop}, {self.frames} frames"
        return [
            *((name, f"{value:.2f} dB to full precision") for name, value in self.clips.items()),
            ("Mean", f"{self.psnr_fp:.2f} dB ({where})"),
        ]


@register("score")
@dataclass(frozen=True, kw_only=True)
class ScoreJob(ModelSettings):
    """Compare a checkpoint's pictures with full precision's."""

    summary = "Measure quickly how close a quantized model comes to full precision."
    details = (
        "Enlarges one window in the middle of each clip with both models and the same noise. 'compare' does "
        "it for whole clips."
    )
    example = "quantvsr score my-model-4bit walk.mp4"
    group = "compare"

    checkpoint: str = option(PATH, "Quantized checkpoint (of 'quantize').", positional=True)
    clips: tuple[str, ...] = option(
        PATH, "Low-quality clips; the bundled clips if left out.", default=(), many=True, positional=True
    )
    crop: int = option(INTEGER, "Edge of the region in LQ pixels.", default=48, least=16, most=1024)
    most: int = option(INTEGER, "Clips looked at, from the first.", default=4, least=1)

    def run(self, progress: Progress) -> ScoreResult:
        """Run it."""
        from quantvsr.jobs.work.scoring import score

        return score(self, progress)

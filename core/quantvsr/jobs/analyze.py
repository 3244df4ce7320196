"""Which layers are complex, which rank each gets, and what that costs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantvsr.jobs.base import Result, register
from quantvsr.jobs.options import FRAMES, PATH, FrameRange, option
from quantvsr.jobs.settings import MethodSettings
from quantvsr.progress import Progress
from quantvsr.words import megabytes


@dataclass(frozen=True, kw_only=True)
class AnalyzeResult(Result):
    """What the analysis found.

    Attributes:
        out: The folder with everything below.
        complexity: `complexity.npz`.
        ranks: `ranks.json`.
        charts: Pictures of both.
        layers: Number of layers that can be quantized.
        samples: Number of calibration samples.
        rank_counts: How many layers have which rank.
        cost: Bytes, multiply-accumulates and effective bits in all (see `CostSettings`).
        seconds: Seconds per stage.
    """

    out: Path
    complexity: Path
    ranks: Path
    charts: tuple[Path, ...]
    layers: int
    samples: int
    rank_counts: dict[int, int]
    cost: dict[str, Any]
    seconds: dict[str, float]

    def rows(self) -> list[tuple[str, str]]:
        """Layers, ranks and size."""
        ranks = ", ".join(f"{count} x {rank}" for rank, count in sorted(self.rank_counts.items()))
        return [
            ("Layers", f"{self.layers} (from {self.samples} calibration samples)"),
            ("Ranks", ranks),
            ("Size in FP32", megabytes(self.cost["bytes_fp32"])),
            (
                "Size quantized",
                f"{megabytes(self.cost['bytes_total'])} ({self.cost['reduction']:.2%} smaller)",
            ),
            ("Effective bits", f"{self.cost['effective_bits']:.2f} a weight"),
            ("Written to", str(self.out)),
        ]


@register("analyze")
@dataclass(frozen=True, kw_only=True)
class AnalyzeJob(MethodSettings):
    """Measure the complexity of every layer and allocate ranks."""

    summary = "Measure how complex each layer's input is, and decide its rank."
    details = (
        "Runs the model on a few windows of the clips, records what its denoiser sees, and writes "
        "complexity.npz, ranks.json and charts into --out. Running it again continues where it was stopped."
    )
    example = "quantvsr analyze walk.mp4 street.mp4 --out analysis"
    group = "quantize"

    clips: tuple[str, ...] = option(
        PATH, "Clips to learn from; the bundled clips if left out.", default=(), many=True, positional=True
    )
    ranges: tuple[FrameRange, ...] = option(
        FRAMES, "Frames used of each clip, in the order of the clips.", default=(), many=True
    )
    out: str = option(PATH, "Folder for the results.", default="analysis", reproducible=False)

    def run(self, progress: Progress) -> AnalyzeResult:
        """Run it."""
        from quantvsr.jobs.work.analysis import analyze

        return analyze(self, progress)

"""From a model to a quantized checkpoint."""

from dataclasses import dataclass
from pathlib import Path

from quantvsr.jobs.base import Result, register
from quantvsr.jobs.options import FRAMES, INTEGER, PATH, SWITCH, Bits, FrameRange, option
from quantvsr.jobs.settings import MethodSettings
from quantvsr.progress import Progress
from quantvsr.words import megabytes


@dataclass(frozen=True, kw_only=True)
class QuantizeResult(Result):
    """A quantized checkpoint and what it cost.

    Attributes:
        checkpoint: The checkpoint's folder.
        bits: Bits of weights and activations.
        method: The method.
        layers: Number of quantized layers.
        bytes_fp32: Weights and biases of these layers in FP32.
        bytes_lowbit: All stored parts of these layers, as on disk.
        reduction: Share saved, 0..1.
        effective_bits: All bytes * 8 / number of weights.
        loss_first, loss_last: Refinement's loss at the first and last update; None where nothing was trained.
        seconds: Seconds per stage.
        peak_memory: Largest memory of the process so far in bytes.
        execution: How integer values are computed.
    """

    checkpoint: Path
    bits: Bits
    method: str
    layers: int
    bytes_fp32: int
    bytes_lowbit: int
    reduction: float
    effective_bits: float
    loss_first: float | None
    loss_last: float | None
    seconds: dict[str, float]
    peak_memory: int
    execution: str

    def rows(self) -> list[tuple[str, str]]:
        """Size, loss and time."""
        sizes = f"{megabytes(self.bytes_fp32)} -> {megabytes(self.bytes_lowbit)}"
        rows = [
            ("Quantized", f"{self.layers} layers to {self.bits} ({self.method})"),
            ("Size", f"{sizes} ({self.reduction:.2%} smaller, {self.effective_bits:.2f} bits a weight)"),
        ]
        if self.loss_first is not None and self.loss_last is not None:
            rows.append(("Loss", f"{self.loss_first:.3g} -> {self.loss_last:.3g}"))
        rows.append(("Time", f"{sum(self.seconds.values()):.0f} s"))
        rows.append(("Checkpoint", str(self.checkpoint)))
        return rows


@register("quantize")
@dataclass(frozen=True, kw_only=True)
class QuantizeJob(MethodSettings):
    """Make a quantized checkpoint of a model."""

    summary = "Quantize a model to 2 to 8 bits and write a checkpoint."
    details = (
        "Records calibration samples from the clips, allocates ranks, splits every layer into a low-rank and "
        "a low-bit branch, trains the low-rank branch and then a bias to match the full-precision model. "
        "Stopped at any moment, the same command goes on from the newest snapshot and ends with the same "
        "checkpoint. A finished one of other bits, method, preset or seed is replaced with --fresh only."
    )
    example = "quantvsr quantize walk.mp4 street.mp4 --bits 4 --preset standard --out my-model-4bit"
    group = "quantize"

    clips: tuple[str, ...] = option(
        PATH, "Clips to learn from; the bundled clips if left out.", default=(), many=True, positional=True
    )
    ranges: tuple[FrameRange, ...] = option(
        FRAMES, "Frames used of each clip, in the order of the clips.", default=(), many=True
    )
    out: str = option(PATH, "Folder for the checkpoint.", default="quantized", reproducible=False)
    ranks: str | None = option(
        PATH, "Use this ranks.json (of 'analyze') instead of allocating.", default=None
    )
    analysis: str | None = option(
        PATH,
        "Folder of an 'analyze' with the same clips and budget: its calibration samples are used.",
        default=None,
        reproducible=False,
    )
    stop_at: int | None = option(
        INTEGER,
        "End the training after so many updates of all stages together, with the state of that moment.",
        default=None,
        least=0,
    )
    fresh: bool = option(
        SWITCH, "Forget what an earlier run left in the output folder.", default=False, reproducible=False
    )

    def run(self, progress: Progress) -> QuantizeResult:
        """Run it."""
        from quantvsr.jobs.work.quantization import quantize

        return quantize(self, progress)

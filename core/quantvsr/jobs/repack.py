"""A quantized checkpoint again, with another rank or other bits in some layers."""

from dataclasses import dataclass
from pathlib import Path

from quantvsr.jobs.base import Result, register
from quantvsr.jobs.options import INTEGER, LAYER_BITS, LAYER_RANK, PATH, Bits, LayerBits, LayerRank, option
from quantvsr.jobs.settings import ModelSettings
from quantvsr.progress import Progress
from quantvsr.words import counted, megabytes


@dataclass(frozen=True, kw_only=True)
class RepackResult(Result):
    """A checkpoint with changed layers.

    Attributes:
        checkpoint: The file.
        changed: Layers that were packed again.
        bytes_lowbit: Size of the file.
        effective_bits: Its size in bits a weight.
        loss_first, loss_last: Loss before and after the short training; None without one.
        seconds: Time taken.
    """

    checkpoint: Path
    changed: tuple[str, ...]
    bytes_lowbit: int
    effective_bits: float
    loss_first: float | None
    loss_last: float | None
    seconds: float

    def rows(self) -> list[tuple[str, str]]:
        """Size and place."""
        rows = [
            ("Packed again", f"{counted(len(self.changed), 'layer')} in {self.seconds:.1f} s"),
            ("Size", f"{megabytes(self.bytes_lowbit)} ({self.effective_bits:.2f} bits a weight)"),
        ]
        if self.loss_first is not None and self.loss_last is not None:
            rows.append(("Loss", f"{self.loss_first:.3g} -> {self.loss_last:.3g}"))
        return [*rows, ("Checkpoint", str(self.checkpoint))]


@register("repack")
@dataclass(frozen=True, kw_only=True)
class RepackJob(ModelSettings):
    """Change the rank or the bits of some layers of a checkpoint."""

    summary = "Pack a checkpoint again with other ranks or bits of some layers, without training it anew."
    details = (
        "The other layers stay bit for bit. The changed ones start from the model's weights and take over "
        "the activation ranges of the checkpoint; with --updates they are trained for a moment on the "
        "calibration samples. A quick look at what a change does; for the best result quantize again."
    )
    example = "quantvsr repack my-model-4bit --layer-ranks mid.attn=32 --layer-bits mid.attn=W8A8 --out trial"
    group = "quantize"

    checkpoint: str = option(PATH, "Quantized checkpoint (of 'quantize').", positional=True)
    out: str = option(PATH, "Folder for the new checkpoint.", default="repacked", reproducible=False)
    layer_ranks: tuple[LayerRank, ...] = option(LAYER_RANK, "New ranks.", default=(), many=True)
    layer_bits: tuple[LayerBits, ...] = option(LAYER_BITS, "New bits.", default=(), many=True)
    updates: int = option(INTEGER, "Training updates of the changed layers.", default=0, least=0, most=10_000)
    samples: str | None = option(
        PATH, "Folder of calibration samples; those beside the checkpoint if left out.", default=None
    )

    def changes(self) -> dict[str, tuple[int | None, Bits | None]]:
        """New rank and new bits by layer; None keeps the checkpoint's."""
        ranks = {each.layer: each.rank for each in self.layer_ranks}
        bits = {each.layer: each.bits for each in self.layer_bits}
        return {name: (ranks.get(name), bits.get(name)) for name in sorted({*ranks, *bits})}

    def run(self, progress: Progress) -> RepackResult:
        """Run it."""
        from quantvsr.jobs.work.repacking import repack

        return repack(self, progress)

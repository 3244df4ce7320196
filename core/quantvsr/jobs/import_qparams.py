"""From a parameter file of the published method to a checkpoint of ours."""

from dataclasses import dataclass
from pathlib import Path

from quantvsr.jobs.base import Result, register
from quantvsr.jobs.options import BITS, PATH, Bits, option
from quantvsr.jobs.settings import ModelSettings
from quantvsr.progress import Progress
from quantvsr.words import megabytes


@dataclass(frozen=True, kw_only=True)
class ImportQparamsResult(Result):
    """An imported checkpoint.

    Attributes:
        checkpoint: The file.
        bits: Bits of weights and activations, as they were given.
        layers: Number of quantized layers.
        bytes_file: Size of the parameter file.
        bytes_fp32: Weights and biases of these layers in FP32.
        bytes_lowbit: The checkpoint, as on disk.
        seconds: How long it took.
        peak_memory: Largest memory of the process in bytes.
    """

    checkpoint: Path
    bits: Bits
    layers: int
    bytes_file: int
    bytes_fp32: int
    bytes_lowbit: int
    seconds: float
    peak_memory: int

    def rows(self) -> list[tuple[str, str]]:
        """Layers, sizes and place."""
        return [
            ("Imported", f"{self.layers} layers as {self.bits}"),
            ("Parameter file", megabytes(self.bytes_file)),
            ("Size", f"{megabytes(self.bytes_fp32)} -> {megabytes(self.bytes_lowbit)}"),
            ("Time", f"{self.seconds:.0f} s"),
            ("Checkpoint", str(self.checkpoint)),
        ]


@register("import-qparams")
@dataclass(frozen=True, kw_only=True)
class ImportQparamsJob(ModelSettings):
    """Turn a parameter file of the published QuantVSR into a checkpoint of this program."""

    summary = "Turn a parameter file of the published QuantVSR (w4a4.pth) into a checkpoint."
    details = (
        "Such a file holds ranges, low-rank factors, rotation matrices and biases, but neither the bits nor "
        "the model's weights: give --bits as it was made with, and the model with --model. Rotation matrices "
        "are replaced by their signs. The checkpoint computes what the published program computes."
    )
    example = "quantvsr import-qparams w4a4.pth --model MGLD-VSR --bits 4 --out w4a4"
    group = "model"

    file: str = option(PATH, "The parameter file.", positional=True)
    bits: Bits = option(  # noqa: RUF009  (makes a field)
        BITS, "Bits that the file was made with; it does not say.", default=Bits(4, 4)
    )
    out: str = option(PATH, "Folder for the checkpoint.", default="imported", reproducible=False)

    def run(self, progress: Progress) -> ImportQparamsResult:
        """Run it."""
        from quantvsr.jobs.work.importing import import_qparams

        return import_qparams(self, progress)

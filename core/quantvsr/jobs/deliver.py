"""A quantized checkpoint to hand on, with a stamp that says honestly what it is."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantvsr.errors import BadInput
from quantvsr.jobs.base import Job, Result, register
from quantvsr.jobs.options import PATH, SWITCH, TEXT, option
from quantvsr.progress import Progress
from quantvsr.words import megabytes


@dataclass(frozen=True, kw_only=True)
class DeliverResult(Result):
    """A delivered checkpoint.

    Attributes:
        out: The checkpoint.
        stamp: The JSON file beside it.
        content: What the stamp says.
    """

    out: Path
    stamp: Path
    content: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The places, and what the stamp says."""
        return {
            "out": str(self.out),
            "stamp": str(self.stamp),
            "content": self.content,
            "warnings": list(self.warnings),
        }

    def rows(self) -> list[tuple[str, str]]:
        """The stamp's main figures."""
        size, bits = self.content["bytes"], self.content["effective_bits"]
        return [
            ("Checkpoint", str(self.out)),
            ("Size", f"{megabytes(size['file'])} ({self.content['reduction']:.2%} smaller than FP32)"),
            ("Effective bits", f"{bits['all']:.2f} a weight, {bits['codes']:.2f} of them codes"),
            ("Execution", "; ".join(self.content["execution"])),
            ("Stamp", str(self.stamp)),
        ]


@register("deliver")
@dataclass(frozen=True, kw_only=True)
class DeliverJob(Job):
    """Copy a checkpoint and write its stamp."""

    summary = "Copy a quantized checkpoint and write beside it what it is, byte by byte."
    details = (
        "The stamp (NAME.json) gives the packed bytes by part, the effective bits with the low-rank branch "
        "and all scales, how integers are executed, the hashes of the calibration clips, the settings, and "
        "the figures that were measured."
    )
    example = "quantvsr deliver my-model-4bit --out model-w4a4.safetensors --figures psnr_fp=34.1"
    group = "model"

    checkpoint: str = option(PATH, "Quantized checkpoint (of 'quantize').", positional=True)
    out: str = option(PATH, "The copy, ending in .safetensors.", reproducible=False)
    figures: tuple[str, ...] = option(
        TEXT, "Measured figures for the stamp, as NAME=VALUE.", default=(), many=True
    )
    overwrite: bool = option(SWITCH, "Replace existing files.", default=False, reproducible=False)

    def measured(self) -> dict[str, float]:
        """The figures by name.

        Raises:
            BadInput: One cannot be read.
        """
        found: dict[str, float] = {}
        for text in self.figures:
            name, _, value = text.partition("=")
            try:
                number = float(value)
            except ValueError:
                number = math.nan
            if not name.strip() or not math.isfinite(number):
                raise BadInput(f"'{text}' is no figure; write NAME=VALUE, for example psnr_fp=34.1.")
            found[name.strip()] = number
        return found

    def run(self, progress: Progress) -> DeliverResult:
        """Run it."""
        from quantvsr.jobs.work.delivering import deliver

        return deliver(self, progress)

"""From any weight files of a model to a folder of safetensors."""

from dataclasses import dataclass
from pathlib import Path

from quantvsr.jobs.base import Job, Result, register
from quantvsr.jobs.options import PATH, REFERENCE, SWITCH, TEXT, option
from quantvsr.progress import Progress
from quantvsr.words import megabytes


@dataclass(frozen=True, kw_only=True)
class ConvertResult(Result):
    """A converted model.

    Attributes:
        out: The folder.
        family: What the model is.
        bytes_before, bytes_after: Sizes of the files that were read and of those that were written.
        sha256: Hash of the new model.
    """

    out: Path
    family: str
    bytes_before: int
    bytes_after: int
    sha256: str

    def rows(self) -> list[tuple[str, str]]:
        """What, how large, where."""
        return [
            ("Model", self.family),
            ("Size", f"{megabytes(self.bytes_before)} -> {megabytes(self.bytes_after)}"),
            ("Written to", str(self.out)),
        ]


@register("convert")
@dataclass(frozen=True, kw_only=True)
class ConvertJob(Job):
    """Write a model as a folder of safetensors files."""

    summary = "Write a model as a folder of safetensors files, which opens faster and runs no code."
    details = (
        "The folder is laid out as those of the diffusers library and holds only what takes part in "
        "enlarging: no optimizer, no averaged copies, no text encoder once its one result is known. It can "
        "be given as --model like the original."
    )
    example = "quantvsr convert MGLD-VSR --out mgld-safetensors --half"
    group = "model"

    model: str = option(REFERENCE, "Folder or file of weights.", positional=True)
    out: str = option(PATH, "Folder to write; must not exist, or be empty.", reproducible=False)
    compute: str | None = option(
        TEXT,
        "Type in which the new model's networks compute, MGLD-VSR only; float32 if left out.",
        default=None,
        choices=("float32", "bfloat16", "float16"),
    )
    half: bool = option(SWITCH, "Store half precision: half the size, weights rounded.", default=False)

    def run(self, progress: Progress) -> ConvertResult:
        """Run it."""
        from quantvsr.jobs.work.converting import convert_model

        return convert_model(self, progress)

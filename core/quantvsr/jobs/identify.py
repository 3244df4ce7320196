"""What a path is."""

from dataclasses import dataclass
from pathlib import Path

from quantvsr.jobs.analyze import megabytes
from quantvsr.jobs.base import Job, Result, register
from quantvsr.jobs.options import REFERENCE, SWITCH, option
from quantvsr.progress import Progress


@dataclass(frozen=True, kw_only=True)
class IdentifyResult(Result):
    """What was found.

    Attributes:
        family: Short name of the kind of model.
        title: For people.
        reason: How it was seen.
        files: What belongs to it.
        bytes: Size of these files.
        sha256: Hash of all of them; None where it was not asked for.
    """

    family: str
    title: str
    reason: str
    files: tuple[Path, ...]
    bytes: int
    sha256: str | None

    def rows(self) -> list[tuple[str, str]]:
        """What, why, how large."""
        rows = [
            ("Model", self.title),
            ("Seen by", self.reason),
            ("Files", f"{len(self.files)} ({megabytes(self.bytes)})"),
        ]
        return rows if self.sha256 is None else [*rows, ("SHA-256", self.sha256)]


@register("identify")
@dataclass(frozen=True, kw_only=True)
class IdentifyJob(Job):
    """Say what a path holds, without loading weights."""

    summary = "Say what a file or folder is, and how that was seen, without loading it."
    details = "Where it is no model that can be opened, the message says what it is instead and what to do."
    example = "quantvsr identify mgldvsr_unet.ckpt"

    model: str = option(REFERENCE, "Folder or file.", positional=True)
    hash: bool = option(SWITCH, "Hash the files as well, which reads all of them.", default=False)

    def run(self, progress: Progress) -> IdentifyResult:
        """Run it."""
        from quantvsr.jobs.work.converting import identify

        return identify(self, progress)

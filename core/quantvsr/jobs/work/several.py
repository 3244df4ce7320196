"""What jobs over several versions of a clip share: checking them, opening their models."""

from pathlib import Path

from quantvsr.errors import BadInput
from quantvsr.jobs.settings import VersionsSettings
from quantvsr.jobs.work.lowbit import execute, execution_key, open_lowbit
from quantvsr.jobs.work.machine import choose_device
from quantvsr.jobs.work.models import open_full
from quantvsr.jobs.work.quantization import checkpoint_file
from quantvsr.models.adapter import VSRAdapter
from quantvsr.preview.keys import FP, GT, PLAIN
from quantvsr.progress import Part, Progress


def checked_versions(job: VersionsSettings) -> list[str]:
    """The versions of a job, checkpoints as files.

    Raises:
        BadInput: A checkpoint is missing, or the ground truth.
    """
    if GT in job.versions and job.gt is None:
        raise BadInput("The version gt needs a ground truth; give --gt, or leave gt out.")
    return [each if each in PLAIN else str(checkpoint_file(each)) for each in job.versions]


def execution_of(job: VersionsSettings, version: str) -> str:
    """What will compute a version, see `execution_key`; empty where no model does.

    Raises:
        BadInput: The device or the backend cannot be used.
    """
    if version in PLAIN and version != FP:
        return ""
    return execution_key(choose_device(job.device), None if version == FP else job.backend)


def open_version(job: VersionsSettings, version: str, progress: Progress) -> VSRAdapter:
    """The model of a version (`fp` or a checkpoint), ready to run.

    Raises:
        BadInput: The device, the backend or the model cannot be used.
        BadModel: The checkpoint is damaged, none, or belongs to another model.
    """
    if version == FP:
        return open_full(job)
    adapter = open_lowbit(job, Path(version)).adapter
    execute(adapter, job.backend, progress)
    return adapter


class Lane(Part):
    """One of several progresses that go on side by side; the other one hears their mean.

    Args:
        other: Hears it.
        lanes: How far each is; the same list for all.
        place: Of this one.
    """

    def __init__(self, other: Progress, lanes: list[float], place: int) -> None:
        super().__init__(other)
        self._lanes, self._place = lanes, place

    def report(self, fraction: float, message: str = "", **payload: object) -> None:
        """See `Progress.report`."""
        self._lanes[self._place] = fraction
        super().report(sum(self._lanes) / len(self._lanes), message)

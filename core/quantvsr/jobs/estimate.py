"""What a long job will take here: time from a measured probe, memory, disk, and what to lower."""

import json
from dataclasses import dataclass

from quantvsr.errors import BadInput
from quantvsr.jobs.base import Job, Result, job_from_json, register
from quantvsr.jobs.options import TEXT, option
from quantvsr.progress import Progress


@dataclass(frozen=True, kw_only=True)
class EstimateResult(Result):
    """An estimate; the work itself may differ by a third either way.

    Attributes:
        seconds: Time.
        memory: Peak main memory of the engine in bytes (on a GPU: the GPU's).
        memory_there: Bytes of that memory in all; None where unknown.
        disk: Bytes written, those that are removed at the end included.
        disk_free: Bytes free where they are written.
        measured: Seconds of one call of the denoiser here, and the pixels (LQ) of that probe.
        advice: What to lower, one sentence each; empty where all is well.
    """

    seconds: float
    memory: int
    memory_there: int | None
    disk: int
    disk_free: int
    measured: dict[str, float]
    advice: tuple[str, ...]

    def rows(self) -> list[tuple[str, str]]:
        """Time, memory, disk, advice."""
        there = "" if self.memory_there is None else f" of {self.memory_there / 1e9:.1f} GB"
        return [
            ("Time", f"about {self.seconds:.0f} s"),
            ("Memory", f"about {self.memory / 1e9:.1f} GB{there}"),
            ("Disk", f"about {self.disk / 1e6:.0f} MB, {self.disk_free / 1e9:.1f} GB are free"),
            *(("Advice", text) for text in self.advice),
        ]


@register("estimate")
@dataclass(frozen=True, kw_only=True)
class EstimateJob(Job):
    """Say what another job will take, by running a small part of it."""

    summary = "Estimate time, memory and disk of an analysis, a quantization or an enlargement."
    details = (
        "JOB is a job as JSON, as a project keeps it. A small window is run to see how fast this machine is."
    )
    example = (
        """quantvsr estimate '{"format": "quantvsr-job", "job": "quantize", "version": 1, "settings": {}}'"""
    )
    group = "other"

    job: str = option(TEXT, "The job as JSON.", positional=True)

    @classmethod
    def of(cls, job: Job) -> "EstimateJob":
        """For a job."""
        return cls(job=json.dumps(job.to_json()))

    def asked(self) -> Job:
        """The job that is asked about.

        Raises:
            BadInput: It is none.
        """
        try:
            return job_from_json(json.loads(self.job))
        except json.JSONDecodeError as error:
            raise BadInput(f"This is no job as JSON ({error}); copy it from a project.json.") from error

    def run(self, progress: Progress) -> EstimateResult:
        """Run it."""
        from quantvsr.jobs.work.estimating import estimate

        return estimate(self, progress)

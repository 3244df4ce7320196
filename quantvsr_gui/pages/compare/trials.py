"""Trials: a run with some layers changed, kept with the run in the project file. Values only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from quantvsr.errors import QuantVSRError
from quantvsr.jobs.base import job_from_json
from quantvsr.jobs.options import LayerBits, LayerRank
from quantvsr.jobs.quantize import QuantizeJob
from quantvsr.jobs.repack import RepackJob
from quantvsr.project import RunRecord, Settings

EXTRA = "trials"
"""Where a run's record keeps them."""

Changes = tuple[tuple[LayerRank, ...], tuple[LayerBits, ...]]


@dataclass(frozen=True)
class Trial:
    """A run's checkpoint packed again with changed layers.

    Attributes:
        run: Id of the run.
        number: Counted from 1 in each run; not given again after a trial was deleted.
        job: What was changed, and whether it was trained.
        result: Of the job, as JSON.
        made: When, ISO 8601 in UTC.
        clip: The clip that was rendered with it last; empty before.
        start, stop: The frames of it.
        execution: What computed them: "cpu, oneDNN int8, bfloat16".
    """

    run: str
    number: int
    job: RepackJob
    result: Mapping[str, Any] = field(default_factory=dict)
    made: str = ""
    clip: str = ""
    start: int = 0
    stop: int = 0
    execution: str = ""

    @property
    def id(self) -> str:
        """Of the version that shows it."""
        return f"trial:{self.run}:{self.number}"

    @property
    def checkpoint(self) -> str:
        """Path of the packed file."""
        return str(self.result.get("checkpoint", ""))

    @property
    def changes(self) -> Changes:
        """Ranks and bits that differ from the run's."""
        return self.job.layer_ranks, self.job.layer_bits

    def label(self, run: str) -> str:
        """Its name, given the run's."""
        return f"{run} trial {self.number}"

    def what(self) -> str:
        """The changed layers in words."""
        ranks = (f"{each.layer} rank {each.rank}" for each in self.job.layer_ranks)
        bits = (f"{each.layer} {each.bits}" for each in self.job.layer_bits)
        return ", ".join((*ranks, *bits))

    def how(self) -> str:
        """Whether it was trained, in words."""
        return f"trained for {self.job.updates} updates" if self.job.updates else "not trained"

    def to_json(self) -> dict[str, Any]:
        """A JSON-able dictionary."""
        return {**vars(self), "job": self.job.to_json(), "result": dict(self.result)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Trial":
        """Read what `to_json` wrote.

        Raises:
            BadInput: The job is damaged or of a newer version.
            KeyError: A part is missing.
            TypeError: It is something else.
            ValueError: Likewise.
        """
        job = job_from_json(value.get("job"))
        if not isinstance(job, RepackJob):
            raise TypeError(f"{job.name} is no trial")
        return cls(
            run=str(value["run"]),
            number=int(value["number"]),
            job=job,
            result=dict(value["result"]),
            made=str(value["made"]),
            clip=str(value["clip"]),
            start=int(value["start"]),
            stop=int(value["stop"]),
            execution=str(value["execution"]),
        )


def trials_of(runs: Sequence[RunRecord]) -> list[Trial]:
    """All trials of some runs, oldest run first; what cannot be read is left out."""
    found = []
    for run in runs:
        kept = run.extra.get(EXTRA)
        for value in kept if isinstance(kept, list) else ():
            try:
                found.append(Trial.from_json(value))
            except (QuantVSRError, KeyError, TypeError, ValueError, AttributeError):
                continue
    return found


def changes_since(run: RunRecord, settings: Settings) -> Changes:
    """Ranks and bits set by hand that a run was not made with."""
    try:
        job = run.request()
    except QuantVSRError:
        return (), ()
    if not isinstance(job, QuantizeJob) or job.model != settings.model:
        return (), ()
    ranks = {each.layer: each.rank for each in job.layer_ranks}
    bits = {each.layer: each.bits for each in job.layer_bits}
    out = set(settings.exclude) | set(job.exclude)
    return (
        tuple(
            LayerRank(layer, rank)
            for layer, rank in sorted(settings.rank_overrides.items())
            if ranks.get(layer) != rank and layer not in out
        ),
        tuple(
            LayerBits(layer, value)
            for layer, value in sorted(settings.bit_overrides.items())
            if bits.get(layer) != value and layer not in out
        ),
    )

"""What has been done in a project: runs (quantized models) and exports, as frozen values."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from quantvsr.errors import BadInput
from quantvsr.jobs.base import Job, job_from_json


class RunState(StrEnum):
    """How far a run or an export is."""

    WAITING = "waiting"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"  # the app or the engine went away; it can be continued

    @property
    def active(self) -> bool:
        """Whether a job stands behind it now."""
        return self in (RunState.WAITING, RunState.RUNNING, RunState.PAUSED)

    @property
    def resumable(self) -> bool:
        """Whether starting it again continues what is on disk."""
        return self in (RunState.FAILED, RunState.CANCELLED, RunState.INTERRUPTED)


@dataclass(frozen=True)
class _Record:
    """What runs and exports have in common.

    Attributes:
        id: Unique in the project, also the name of its folder.
        name: For people.
        job: The job as JSON (`Job.to_json`).
        state: How far it is.
        created: When it was set up, ISO 8601 in UTC.
        seconds: Time spent so far.
        result: The job's result as JSON (`Result.to_json`); empty before it is done.
        message: Why it failed, or what it last said.
        extra: What a page keeps with it: measured figures, snapshots kept, ...
    """

    id: str
    name: str
    job: Mapping[str, Any]
    state: RunState = RunState.WAITING
    created: str = ""
    seconds: float = 0.0
    result: Mapping[str, Any] = field(default_factory=dict)
    message: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)

    def request(self) -> Job:
        """The job.

        Raises:
            BadInput: It is of a newer version or damaged.
        """
        return job_from_json(dict(self.job))

    def to_json(self) -> dict[str, Any]:
        """A JSON-able dictionary."""
        return {item.name: getattr(self, item.name) for item in dataclasses.fields(self)} | {
            "state": str(self.state)
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Any:
        """Read what `to_json` wrote; unknown keys are ignored.

        Raises:
            BadInput: It is no such dictionary.
        """
        try:
            names = [item.name for item in dataclasses.fields(cls) if item.name in value]
            known: dict[str, Any] = {name: value[name] for name in names}
            known["state"] = RunState(known.get("state", "waiting"))
            return cls(**known)
        except (TypeError, ValueError) as error:
            raise BadInput(f"A record of the project cannot be read ({error}).") from error


@dataclass(frozen=True)
class RunRecord(_Record):
    """One quantization; its files lie in `checkpoints/<id>` of the project."""


@dataclass(frozen=True)
class ExportRecord(_Record):
    """One entry of the export queue; what it wrote is in its result."""

"""What the engine's process says, as typed values. No Qt here."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Ready:
    """The process has started."""

    process: int


@dataclass(frozen=True)
class Heartbeat:
    """The process lives; its main memory in bytes, where known."""

    memory: int | None


@dataclass(frozen=True)
class Report:
    """How far a job is.

    Attributes:
        job: Number of the job.
        fraction: 0..1.
        stage: Name of the part under way; may be empty.
        message: For a person.
        payload: Values for live charts (step, loss, ...).
    """

    job: str
    fraction: float
    stage: str = ""
    message: str = ""
    payload: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Warned:
    """A job tells something that does not stop it."""

    job: str
    text: str


@dataclass(frozen=True)
class Paused:
    """A job waits now, or goes on."""

    job: str
    waiting: bool


@dataclass(frozen=True)
class Succeeded:
    """A job is done."""

    job: str
    result: Mapping[str, Any]


@dataclass(frozen=True)
class Failed:
    """A job ended without a result; exit code 130 means cancelled."""

    job: str
    sentence: str
    exit_code: int


@dataclass(frozen=True)
class Ended:
    """The process is gone.

    Attributes:
        crashed: It was not asked to end.
        reason: One sentence.
    """

    crashed: bool
    reason: str


Message = Ready | Heartbeat | Report | Warned | Paused | Succeeded | Failed | Ended
_NOT_PAYLOAD = {"id", "fraction", "stage", "message"}


def parse(line: bytes) -> Message | None:
    """Read one line of the engine; None for what is no message (a library that prints)."""
    try:
        value = json.loads(line)
        return _message(value) if isinstance(value, dict) else None
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _message(value: dict[str, Any]) -> Message | None:
    if "ready" in value:
        return Ready(int(value["ready"]))
    if "heartbeat" in value:
        return Heartbeat(value["heartbeat"].get("memory"))
    job = str(value["id"])
    if "fraction" in value:
        payload = {key: entry for key, entry in value.items() if key not in _NOT_PAYLOAD}
        stage, text = (str(value.get(key) or "") for key in ("stage", "message"))
        return Report(job, min(max(float(value["fraction"]), 0.0), 1.0), stage, text, payload)
    if "warning" in value:
        return Warned(job, str(value["warning"]))
    if "paused" in value:
        return Paused(job, bool(value["paused"]))
    if "result" in value:
        return Succeeded(job, dict(value["result"]))
    if "error" in value:
        return Failed(job, str(value["error"]), int(value.get("exit_code", 1)))
    return None

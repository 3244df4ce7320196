"""One submitted job as a page sees it."""

import time
from enum import StrEnum
from typing import Any, Protocol

from PySide6.QtCore import QObject, Signal

from quantvsr.jobs.base import Job


class JobState(StrEnum):
    """Where a submitted job is."""

    WAITING = "waiting"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def active(self) -> bool:
        """Whether it has not ended."""
        return self in (JobState.WAITING, JobState.RUNNING, JobState.PAUSED)


class Runner(Protocol):
    """The part of an engine that a handle talks to."""

    def cancel(self, handle: "JobHandle") -> None: ...  # noqa: D102
    def pause(self, handle: "JobHandle") -> None: ...  # noqa: D102
    def resume(self, handle: "JobHandle") -> None: ...  # noqa: D102
    def enqueue(self, handle: "JobHandle") -> None: ...  # noqa: D102


class JobHandle(QObject):
    """A job that was given to an engine.

    Signals, all in the UI thread. Each time it runs exactly one of `succeeded`, `failed` and `cancelled`
    comes, followed by `ended`:
        started: The engine has begun with it (it may have waited for another).
        progressed: (fraction 0..1, stage, message, payload) of a report.
        warned: A sentence.
        paused, resumed: It really waits, or goes on.
        succeeded: The result as JSON (`Result.to_json`).
        failed: One sentence. After a crash of the engine `crashed` is true; `retry` continues the work.
        cancelled: It was stopped on request.
        ended: After any of the three.
    """

    started = Signal()
    progressed = Signal(float, str, str, dict)
    warned = Signal(str)
    paused = Signal()
    resumed = Signal()
    succeeded = Signal(dict)
    failed = Signal(str)
    cancelled = Signal()
    ended = Signal()

    def __init__(self, job: Job, runner: Runner, number: str, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.job = job
        self.number = number
        self.state = JobState.WAITING
        self.crashed = False
        self.fraction = 0.0
        self.stage = ""
        self.message = ""
        self.warnings: list[str] = []
        self._runner = runner
        self._began = 0.0
        self._seconds = 0.0

    @property
    def seconds(self) -> float:
        """Time since it was started last, or that it took."""
        return time.monotonic() - self._began if self._began else self._seconds

    def cancel(self) -> None:
        """Stop it; `cancelled` follows within two seconds."""
        if self.state.active:
            self._runner.cancel(self)

    def pause(self) -> None:
        """Let it wait at its next safe point; `paused` follows then."""
        if self.state is JobState.RUNNING:
            self._runner.pause(self)

    def resume(self) -> None:
        """Let it go on."""
        if self.state.active:
            self._runner.resume(self)

    def retry(self) -> None:
        """Run it again after a failure, a crash or a cancel; jobs continue from what they left on disk."""
        if not self.state.active:
            self.state = JobState.WAITING
            self.crashed = False
            self._runner.enqueue(self)

    # Called by the engine (and by stand-ins for it in tests).

    def begin(self) -> None:
        """The engine starts it."""
        self.state, self.fraction, self.warnings = JobState.RUNNING, 0.0, []
        self._began = time.monotonic()
        self.started.emit()

    def report(self, fraction: float, stage: str = "", message: str = "", **payload: Any) -> None:
        """The job reports."""
        self.fraction, self.stage, self.message = fraction, stage, message or self.message
        self.progressed.emit(fraction, stage, message, payload)

    def warn(self, text: str) -> None:
        """The job warns."""
        self.warnings.append(text)
        self.warned.emit(text)

    def wait(self, waiting: bool) -> None:
        """The job waits now, or goes on."""
        self.state = JobState.PAUSED if waiting else JobState.RUNNING
        (self.paused if waiting else self.resumed).emit()

    def succeed(self, result: dict[str, Any]) -> None:
        """The job is done."""
        self._end(JobState.DONE)
        self.succeeded.emit(result)
        self.ended.emit()

    def fail(self, sentence: str, *, crashed: bool = False) -> None:
        """The job failed."""
        self.crashed = crashed
        self._end(JobState.FAILED)
        self.failed.emit(sentence)
        self.ended.emit()

    def stop(self) -> None:
        """The job was cancelled."""
        self._end(JobState.CANCELLED)
        self.cancelled.emit()
        self.ended.emit()

    def _end(self, state: JobState) -> None:
        self.state = state
        self._seconds, self._began = (time.monotonic() - self._began if self._began else 0.0), 0.0

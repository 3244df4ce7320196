"""Asks the engine what a long job will take, once the settings rest."""

from PySide6.QtCore import QObject, QTimer, Signal, SignalInstance

from quantvsr.errors import QuantVSRError
from quantvsr.jobs import EstimateJob
from quantvsr.jobs.base import Job
from quantvsr_gui.engine import Engine, JobHandle

# Settings change while sliders move: the engine is asked when they rest.
_REST_MS = 600


def roughly(seconds: float) -> str:
    """An estimated time: no more digits than it is worth."""
    if seconds < 60:
        return f"{max(5 * round(seconds / 5), 5)} s"
    if seconds < 3600:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"


class Estimates(QObject):
    """Asks about one job at a time. `ask` whenever the job changes.

    Signals:
        waiting: What to show until the answer comes; empty where nothing is asked.
        answered: The result of `EstimateJob` as JSON.
        failed: One sentence.

    Args:
        engine: The engine for quick looks.
        parent: Qt's owner.
    """

    waiting = Signal(str)
    answered = Signal(dict)
    failed = Signal(str)

    def __init__(self, engine: Engine, parent: QObject) -> None:
        super().__init__(parent)
        self._engine = engine
        self._job: Job | None = None
        self._handle: JobHandle | None = None
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(_REST_MS)
        self._later.timeout.connect(self._submit)

    def ask(self, job: Job | None) -> None:
        """Ask what a job will take; None, or a job that was asked about before, costs nothing."""
        if job == self._job:
            return
        self._stop()
        self._job = job
        self.waiting.emit("" if job is None else "Measuring how fast this computer is…")
        if job is not None:
            self._later.start()

    def measure_again(self) -> None:
        """Ask once more about the same job."""
        job, self._job = self._job, None
        self.ask(job)

    def _stop(self) -> None:
        self._later.stop()
        if self._handle is not None:
            handle, self._handle = self._handle, None
            handle.cancel()

    def _submit(self) -> None:
        if self._job is None:
            return
        try:
            asked = EstimateJob.of(self._job)
        except QuantVSRError as error:
            self.failed.emit(str(error))
            return
        handle = self._handle = self._engine.submit(asked)
        handle.succeeded.connect(lambda result: self._end(handle, self.answered, result))
        handle.failed.connect(lambda reason: self._end(handle, self.failed, reason))

    def _end(self, handle: JobHandle, tell: SignalInstance, what: object) -> None:
        """Pass an answer on, unless something else was asked since."""
        if handle is self._handle:
            self._handle = None
            tell.emit(what)

"""Before a long job: what it will take here, and what to lower."""

from typing import Any

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QGridLayout, QWidget

from quantvsr.errors import QuantVSRError
from quantvsr.jobs import EstimateJob
from quantvsr.jobs.base import Job
from quantvsr_gui.engine import Engine, JobHandle
from quantvsr_gui.widgets.card import Card
from quantvsr_gui.widgets.text import label, set_look, size

# Settings change while sliders move: the engine is asked when they rest.
_REST_MS = 600


def roughly(seconds: float) -> str:
    """An estimated time: no more digits than it is worth."""
    if seconds < 60:
        return f"{max(5 * round(seconds / 5), 5)} s"
    if seconds < 3600:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"


class PreflightCard(Card):
    """Time, memory and disk of a job. `ask` it whenever the job changes.

    Args:
        engine: The engine for quick looks.
        parent: Qt's owner.
    """

    def __init__(self, engine: Engine, parent: QWidget | None = None) -> None:
        super().__init__("Before you start", parent)
        self._engine = engine
        self._job: Job | None = None
        self._handle: JobHandle | None = None
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(_REST_MS)
        self._later.timeout.connect(self._submit)
        grid = QGridLayout()
        grid.setHorizontalSpacing(16)
        grid.setVerticalSpacing(4)
        grid.setColumnStretch(1, 1)
        self.values = {}
        for line, name in enumerate(("Time", "Memory", "Disk")):
            grid.addWidget(label(name, "muted"), line, 0)
            self.values[name] = label("–", selectable=True)
            self.values[name].setAccessibleName(name)
            grid.addWidget(self.values[name], line, 1)
        self.body.addLayout(grid)
        self.note = label("", "muted", wrap=True)
        self.body.addWidget(self.note)

    def ask(self, job: Job | None) -> None:
        """Show what a job will take; None, or a job that was asked about before, costs nothing."""
        if job == self._job:
            return
        self._stop()
        self._job = job
        if job is None:
            self._show_nothing("")
            return
        self._show_nothing("Measuring how fast this computer is…")
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
            self._say(str(error), "alert")
            return
        handle = self._handle = self._engine.submit(asked)
        handle.succeeded.connect(lambda result: self._show(handle, result))
        handle.failed.connect(lambda reason: self._fail(handle, reason))

    def _show(self, handle: JobHandle, result: dict[str, Any]) -> None:
        if handle is not self._handle:
            return
        self._handle = None
        there = result["memory_there"]
        self.values["Time"].setText(f"about {roughly(result['seconds'])}")
        self.values["Memory"].setText(
            f"about {size(result['memory'])}" + (f" of {size(there)}" if there is not None else "")
        )
        self.values["Disk"].setText(f"about {size(result['disk'])}, {size(result['disk_free'])} are free")
        advice = list(result["advice"])
        self._say(
            " ".join(advice) or "Measured with a small window just now.", "warning" if advice else "muted"
        )

    def _fail(self, handle: JobHandle, reason: str) -> None:
        if handle is self._handle:
            self._handle = None
            self._say(reason, "warning")

    def _show_nothing(self, note: str) -> None:
        for value in self.values.values():
            value.setText("–")
        self._say(note, "muted")

    def _say(self, text: str, look: str) -> None:
        set_look(self.note, look)
        self.note.setText(text)
        self.note.setVisible(bool(text))

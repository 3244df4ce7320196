"""Before a long job: what it will take here, and what to lower."""

from typing import Any

from PySide6.QtWidgets import QGridLayout, QWidget

from quantvsr.jobs.base import Job
from quantvsr_gui.engine import Engine
from quantvsr_gui.widgets.card import Card
from quantvsr_gui.widgets.estimates import Estimates, roughly
from quantvsr_gui.widgets.text import label, set_look, size


class PreflightCard(Card):
    """Time, memory and disk of a job. `ask` it whenever the job changes.

    Args:
        engine: The engine for quick looks.
        parent: Qt's owner.
    """

    def __init__(self, engine: Engine, parent: QWidget | None = None) -> None:
        super().__init__("Before you start", parent)
        self.estimates = Estimates(engine, self)
        self.estimates.waiting.connect(self._show_nothing)
        self.estimates.answered.connect(self._show)
        self.estimates.failed.connect(lambda reason: self._say(reason, "warning"))
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
        self.estimates.ask(job)

    def measure_again(self) -> None:
        """Ask once more about the same job."""
        self.estimates.measure_again()

    def _show(self, result: dict[str, Any]) -> None:
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

    def _show_nothing(self, note: str) -> None:
        for value in self.values.values():
            value.setText("–")
        self._say(note, "muted")

    def _say(self, text: str, look: str) -> None:
        set_look(self.note, look)
        self.note.setText(text)
        self.note.setVisible(bool(text))

"""One export in the queue, as a row of widgets."""

from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QProgressBar, QSizePolicy, QVBoxLayout, QWidget

from quantvsr.project import ExportRecord, RunState
from quantvsr_gui.pages.export.kinds import told, what
from quantvsr_gui.widgets.card import row
from quantvsr_gui.widgets.text import button, duration, label, set_look

_WORDS = {
    RunState.WAITING: "Waiting",
    RunState.RUNNING: "Writing",
    RunState.PAUSED: "Paused",
    RunState.DONE: "Done",
    RunState.FAILED: "Failed",
    RunState.CANCELLED: "Cancelled",
    RunState.INTERRUPTED: "Interrupted",
}
_LOOKS = {RunState.DONE: "good", RunState.FAILED: "alert", RunState.INTERRUPTED: "warning"}


class ExportRow(QFrame):
    """Shows an export and what can be done with it.

    Signals:
        asked: `pause`, `resume`, `cancel`, `retry`, `reveal` or `remove`.
    """

    asked = Signal(str)

    def __init__(self, record: ExportRecord, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("look", "card")
        self.title = label("", "heading", wrap=True)
        self.title.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.state = label("", "muted")
        self.place = label("", "muted")
        self.place.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.message = label("", "muted", wrap=True)
        self.message.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.buttons = {
            name: button(title, tip=tip, clicked=lambda name=name: self.asked.emit(name))
            for name, title, tip in (
                ("pause", "Pause", "Let it wait; it goes on where it is"),
                ("resume", "Resume", "Let it go on"),
                ("cancel", "Cancel", "Stop it; finished parts are kept, so that it can go on later"),
                ("retry", "Retry", "Start it again; a video goes on from its finished parts"),
                ("reveal", "Show in folder", "Open the folder it was written to"),
                ("remove", "Remove", "Take it from the list; what was written stays"),
            )
        }
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 10, 12, 12)
        column.setSpacing(4)
        column.addLayout(row(self.title, self.state, *self.buttons.values()))
        column.addWidget(self.place)
        column.addWidget(self.bar)
        column.addWidget(self.message)
        self.show_record(record)

    def show_record(self, record: ExportRecord) -> None:
        """Show how far it is."""
        self.title.setText(f"{what(record.job)}:  {record.name}")
        out = str(record.result.get("out") or dict(record.job.get("settings", {})).get("out") or "")
        self.place.setText(str(Path(out)) if out else "")
        self.place.setToolTip(self.place.text())
        state = record.state
        took = f" in {duration(record.seconds)}" if state is RunState.DONE and record.seconds else ""
        self.state.setText(_WORDS[state] + took)
        set_look(self.state, _LOOKS.get(state, "muted"))
        self.setAccessibleName(f"{self.title.text()}, {self.state.text()}")
        self.bar.setAccessibleName(f"Progress of {record.name}")
        running = state in (RunState.RUNNING, RunState.PAUSED)
        self.bar.setVisible(running)
        shown = {
            "pause": state is RunState.RUNNING,
            "resume": state is RunState.PAUSED,
            "cancel": state.active,
            "retry": state.resumable,
            "reveal": state is RunState.DONE,
            "remove": not state.active,
        }
        pause, resume = self.buttons["pause"], self.buttons["resume"]
        focused = pause.hasFocus() or resume.hasFocus()
        for name, made in self.buttons.items():
            made.setVisible(shown[name])
        if focused:
            # Not on to the next button, which would be Cancel.
            next((made for made in (pause, resume) if made.isVisible()), self).setFocus()
        if state is RunState.DONE:
            self.say(told(record.job, record.result))
        elif state is RunState.INTERRUPTED:
            self.say(record.message or "The app was closed meanwhile; Retry goes on from what is finished.")
        elif not running:
            self.say(record.message)

    def progress(self, fraction: float, message: str, seconds_left: float | None) -> None:
        """Show a report."""
        self.bar.setValue(round(1000 * fraction))
        parts = [f"{fraction:.0%}", message]
        if seconds_left is not None:
            parts.append(f"{duration(seconds_left)} left")
        self.say("   ".join(part for part in parts if part))

    def say(self, text: str) -> None:
        """Small print below."""
        self.message.setText(text)
        self.message.setVisible(bool(text))
        self.message.setAlignment(Qt.AlignmentFlag.AlignLeft)

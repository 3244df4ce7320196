"""What happened, line by line, and saving it."""

import time

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QTextCursor
from PySide6.QtWidgets import QHBoxLayout, QPlainTextEdit, QVBoxLayout, QWidget

from quantvsr_gui.engine import Engine, JobHandle
from quantvsr_gui.widgets.text import button, duration, label

_MOST_LINES = 5000


class LogPanel(QWidget):
    """A panel below the pages. `add` takes lines from anywhere in the window's thread."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.text = QPlainTextEdit()
        self.text.setReadOnly(True)
        self.text.setMaximumBlockCount(_MOST_LINES)
        self.text.setAccessibleName("Log")
        self.save_button = button("Save As…", tip="Write the log to a text file")
        self.clear_button = button("Clear", clicked=self.text.clear)
        self.close_button = button("Close")
        head = QHBoxLayout()
        head.setSpacing(8)
        head.addWidget(label("Log", "heading"))
        head.addStretch(1)
        for made in (self.save_button, self.clear_button, self.close_button):
            head.addWidget(made)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 8, 24, 8)
        column.setSpacing(8)
        column.addLayout(head)
        column.addWidget(self.text, 1)

    def add(self, line: str, source: str = "") -> None:
        """Add a line with the time; the view follows unless it was scrolled up."""
        bar = self.text.verticalScrollBar()
        follow = bar.value() == bar.maximum()
        origin = f" [{source}]" if source else ""
        self.text.appendPlainText(f"{time.strftime('%H:%M:%S')}{origin} {line}")
        if follow:
            self.text.moveCursor(QTextCursor.MoveOperation.End)

    def content(self) -> str:
        """All lines."""
        return self.text.toPlainText() + "\n"


class JobLog(QObject):
    """Writes down what an engine does: each long job as its command, its warnings, and how it ended.

    Args:
        engine: Is watched.
        log: Is written to.
        quiet: Only what went wrong; for the engine that makes many small looks.

    Signals:
        done: A job (unless `quiet`) has succeeded.
    """

    done = Signal(object)

    def __init__(self, engine: Engine, log: LogPanel, *, quiet: bool) -> None:
        super().__init__(log)
        self._engine, self._log, self._quiet = engine, log, quiet
        self._seen: JobHandle | None = None
        engine.printed.connect(lambda line: log.add(line, engine.name))
        engine.crashed.connect(self._crashed)
        engine.changed.connect(self._look)

    def _look(self) -> None:
        handle = self._engine.current
        if handle is None or handle is self._seen:
            return
        self._seen = handle
        handle.warned.connect(lambda text: self._add(f"Note: {text}"))
        handle.failed.connect(lambda reason: self._failed(handle, reason))
        if self._quiet:
            return
        self._add(handle.job.command())
        handle.cancelled.connect(lambda: self._add(f"{handle.job.name} cancelled"))
        handle.succeeded.connect(lambda _: self._succeeded(handle))

    def _failed(self, handle: JobHandle, reason: str) -> None:
        if not handle.crashed:  # of that the engine tells as well
            self._add(f"{handle.job.name} failed: {reason}")

    def _crashed(self, handle: JobHandle | None, reason: str) -> None:
        self._add(reason if handle is None else f"{handle.job.name} failed: {reason}")

    def _succeeded(self, handle: JobHandle) -> None:
        self._add(f"{handle.job.name} done in {duration(handle.seconds)}")
        self.done.emit(handle.job)

    def _add(self, line: str) -> None:
        self._log.add(line, self._engine.name)

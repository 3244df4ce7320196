"""What happened, line by line, and saving it."""

import time

from PySide6.QtGui import QTextCursor
from PySide6.QtWidgets import QHBoxLayout, QPlainTextEdit, QVBoxLayout, QWidget

from quantvsr_gui.widgets.text import button, label

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

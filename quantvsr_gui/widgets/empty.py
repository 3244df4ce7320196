"""What a page shows before there is anything to show: what to do next."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from quantvsr_gui.widgets.text import label

_WIDTH = 560


class EmptyState(QWidget):
    """A heading, a sentence and the buttons that help, in the middle of the space."""

    def __init__(self, title: str, text: str, *buttons: QWidget, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 24, 24, 24)
        column.setSpacing(8)
        column.addStretch(2)
        self.title = label(title, "large", wrap=True)
        self.text = label(text, "muted", wrap=True)
        for part in (self.title, self.text):
            part.setAlignment(Qt.AlignmentFlag.AlignHCenter)
            # Beside stretches, not aligned: only then does the layout ask for the height of wrapped text.
            part.setMaximumWidth(_WIDTH)
            line = QHBoxLayout()
            line.addStretch(1)
            line.addWidget(part, 100)
            line.addStretch(1)
            column.addLayout(line)
        if buttons:
            line = QHBoxLayout()
            line.setSpacing(8)
            line.addStretch(1)
            for made in buttons:
                line.addWidget(made)
            line.addStretch(1)
            column.addSpacing(8)
            column.addLayout(line)
        column.addStretch(3)
        self._column = column
        self.setAccessibleName(title)

    def say(self, title: str, text: str) -> None:
        """Say something else."""
        self.title.setText(title)
        self.text.setText(text)
        self.setAccessibleName(title)

    def gather(self, part: QWidget) -> None:
        """Show another part below the buttons."""
        last = self._column.count() - 1
        self._column.insertSpacing(last, 24)
        self._column.insertWidget(last + 1, part, 0, Qt.AlignmentFlag.AlignHCenter)

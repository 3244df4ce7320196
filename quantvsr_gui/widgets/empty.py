"""What a page shows before there is anything to show: what to do next."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from quantvsr_gui.widgets.text import label


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
            part.setMaximumWidth(560)
            part.setMinimumWidth(min(560, max(320, part.sizeHint().width())))
            column.addWidget(part, 0, Qt.AlignmentFlag.AlignHCenter)
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
        self.setAccessibleName(title)

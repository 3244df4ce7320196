"""Figures beside each other: a large value, and below it what it is."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from quantvsr_gui.widgets.text import label, set_look


class Figure(QWidget):
    """One figure with its name and a remark."""

    def __init__(self, name: str, tip: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._name = name
        self.value = label("–", "large", selectable=True)
        self.note = label(name, "muted", wrap=True)
        self.note.setMinimumWidth(72)
        self.note.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        self.setToolTip(tip)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.value)
        column.addWidget(self.note, 1)

    def show_value(self, value: str, note: str = "") -> None:
        """Show a value and a remark behind the name."""
        self.value.setText(value)
        self.note.setText(f"{self._name}, {note}" if note else self._name)
        self.setAccessibleName(f"{self._name}: {value} {note}".strip())


class Figures(QWidget):
    """A line of figures."""

    def __init__(self, figures: dict[str, tuple[str, str]], parent: QWidget | None = None) -> None:
        """Make it.

        Args:
            figures: (name, tool tip) by key.
            parent: Qt's owner.
        """
        super().__init__(parent)
        self.parts = {key: Figure(*words) for key, words in figures.items()}
        line = QHBoxLayout(self)
        line.setContentsMargins(0, 0, 0, 0)
        line.setSpacing(8)
        for part in self.parts.values():
            line.addWidget(part, 1)

    def set_compact(self, compact: bool) -> None:
        """Show smaller values, for narrow places."""
        for part in self.parts.values():
            set_look(part.value, "heading" if compact else "large")

    def show_value(self, key: str, value: str, note: str = "") -> None:
        """Show the value of one figure."""
        self.parts[key].show_value(value, note)

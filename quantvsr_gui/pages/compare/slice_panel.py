"""The tab of slices: where the line lies, in numbers, and what is seen along it."""

from collections.abc import Sequence
from functools import partial

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QSizePolicy, QSpinBox, QVBoxLayout, QWidget

from quantvsr_gui.pages.compare.line import Line
from quantvsr_gui.pages.compare.slice_view import SliceView
from quantvsr_gui.pages.compare.slices import Slice, common_scale
from quantvsr_gui.widgets.card import row
from quantvsr_gui.widgets.number import BOX_WIDTH
from quantvsr_gui.widgets.text import button, label

_FIELDS = {"x0": "Line from, x", "y0": "Line from, y", "x1": "Line to, x", "y1": "Line to, y"}


class SlicePanel(QWidget):
    """The slices, and the line in pixels of the large picture, for those who type rather than drag.

    Signals:
        moved: The user wants the line there.
    """

    moved = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.view = SliceView()
        self._line, self._size = Line(), (1, 1)
        self.fields = {name: self._field(name, words) for name, words in _FIELDS.items()}
        self.level = button("Horizontal", tip="A whole row, through the middle of the line (H)")
        self.level.clicked.connect(lambda: self.moved.emit(self._line.level()))
        self.upright = button("Vertical", tip="A whole column, through the middle of the line (V)")
        self.upright.clicked.connect(lambda: self.moved.emit(self._line.upright()))
        self.words = label("", "muted")
        self.words.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        parts = (
            self.fields["x0"],
            self.fields["y0"],
            label("to", "muted"),
            self.fields["x1"],
            self.fields["y1"],
        )
        line = row(label("Line", "muted"), *parts, self.level, self.upright)
        line.addWidget(self.words, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addLayout(line)
        column.addWidget(self.view, 1)

    def _field(self, name: str, words: str) -> QSpinBox:
        made = QSpinBox()
        made.setAccessibleName(words)
        made.setToolTip(f"{words}, in pixels")
        made.setFixedWidth(BOX_WIDTH)
        made.setKeyboardTracking(False)
        made.valueChanged.connect(partial(self._typed, name))
        return made

    def _typed(self, name: str, value: int) -> None:
        side = self._size[0 if name.startswith("x") else 1]
        places = {each: getattr(self._line, each) for each in _FIELDS} | {name: value / side}
        self.moved.emit(Line(**places))

    def show_line(self, line: Line, size: tuple[int, int]) -> None:
        """Show where the line is on a picture of that width and height."""
        self._line, self._size = line, (max(size[0], 1), max(size[1], 1))
        for name, field in self.fields.items():
            side = self._size[0 if name.startswith("x") else 1]
            field.blockSignals(True)
            field.setRange(0, side)
            field.setValue(round(getattr(line, name) * side))
            field.blockSignals(False)

    def show_slices(self, slices: Sequence[Slice], indices: Sequence[int], steep: bool) -> None:
        """See `SliceView.show_slices`."""
        self.view.show_slices(slices, indices, steep)
        low, high = common_scale(slices)
        words = ""
        if indices:
            time = "to the right" if steep else "down"
            words = (
                f"frames {indices[0] + 1} to {indices[-1] + 1} run {time}, grey is {low:.0f} to {high:.0f}"
            )
        self.words.setToolTip(words)
        self._tell()

    def _tell(self) -> None:
        """As much of the words as there is room for."""
        elide = Qt.TextElideMode.ElideRight
        self.words.setText(
            self.words.fontMetrics().elidedText(self.words.toolTip(), elide, self.words.width())
        )

    def resizeEvent(self, event: object) -> None:
        """There is other room for the words."""
        self._tell()

"""Small parts of the Complexity page: where charts stand, legends."""

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QLinearGradient, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QSplitter, QWidget

from quantvsr_gui.pages.complexity.data import KINDS
from quantvsr_gui.shell.tokens import Tokens
from quantvsr_gui.widgets.card import row
from quantvsr_gui.widgets.text import label


class ChartArea(QSplitter):
    """The scatter beside the other charts; where there is no room for both it gives way."""

    _BOTH = 480

    def __init__(self, scatter: QWidget, others: QWidget) -> None:
        super().__init__(Qt.Orientation.Horizontal)
        self._scatter = scatter
        self.setHandleWidth(8)
        self.addWidget(scatter)
        self.addWidget(others)
        self.setStretchFactor(0, 4)
        self.setStretchFactor(1, 5)
        self.setChildrenCollapsible(False)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Hide or show the scatter."""
        self._scatter.setVisible(event.size().width() >= self._BOTH)
        super().resizeEvent(event)


class Legend(QWidget):
    """Colours of the types of blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.setMinimumHeight(20)
        self.setAccessibleName("Types of blocks")
        self._kinds: list[str] = []
        self._tokens: Tokens | None = None

    def show_kinds(self, kinds: list[str]) -> None:
        """Show these."""
        self._kinds = kinds
        self.setAccessibleDescription(", ".join(kinds))
        self.setToolTip(", ".join(kinds))
        self.update()

    def set_tokens(self, tokens: Tokens) -> None:
        """Take the colours of a theme."""
        self._tokens = tokens
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw as many as fit."""
        if self._tokens is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        metrics, x, middle = self.fontMetrics(), 0, self.height() / 2
        for kind in self._kinds:
            width = 16 + metrics.horizontalAdvance(kind)
            if x + width > self.width():
                return
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(self._tokens.series[KINDS.index(kind)]))
            painter.drawRoundedRect(x, int(middle - 5), 10, 10, 2, 2)
            painter.setPen(QColor(self._tokens.muted))
            painter.drawText(x + 16, int(middle + metrics.ascent() / 2 - 1), kind)
            x += width + 16


class Scale(QWidget):
    """The colours of the heat map with their lowest and highest value."""

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("Colours of the heat map")
        self.low, self.high = label("", "small"), label("", "small")
        self._bar = _Gradient()
        line = row(self.low, self._bar, self.high, spacing=4)
        self.setLayout(line)

    def show_range(self, low: float, high: float, colours: list[QColor]) -> None:
        """Show a range."""
        self.low.setText(f"{low:.2g}")
        self.high.setText(f"{high:.2g}")
        self._bar.colours = colours
        self._bar.update()


class _Gradient(QWidget):
    def __init__(self) -> None:
        super().__init__()
        self.setFixedSize(72, 8)
        self.colours: list[QColor] = []

    def paintEvent(self, event: QPaintEvent) -> None:
        gradient = QLinearGradient(0, 0, self.width(), 0)
        for i, colour in enumerate(self.colours):
            gradient.setColorAt(i / max(len(self.colours) - 1, 1), colour)
        QPainter(self).fillRect(self.rect(), gradient)

"""A pyqtgraph chart with the app's look: fonts, colours of the theme, no context menu of its own."""

from typing import cast

import pyqtgraph as pg
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QColor, QFont, QMouseEvent, QWheelEvent
from PySide6.QtWidgets import QWidget

from quantvsr_gui.shell.tokens import DARK, Tokens

pg.setConfigOptions(imageAxisOrder="row-major", antialias=True)
LEFT_AXIS = 56  # pixels: charts below each other have their axes at the same place


class Chart(pg.PlotWidget):
    """One chart. A double click takes back what was zoomed and moved by hand.

    Attributes:
        wheel_with_ctrl: Whether the wheel zooms with Ctrl only, and otherwise scrolls what is around.

    Args:
        name: Accessible name.
        left: Width of the left axis in pixels.
        axis_items: Own axes by side.
        parent: Qt's owner.
    """

    def __init__(
        self,
        name: str,
        *,
        left: int = LEFT_AXIS,
        axis_items: dict[str, pg.AxisItem] | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent, axisItems=axis_items)
        self.setAccessibleName(name)
        self.tokens: Tokens = DARK
        self.wheel_with_ctrl = False
        plot = self.plot_item
        plot.setMenuEnabled(False)
        plot.hideButtons()
        font = QFont()
        font.setPixelSize(11)
        for side in ("left", "bottom"):
            axis = plot.getAxis(side)
            axis.setStyle(tickFont=font, tickLength=-4)
            axis.enableAutoSIPrefix(False)
        plot.getAxis("left").setWidth(left)

    @property
    def plot_item(self) -> pg.PlotItem:
        """The plot inside."""
        item = self.getPlotItem()
        assert item is not None
        return item

    @property
    def view_box(self) -> pg.ViewBox:
        """The part with the data."""
        return self.plot_item.getViewBox()

    def set_tokens(self, tokens: Tokens) -> None:
        """Take the colours of a theme."""
        self.tokens = tokens
        self.setBackground(tokens.chart)
        for side in ("left", "bottom"):
            axis = self.plot_item.getAxis(side)
            axis.setPen(pg.mkPen(tokens.grid))
            axis.setTextPen(pg.mkPen(tokens.axis))

    def name_axes(self, bottom: str = "", left: str = "") -> None:
        """Label the axes."""
        style = {"font-size": "11px"}
        for side, text in (("bottom", bottom), ("left", left)):
            if text:
                self.plot_item.getAxis(side).setLabel(text, **style)

    def wheelEvent(self, ev: QWheelEvent) -> None:
        """Zoom, where that is meant."""
        if self.wheel_with_ctrl and not ev.modifiers() & Qt.KeyboardModifier.ControlModifier:
            ev.ignore()
            return
        super().wheelEvent(ev)

    def mouseDoubleClickEvent(self, ev: QMouseEvent) -> None:
        """Show everything again."""
        super().mouseDoubleClickEvent(ev)
        if any(self.view_box.state["mouseEnabled"]):
            self.fit()

    def fit(self) -> None:
        """Show everything, as before anything was zoomed or moved by hand."""
        self.view_box.autoRange()

    def at(self, point: QPointF) -> QPointF:
        """Place in data coordinates of a place in the scene."""
        return self.view_box.mapSceneToView(point)


def place_of(line: pg.InfiniteLine) -> float:
    """Where a horizontal or upright line is."""
    return float(cast(float, line.value()))


def faint(colour: str, share: float) -> QColor:
    """A colour with some opacity, 0..1."""
    found = QColor(colour)
    found.setAlphaF(share)
    return found

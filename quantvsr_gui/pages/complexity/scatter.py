"""C_t against C_s, one dot per layer, with the quantile lines that decide which layers count as complex."""

import math

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, Signal
from PySide6.QtWidgets import QWidget

from quantvsr.calibration.allocation import Thresholds
from quantvsr_gui.pages.complexity.layer_chart import LayerChart
from quantvsr_gui.project.selection import LayerSelection
from quantvsr_gui.shell.tokens import Tokens
from quantvsr_gui.widgets.chart import faint, place_of
from quantvsr_gui.widgets.log_axis import LogAxis

# Told apart without colours too.
SYMBOLS = ("o", "s", "t1", "d", "star", "p", "h", "x")
_REACH = 12  # pixels around a dot
LINES = ("spatial_low", "spatial_high", "temporal_low", "temporal_high")


class ScatterChart(LayerChart):
    """The scatter chart.

    Signals:
        line_dragged: (one of `LINES`, value): a person moves a quantile line.
        line_released: The line was let go.
    """

    line_dragged = Signal(str, float)
    line_released = Signal()

    def __init__(self, selection: LayerSelection, parent: QWidget | None = None) -> None:
        axes: dict[str, pg.AxisItem] = {side: LogAxis(side) for side in ("left", "bottom")}
        super().__init__("Temporal against spatial complexity", selection, axis_items=axes, parent=parent)
        self._x = self._y = np.zeros(0)
        self._kinds = np.zeros(0, np.int64)
        self._dots = [pg.ScatterPlotItem(pxMode=True, size=9, symbol=symbol) for symbol in SYMBOLS]
        self._rings = pg.ScatterPlotItem(pxMode=True, size=17, symbol="o", brush=None)
        self._high = pg.QtWidgets.QGraphicsRectItem()
        self._low = pg.QtWidgets.QGraphicsRectItem()
        for region in (self._high, self._low):
            region.setZValue(-20)
            self.plot_item.addItem(region, ignoreBounds=True)
        for item in (*self._dots, self._rings):
            self.plot_item.addItem(item)
        self.lines: dict[str, pg.InfiniteLine] = {}
        for name in LINES:
            upright = name.startswith("spatial")
            anchor = (0.0, 0.0) if upright else (1.0, 1.0)
            line = pg.InfiniteLine(
                0,
                angle=90 if upright else 0,
                movable=True,
                label="",
                labelOpts={"position": 0.98, "anchors": [anchor, anchor]},
            )
            line.setVisible(False)
            line.sigDragged.connect(lambda moved, name=name: self._dragged(name, moved))
            line.sigPositionChangeFinished.connect(lambda _: self.line_released.emit())
            self.plot_item.addItem(line, ignoreBounds=True)
            self.lines[name] = line
        self.plot_item.showGrid(x=True, y=True, alpha=0.25)
        self.name_axes("Spatial complexity C_s", "Temporal complexity C_t")
        self.rim = 0

    def show_layers(
        self,
        names: tuple[str, ...],
        spatial: NDArray[np.float64],
        temporal: NDArray[np.float64],
        kinds: NDArray[np.int64],
    ) -> None:
        """Show these layers; those without values are left out, zeros lie on the rim of the log axis."""
        self.names, self._kinds = names, kinds
        (self._x, low_x), (self._y, low_y) = _log(spatial), _log(temporal)
        self.rim = int((low_x | low_y).sum())
        seen = np.isfinite(self._x) & np.isfinite(self._y)
        for number, dots in enumerate(self._dots):
            mine = np.flatnonzero(seen & (kinds == number))
            dots.setData(x=self._x[mine], y=self._y[mine])
        self.setAccessibleDescription(f"{int(seen.sum())} layers")
        self.fit()
        self.refresh_marks()

    def fit(self) -> None:
        """Show all dots."""
        seen = np.isfinite(self._x) & np.isfinite(self._y)
        if seen.any():
            x, y = self._x[seen], self._y[seen]
            self.view_box.setRange(xRange=(x.min(), x.max()), yRange=(y.min(), y.max()), padding=0.12)

    def show_thresholds(self, points: Thresholds, percentile: float, dragged: str = "") -> None:
        """Put the lines where the thresholds are; the one that is being dragged stays under the pointer."""
        for name, line in self.lines.items():
            value = getattr(points, name)
            fine = math.isfinite(value) and value > 0
            line.setVisible(fine)
            if fine and name != dragged:
                line.blockSignals(True)
                line.setValue(math.log10(value))
                line.blockSignals(False)
            share = percentile if name.endswith("low") else 1 - percentile
            line.label.setFormat(f"{100 * share:.0f} %")
        self._place_regions()

    def set_tokens(self, tokens: Tokens) -> None:
        """Take the colours of a theme."""
        super().set_tokens(tokens)
        for number, dots in enumerate(self._dots):
            dots.setBrush(pg.mkBrush(faint(tokens.series[number], 0.85)))
            dots.setPen(pg.mkPen(tokens.chart, width=0.5) if SYMBOLS[number] != "x" else None)
        self._rings.setPen(pg.mkPen(tokens.selection, width=2))
        for line in self.lines.values():
            line.setPen(pg.mkPen(tokens.mark, width=1.5, style=pg.QtCore.Qt.PenStyle.DashLine))
            line.setHoverPen(pg.mkPen(tokens.mark, width=3))
            line.label.setColor(tokens.mark)
            line.label.fill = pg.mkBrush(faint(tokens.chart, 0.6))
        no_pen = pg.mkPen(None)
        for region, colour in ((self._high, tokens.series[5]), (self._low, tokens.series[0])):
            region.setPen(no_pen)
            region.setBrush(pg.mkBrush(faint(colour, 0.09)))

    def layer_at(self, point: QPointF) -> int | None:
        """The nearest dot within reach."""
        if not len(self._x):
            return None
        here = self.at(point)
        width, height = self.view_box.viewPixelSize()
        away = np.hypot((self._x - here.x()) / width, (self._y - here.y()) / height)
        if np.isnan(away).all():
            return None
        nearest = int(np.nanargmin(away))
        return nearest if away[nearest] <= _REACH else None

    def place_of(self, index: int) -> QPointF | None:
        """A dot's place."""
        x, y = float(self._x[index]), float(self._y[index])
        return QPointF(x, y) if math.isfinite(x) and math.isfinite(y) else None

    def words(self, index: int) -> str:
        """Name and both values."""
        x, y = self._x[index], self._y[index]
        return f"{self.names[index]}\nC_s {10**x:.3g}   C_t {10**y:.3g}"

    def draw_selection(self, chosen: list[int], hovered: int | None) -> None:
        """Rings around dots."""
        marked = [i for i in (*chosen, *([] if hovered is None else [hovered])) if i < len(self._x)]
        marked = [i for i in marked if math.isfinite(self._x[i]) and math.isfinite(self._y[i])]
        self._rings.setData(x=self._x[marked], y=self._y[marked])

    def _dragged(self, name: str, line: pg.InfiniteLine) -> None:
        self.line_dragged.emit(name, 10 ** place_of(line))

    def _place_regions(self) -> None:
        far = 20.0  # powers of ten: beyond any view
        x = {name: place_of(line) for name, line in self.lines.items()}
        shown = all(line.isVisible() for line in self.lines.values())
        self._high.setVisible(shown)
        self._low.setVisible(shown)
        self._high.setRect(x["spatial_high"], x["temporal_high"], far, far)
        self._low.setRect(x["spatial_low"] - far, x["temporal_low"] - far, far, far)


def _log(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Powers of ten; what is zero lies below the smallest value that is not, and is told."""
    zero = np.isfinite(values) & (values <= 0)
    positive = values[np.isfinite(values) & (values > 0)]
    floor = math.log10(positive.min()) - 0.3 if len(positive) else 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(zero, floor, np.log10(values)), zero

"""Charts with the layers side by side in network order: bars, ranks with limits, a heat map of timesteps."""

from collections.abc import Sequence

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, Qt, Signal
from PySide6.QtWidgets import QWidget

from quantvsr_gui.pages.complexity.layer_chart import LayerChart
from quantvsr_gui.project.selection import LayerSelection
from quantvsr_gui.shell.tokens import Tokens
from quantvsr_gui.widgets.chart import faint, place_of

_WIDTH = 0.78


class GroupAxis(pg.AxisItem):
    """Names the parts of the network below the layers, as many as there is room for."""

    def __init__(self) -> None:
        super().__init__("bottom")
        self.groups: list[tuple[str, int, int]] = []

    def tickValues(self, minVal: float, maxVal: float, size: float) -> list[tuple[float, list[float]]]:
        """The middle of each shown part, the largest parts first."""
        pixel = (maxVal - minVal) / max(size, 1.0)
        taken: dict[float, float] = {}
        for name, start, stop in sorted(self.groups, key=lambda group: group[1] - group[2]):
            place = (max(start - 0.5, minVal) + min(stop - 0.5, maxVal)) / 2
            half = (7 * len(name) + 10) / 2 * pixel  # layers that half of the name covers
            fits = minVal + half <= place <= maxVal - half and stop > minVal and start < maxVal
            if fits and all(abs(place - other) >= half + width for other, width in taken.items()):
                taken[place] = half
        return [(1.0, sorted(taken))]

    def tickStrings(self, values: Sequence[float], scale: float, spacing: float) -> list[str]:
        """Names of the parts."""
        return [
            next((name for name, start, stop in self.groups if start - 0.5 <= value < stop - 0.5), "")
            for value in values
        ]


class OrderChart(LayerChart):
    """Bars per layer in network order."""

    def __init__(
        self, name: str, selection: LayerSelection, *, unit: str = "", parent: QWidget | None = None
    ) -> None:
        self.axis = GroupAxis()
        super().__init__(name, selection, axis_items={"bottom": self.axis}, parent=parent)
        self._unit = unit
        self._values = np.zeros(0)
        self._kinds = np.zeros(0, np.int64)
        self._marks = pg.BarGraphItem(x=[], height=[], width=1.0, y0=[])
        self._bars = pg.BarGraphItem(x=[], height=[], width=_WIDTH)
        self._marks.setZValue(-10)
        self.plot_item.addItem(self._marks, ignoreBounds=True)
        self.plot_item.addItem(self._bars)
        self.view_box.setMouseEnabled(x=True, y=False)
        # On a low screen the charts stand in a column that scrolls.
        self.wheel_with_ctrl = True
        self.plot_item.showGrid(y=True, alpha=0.2)
        self.axis.setStyle(tickTextOffset=4)

    def show_layers(
        self, names: Sequence[str], groups: list[tuple[str, int, int]], kinds: NDArray[np.int64]
    ) -> None:
        """Tell the layers; values follow."""
        self.names, self._kinds = names, kinds
        self._values = np.zeros(len(names))
        self.axis.groups = groups
        self.view_box.setLimits(xMin=-1, xMax=max(len(names), 1), minXRange=4)
        self.fit()

    def fit(self) -> None:
        """Show all layers."""
        self.view_box.setXRange(-0.7, len(self.names) - 0.3, padding=0)

    def show_values(self, values: NDArray[np.float64], top: float | None = None) -> None:
        """Set the height of all bars; NaN shows none."""
        self._values = np.asarray(values, float)
        shown = np.nan_to_num(self._values)
        self._bars.setOpts(
            x=np.arange(len(shown)), height=shown, width=_WIDTH, brushes=self._brushes(), pen=pg.mkPen(None)
        )
        high = top if top is not None else float(shown.max(initial=0.0)) * 1.12
        self.view_box.setYRange(0, high or 1.0, padding=0)
        self.setAccessibleDescription(f"{len(shown)} layers in network order")
        self.refresh_marks()

    def _brushes(self) -> list[object]:
        by_kind = [pg.mkBrush(colour) for colour in self.tokens.series]
        return [by_kind[kind] for kind in self._kinds]

    def set_tokens(self, tokens: Tokens) -> None:
        """Take the colours of a theme."""
        super().set_tokens(tokens)
        if len(self._values):
            self._bars.setOpts(brushes=self._brushes(), pen=pg.mkPen(None))

    def layer_at(self, point: QPointF) -> int | None:
        """The layer in whose column the place lies."""
        if not self.view_box.sceneBoundingRect().contains(point):
            return None
        index = round(self.at(point).x())
        return index if 0 <= index < len(self.names) else None

    def place_of(self, index: int) -> QPointF:
        """The top of a bar."""
        return QPointF(index, float(np.nan_to_num(self._values[index])))

    def words(self, index: int) -> str:
        """Name and value."""
        value = self._values[index]
        return f"{self.names[index]}\n" + (
            f"{self._unit} {value:.3g}".strip() if np.isfinite(value) else "not observed"
        )

    def draw_selection(self, chosen: list[int], hovered: int | None) -> None:
        """Columns behind the bars."""
        marked = [*chosen, *([] if hovered is None else [hovered])]
        share = [0.22] * len(chosen) + [0.12] * (len(marked) - len(chosen))
        brushes = [pg.mkBrush(faint(self.tokens.selection, part)) for part in share]
        _, (low, high) = self.view_box.viewRange()
        size = len(marked)
        self._marks.setOpts(
            x=marked,
            y0=[low] * size,
            height=[high - low] * size,
            width=1.0,
            brushes=brushes,
            pen=pg.mkPen(None),
        )


class RankChart(OrderChart):
    """Ranks as bars, with the lowest and highest rank as lines that can be dragged.

    Signals:
        limit_dragged: ("min_rank" or "max_rank", rank).
        limit_released: The line was let go.
    """

    limit_dragged = Signal(str, int)
    limit_released = Signal()

    def __init__(self, selection: LayerSelection, parent: QWidget | None = None) -> None:
        super().__init__("Rank of each layer", selection, unit="rank", parent=parent)
        self._hand = pg.ScatterPlotItem(symbol="d", size=9, pxMode=True)
        self.plot_item.addItem(self._hand)
        self._by_hand: NDArray[np.bool_] = np.zeros(0, bool)
        self.limits: dict[str, pg.InfiniteLine] = {}
        for name, word in (("min_rank", "min"), ("max_rank", "max")):
            side = 1.0 if name == "min_rank" else 0.0  # above the lowest, below the highest
            line = pg.InfiniteLine(
                0,
                angle=0,
                movable=True,
                label=f"{word} {{value:.0f}}",
                labelOpts={"position": 0.985, "anchors": [(1.0, side), (1.0, side)]},
            )
            line.sigDragged.connect(lambda moved, name=name: self._dragged(name, moved))
            line.sigPositionChangeFinished.connect(lambda _: self.limit_released.emit())
            self.plot_item.addItem(line, ignoreBounds=True)
            self.limits[name] = line

    def show_ranks(
        self, ranks: NDArray[np.int64], low: int, high: int, by_hand: NDArray[np.bool_], dragged: str = ""
    ) -> None:
        """Show ranks and limits. A highest rank far above all bars is drawn at the top of the chart.

        Args:
            ranks: (L,).
            low: Lowest rank of the settings.
            high: Highest rank of the settings.
            by_hand: Which ranks were set by hand, (L,).
            dragged: The limit that is being dragged stays under the pointer.
        """
        most = max(int(ranks.max(initial=0)), low, 1)
        top = 1.18 * (high if high <= 1.6 * most else 1.25 * most)
        if dragged:
            top = self.view_box.viewRange()[1][1]
        self._by_hand = by_hand
        for name, value in (("min_rank", low), ("max_rank", high)):
            if name != dragged:
                line = self.limits[name]
                line.blockSignals(True)
                line.setValue(min(float(value), 0.94 * top))
                line.blockSignals(False)
            word = name.partition("_")[0]
            above = " (above)" if value > top else ""
            self.limits[name].label.setFormat(f"{word} {value}{above}")
        self.show_values(ranks.astype(float), top)
        marked = np.flatnonzero(by_hand)
        self._hand.setData(x=marked, y=ranks[marked])

    def set_tokens(self, tokens: Tokens) -> None:
        """Take the colours of a theme."""
        super().set_tokens(tokens)
        for line in self.limits.values():
            line.setPen(pg.mkPen(tokens.mark, width=1.5, style=Qt.PenStyle.DashLine))
            line.setHoverPen(pg.mkPen(tokens.mark, width=3))
            line.label.setColor(tokens.mark)
            line.label.fill = pg.mkBrush(faint(tokens.chart, 0.75))
        self._hand.setBrush(pg.mkBrush(tokens.selection))
        self._hand.setPen(pg.mkPen(tokens.chart))

    def words(self, index: int) -> str:
        """Name, rank, and whether it was set by hand."""
        note = ", set by hand" if self._by_hand[index] else ""
        return f"{self.names[index]}\nrank {int(self._values[index])}{note}"

    def _dragged(self, name: str, line: pg.InfiniteLine) -> None:
        self.limit_dragged.emit(name, max(round(place_of(line)), 0))


def _colours() -> NDArray[np.uint8]:
    """256 colours that rise in lightness, (256, 4)."""
    found = pg.colormap.get("viridis")
    assert found is not None
    return np.asarray(found.getLookupTable(0.0, 1.0, 256, alpha=True), np.uint8)


class HeatChart(OrderChart):
    """One statistic per layer (across) and timestep (up)."""

    def __init__(self, selection: LayerSelection, parent: QWidget | None = None) -> None:
        super().__init__("Complexity by layer and timestep", selection, parent=parent)
        self._steps = np.zeros(0)
        self._cells = np.zeros((0, 0))
        self._image = pg.ImageItem()
        self._image.setZValue(-5)
        self.plot_item.addItem(self._image)
        self.plot_item.removeItem(self._bars)
        self.plot_item.showGrid(x=False, y=False)
        # Over the picture instead of behind it.
        self._marks.setZValue(5)
        self.colours = _colours()

    def show_cells(self, cells: NDArray[np.float64], steps: NDArray[np.float64]) -> None:
        """Show (S, L) values, a row per timestep; NaN stays empty."""
        self._cells, self._steps = cells, steps
        low, high = self.limits()
        span = high - low or 1.0
        scaled = np.nan_to_num((cells - low) / span).clip(0, 1)
        pixels = self.colours[(scaled * 255).round().astype(int)]
        pixels[~np.isfinite(cells), 3] = 0
        self._image.setImage(pixels, autoLevels=False, levels=None)
        count = max(len(steps), 1)
        self._image.setRect(QRectF(-0.5, -0.5, max(cells.shape[1], 1), count))
        self.view_box.setYRange(-0.5, count - 0.5, padding=0)
        self.view_box.setLimits(yMin=-0.5, yMax=count - 0.5)
        every = -(-count // 6)
        names = [(i, f"{step:.2g}") for i, step in enumerate(steps) if i % every == 0]
        self.plot_item.getAxis("left").setTicks([names])
        self._values = np.full(len(self.names), (count - 1) / 2)
        self.setAccessibleDescription(f"{cells.shape[1]} layers, {len(steps)} timesteps")
        self.refresh_marks()

    def limits(self) -> tuple[float, float]:
        """Smallest and largest value shown."""
        good = self._cells[np.isfinite(self._cells)]
        return (float(good.min()), float(good.max())) if len(good) else (0.0, 1.0)

    def words(self, index: int) -> str:
        """Name and the value of each timestep, the first six."""
        column = self._cells[:, index] if index < self._cells.shape[1] else np.zeros(0)
        if not np.isfinite(column).any():
            return f"{self.names[index]}\nnot observed"
        parts = [f"{step:.2g}: {value:.3g}" for step, value in zip(self._steps, column, strict=True)]
        return f"{self.names[index]}\n" + "\n".join(parts[:6])

"""The charts of the layer card; each keeps what it shows as rows, for the table behind it."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import Qt

from quantvsr_gui.shell.tokens import Tokens
from quantvsr_gui.widgets.chart import Chart, faint
from quantvsr_gui.widgets.log_axis import LogAxis

_MOST_GRID_LINES = 33
_LEFT, _NO_AXIS = 40, 8  # pixels of the left axis


class CardChart(Chart):
    """A chart with the values behind it.

    Attributes:
        columns: Headings of the table.
        rows: Its values, one tuple per row.
    """

    columns: tuple[str, ...] = ()

    def __init__(
        self, name: str, *, left: int = _LEFT, axis_items: dict[str, pg.AxisItem] | None = None
    ) -> None:
        super().__init__(name, left=left, axis_items=axis_items)
        # They stand in a column that scrolls, and show all there is.
        self.wheel_with_ctrl = True
        self.view_box.setMouseEnabled(x=False, y=False)
        self.rows: list[tuple[Any, ...]] = []


class SamplesChart(CardChart):
    """Both statistics of each calibration sample of one layer, samples of the same timestep side by side."""

    columns = ("Sample", "Timestep", "C_s", "C_t")

    def __init__(self) -> None:
        super().__init__("Complexity by timestep and sample")
        self._spatial = pg.ScatterPlotItem(symbol="o", size=6, pxMode=True)
        self._temporal = pg.ScatterPlotItem(symbol="t1", size=7, pxMode=True)
        self._edges: list[pg.InfiniteLine] = []
        for item in (self._spatial, self._temporal):
            self.plot_item.addItem(item)
        self.plot_item.showGrid(y=True, alpha=0.2)
        self.name_axes("Timestep")

    def show_samples(
        self,
        numbers: NDArray[np.int32],
        times: NDArray[np.float64],
        spatial: NDArray[np.float32],
        temporal: NDArray[np.float32],
    ) -> None:
        """Show the values of one layer.

        Args:
            numbers: Sample of each value, (N,).
            times: Its timestep, (N,); NaN where unknown.
            spatial: C_s, (N,).
            temporal: C_t, (N,).
        """
        order = np.lexsort((numbers, times))
        places = np.arange(len(order))
        self._spatial.setData(x=places, y=spatial[order])
        self._temporal.setData(x=places, y=temporal[order])
        self.rows = [
            (int(n), None if np.isnan(t) else float(t), float(s), float(c))
            for n, t, s, c in zip(numbers[order], times[order], spatial[order], temporal[order], strict=True)
        ]
        for line in self._edges:
            self.plot_item.removeItem(line)
        starts = [
            0,
            *(np.flatnonzero(np.diff(np.nan_to_num(times[order], nan=-1.0))) + 1).tolist(),
            len(order),
        ]
        self._edges = [pg.InfiniteLine(start - 0.5, angle=90) for start in starts[1:-1]]
        for line in self._edges:
            self.plot_item.addItem(line, ignoreBounds=True)
        middles = [(a + b - 1) / 2 for a, b in itertools.pairwise(starts)]
        every = -(-len(middles) // 8)
        named = [(x, f"{times[order][round(x)]:.2g}") for x in middles[::every]] if len(order) else []
        self.plot_item.getAxis("bottom").setTicks([named])
        self.view_box.autoRange()
        self.setAccessibleDescription(f"{len(order)} values at {len(middles)} timesteps")
        self.set_tokens(self.tokens)

    def set_tokens(self, tokens: Tokens) -> None:
        """Take the colours of a theme."""
        super().set_tokens(tokens)
        for item, colour in ((self._spatial, tokens.series[0]), (self._temporal, tokens.series[1])):
            item.setBrush(pg.mkBrush(colour))
            item.setPen(pg.mkPen(None))
        for line in self._edges:
            line.setPen(pg.mkPen(tokens.grid))


class HistogramChart(CardChart):
    """How often values fall where, in units of codes, with the codes as lines."""

    columns = ("From", "To", "Values")

    def __init__(self, name: str) -> None:
        super().__init__(name, left=_NO_AXIS)
        self._bars = pg.BarGraphItem(x=[], height=[], width=1.0)
        self.plot_item.addItem(self._bars)
        self._grid: list[pg.InfiniteLine] = []
        self.plot_item.getAxis("left").setStyle(showValues=False, tickLength=0)
        self.name_axes("Code")

    def show_histogram(self, value: Mapping[str, Any]) -> None:
        """Show a histogram as the job `layer` gives it."""
        counts = np.asarray(value["counts"], float)
        low, high = float(value["low"]), float(value["high"])
        width = (high - low) / max(len(counts), 1)
        shares = counts / max(counts.sum(), 1)
        edges = low + width * np.arange(len(counts) + 1)
        self.rows = [(float(a), float(b), int(n)) for a, b, n in zip(edges, edges[1:], counts, strict=False)]
        self._bars.setOpts(
            x=low + width * (np.arange(len(counts)) + 0.5), height=shares, width=width, pen=pg.mkPen(None)
        )
        for line in self._grid:
            self.plot_item.removeItem(line)
        first, last = int(value["first"]), int(value["last"])
        every = -(-(last - first) // (_MOST_GRID_LINES - 1)) or 1
        self._grid = [pg.InfiniteLine(code, angle=90) for code in range(first, last + 1, every)]
        for line in self._grid:
            line.setZValue(10)
            self.plot_item.addItem(line, ignoreBounds=True)
        self.view_box.setRange(
            xRange=(low, high), yRange=(0, float(shares.max(initial=0)) or 1), padding=0.02
        )
        self.setAccessibleDescription(f"{last - first + 1} codes")
        self.set_tokens(self.tokens)

    def set_tokens(self, tokens: Tokens) -> None:
        """Take the colours of a theme."""
        super().set_tokens(tokens)
        self._bars.setOpts(brush=pg.mkBrush(tokens.series[0]), pen=pg.mkPen(None))
        for line in self._grid:
            line.setPen(pg.mkPen(faint(tokens.mark, 0.55), width=1))


class SpectrumChart(CardChart):
    """Singular values on a log axis, those that the low-rank branch keeps filled."""

    columns = ("Number", "Singular value")

    def __init__(self) -> None:
        super().__init__("Singular values", axis_items={"left": LogAxis("left")})
        self._all = pg.PlotCurveItem()
        self._kept = pg.PlotCurveItem()
        self._rank = pg.InfiniteLine(0, angle=90, label="rank {value:.0f}", labelOpts={"position": 0.9})
        self._rank.label.anchors = [(0.0, 0.5), (1.0, 0.5)]
        for item in (self._all, self._kept, self._rank):
            self.plot_item.addItem(item)
        self.plot_item.showGrid(y=True, alpha=0.2)
        self.name_axes("Number")

    def show_spectrum(self, values: Sequence[float], rank: int) -> None:
        """Show values in falling order."""
        heights = np.log10(np.maximum(np.asarray(values, float), 1e-12))
        numbers = np.arange(1, len(heights) + 1)
        self.rows = [(int(n), float(value)) for n, value in zip(numbers, values, strict=True)]
        self._all.setData(numbers, heights)
        self._kept.setData(numbers[:rank], heights[:rank])
        self._rank.setValue(rank)
        self.view_box.autoRange()
        self.setAccessibleDescription(f"{len(heights)} values, rank {rank}")

    def set_tokens(self, tokens: Tokens) -> None:
        """Take the colours of a theme."""
        super().set_tokens(tokens)
        self._all.setPen(pg.mkPen(tokens.series[7], width=1))
        self._kept.setPen(pg.mkPen(tokens.series[0], width=3))
        self._rank.setPen(pg.mkPen(tokens.mark, width=1.5, style=Qt.PenStyle.DashLine))
        self._rank.label.setColor(tokens.mark)


class ErrorChart(CardChart):
    """Expected error of the layer's output by rank, as the analysis found it."""

    columns = ("Rank", "Expected error in % of rank 0")

    def __init__(self) -> None:
        super().__init__("Expected error by rank")
        self._curve = pg.PlotCurveItem()
        self._here = pg.ScatterPlotItem(symbol="o", size=9, pxMode=True)
        for item in (self._curve, self._here):
            self.plot_item.addItem(item)
        self.plot_item.showGrid(y=True, alpha=0.2)
        self.name_axes("Rank")

    def show_errors(self, errors: NDArray[np.float32], rank: int) -> None:
        """Show errors for ranks 0, 1, ..., relative to rank 0."""
        values = np.asarray(errors, float)
        values = 100 * values / values[0] if len(values) and values[0] > 0 else values
        self._curve.setData(np.arange(len(values)), values)
        self.rows = [(i, float(value)) for i, value in enumerate(values)]
        inside = min(rank, len(values) - 1)
        self._here.setData(x=[inside], y=[values[inside]])
        self.view_box.autoRange()

    def set_tokens(self, tokens: Tokens) -> None:
        """Take the colours of a theme."""
        super().set_tokens(tokens)
        self._curve.setPen(pg.mkPen(tokens.series[0], width=2))
        self._here.setBrush(pg.mkBrush(tokens.mark))
        self._here.setPen(pg.mkPen(tokens.chart))

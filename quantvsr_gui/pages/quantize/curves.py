"""Loss and learning rate while a run is trained, and beside other runs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Qt

from quantvsr_gui.pages.quantize.history import TITLES, LossHistory, smoothed
from quantvsr_gui.shell.tokens import Tokens
from quantvsr_gui.widgets.chart import Chart, faint
from quantvsr_gui.widgets.log_axis import LogAxis

_MOST_RUNS = 6
_NO_BOUNDS = (0.0, 100.0), (-2.0, 0.0)


@dataclass(frozen=True)
class Shown:
    """A run in the chart."""

    name: str
    history: LossHistory


class LossChart(Chart):
    """Losses on a log axis: one run in full, others as lines."""

    def __init__(self) -> None:
        super().__init__("Loss of the refinement", axis_items={"left": LogAxis("left")})
        self._each = pg.PlotCurveItem(antialias=False)  # long and jagged: smooth edges cost most here
        self._mean = pg.PlotCurveItem()
        self._held = pg.PlotDataItem(symbol="o", symbolSize=7)
        self._bounds = _NO_BOUNDS
        self._others = [pg.PlotCurveItem() for _ in range(_MOST_RUNS)]
        self._stages: list[pg.InfiniteLine] = []
        self._stage_names: list[str] = []
        self._untrained = pg.InfiniteLine(
            0,
            angle=0,
            label="untrained",
            labelOpts={"position": 0.985, "anchors": [(1.0, 1.0), (1.0, 1.0)]},
        )
        for item in (*self._others, self._each, self._mean, self._held):
            self.plot_item.addItem(item)
        self.plot_item.addItem(self._untrained, ignoreBounds=True)
        self._untrained.hide()
        self.plot_item.showGrid(x=True, y=True, alpha=0.2)
        self.name_axes("", "Loss")
        self.view_box.setMouseEnabled(x=True, y=True)

    def show_runs(self, run: Shown | None, others: Sequence[Shown] = ()) -> None:
        """Show one run with all its parts, and others as lines."""
        history = run.history if run is not None else LossHistory()
        numbers, losses = _positive(*history.losses())
        self._each.setData(numbers, np.log10(losses))
        self._mean.setData(numbers, np.log10(smoothed(losses)))
        held = _positive(*history.held_out())
        self._held.setData(held[0], np.log10(held[1]))
        for item, other in zip(self._others, [*others, *[None] * _MOST_RUNS], strict=False):
            x, y = _positive(*other.history.losses()) if other is not None else (np.zeros(0), np.zeros(0))
            item.setData(x, np.log10(smoothed(y)))
        untrained = history.untrained
        good = untrained is not None and untrained > 0
        self._untrained.setVisible(good)
        if good:
            assert untrained is not None
            self._untrained.setValue(np.log10(untrained))
        self._mark_stages(history)
        ends = sum(history.totals.get(stage.name, len(stage.losses)) for stage in history.stages)
        self._bounds = _bounds(ends, [(numbers, losses), held], others)
        self.fit()
        self.setAccessibleDescription(
            f"{len(numbers)} updates, last loss {losses[-1]:.3g}" if len(losses) else "no loss yet"
        )

    def _mark_stages(self, history: LossHistory) -> None:
        names = [name for name, _ in history.starts]
        if names != self._stage_names:
            for line in self._stages:
                self.plot_item.removeItem(line)
            self._stages, self._stage_names = [self._stage_line(name) for name in names], names
            self._paint_stages()
        for line, (_, before) in zip(self._stages, history.starts, strict=True):
            line.setValue(before)

    def _stage_line(self, name: str) -> pg.InfiniteLine:
        options = {"position": 0.93, "anchors": [(0.0, 0.5), (0.0, 0.5)]}
        line = pg.InfiniteLine(0, angle=90, label=TITLES.get(name, name), labelOpts=options)
        self.plot_item.addItem(line, ignoreBounds=True)
        return line

    def fit(self) -> None:
        """Show everything, with room for the updates to come."""
        self.view_box.setRange(xRange=self._bounds[0], yRange=self._bounds[1], padding=0.01)

    def _paint_stages(self) -> None:
        for line in self._stages:
            line.setPen(pg.mkPen(self.tokens.grid, width=1))
            line.label.setColor(self.tokens.muted)

    def set_tokens(self, tokens: Tokens) -> None:
        """Take the colours of a theme."""
        super().set_tokens(tokens)
        self._each.setPen(pg.mkPen(faint(tokens.series[0], 0.35), width=1))
        self._mean.setPen(pg.mkPen(tokens.series[0], width=2))
        self._held.setPen(pg.mkPen(tokens.series[1], width=1.5))
        self._held.setSymbolBrush(pg.mkBrush(tokens.series[1]))
        self._held.setSymbolPen(pg.mkPen(None))
        for item, colour in zip(self._others, tokens.series[2:], strict=False):
            item.setPen(pg.mkPen(colour, width=1.5))
        self._untrained.setPen(pg.mkPen(tokens.mark, width=1.5, style=Qt.PenStyle.DashLine))
        self._untrained.label.setColor(tokens.mark)
        self._paint_stages()


class RateChart(Chart):
    """The learning rate below the loss."""

    def __init__(self) -> None:
        super().__init__("Learning rate")
        self._curve = pg.PlotCurveItem()
        self.plot_item.addItem(self._curve)
        self.plot_item.showGrid(x=True, y=True, alpha=0.2)
        self.name_axes("Update", "Rate")
        self.view_box.setMouseEnabled(x=True, y=False)

    def show_run(self, history: LossHistory) -> None:
        """Show a run."""
        numbers, rates = history.rates()
        self._curve.setData(numbers, rates)
        self.view_box.setYRange(0, float(rates.max(initial=0.0)) * 1.15 or 1e-3, padding=0)

    def set_tokens(self, tokens: Tokens) -> None:
        """Take the colours of a theme."""
        super().set_tokens(tokens)
        self._curve.setPen(pg.mkPen(tokens.series[4], width=2))


def _bounds(
    end: int, curves: Sequence[tuple[np.ndarray, np.ndarray]], others: Sequence[Shown]
) -> tuple[tuple[float, float], tuple[float, float]]:
    """What a chart of these losses shows: updates from 0 to the end, powers of ten."""
    parts = [*curves, *(_positive(*other.history.losses()) for other in others)]
    x, y = (np.concatenate(values) for values in zip(*parts, strict=True))
    if not len(y):
        return _NO_BOUNDS
    logs = np.log10(y)
    room = max(0.08 * float(np.ptp(logs)), 0.03)
    return (0, max(float(x.max()), end, 2)), (float(logs.min()) - room, float(logs.max()) + 2 * room)


def _positive(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    good = y > 0
    return x[good], y[good]

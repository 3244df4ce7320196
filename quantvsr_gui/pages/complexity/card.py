"""The layer card: everything about one layer, and rank and bits set by hand."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QGridLayout, QScrollArea, QSpinBox, QVBoxLayout, QWidget

from quantvsr_gui.shell.tokens import DARK, Tokens
from quantvsr_gui.widgets.card import Card, row
from quantvsr_gui.widgets.chart import Chart, faint
from quantvsr_gui.widgets.number import BOX_WIDTH
from quantvsr_gui.widgets.text import button, label

_MOST_GRID_LINES = 33
_LEFT, _NO_AXIS = 40, 8  # pixels of the left axis


class SamplesChart(Chart):
    """Both statistics of each calibration sample of one layer, in the order in which they were recorded."""

    def __init__(self) -> None:
        super().__init__("Complexity by sample", left=_LEFT)
        self._spatial = pg.ScatterPlotItem(symbol="o", size=6, pxMode=True)
        self._temporal = pg.ScatterPlotItem(symbol="t1", size=7, pxMode=True)
        for item in (self._spatial, self._temporal):
            self.plot_item.addItem(item)
        self.plot_item.showGrid(y=True, alpha=0.2)
        self.name_axes("Sample")

    def show_samples(
        self, numbers: NDArray[np.int32], spatial: NDArray[np.float32], temporal: NDArray[np.float32]
    ) -> None:
        """Show the values of one layer."""
        self._spatial.setData(x=numbers, y=spatial)
        self._temporal.setData(x=numbers, y=temporal)
        self.view_box.autoRange()
        self.setAccessibleDescription(f"{len(numbers)} values")

    def set_tokens(self, tokens: Tokens) -> None:
        """Take the colours of a theme."""
        super().set_tokens(tokens)
        for item, colour in ((self._spatial, tokens.series[0]), (self._temporal, tokens.series[1])):
            item.setBrush(pg.mkBrush(colour))
            item.setPen(pg.mkPen(None))


class HistogramChart(Chart):
    """How often values fall where, in units of codes, with the codes as lines."""

    def __init__(self, name: str) -> None:
        super().__init__(name, left=_NO_AXIS)
        self._bars = pg.BarGraphItem(x=[], height=[], width=1.0)
        self.plot_item.addItem(self._bars)
        self._grid: list[pg.InfiniteLine] = []
        self._codes = (0, 0)
        self.plot_item.getAxis("left").setStyle(showValues=False, tickLength=0)
        self.view_box.setMouseEnabled(x=True, y=False)
        self.name_axes("Code")

    def show_histogram(self, value: Mapping[str, Any]) -> None:
        """Show a histogram as the job `layer` gives it."""
        counts = np.asarray(value["counts"], float)
        low, high = float(value["low"]), float(value["high"])
        width = (high - low) / max(len(counts), 1)
        shares = counts / max(counts.sum(), 1)
        self._bars.setOpts(
            x=low + width * (np.arange(len(counts)) + 0.5), height=shares, width=width, pen=pg.mkPen(None)
        )
        self._codes = int(value["first"]), int(value["last"])
        for line in self._grid:
            self.plot_item.removeItem(line)
        first, last = self._codes
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


class SpectrumChart(Chart):
    """Singular values on a log axis, those that the low-rank branch keeps filled."""

    def __init__(self) -> None:
        super().__init__("Singular values", left=_LEFT)
        self._all = pg.PlotCurveItem()
        self._kept = pg.PlotCurveItem()
        self._rank = pg.InfiniteLine(0, angle=90, label="rank {value:.0f}", labelOpts={"position": 0.9})
        self._rank.label.anchors = [(0.0, 0.5), (1.0, 0.5)]
        for item in (self._all, self._kept, self._rank):
            self.plot_item.addItem(item)
        self.plot_item.getAxis("left").setLogMode(x=False, y=True)
        self.plot_item.showGrid(y=True, alpha=0.2)
        self.name_axes("Number")

    def show_spectrum(self, values: Sequence[float], rank: int) -> None:
        """Show values in falling order."""
        heights = np.log10(np.maximum(np.asarray(values, float), 1e-12))
        numbers = np.arange(1, len(heights) + 1)
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


class ErrorChart(Chart):
    """Expected error of the layer's output by rank, as the analysis found it."""

    def __init__(self) -> None:
        super().__init__("Expected error by rank", left=_LEFT)
        self._curve = pg.PlotCurveItem()
        self._here = pg.ScatterPlotItem(symbol="o", size=9, pxMode=True)
        for item in (self._curve, self._here):
            self.plot_item.addItem(item)
        self.plot_item.showGrid(y=True, alpha=0.2)
        self.name_axes("Rank")

    def show_samples(self, shown: bool) -> None:
        """Show or hide the chart of samples; layers without positions have none."""
        self.samples.setVisible(shown)
        self._titles["samples"].setVisible(shown)

    def show_errors(self, errors: NDArray[np.float32], rank: int) -> None:
        """Show errors for ranks 0, 1, ..., relative to rank 0."""
        values = np.asarray(errors, float)
        values = 100 * values / values[0] if len(values) and values[0] > 0 else values
        self._curve.setData(np.arange(len(values)), values)
        inside = min(rank, len(values) - 1)
        self._here.setData(x=[inside], y=[values[inside]])
        self.view_box.autoRange()

    def set_tokens(self, tokens: Tokens) -> None:
        """Take the colours of a theme."""
        super().set_tokens(tokens)
        self._curve.setPen(pg.mkPen(tokens.series[0], width=2))
        self._here.setBrush(pg.mkBrush(tokens.mark))
        self._here.setPen(pg.mkPen(tokens.chart))


class LayerCard(Card):
    """The card.

    Signals:
        rank_edited, weight_bits_edited, activation_bits_edited: A person sets a value.
        edit_ended: The field was left: what follows is another edit.
    """

    rank_edited = Signal(int)
    weight_bits_edited = Signal(int)
    activation_bits_edited = Signal(int)
    edit_ended = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Layer", parent)
        self.setMinimumWidth(336)
        self.setMaximumWidth(480)
        self.layer = ""
        self.title.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.title.setMinimumWidth(0)
        self.close_button = button("Close", "link", "Close the card")
        self.head.addWidget(self.close_button)
        self.facts = label("", "muted", wrap=True, selectable=True)
        self.body.addWidget(self.facts)

        self.rank, self.weight_bits, self.activation_bits = QSpinBox(), QSpinBox(), QSpinBox()
        self.rank.setAccessibleName("Rank of this layer")
        for box, letter, name in (
            (self.weight_bits, "W ", "Weight bits of this layer"),
            (self.activation_bits, "A ", "Activation bits of this layer"),
        ):
            box.setRange(2, 8)
            box.setPrefix(letter)
            box.setAccessibleName(name)
        for box in (self.rank, self.weight_bits, self.activation_bits):
            box.setFixedWidth(BOX_WIDTH)
        self.reset_button = button("Reset", "link", "Take back what was set by hand for this layer")
        self.body.addLayout(
            row(label("Rank"), self.rank, self.weight_bits, self.activation_bits, None, self.reset_button)
        )
        for box, signal in (
            (self.rank, self.rank_edited),
            (self.weight_bits, self.weight_bits_edited),
            (self.activation_bits, self.activation_bits_edited),
        ):
            box.setKeyboardTracking(False)
            box.valueChanged.connect(signal)
            box.editingFinished.connect(self.edit_ended)

        self.samples = SamplesChart()
        self.weights, self.activations = HistogramChart("Weights"), HistogramChart("Activations")
        self.spectrum, self.errors = SpectrumChart(), ErrorChart()
        self._titles: dict[str, Any] = {}
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(0, 0, 8, 0)
        column.setSpacing(4)
        self.state = label("", "muted", wrap=True)
        for key, title, chart in (
            ("samples", "By sample: C_s ● and C_t ▲", self.samples),
            ("errors", "Expected error by rank, % of rank 0", self.errors),
            ("weights", "Weights on their grid", self.weights),
            ("activations", "Activations on their grid", self.activations),
            ("spectrum", "Singular values", self.spectrum),
        ):
            self._titles[key] = label(title, "muted", wrap=True)
            column.addWidget(self._titles[key])
            column.addWidget(chart)
            chart.setFixedHeight(120)
            if key == "errors":
                column.addWidget(self.state)
        self._titles["output"] = label("Error of the output on calibration samples", "muted", wrap=True)
        column.addWidget(self._titles["output"])
        self._output = QGridLayout()
        self._output.setHorizontalSpacing(24)
        column.addLayout(self._output)
        column.addStretch(1)
        self._measured = [self.weights, self.activations, self.spectrum]
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(inside)
        self.body.addWidget(area, 1)
        self.show_measured(None)
        self.set_tokens(DARK)

    def show_layer(self, name: str, facts: str) -> None:
        """Show another layer; what was measured of the last one is gone."""
        self.layer = name
        self.title.setText(name)
        self.title.setToolTip(name)
        self.facts.setText(facts)
        self.setAccessibleName(f"Layer {name}")

    def show_choice(self, rank: int, most: int, bits: tuple[int, int], by_hand: bool) -> None:
        """Show rank and bits without telling anybody."""
        for box, value in ((self.rank, rank), (self.weight_bits, bits[0]), (self.activation_bits, bits[1])):
            box.blockSignals(True)
            if box is self.rank:
                box.setRange(0, most)
            box.setValue(value)
            box.blockSignals(False)
        self.reset_button.setEnabled(by_hand)

    def show_samples(self, shown: bool) -> None:
        """Show or hide the chart of samples; layers without positions have none."""
        self.samples.setVisible(shown)
        self._titles["samples"].setVisible(shown)

    def show_errors(self, errors: NDArray[np.float32] | None, rank: int) -> None:
        """Show expected errors by rank, where the analysis has any."""
        good = errors is not None and len(errors) > 1 and bool(np.isfinite(errors).all())
        self.errors.setVisible(good)
        self._titles["errors"].setVisible(good)
        if good:
            assert errors is not None
            self.errors.show_errors(errors, rank)

    def show_measured(self, value: Mapping[str, Any] | None, state: str = "") -> None:
        """Show the result of the job `layer`; None while there is none, with the reason."""
        self.state.setText(state)
        self.state.setVisible(bool(state))
        for part in (*self._measured, *(self._titles[key] for key in ("weights", "activations"))):
            part.setVisible(value is not None)
        for key in ("spectrum", "output"):
            self._titles[key].setVisible(value is not None)
        while (item := self._output.takeAt(0)) is not None:
            if (old := item.widget()) is not None:
                old.hide()
                old.deleteLater()
        if value is None:
            return
        for key, chart in (("weights", self.weights), ("activations", self.activations)):
            histogram = value[key]
            chart.show_histogram(histogram)
            outside = 100 * float(histogram["outside"])
            self._titles[key].setText(
                f"{key.capitalize()} on their grid, step {float(histogram['step']):.3g}, "
                f"{outside:.2g} % beyond the ends"
            )
        self.spectrum.show_spectrum(value["spectrum"], int(value["rank"]))
        what = "weight" if value["basis"] == "weight" else "activations"
        self._titles["spectrum"].setText(
            f"Singular values of the {what}; {100 * float(value['energy']):.0f} % of the energy is kept"
        )
        for line, (bits, decibels) in enumerate(value["errors"].items()):
            self._output.addWidget(label(bits), line, 0)
            figure = label(f"{decibels:.1f} dB", "figure" if bits == value["bits"] else "", selectable=True)
            self._output.addWidget(figure, line, 1)
        self._output.setColumnStretch(2, 1)

    def set_tokens(self, tokens: Tokens) -> None:
        """Take the colours of a theme."""
        for chart in (self.samples, self.weights, self.activations, self.spectrum, self.errors):
            chart.set_tokens(tokens)

"""The layer card: everything about one layer, and rank and bits set by hand."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QFrame,
    QGridLayout,
    QPushButton,
    QScrollArea,
    QSpinBox,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from quantvsr_gui.pages.complexity.card_charts import (
    CardChart,
    ErrorChart,
    HistogramChart,
    SamplesChart,
    SpectrumChart,
)
from quantvsr_gui.shell.tokens import DARK, Tokens
from quantvsr_gui.widgets.card import Card, row
from quantvsr_gui.widgets.number import BOX_WIDTH
from quantvsr_gui.widgets.table import RowsModel, SearchTable
from quantvsr_gui.widgets.text import button, label


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
            ("samples", "By timestep and sample: C_s ● and C_t ▲", self.samples),
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
        area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(inside)
        self.views = QStackedWidget()
        self.views.setStyleSheet(
            "QStackedWidget { background: transparent; }"
        )  # the card's own shines through
        self.views.addWidget(area)
        self.views.addWidget(self._tables())
        self.body.addWidget(self.views, 1)
        self.show_measured(None)
        self.set_tokens(DARK)

    def _tables(self) -> QWidget:
        """The values behind the charts, one chart at a time."""
        self._table: SearchTable | None = None
        self.table_choice = QComboBox()
        self.table_choice.setAccessibleName("Chart whose values are listed")
        self.table_button = QPushButton("Table")
        self.table_button.setCheckable(True)
        self.table_button.setAutoDefault(False)
        self.table_button.setToolTip("List the values behind the charts")
        self.head.insertWidget(self.head.count() - 1, self.table_button)
        self.table_button.toggled.connect(self._show_tables)
        self.table_choice.activated.connect(lambda _: self._show_table())
        place = QWidget()
        self._table_column = QVBoxLayout(place)
        self._table_column.setContentsMargins(0, 0, 0, 0)
        self._table_column.addWidget(self.table_choice)
        return place

    def _show_tables(self, shown: bool) -> None:
        self.views.setCurrentIndex(int(shown))
        if shown:
            self._show_table()

    def _show_table(self) -> None:
        """List the values of the chosen chart."""
        charts = [chart for chart in self._charts() if chart.rows and not chart.isHidden()]
        names = [chart.accessibleName() for chart in charts]
        if [self.table_choice.itemText(i) for i in range(self.table_choice.count())] != names:
            self.table_choice.clear()
            self.table_choice.addItems(names)
        if self._table is not None:
            self._table_column.removeWidget(self._table)
            self._table.hide()
            self._table.deleteLater()
            self._table = None
        if charts:
            chart = charts[max(self.table_choice.currentIndex(), 0)]
            model = RowsModel(chart.columns)
            model.set_rows(chart.rows, [tuple(map(_text, cells)) for cells in chart.rows])
            self._table = SearchTable(model, chart.accessibleName())
            model.setParent(self._table)
            self._table_column.addWidget(self._table, 1)

    def _charts(self) -> tuple[CardChart, ...]:
        return self.samples, self.errors, self.weights, self.activations, self.spectrum

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
            for chart in self._measured:
                chart.rows = []
            if self.table_button.isChecked():
                self._show_table()
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
        if self.table_button.isChecked():
            self._show_table()

    def set_tokens(self, tokens: Tokens) -> None:
        """Take the colours of a theme."""
        for chart in self._charts():
            chart.set_tokens(tokens)


def _text(value: float | None) -> str:
    return "–" if value is None else str(value) if isinstance(value, int) else f"{value:.4g}"

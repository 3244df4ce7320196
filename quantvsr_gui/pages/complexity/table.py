"""The tables behind the charts: all layers with what they get, and one statistic by timestep."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QModelIndex, QPersistentModelIndex, Qt, Signal
from PySide6.QtGui import QFont

from quantvsr.errors import BadInput
from quantvsr.jobs.options import Bits
from quantvsr_gui.pages.complexity.data import KINDS, Measured
from quantvsr_gui.pages.complexity.plan import Plan
from quantvsr_gui.widgets.table import RowsModel
from quantvsr_gui.widgets.text import size

Index = QModelIndex | QPersistentModelIndex
COLUMNS = (
    "Layer",
    "Type",
    "Rank|Columns of the low-rank branch; edit a cell to set it by hand",
    "Bits|Bits of weights and activations; edit a cell to set them by hand",
    "By hand|What was set by hand",
    "C_s|Mean spatial complexity of the layer's input",
    "C_t|Mean temporal complexity of the layer's input",
    "Complex|Share of samples above both upper quantile lines",
    "Simple|Share of samples below both lower quantile lines",
    "Range|Lowest and highest rank that the rule allows this layer",
    "Stored|Bytes of the quantized layer with all its parts",
    "Bits a weight|All stored bits over the number of weights",
    "Weights|Number of weights",
    "Work|Multiply-accumulates of both branches for one window of frames, in millions",
)
WIDTHS = (220, 110, 64, 72, 110, 72, 72, 80, 72, 80, 88, 104, 96, 80)
RANK, BITS, BY_HAND = 2, 3, 4


class LayerModel(RowsModel):
    """All layers. Rank and bits can be edited; an empty text sets them back.

    Signals:
        rank_edited: (layer, rank or None).
        bits_edited: (layer, Bits or None).
    """

    rank_edited = Signal(str, object)
    bits_edited = Signal(str, object)

    def __init__(self) -> None:
        super().__init__(COLUMNS)
        self._names: tuple[str, ...] = ()
        self._plan: Plan | None = None

    def _fill(self) -> None:
        """Make the cells when they are looked at: nobody sees them while a line in a chart is dragged."""
        if self._plan is not None:
            (self._rows, self._shown), self._plan = _rows(self._plan), None

    def show_plan(self, plan: Plan) -> None:
        """Show what layers get. Rows stay where they are while their layers are the same."""
        same = plan.measured.names == self._names
        if not same:
            self.beginResetModel()
        self._names, self._plan = plan.measured.names, plan
        if not same:
            self._fill()
            self.endResetModel()
        elif self._names:
            last = self.index(len(self._names) - 1, len(COLUMNS) - 1)
            self.dataChanged.emit(self.index(0, 0), last)

    def layer(self, line: int) -> str:
        """The layer in a row."""
        return self._names[line]

    def flags(self, index: Index) -> Qt.ItemFlag:
        """Rank and bits can be edited."""
        flags = super().flags(index)
        return flags | Qt.ItemFlag.ItemIsEditable if index.column() in (RANK, BITS) else flags

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """As in other tables; what was set by hand is bold."""
        self._fill()
        if role == Qt.ItemDataRole.EditRole and index.isValid():
            return self._shown[index.row()][index.column()]
        if role == Qt.ItemDataRole.FontRole and index.isValid() and index.column() in (RANK, BITS):
            font = QFont()
            font.setBold(bool(self._rows[index.row()][BY_HAND]))
            return font
        return super().data(index, role)

    def setData(self, index: Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        """Ask for a rank or bits; what is no number changes nothing."""
        if role != Qt.ItemDataRole.EditRole or not index.isValid() or index.column() not in (RANK, BITS):
            return False
        self._fill()
        text, name = str(value).strip(), self._names[index.row()]
        if text == self._shown[index.row()][index.column()]:
            return False
        try:
            if index.column() == RANK:
                rank = int(text) if text else None
                if rank is not None and rank < 0:
                    return False
                self.rank_edited.emit(name, rank)
            else:
                self.bits_edited.emit(name, Bits.parse(text) if text else None)
        except (ValueError, BadInput):
            return False
        return True


def _rows(plan: Plan) -> tuple[list[tuple[Any, ...]], list[tuple[str, ...]]]:
    measured, given, cost = plan.measured, plan.allocation, plan.cost
    stored, bits = cost.layer_bytes.tolist(), cost.layer_effective_bits.tolist()
    work = (cost.macs_low_bit + cost.macs_low_rank + cost.macs_rotation).tolist()
    spatial, temporal, kinds = measured.spatial.tolist(), measured.temporal.tolist(), measured.kinds.tolist()
    rows: list[tuple[Any, ...]] = []
    shown: list[tuple[str, ...]] = []
    for i, name in enumerate(measured.names):
        low, high = given.limits[name]
        own = [
            word
            for word, found in (("rank", plan.choice.by_hand), ("bits", plan.choice.bits_by_hand))
            if name in found
        ]
        pair = Bits(int(plan.weight_bits[i]), int(plan.activation_bits[i]))
        weights = measured.shapes[i].weights
        cells: tuple[tuple[Any, str], ...] = (
            (name, name),
            (KINDS[kinds[i]], KINDS[kinds[i]]),
            (int(plan.ranks[i]), str(plan.ranks[i])),
            (10 * pair.weights + pair.activations, str(pair)),
            (" and ".join(own), " and ".join(own)),
            _optional(spatial[i]),
            _optional(temporal[i]),
            (given.high[name], _percent(given.high[name])),
            (given.low[name], _percent(given.low[name])),
            (high, f"{low}–{high}"),
            (stored[i], size(stored[i])),
            (bits[i], f"{bits[i]:.2f}"),
            (weights, f"{weights:,}"),
            (work[i] / 1e6, f"{work[i] / 1e6:.1f}"),
        )
        rows.append(tuple(value for value, _ in cells))
        shown.append(tuple(text for _, text in cells))
    return rows, shown


class StepModel(RowsModel):
    """One statistic by layer and timestep, the table of the heat map."""

    def __init__(self) -> None:
        super().__init__(("Layer",))

    def show_cells(self, measured: Measured, cells: NDArray[np.float64]) -> None:
        """Show (S, L) values."""
        self.beginResetModel()
        titles = [f"{step:.3g}" for step in measured.steps]
        self._columns = [("Layer", ""), *((title, f"Timestep {title}") for title in titles)]
        columns = [[_optional(value) for value in column] for column in cells.T.tolist()]
        named = list(zip(measured.names, columns, strict=True))
        self._rows = [(name, *(value for value, _ in cells)) for name, cells in named]
        self._shown = [(name, *(text for _, text in cells)) for name, cells in named]
        self.endResetModel()


def _optional(value: float) -> tuple[float | None, str]:
    return (None, "–") if np.isnan(value) else (value, f"{value:.3f}")


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.0f} %"

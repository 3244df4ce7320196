"""The layers of a model as a table model whose first column ticks what is quantized."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, Qt, Signal
from PySide6.QtWidgets import QApplication

from quantvsr_gui.widgets.table import SORT_ROLE, Index


@dataclass(frozen=True)
class LayerRow:
    """One layer.

    Attributes:
        name: Dotted name.
        kind: Type, such as "Conv2d".
        shape: Of the weight.
        parameters: Count.
        macs: Multiply-accumulates of one window and step; None where not known.
        reason: Why it cannot be quantized whatever is ticked; empty where it can.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    macs: int | None
    reason: str

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "LayerRow":
        """Of an entry of `InspectResult.layers` that was asked for without exclusions."""
        return cls(
            str(value["name"]),
            str(value["kind"]),
            tuple(int(edge) for edge in value["shape"]),
            int(value["parameters"]),
            None if value["macs"] is None else int(value["macs"]),
            str(value["skipped"] or ""),
        )


_COLUMNS = (
    ("Layer", "Ticked layers are quantized"),
    ("Type", "Kind of operation"),
    ("Shape", "Of the weight: outputs, inputs, kernel"),
    ("Parameters", "Weights and biases"),
    ("MACs", "Multiply-accumulates of one small window and step"),
    ("Quantized", "Whether it will be quantized, and why not"),
)
NAME, KIND, SHAPE, PARAMETERS, MACS, STATE = range(len(_COLUMNS))
BY_HAND = "left out by hand"


class LayersModel(QAbstractTableModel):
    """The table. Ticking a box only asks for the change: `set_excluded` makes it.

    Signals:
        toggled: (name, on) of a box that was clicked.
    """

    toggled = Signal(str, bool)

    def __init__(self) -> None:
        super().__init__()
        self._rows: list[LayerRow] = []
        self._excluded: frozenset[str] = frozenset()

    @property
    def rows(self) -> list[LayerRow]:
        """All layers."""
        return list(self._rows)

    def set_rows(self, rows: list[LayerRow]) -> None:
        """Replace all layers."""
        self.beginResetModel()
        self._rows = rows
        self.endResetModel()

    def set_excluded(self, names: Collection[str]) -> None:
        """Say which layers are left out by hand."""
        self._excluded = frozenset(names)
        if self._rows:
            self.dataChanged.emit(self.index(0, 0), self.index(len(self._rows) - 1, len(_COLUMNS) - 1))

    def quantized(self) -> list[LayerRow]:
        """Layers that will be quantized."""
        return [row for row in self._rows if not row.reason and row.name not in self._excluded]

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008  (Qt's own signature)
        """Number of layers."""
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        """Number of columns."""
        return 0 if parent.isValid() else len(_COLUMNS)

    def flags(self, index: Index) -> Qt.ItemFlag:
        """Boxes of layers that can be quantized can be clicked."""
        flags = super().flags(index)
        if index.isValid() and index.column() == NAME and not self._rows[index.row()].reason:
            flags |= Qt.ItemFlag.ItemIsUserCheckable
        return flags

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """A cell's text, sorting value, tick, alignment."""
        if not index.isValid():
            return None
        row, column = self._rows[index.row()], index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return self._text(row, column)
        if role == SORT_ROLE:
            return self._value(row, column)
        if role == Qt.ItemDataRole.CheckStateRole and column == NAME:
            on = not row.reason and row.name not in self._excluded
            return Qt.CheckState.Checked if on else Qt.CheckState.Unchecked
        if role == Qt.ItemDataRole.ForegroundRole and row.reason:
            # There is nothing to choose here.
            return QApplication.palette().placeholderText()
        if role == Qt.ItemDataRole.TextAlignmentRole:
            right = column in (PARAMETERS, MACS)
            side = Qt.AlignmentFlag.AlignRight if right else Qt.AlignmentFlag.AlignLeft
            return side | Qt.AlignmentFlag.AlignVCenter
        if role in (Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleTextRole):
            return f"{row.name}: {self._text(row, STATE)}" if column == NAME else self._text(row, column)
        return None

    def setData(self, index: Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        """A box was clicked."""
        if role != Qt.ItemDataRole.CheckStateRole or not index.isValid() or index.column() != NAME:
            return False
        row = self._rows[index.row()]
        if row.reason:
            return False
        self.toggled.emit(row.name, Qt.CheckState(value) == Qt.CheckState.Checked)
        return True

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """Headings and what they mean."""
        if orientation != Qt.Orientation.Horizontal or not 0 <= section < len(_COLUMNS):
            return None
        if role == Qt.ItemDataRole.TextAlignmentRole:
            right = section in (PARAMETERS, MACS)
            side = Qt.AlignmentFlag.AlignRight if right else Qt.AlignmentFlag.AlignLeft
            return side | Qt.AlignmentFlag.AlignVCenter
        shown = {Qt.ItemDataRole.DisplayRole: 0, Qt.ItemDataRole.ToolTipRole: 1}
        return _COLUMNS[section][shown[Qt.ItemDataRole(role)]] if role in shown else None

    def _value(self, row: LayerRow, column: int) -> Any:
        if column == SHAPE:
            return self._text(row, column)
        return {NAME: row.name, KIND: row.kind, PARAMETERS: row.parameters, MACS: row.macs}.get(
            column, self._text(row, column)
        )

    def _text(self, row: LayerRow, column: int) -> str:
        if column == NAME:
            return row.name
        if column == KIND:
            return row.kind
        if column == SHAPE:
            return " × ".join(map(str, row.shape))
        if column == PARAMETERS:
            return f"{row.parameters:,}"
        if column == MACS:
            return "–" if row.macs is None else count(row.macs)
        if row.reason:
            return f"no, {row.reason}"
        return f"no, {BY_HAND}" if row.name in self._excluded else "yes"


def count(number: float) -> str:
    """A large number for a person: "424.7 M"."""
    for unit, factor in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= factor:
            return f"{number / factor:.1f} {unit}"
    return f"{number:.0f}"

"""A table that can be sorted and searched, with the words of its columns as tool tips."""

from typing import Any

from PySide6.QtCore import (
    QAbstractItemModel,
    QAbstractTableModel,
    QModelIndex,
    QPersistentModelIndex,
    QSortFilterProxyModel,
    Qt,
)
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QLineEdit, QTableView, QVBoxLayout, QWidget

from quantvsr_gui.widgets.card import row
from quantvsr_gui.widgets.text import label

Index = QModelIndex | QPersistentModelIndex
# Values for sorting: numbers as numbers, whatever is shown.
SORT_ROLE = Qt.ItemDataRole.UserRole + 1


class RowsModel(QAbstractTableModel):
    """A table of plain values.

    Args:
        columns: Headings; each may have a tool tip after a bar: "MACs|Multiply-accumulates of one window".
    """

    def __init__(self, columns: tuple[str, ...]) -> None:
        super().__init__()
        self._columns = [column.partition("|")[::2] for column in columns]
        self._rows: list[tuple[Any, ...]] = []
        self._shown: list[tuple[str, ...]] = []

    def set_rows(self, rows: list[tuple[Any, ...]], shown: list[tuple[str, ...]] | None = None) -> None:
        """Replace all rows.

        Args:
            rows: Values to sort by, one per column.
            shown: Their texts; made with `str` if left out.
        """
        self.beginResetModel()
        self._rows = rows
        self._shown = shown if shown is not None else [tuple(map(str, values)) for values in rows]
        self.endResetModel()

    def columns(self) -> tuple[str, ...]:
        """The headings, as they were given."""
        return tuple(f"{title}|{tip}" if tip else title for title, tip in self._columns)

    def set_columns(self, columns: tuple[str, ...]) -> None:
        """Replace the headings; the rows go."""
        self.beginResetModel()
        self._columns = [column.partition("|")[::2] for column in columns]
        self._rows, self._shown = [], []
        self.endResetModel()

    def value(self, line: int) -> tuple[Any, ...]:
        """The values of a row."""
        return self._rows[line]

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008  (Qt's own signature)
        """Number of rows."""
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        """Number of columns."""
        return 0 if parent.isValid() else len(self._columns)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Text, sorting value, or alignment of a cell."""
        if not index.isValid():
            return None
        value = self._rows[index.row()][index.column()]
        if role == Qt.ItemDataRole.DisplayRole:
            return self._shown[index.row()][index.column()]
        if role == SORT_ROLE:
            return value
        if role == Qt.ItemDataRole.TextAlignmentRole:
            number = value is None or _is_number(value)  # None is a number that is missing
            side = Qt.AlignmentFlag.AlignRight if number else Qt.AlignmentFlag.AlignLeft
            return side | Qt.AlignmentFlag.AlignVCenter
        if role == Qt.ItemDataRole.ToolTipRole:
            return self._shown[index.row()][index.column()]
        return None

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """Headings and what they mean."""
        if orientation != Qt.Orientation.Horizontal or not 0 <= section < len(self._columns):
            return None
        title, tip = self._columns[section]
        if role == Qt.ItemDataRole.DisplayRole:
            return title
        if role == Qt.ItemDataRole.ToolTipRole:
            return tip or None
        if role == Qt.ItemDataRole.TextAlignmentRole:
            number = any(_is_number(cells[section]) for cells in self._rows[:100])
            side = Qt.AlignmentFlag.AlignRight if number else Qt.AlignmentFlag.AlignLeft
            return side | Qt.AlignmentFlag.AlignVCenter
        return None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


class TableProxy(QSortFilterProxyModel):
    """Sorts by `SORT_ROLE`, finds a text in any column; missing values (None) come last."""

    def __init__(self) -> None:
        super().__init__()
        self.setFilterCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self.setFilterKeyColumn(-1)
        self.setSortRole(SORT_ROLE)

    def lessThan(self, left: Index, right: Index) -> bool:
        """Compare values of one kind; texts without regard to case."""
        a, b = left.data(SORT_ROLE), right.data(SORT_ROLE)
        if a is None or b is None:
            return b is None and a is not None
        if isinstance(a, str) or isinstance(b, str):
            return str(a).casefold() < str(b).casefold()
        return bool(a < b)


class SearchTable(QWidget):
    """A table view over any model, with a search line and a count.

    Attributes:
        view: The view. `proxy` maps its rows to those of the model.
        search: The search line.
    """

    def __init__(self, model: QAbstractItemModel, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.model = model
        self.proxy = TableProxy()
        self.proxy.setParent(self)
        self.proxy.setSourceModel(model)
        self.view = QTableView()
        self.view.setModel(self.proxy)
        self.view.setAccessibleName(name)
        self.view.setSortingEnabled(True)
        self.view.sortByColumn(-1, Qt.SortOrder.AscendingOrder)
        self.view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.view.setAlternatingRowColors(True)
        self.view.setShowGrid(False)
        self.view.setWordWrap(False)
        self.view.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.view.setTabKeyNavigation(False)
        self.view.verticalHeader().hide()
        self.view.verticalHeader().setDefaultSectionSize(28)
        header = self.view.horizontalHeader()
        header.setHighlightSections(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        header.setStretchLastSection(True)
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search")
        self.search.setAccessibleName(f"Search in {name[:1].lower()}{name[1:]}")
        self.search.setClearButtonEnabled(True)
        self.search.setMaximumWidth(320)
        self.search.textChanged.connect(self.proxy.setFilterFixedString)
        self.count = label("", "muted")
        self.controls = row(self.search, None, self.count)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addLayout(self.controls)
        column.addWidget(self.view, 1)
        for signal in (self.proxy.modelReset, self.proxy.rowsInserted, self.proxy.rowsRemoved):
            signal.connect(self._count)
        self.proxy.layoutChanged.connect(self._count)
        self._count()

    def source_row(self, index: QModelIndex) -> int:
        """Row of the model behind an index of the view."""
        return self.proxy.mapToSource(index).row()

    def _count(self) -> None:
        shown, whole = self.proxy.rowCount(), self.model.rowCount()
        rows = "row" if whole == 1 else "rows"
        self.count.setText(f"{whole} {rows}" if shown == whole else f"{shown} of {whole} {rows}")

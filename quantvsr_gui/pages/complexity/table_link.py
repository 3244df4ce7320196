"""The table of layers and the shared selection: each follows the other."""

from PySide6.QtCore import QItemSelection, QItemSelectionModel, QModelIndex, QObject

from quantvsr_gui.pages.complexity.table import BITS, RANK, LayerModel
from quantvsr_gui.project.selection import LayerSelection
from quantvsr_gui.widgets.table import SearchTable


class TableLink(QObject):
    """Connects the two; sorted and searched, rows still mean the same layers."""

    def __init__(
        self, table: SearchTable, model: LayerModel, selection: LayerSelection, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._table, self._model, self._selection = table, model, selection
        self._following = False
        view = table.view
        view.selectionModel().selectionChanged.connect(self._rows_chosen)
        view.setMouseTracking(True)
        view.entered.connect(lambda index: selection.hover(self._layer_of(index)))
        view.doubleClicked.connect(self._opened)
        selection.changed.connect(self._follow)

    def _layer_of(self, index: QModelIndex) -> str:
        return self._model.layer(self._table.source_row(index))

    def _rows_chosen(self, *_: QItemSelection) -> None:
        if not self._following:
            rows = self._table.view.selectionModel().selectedRows()
            self._selection.select([self._layer_of(index) for index in rows])

    def _opened(self, index: QModelIndex) -> None:
        if index.column() not in (RANK, BITS):  # these are edited by a double click
            self._selection.open_card(self._layer_of(index))

    def _follow(self) -> None:
        """Select the rows of the selected layers."""
        names = set(self._selection.names)
        chosen = QItemSelection()
        for line in range(self._model.rowCount()):
            if self._model.layer(line) in names:
                index = self._table.proxy.mapFromSource(self._model.index(line, 0))
                chosen.select(index, index)
        self._following = True
        flags = QItemSelectionModel.SelectionFlag
        self._table.view.selectionModel().select(chosen, flags.ClearAndSelect | flags.Rows)
        if chosen.indexes():
            self._table.view.scrollTo(chosen.indexes()[0])
        self._following = False

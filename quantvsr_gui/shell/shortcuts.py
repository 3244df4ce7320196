"""All keyboard shortcuts in one list, to be changed."""

from typing import Any

from PySide6.QtCore import QModelIndex, Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import QDialog, QKeySequenceEdit, QVBoxLayout, QWidget

from quantvsr_gui.shell.actions import Actions
from quantvsr_gui.widgets.card import row
from quantvsr_gui.widgets.table import RowsModel, SearchTable
from quantvsr_gui.widgets.text import button, label, set_look


class Shortcuts(QDialog):
    """A table of all actions; the keys of the selected one can be typed anew."""

    def __init__(self, actions: Actions, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Keyboard shortcuts")
        self.resize(720, 560)
        self._actions = actions
        self.model = RowsModel(("Action", "Menu", "Keys", "As delivered"))
        self.model.setParent(self)
        self.table = SearchTable(self.model, "Keyboard shortcuts")
        for column, width in enumerate((288, 80, 128)):
            self.table.view.horizontalHeader().resizeSection(column, width)
        self.keys = QKeySequenceEdit()
        self.keys.setMaximumSequenceLength(1)
        self.keys.setAccessibleName("New keys")
        self.set_button = button("Set", "primary", clicked=self.set_keys)
        self.remove_button = button("None", tip="No keys for this action", clicked=lambda: self._set(""))
        self.reset_button = button("As delivered", clicked=self.reset)
        self.note = label("Select an action and type its new keys.", "muted", wrap=True)
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 16, 16, 16)
        column.setSpacing(8)
        column.addWidget(self.table, 1)
        column.addWidget(self.note)
        column.addLayout(row(self.keys, self.set_button, self.remove_button, self.reset_button, None))
        self.table.view.selectionModel().selectionChanged.connect(self._selected)
        self._ids: list[str] = []
        self.refresh()

    def refresh(self) -> None:
        """Show the keys in force."""
        chosen = self.current()
        records = [record for record in self._actions.records.values()]
        self._ids = [record.id for record in records]
        rows: list[tuple[Any, ...]] = [
            (record.title, record.menu or "-", self._actions.shortcut(record.id), record.shortcut)
            for record in records
        ]
        self.model.set_rows(rows)
        if chosen in self._ids:
            self.select(chosen)

    def current(self) -> str:
        """Id of the selected action; empty for none."""
        lines = self.table.view.selectionModel().selectedRows()
        return self._ids[self.table.source_row(lines[0])] if lines else ""

    def select(self, action_id: str) -> None:
        """Select an action."""
        index = self.model.index(self._ids.index(action_id), 0, QModelIndex())
        self.table.view.selectRow(self.table.proxy.mapFromSource(index).row())

    def set_keys(self) -> None:
        """Give the selected action the typed keys, unless another has them."""
        self._set(self.keys.keySequence().toString(QKeySequence.SequenceFormat.PortableText))

    def reset(self) -> None:
        """Give the selected action the keys it came with."""
        chosen = self.current()
        if chosen:
            self._set(self._actions.records[chosen].shortcut)

    def _set(self, keys: str) -> None:
        chosen = self.current()
        if not chosen:
            return
        others = self._actions.conflicts(keys, but=chosen)
        if others:
            set_look(self.note, "alert")
            self.note.setText(
                f"{keys} is taken by “{others[0].title}”; choose others, or free them there first."
            )
            return
        self._actions.set_shortcut(chosen, keys)
        self.refresh()
        self._say("Done." if keys else "This action has no keys now.")

    def _selected(self) -> None:
        chosen = self.current()
        if chosen:
            self.keys.setKeySequence(QKeySequence(self._actions.shortcut(chosen)))
            self._say(f"Type the new keys of “{self._actions.records[chosen].title}”.")

    def _say(self, text: str) -> None:
        set_look(self.note, "muted")
        self.note.setText(text)

    def keyPressEvent(self, event: Any) -> None:
        """Enter sets the keys rather than closing the window."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.set_keys()
            return
        super().keyPressEvent(event)

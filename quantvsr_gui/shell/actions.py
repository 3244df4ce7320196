"""Everything a person can do, as records: menus, keyboard shortcuts and the palette are made from them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QWidget

from quantvsr_gui.shell.settings import SettingsStore


@dataclass(frozen=True)
class Action:
    """One thing a person can do.

    Attributes:
        id: Stable name, "page.verb": "quantize.start".
        title: As in menus and the palette: "Quantize".
        run: Does it.
        menu: The menu it is in: File, Edit, View, Go, Run, Help; empty for the palette only.
        shortcut: Keyboard shortcut as Qt writes it ("Ctrl+Shift+P"); empty for none. The user can
            change it.
        enabled: Whether it can be done now; None for always.
        checked: For things that are on or off: whether it is on; None for others.
        tip: One sentence.
    """

    id: str
    title: str
    run: Callable[[], object]
    menu: str = ""
    shortcut: str = ""
    enabled: Callable[[], bool] | None = None
    checked: Callable[[], bool] | None = None
    tip: str = ""


class Actions(QObject):
    """All actions of a window.

    Args:
        window: Where the shortcuts act.
        settings: Holds the shortcuts that the user changed.

    Signals:
        changed: An action was added or removed, or a shortcut changed.
    """

    changed = Signal()

    def __init__(self, window: QWidget, settings: SettingsStore) -> None:
        super().__init__(window)
        self._window, self._settings = window, settings
        self._records: dict[str, Action] = {}
        self._made: dict[str, QAction] = {}
        settings.changed.connect(self._set_shortcuts)

    @property
    def records(self) -> Mapping[str, Action]:
        """All actions by id, in the order in which they were added."""
        return dict(self._records)

    def add(self, *records: Action) -> None:
        """Add actions; one of the same id is replaced."""
        for record in records:
            made = self._made.get(record.id)
            if made is None:
                made = self._made[record.id] = QAction(record.title, self)
                made.triggered.connect(lambda _=False, name=record.id: self.trigger(name))
                self._window.addAction(made)
            made.setText(record.title)
            made.setToolTip(record.tip or record.title)
            made.setCheckable(record.checked is not None)
            self._records[record.id] = record
        self._set_shortcuts()

    def action(self, action_id: str) -> QAction:
        """Qt's action, for menus and buttons."""
        return self._made[action_id]

    def trigger(self, action_id: str) -> bool:
        """Do it, if it can be done now."""
        record = self._records[action_id]
        if record.enabled is not None and not record.enabled():
            return False
        record.run()
        self.refresh()
        return True

    def refresh(self) -> None:
        """Enable, disable and tick all Qt actions as their records say now."""
        for name, record in self._records.items():
            if record.enabled is not None:
                self._made[name].setEnabled(record.enabled())
            if record.checked is not None:
                self._made[name].setChecked(record.checked())

    def shortcut(self, action_id: str) -> str:
        """The shortcut in force; empty for none."""
        return self._settings.value.shortcuts.get(action_id, self._records[action_id].shortcut)

    def set_shortcut(self, action_id: str, keys: str) -> None:
        """Change a shortcut; its default removes the change."""
        changed = {name: kept for name, kept in self._settings.value.shortcuts.items() if name != action_id}
        if keys != self._records[action_id].shortcut:
            changed[action_id] = keys
        self._settings.change(shortcuts=changed)

    def conflicts(self, keys: str, but: str = "") -> list[Action]:
        """Other actions with that shortcut."""
        wanted = QKeySequence(keys)
        return [
            record
            for name, record in self._records.items()
            if keys and name != but and QKeySequence(self.shortcut(name)) == wanted
        ]

    def _set_shortcuts(self) -> None:
        for name, made in self._made.items():
            keys = QKeySequence(self.shortcut(name))
            if made.shortcut() != keys:
                made.setShortcut(keys)
        self.changed.emit()

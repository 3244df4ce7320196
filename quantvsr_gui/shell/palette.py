"""The command palette: type a few letters of what you want to do."""

from PySide6.QtCore import QEvent, QModelIndex, QObject, QPersistentModelIndex, QPoint, QRect, Qt
from PySide6.QtGui import QKeyEvent, QPainter, QPalette
from PySide6.QtWidgets import (
    QDialog,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from quantvsr_gui.shell.actions import Action, Actions

_WIDTH, _HEIGHT = 560, 400
_KEYS = Qt.ItemDataRole.UserRole + 1


def matches(query: str, text: str) -> int | None:
    """How well a text answers a query: smaller is better, None not at all.

    All letters of the query must come in the text in their order; parts that hang together and beginnings of
    words count as better.
    """
    words, wanted = text.casefold(), query.casefold().replace(" ", "")
    if not wanted:
        return 0
    if query.strip().casefold() in words:
        return words.index(query.strip().casefold())
    place, cost = -1, 100
    for letter in wanted:
        found = words.find(letter, place + 1)
        if found < 0:
            return None
        gap = found - place - 1
        cost += 0 if gap == 0 or words[found - 1] == " " else 1 + gap
        place = found
    return cost


class _WithKeys(QStyledItemDelegate):
    """Draws an action's keys at the right."""

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        """Draw a line of the list."""
        super().paint(painter, option, index)
        keys = str(index.data(_KEYS) or "")
        # Qt's classes have these; the type stubs do not say so.
        rect: QRect = option.rect  # type: ignore[attr-defined]
        palette: QPalette = option.palette  # type: ignore[attr-defined]
        painter.save()
        painter.setPen(palette.placeholderText().color())
        side = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        painter.drawText(rect.adjusted(0, 0, -12, 0), side, keys)
        painter.restore()


class Palette(QDialog):
    """A line to type in and the actions that fit; Enter does the first."""

    def __init__(self, actions: Actions, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Popup | Qt.WindowType.FramelessWindowHint)
        self._actions = actions
        self.setAccessibleName("Command palette")
        self.line = QLineEdit()
        self.line.setPlaceholderText("What do you want to do?")
        self.line.setAccessibleName("Search for a command")
        self.list = QListWidget()
        self.list.setAccessibleName("Commands")
        self.list.setItemDelegate(_WithKeys(self.list))
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 8, 8, 8)
        column.setSpacing(8)
        column.addWidget(self.line)
        column.addWidget(self.list, 1)
        self.line.textChanged.connect(self._fill)
        self.line.returnPressed.connect(self._do)
        self.list.itemClicked.connect(lambda _: self._do())
        self.line.installEventFilter(self)
        self._fill("")

    def open_above(self, window: QWidget) -> None:
        """Show it at the top of a window."""
        self.resize(min(_WIDTH, window.width() - 48), min(_HEIGHT, window.height() - 96))
        self.move(window.mapToGlobal(QPoint((window.width() - self.width()) // 2, 64)))
        self.show()
        self.line.setFocus()

    def shown(self) -> list[str]:
        """Ids of the actions in the list."""
        return [self.list.item(line).data(Qt.ItemDataRole.UserRole) for line in range(self.list.count())]

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Arrow keys move through the list while the line has the focus."""
        if event.type() == QEvent.Type.KeyPress and isinstance(event, QKeyEvent):
            keys = (Qt.Key.Key_Up, Qt.Key.Key_Down, Qt.Key.Key_PageUp, Qt.Key.Key_PageDown)
            if event.key() in keys:
                self.list.event(event)
                return True
        return super().eventFilter(watched, event)

    def _fill(self, query: str) -> None:
        found = [
            (matches(query, _words(record)), number, record) for number, record in enumerate(self._able())
        ]
        chosen = sorted(item for item in found if item[0] is not None)
        self.list.clear()
        for _, _, record in chosen:
            keys = self._actions.shortcut(record.id)
            item = QListWidgetItem(_words(record))
            item.setData(Qt.ItemDataRole.UserRole, record.id)
            item.setData(_KEYS, keys)
            item.setData(Qt.ItemDataRole.AccessibleTextRole, ", ".join(filter(None, (_words(record), keys))))
            item.setToolTip(record.tip)
            self.list.addItem(item)
        self.list.setCurrentRow(0)

    def _able(self) -> list[Action]:
        records = self._actions.records.values()
        return [record for record in records if record.enabled is None or record.enabled()]

    def _do(self) -> None:
        item = self.list.currentItem()
        if item is None:
            return
        # Closed first: the action may open a window of its own.
        self.close()
        self._actions.trigger(item.data(Qt.ItemDataRole.UserRole))


def _words(record: Action) -> str:
    return f"{record.menu}: {record.title}" if record.menu in ("Go", "View") else record.title

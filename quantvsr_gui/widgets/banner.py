"""A message in place, with what can be done about it; never a box in the way."""

from collections.abc import Callable, Mapping
from typing import Literal

from PySide6.QtWidgets import QFrame, QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from quantvsr_gui.widgets.text import button, label, set_look

Level = Literal["info", "good", "warning", "alert"]


class Banner(QFrame):
    """One message. Hidden until `show_message`."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("look", "banner-info")
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(12, 8, 8, 8)
        self._row.setSpacing(8)
        self.text = label("", wrap=True, selectable=True)
        self.text.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self._row.addWidget(self.text, 1)
        self._buttons: list[QWidget] = []
        self.close_button = button("Dismiss", "link", clicked=self.clear)
        self._row.addWidget(self.close_button)
        self.hide()

    def show_message(
        self, text: str, level: Level = "info", actions: Mapping[str, Callable[[], object]] | None = None
    ) -> None:
        """Show a message in place of the one before; an action's button also closes it."""
        for old in self._buttons:
            self._row.removeWidget(old)
            old.hide()
            old.deleteLater()
        self._buttons = []
        for name, act in (actions or {}).items():
            made = button(name, clicked=lambda act=act: (self.clear(), act()))
            self._row.insertWidget(self._row.count() - 1, made)
            self._buttons.append(made)
        self.text.setText(text)
        self.setAccessibleName(f"Message: {text}")
        set_look(self, f"banner-{level}")
        self.show()

    def clear(self) -> None:
        """Hide it."""
        self.text.clear()
        self.hide()


class Messages(QWidget):
    """Banners above each other, each under a key; the same key replaces its message."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(4)
        self._banners: dict[str, Banner] = {}

    def show_message(
        self,
        text: str,
        level: Level = "info",
        actions: Mapping[str, Callable[[], object]] | None = None,
        key: str = "",
    ) -> None:
        """Show a message; see `Banner.show_message`."""
        banner = self._banners.get(key)
        if banner is None:
            banner = self._banners[key] = Banner()
            self._column.addWidget(banner)
        banner.show_message(text, level, actions)

    def clear(self, key: str = "") -> None:
        """Hide the message of a key."""
        if key in self._banners:
            self._banners[key].clear()

    def texts(self) -> list[str]:
        """The messages shown."""
        return [banner.text.text() for banner in self._banners.values() if not banner.isHidden()]

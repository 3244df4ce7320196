"""The one selection of layers that scatter, bars, heat map and tables share."""

from collections.abc import Iterable

from PySide6.QtCore import QObject, Signal


class LayerSelection(QObject):
    """Which layers are selected, and which one the pointer is over.

    Signals:
        changed: The selected layers are others.
        hovered: Name of the layer under the pointer; empty for none.
        opened: A layer's card is asked for.
    """

    changed = Signal()
    hovered = Signal(str)
    opened = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._names: tuple[str, ...] = ()
        self._hover = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Selected layers, in the order in which they were given."""
        return self._names

    @property
    def current(self) -> str:
        """The layer selected last; empty for none."""
        return self._names[-1] if self._names else ""

    def select(self, names: Iterable[str]) -> None:
        """Select these layers and no others."""
        chosen = tuple(names)
        if chosen != self._names:
            self._names = chosen
            self.changed.emit()

    def hover(self, name: str) -> None:
        """The pointer is over a layer; empty for none."""
        if name != self._hover:
            self._hover = name
            self.hovered.emit(name)

    def open_card(self, name: str) -> None:
        """Select a layer and ask for its card."""
        self.select([name])
        self.opened.emit(name)

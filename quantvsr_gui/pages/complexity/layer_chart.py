"""What all charts of layers share: pointing at a layer, choosing it, opening its card, also by keyboard."""

from collections.abc import Sequence

import pyqtgraph as pg
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QFocusEvent, QKeyEvent, QMouseEvent
from PySide6.QtWidgets import QWidget

from quantvsr_gui.project.selection import LayerSelection
from quantvsr_gui.shell.tokens import Tokens
from quantvsr_gui.widgets.chart import Chart

_MOVES = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1, Qt.Key.Key_Up: -1, Qt.Key.Key_Down: 1}
# A press that moves farther than this many pixels drags the view and is no click.
_STILL = 4


class LayerChart(Chart):
    """A chart in which each layer has a place. Subclasses say where, and draw selection and pointer.

    Args:
        name: Accessible name.
        selection: Shared with other charts and tables.
        axis_items: The chart's own axes by side.
        parent: Qt's owner.
    """

    def __init__(
        self,
        name: str,
        selection: LayerSelection,
        *,
        axis_items: dict[str, pg.AxisItem] | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(name, axis_items=axis_items, parent=parent)
        self.names: Sequence[str] = ()
        self.selection = selection
        self._pressed = QPointF()
        self._held = False
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self._label = pg.TextItem(anchor=(0, 1))
        self._label.setZValue(50)
        self._label.hide()
        self.plot_item.addItem(self._label, ignoreBounds=True)
        selection.changed.connect(self._selection_changed)
        selection.hovered.connect(self._hover_changed)

    # For subclasses ----------------------------------------------------------------------------------------

    def layer_at(self, point: QPointF) -> int | None:
        """Number of the layer at a place in the scene."""
        raise NotImplementedError

    def place_of(self, index: int) -> QPointF | None:
        """Where a layer's value is, in data coordinates; None where it has none."""
        raise NotImplementedError

    def words(self, index: int) -> str:
        """What the pointer's label says about a layer."""
        raise NotImplementedError

    def draw_selection(self, chosen: list[int], hovered: int | None) -> None:
        """Mark layers."""
        raise NotImplementedError

    # Behaviour ---------------------------------------------------------------------------------------------

    def set_tokens(self, tokens: Tokens) -> None:
        """Take the colours of a theme."""
        super().set_tokens(tokens)
        self._label.setColor(tokens.text)
        self._label.fill = pg.mkBrush(tokens.raised)
        self._label.border = pg.mkPen(tokens.line)
        self._selection_changed()

    def chosen(self) -> list[int]:
        """Numbers of the selected layers."""
        places = {name: i for i, name in enumerate(self.names)}
        return [places[name] for name in self.selection.names if name in places]

    def refresh_marks(self) -> None:
        """Draw the marks again after the data changed."""
        self._selection_changed()

    def _selection_changed(self) -> None:
        self.draw_selection(self.chosen(), None)

    def _hover_changed(self, name: str, by_keyboard: bool = False) -> None:
        index = self.names.index(name) if name in self.names else None
        self.draw_selection(self.chosen(), index)
        # One chart has the pointer; the others only mark the layer.
        if index is None or not (self.underMouse() or by_keyboard):
            self._label.hide()
            return
        place = self.place_of(index)
        if place is None:
            self._label.hide()
            return
        (left, right), (low, high) = self.view_box.viewRange()
        # The label stays inside the chart.
        beyond = place.x() > (left + right) / 2, place.y() > (low + high) / 2
        self._label.setAnchor((1.0 if beyond[0] else 0.0, 0.0 if beyond[1] else 1.0))
        self._label.setPos(place)
        self._label.setText(self.words(index))
        self._label.show()

    def mouseMoveEvent(self, ev: QMouseEvent) -> None:
        """Point at a layer."""
        super().mouseMoveEvent(ev)
        if not ev.buttons():
            index = self.layer_at(self.mapToScene(ev.position().toPoint()))
            self.selection.hover("" if index is None else self.names[index])

    def leaveEvent(self, ev: object) -> None:
        """Point at nothing."""
        super().leaveEvent(ev)  # type: ignore[arg-type]
        self.selection.hover("")

    def mousePressEvent(self, ev: QMouseEvent) -> None:
        """A click may begin."""
        self._pressed = ev.position()
        self._held = ev.button() == Qt.MouseButton.LeftButton
        super().mousePressEvent(ev)

    def mouseReleaseEvent(self, ev: QMouseEvent) -> None:
        """Choose a layer: alone with its card, or with Ctrl or Shift more of them."""
        super().mouseReleaseEvent(ev)
        moved = (ev.position() - self._pressed).manhattanLength()
        if not self._held or ev.button() != Qt.MouseButton.LeftButton or moved > _STILL:
            return
        index = self.layer_at(self.mapToScene(ev.position().toPoint()))
        more = ev.modifiers() & (Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
        if index is None:
            return
        name = self.names[index]
        if more:
            others = [other for other in self.selection.names if other != name]
            self.selection.select(others if name in self.selection.names else [*others, name])
        else:
            self.selection.open_card(name)

    def keyPressEvent(self, ev: QKeyEvent) -> None:
        """Arrow keys go from layer to layer, Enter opens the card."""
        step = _MOVES.get(Qt.Key(ev.key()))
        if step is not None and self.names:
            here = self.names.index(self.selection.current) if self.selection.current in self.names else -step
            name = self.names[min(max(here + step, 0), len(self.names) - 1)]
            self.selection.select([name])
            self._hover_changed(name, by_keyboard=True)
        elif ev.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.selection.current:
            self.selection.open_card(self.selection.current)
        else:
            super().keyPressEvent(ev)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """The label of the layer chosen by keyboard goes away."""
        super().focusOutEvent(event)
        self._hover_changed("")

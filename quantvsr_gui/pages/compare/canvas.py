"""The canvas: up to four versions of one frame, moved and magnified together. Knows no files."""

from collections.abc import Mapping
from dataclasses import replace

from PySide6.QtCore import QPointF, QRectF, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen, QWheelEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from quantvsr_gui.pages.compare.gestures import CURSORS, dragged, grip_at, place_at
from quantvsr_gui.pages.compare.painting import Painter, Scene
from quantvsr_gui.pages.compare.place import Place, places
from quantvsr_gui.pages.compare.slot import Looks, Slot
from quantvsr_gui.pages.compare.state import SLOTS, View, next_zoom
from quantvsr_gui.shell.tokens import DARK, Tokens

_REFINE_MS = 140  # after the last change, shrunk pictures are drawn with more care
_FAR = 10  # times as far with Ctrl
_ARROWS = {
    Qt.Key.Key_Left: (-1, 0),
    Qt.Key.Key_Right: (1, 0),
    Qt.Key.Key_Up: (0, -1),
    Qt.Key.Key_Down: (0, 1),
}


class CompareCanvas(QWidget):
    """Shows slots 0 to 3 as a `View` says; dragging, wheel and keys make new views.

    Attributes:
        empty_text: Shown where there is nothing else.
        looks: Prepares what is drawn.

    Signals:
        view_changed: A new `View` by mouse or keyboard.
        pointed: The pixel of the large picture under the pointer, or None.
        stepped: Frames to go (left and right arrow keys).
        resized: Its size changed, and with it the zoom where the picture is fitted.
        commanded: `play` (space) or `render` (R).
    """

    view_changed = Signal(object)
    pointed = Signal(object)
    stepped = Signal(int)
    commanded = Signal(str)
    resized = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.looks = Looks()
        self._slots: dict[int, Slot] = {}
        self._view = View()
        self._size = (0, 0)
        self._tokens = DARK
        self._held: tuple[str, View, Place, QPointF] | None = None  # grip, and what was when it was taken
        self._pointer: QPointF | None = None
        self._calm = QTimer(self)
        self._calm.setSingleShot(True)
        self._calm.setInterval(_REFINE_MS)
        self._calm.timeout.connect(self.update)
        self.empty_text = self._hint = ""
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(240, 96)
        self.setAccessibleName("Pictures")
        self.setAccessibleDescription(
            "Drag to move, wheel to magnify, digits show one version, F fits, 0 shows 1:1, Shift and arrow "
            "keys move the line of the slice, H and V lay it level or upright."
        )

    # What is shown

    @property
    def view(self) -> View:
        """How the pictures are shown now."""
        return self._view

    @property
    def slots(self) -> Mapping[int, Slot]:
        """What is shown, by slot."""
        return dict(self._slots)

    def set_view(self, view: View) -> None:
        """Show the pictures another way."""
        if view != self._view:
            self._view = view
            self._restart()

    def set_slots(self, slots: Mapping[int, Slot], size: tuple[int, int]) -> None:
        """Show other pictures.

        Args:
            slots: By number.
            size: Width and height of the large picture; smaller ones are drawn as large.
        """
        self._slots, self._size = dict(slots), size
        self._restart()

    def set_tokens(self, tokens: Tokens) -> None:
        """Take a theme's colours."""
        self._tokens = tokens
        self.update()

    def set_hint(self, text: str) -> None:
        """Words in the lower left corner: values of the pixel under the pointer."""
        if text != self._hint:
            self._hint = text
            self.update()

    @property
    def hint(self) -> str:
        """What `set_hint` set."""
        return self._hint

    def visible_slots(self) -> list[int]:
        """Slots of which something is seen now."""
        there = sorted(self._slots)
        if not there or self._view.mode == "side":
            return there
        active = self._view.active if self._view.active in self._slots else there[0]
        if self._view.mode == "single":
            return [active]
        left = self._view.left if self._view.left in self._slots else there[0]
        return [left, active]

    def places(self) -> dict[int, Place]:
        """Where each visible picture is."""
        room = (self.width(), self.height())
        return places(self._view, self.visible_slots(), self._size, room, self.devicePixelRatioF())

    def zoom(self) -> float:
        """Device pixels per pixel of the large picture, as drawn now."""
        found = self.places()
        return next(iter(found.values())).zoom if found else 1.0

    def pointed_pixel(self) -> tuple[int, int] | None:
        """The pixel of the large picture under the pointer; None beside the pictures."""
        place = None if self._pointer is None else place_at(self._pointer, self.places())
        return None if place is None or self._pointer is None else place.pixel(self._pointer)

    def show_slot(self, slot: int) -> None:
        """Show one version alone; in a wipe, at the right, and the one from the left if it was there."""
        view = self._view
        if view.mode != "wipe":
            self._change(replace(view, mode="single", active=slot))
        elif slot == view.left:
            self._change(replace(view, left=view.active, active=slot))
        else:
            self._change(replace(view, active=slot))

    def show_zoom(self, zoom: float | None, around: QPointF | None = None) -> None:
        """Magnify; what is at `around` stays there."""
        view = replace(self._view, zoom=zoom)
        place = None if around is None else place_at(around, self.places())
        if zoom is None:
            view = replace(view, x=0.5, y=0.5)
        elif place is not None and around is not None:
            x, y = place.at(around)
            shift = around - QRectF(place.box).center()
            logical = zoom / place.ratio
            view = replace(
                view,
                x=min(max(x - shift.x() / (place.width * logical), 0.0), 1.0),
                y=min(max(y - shift.y() / (place.height * logical), 0.0), 1.0),
            )
        self._change(view)

    def _change(self, view: View) -> None:
        if view != self._view:
            self.set_view(view)
            self.view_changed.emit(view)

    def _restart(self) -> None:
        if self.isVisible():
            self._calm.start()
        self.update()

    # Events

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw everything."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(self._tokens.surround))
        drawing = Painter(painter, self.looks, self.rect(), self.font(), self._tokens)
        found = self.places()
        if found:
            pointer = self._pointer if self._view.loupe and self._held is None else None
            careful = not self._calm.isActive()
            drawing.draw(Scene(self._view, self._slots, found, self._size, careful, pointer))
            if self._hint:
                drawing.draw_hint(self._hint)
        else:
            drawing.draw_words(self.empty_text)
        if self.hasFocus():
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(QColor(self._tokens.accent), 1))
            painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        painter.end()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Begin to drag a line or the pictures."""
        found, where = self.places(), event.position()
        place = place_at(where, found)
        if event.button() in (Qt.MouseButton.LeftButton, Qt.MouseButton.MiddleButton) and place is not None:
            grip = grip_at(where, self._view, found)
            self._held = (grip, self._view, place, where)
            moving = grip in ("", "line")
            self.setCursor(Qt.CursorShape.ClosedHandCursor if moving else CURSORS[grip])

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Drag, or tell which pixel is under the pointer."""
        found, where = self.places(), event.position()
        self._pointer = where
        if self._held is None:
            self.setCursor(CURSORS[grip_at(where, self._view, found)])
        else:
            snap = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
            self._change(dragged(*self._held, where, snap=snap))
        self.pointed.emit(self.pointed_pixel())
        if self._view.loupe:
            self.update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Let go."""
        self._held = None
        self.setCursor(CURSORS[grip_at(event.position(), self._view, self.places())])
        self.update()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Between the whole picture and 1:1 at the pointer."""
        self.show_zoom(1.0 if self._view.zoom is None else None, event.position())

    def leaveEvent(self, event: object) -> None:
        """Nothing is pointed at any more."""
        self._pointer = None
        self.pointed.emit(self.pointed_pixel())
        self.update()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Magnify around the pointer."""
        turn = event.angleDelta().y()
        if turn:
            self.show_zoom(next_zoom(self.zoom(), 1 if turn > 0 else -1), event.position())
            event.accept()

    def resizeEvent(self, event: object) -> None:
        """Tell it."""
        self.resized.emit()

    def hideEvent(self, event: object) -> None:
        """Nothing is left to do."""
        self._calm.stop()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Digits show one version; arrows step; space plays, R renders; F, 0, + and - set the zoom.

        While the slice's line is shown, Shift and arrows move it by a pixel (with Ctrl by ten), H and V lay
        it level or upright.
        """
        key, text = Qt.Key(event.key()), event.text()
        line, shift = self._view.line, bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        if text.isdigit() and 1 <= int(text) <= SLOTS and int(text) - 1 in self._slots:
            self.show_slot(int(text) - 1)
        elif key in _ARROWS and shift and self._view.sliced and all(self._size):
            far = _FAR if event.modifiers() & Qt.KeyboardModifier.ControlModifier else 1
            dx, dy = (far * each / side for each, side in zip(_ARROWS[key], self._size, strict=True))
            self._change(replace(self._view, line=line.moved(dx, dy)))
        elif key in (Qt.Key.Key_H, Qt.Key.Key_V) and self._view.sliced:
            self._change(replace(self._view, line=line.level() if key == Qt.Key.Key_H else line.upright()))
        elif key in (Qt.Key.Key_Left, Qt.Key.Key_Right):
            self.stepped.emit(-1 if key == Qt.Key.Key_Left else 1)
        elif key in (Qt.Key.Key_Space, Qt.Key.Key_R):
            self.commanded.emit("play" if key == Qt.Key.Key_Space else "render")
        elif text == "0":
            self.show_zoom(1.0)
        elif key == Qt.Key.Key_F:
            self.show_zoom(None)
        elif text in ("+", "-"):
            self.show_zoom(next_zoom(self.zoom(), 1 if text == "+" else -1))
        else:
            super().keyPressEvent(event)

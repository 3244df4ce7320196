"""The canvas: up to four versions of one frame, moved and magnified together. Paints only; knows no files."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from PySide6.QtCore import QPointF, QRect, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen, QWheelEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from quantvsr_gui.pages.compare.frames import Picture
from quantvsr_gui.pages.compare.loupe import draw_loupe
from quantvsr_gui.pages.compare.marks import draw_label, draw_slice_line, draw_wipe_handle
from quantvsr_gui.pages.compare.place import Place
from quantvsr_gui.pages.compare.state import SLOTS, View, next_zoom, panes
from quantvsr_gui.shell.tokens import DARK, Tokens

_GAP = 4
_GRAB = 8  # pixels around a line in which it can be taken hold of
_REFINE_MS = 140  # after the last change, shrunk pictures are drawn with more care


@dataclass(frozen=True)
class Slot:
    """What one of the four places shows.

    Attributes:
        label: Name of the version.
        picture: The frame; None where there is none.
        shown: What is drawn in its place, such as a difference; usually the frame itself.
        note: Small print behind the label, such as "frame 12" while frame 17 is not there yet.
    """

    label: str
    picture: Picture | None = None
    shown: Picture | None = None
    note: str = ""


class CompareCanvas(QWidget):
    """Shows slots 0 to 3 as a `View` says; dragging, wheel and keys make new views.

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
        self._slots: dict[int, Slot] = {}
        self._view = View()
        self._size = (0, 0)
        self._tokens = DARK
        self._careful: Callable[[Picture, QSize], Picture] | None = None
        self._drag = ""
        self._from = QPointF()
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
            "Drag to move, wheel to magnify, digits show one version, F fits, 1:1 with the key 0."
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

    def set_careful(self, scale: Callable[[Picture, QSize], Picture]) -> None:
        """Give a function that shrinks pictures with care, for when nothing moves."""
        self._careful = scale

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

    def _restart(self) -> None:
        if self.isVisible():
            self._calm.start()
        self.update()

    # Geometry

    def places(self) -> dict[int, Place]:
        """Where each visible picture is."""
        visible = self.visible_slots()
        width, height = self._size
        if not visible or not width or not height:
            return {}
        ratio = self.devicePixelRatioF()
        count = len(visible) if self._view.mode == "side" else 1
        boxes = [QRect(*box) for box in panes(count, self.width(), self.height(), width / height, _GAP)]
        zoom = self._view.zoom
        if zoom is None:
            fit = min(min(box.width() / width, box.height() / height) for box in boxes) * ratio
            # A small picture is not blown up by an odd factor.
            zoom = fit if fit < 1 else float(int(fit)) if fit >= 2 else fit
        if len(boxes) < len(visible):
            boxes = boxes * len(visible)
        return {
            slot: Place(box, width, height, zoom, self._view.x, self._view.y, ratio)
            for slot, box in zip(visible, boxes, strict=True)
        }

    def zoom(self) -> float:
        """Device pixels per pixel of the large picture, as drawn now."""
        found = self.places()
        return next(iter(found.values())).zoom if found else 1.0

    # Painting

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw everything."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(self._tokens.surround))
        found = self.places()
        if not found:
            self._draw_empty(painter)
        elif self._view.mode == "wipe" and len(found) == 2:
            self._draw_wipe(painter, found)
        else:
            for slot, place in found.items():
                self._draw_slot(painter, slot, place, place.box)
        if self._view.line is not None:
            for place in found.values():
                draw_slice_line(painter, place, self._view.line, self._tokens.mark, self._view.vertical)
        if found and self._view.loupe and self._pointer is not None and not self._drag:
            self._draw_loupe(painter, found)
        if found and self._hint:
            draw_label(painter, self.font(), self.rect(), self._hint, bottom=True)
        if self.hasFocus():
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(QColor(self._tokens.accent), 1))
            painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        painter.end()

    def _draw_empty(self, painter: QPainter) -> None:
        painter.setPen(QColor(self._tokens.muted))
        flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
        painter.drawText(self.rect().adjusted(24, 24, -24, -24), flags, self.empty_text)

    def _draw_slot(self, painter: QPainter, slot: int, place: Place, clip: QRect) -> None:
        content = self._slots[slot]
        picture = content.shown or content.picture
        painter.save()
        painter.setClipRect(clip)
        if picture is None:
            painter.setFont(self.font())
            painter.setPen(QColor(self._tokens.muted))
            words = "Not rendered yet"
            painter.drawText(place.box, Qt.AlignmentFlag.AlignCenter, words)
        else:
            self._draw_picture(painter, picture, place)
        painter.restore()
        self._draw_chip(painter, slot, content, clip)

    def _draw_picture(self, painter: QPainter, picture: Picture, place: Place) -> None:
        width, height = picture.size
        scale = place.zoom * place.width / width  # device pixels per pixel of this picture
        if scale < 0.75 and self._careful is not None and not self._calm.isActive():
            target = place.target()
            size = QSize(round(target.width() * place.ratio), round(target.height() * place.ratio))
            if size.width() > 0 and size.height() > 0:
                picture = self._careful(picture, size)
                width, height = picture.size
                scale = 1.0
        source, target = place.part(width, height)
        if source.isEmpty():
            return
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, scale < 1)
        painter.drawImage(target, picture.image, source)

    def _draw_wipe(self, painter: QPainter, found: Mapping[int, Place]) -> None:
        (left, place), (right, _) = found.items()
        at = round(place.target().left() + self._view.wipe * place.target().width())
        at = min(max(at, place.box.left()), place.box.right())
        box = place.box
        first = QRect(box.left(), box.top(), at - box.left(), box.height())
        second = QRect(at, box.top(), box.right() + 1 - at, box.height())
        for slot, clip in ((left, first), (right, second)):
            content = self._slots[slot]
            painter.save()
            painter.setClipRect(clip)
            picture = content.shown or content.picture
            if picture is not None:
                self._draw_picture(painter, picture, place)
            painter.restore()
        self._draw_chip(painter, left, self._slots[left], first)
        self._draw_chip(painter, right, self._slots[right], second, right=True)
        draw_wipe_handle(painter, at, box)

    def _draw_chip(
        self, painter: QPainter, slot: int, content: Slot, clip: QRect, *, right: bool = False
    ) -> None:
        note = f"   {content.note}" if content.note else ""
        draw_label(painter, self.font(), clip, f"{slot + 1}  {content.label}{note}", right=right)

    def _draw_loupe(self, painter: QPainter, found: Mapping[int, Place]) -> None:
        assert self._pointer is not None
        at = self._pixel_at(self._pointer, found)
        if at is None:
            return
        pictures = [
            (f"{slot + 1}", each.shown or each.picture, each.picture)
            for slot, each in sorted(self._slots.items())
            if each.picture is not None
        ]
        draw_loupe(painter, self.rect(), self._pointer, pictures, at, self._size, self._tokens)

    # Mouse and keys

    def _pixel_at(self, where: QPointF, found: Mapping[int, Place]) -> tuple[int, int] | None:
        for place in found.values():
            if place.box.contains(where.toPoint()):
                return place.pixel(where)
        return None

    def _line_at(self, where: QPointF, found: Mapping[int, Place]) -> str:
        """Which line the pointer is on: `wipe`, `line` or none."""
        for place in found.values():
            if not place.box.contains(where.toPoint()):
                continue
            whole = place.target()
            if self._view.mode == "wipe" and len(found) == 2:
                at = whole.left() + self._view.wipe * whole.width()
                if abs(where.x() - min(max(at, place.box.left()), place.box.right())) < _GRAB:
                    return "wipe"
            if self._view.line is not None:
                size, begin = (
                    (whole.width(), whole.left()) if self._view.vertical else (whole.height(), whole.top())
                )
                along = where.x() if self._view.vertical else where.y()
                if abs(along - begin - self._view.line * size) < _GRAB:
                    return "line"
        return ""

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Begin to drag a line or the pictures."""
        if event.button() in (Qt.MouseButton.LeftButton, Qt.MouseButton.MiddleButton):
            self._drag = self._line_at(event.position(), self.places()) or "pan"
            self._from = event.position()
            if self._drag == "pan":
                self.setCursor(Qt.CursorShape.ClosedHandCursor)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Drag, or tell which pixel is under the pointer."""
        found = self.places()
        where = event.position()
        self._pointer = where
        if self._drag and found:
            self._dragged(where, next(iter(found.values())), found)
        elif found:
            kind = self._line_at(where, found)
            sideways = kind == "wipe" or (kind == "line" and self._view.vertical)
            shape = Qt.CursorShape.SplitHCursor if sideways else Qt.CursorShape.SplitVCursor
            self.setCursor(shape if kind else Qt.CursorShape.CrossCursor)
        self.pointed.emit(self._pixel_at(where, found))
        if self._view.loupe:
            self.update()

    def _dragged(self, where: QPointF, first: Place, found: Mapping[int, Place]) -> None:
        place = next((p for p in found.values() if p.box.contains(self._from.toPoint())), first)
        whole = place.target()
        if self._drag == "wipe":
            self._change(replace(self._view, wipe=_part(where.x(), whole.left(), whole.width())))
        elif self._drag == "line":
            vertical = self._view.vertical
            line = (
                _part(where.x(), whole.left(), whole.width())
                if vertical
                else _part(where.y(), whole.top(), whole.height())
            )
            self._change(replace(self._view, line=line))
        else:
            step = self._from - where
            self._from = where
            view = self._view if self._view.zoom is not None else replace(self._view, zoom=place.zoom)
            self._change(view.moved(step.x() / whole.width(), step.y() / whole.height()))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Let go."""
        self._drag = ""
        self.setCursor(Qt.CursorShape.CrossCursor)
        self.update()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Between the whole picture and 1:1 at the pointer."""
        self.show_zoom(1.0 if self._view.zoom is None else None, event.position())

    def leaveEvent(self, event: object) -> None:
        """Nothing is pointed at any more."""
        self._pointer = None
        self.pointed.emit(None)
        self.update()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Magnify around the pointer."""
        turn = event.angleDelta().y()
        if turn:
            self.show_zoom(next_zoom(self.zoom(), 1 if turn > 0 else -1), event.position())
            event.accept()

    def show_zoom(self, zoom: float | None, around: QPointF | None = None) -> None:
        """Magnify; what is at `around` stays there."""
        view = replace(self._view, zoom=zoom)
        found = self.places()
        place = None
        if around is not None:
            place = next((p for p in found.values() if p.box.contains(around.toPoint())), None)
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

    def resizeEvent(self, event: object) -> None:
        """Tell it."""
        self.resized.emit()

    def hideEvent(self, event: object) -> None:
        """Nothing is left to do."""
        self._calm.stop()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Digits show one version; arrows step; space plays, R renders; F, 0, + and - set the zoom."""
        key, text = event.key(), event.text()
        if text.isdigit() and 1 <= int(text) <= SLOTS and int(text) - 1 in self._slots:
            self.show_slot(int(text) - 1)
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

    def show_slot(self, slot: int) -> None:
        """Show one version alone; in a wipe, at the right."""
        mode = "wipe" if self._view.mode == "wipe" else "single"
        self._change(replace(self._view, mode=mode, active=slot))

    def _change(self, view: View) -> None:
        if view != self._view:
            self.set_view(view)
            self.view_changed.emit(view)


def _part(value: float, begin: float, size: float) -> float:
    return min(max((value - begin) / max(size, 1.0), 0.0), 1.0)

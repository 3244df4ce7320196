"""Drawing the canvas: pictures in their places, labels, the wipe, the line of the slice, the loupe."""

from collections.abc import Mapping
from dataclasses import dataclass

from PySide6.QtCore import QPointF, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QPainter

from quantvsr_gui.pages.compare.loupe import draw_loupe
from quantvsr_gui.pages.compare.marks import draw_label, draw_legend, draw_line, draw_wipe_handle
from quantvsr_gui.pages.compare.place import Place
from quantvsr_gui.pages.compare.slot import Looks, Slot
from quantvsr_gui.pages.compare.state import View
from quantvsr_gui.shell.tokens import Tokens

_SHRUNK = 0.75  # device pixels per pixel below which plain drawing leaves out too much


@dataclass(frozen=True)
class Scene:
    """All that the canvas shows at a moment.

    Attributes:
        view: How.
        slots: What, by number.
        places: Where the visible ones are.
        size: Width and height of the large picture.
        careful: Whether there is time to shrink pictures with care.
        pointer: Where the loupe looks; None without one.
    """

    view: View
    slots: Mapping[int, Slot]
    places: Mapping[int, Place]
    size: tuple[int, int]
    careful: bool
    pointer: QPointF | None = None


class Painter:
    """Draws scenes on a canvas.

    Args:
        painter: Of the canvas.
        looks: Prepares what is drawn.
        room: The canvas.
        font: Of its words.
        tokens: Colours.
    """

    def __init__(self, painter: QPainter, looks: Looks, room: QRect, font: QFont, tokens: Tokens) -> None:
        self._painter, self._looks = painter, looks
        self._room, self._font, self._tokens = room, font, tokens

    def draw(self, scene: Scene) -> None:
        """Draw everything."""
        if scene.view.mode == "wipe" and len(scene.places) == 2:
            self._draw_wipe(scene)
        else:
            for number, place in scene.places.items():
                self._draw_slot(scene, number, place, place.box)
                self._draw_chip(scene, number, place.box)
        if scene.view.sliced:
            for place in scene.places.values():
                draw_line(self._painter, place, scene.view.line)
        what = next((slot.difference for slot in scene.slots.values() if slot.difference is not None), None)
        if what is not None:
            draw_legend(self._painter, self._font, self._room, what.kind, what.gain)
        if scene.pointer is not None:
            self._draw_loupe(scene, scene.pointer)

    def draw_words(self, words: str) -> None:
        """Only words in the middle: why there is nothing to see."""
        self._painter.setPen(QColor(self._tokens.muted))
        flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
        self._painter.drawText(self._room.adjusted(24, 24, -24, -24), flags, words)

    def draw_hint(self, words: str) -> None:
        """Words in the lower left corner."""
        draw_label(self._painter, self._font, self._room, words, bottom=True)

    def _draw_slot(self, scene: Scene, number: int, place: Place, clip: QRect) -> None:
        slot, painter = scene.slots[number], self._painter
        painter.save()
        painter.setClipRect(clip)
        if slot.picture is None:
            painter.setFont(self._font)
            painter.setPen(QColor(self._tokens.line))
            # The label of the picture before has left its own.
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(place.box.adjusted(0, 0, -1, -1))
            painter.setPen(QColor(self._tokens.muted))
            flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(clip.adjusted(16, 40, -16, -40), flags, slot.reason)
        else:
            self._draw_picture(slot, place, slot.picture.size, scene.careful)
        painter.restore()

    def _draw_picture(self, slot: Slot, place: Place, size: tuple[int, int], careful: bool) -> None:
        painter = self._painter
        scale = place.zoom * place.width / size[0]  # device pixels per pixel of this picture
        whole = place.target()
        small = QSize(round(whole.width() * place.ratio), round(whole.height() * place.ratio))
        if careful and scale < _SHRUNK and not small.isEmpty():
            source, target = place.part(small.width(), small.height())
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, False)
            painter.drawImage(target, self._looks.shrunk(slot, small), source)
            return
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, scale < 1)
        if slot.difference is None and slot.picture is not None:
            source, target = place.part(*size)
            painter.drawImage(target, slot.picture.image, source)
            return
        step = max(round(1 / scale), 1)
        source, target = place.part(*size, step)
        if not source.isEmpty():
            image = self._looks.part(slot, source.toRect(), step)
            painter.drawImage(target, image, QRectF(image.rect()))

    def _draw_wipe(self, scene: Scene) -> None:
        (left, place), (right, _) = scene.places.items()
        whole, box = place.target(), place.box
        at = round(whole.left() + scene.view.wipe * whole.width())
        at = min(max(at, box.left()), box.right())
        first = QRect(box.left(), box.top(), at - box.left(), box.height())
        second = QRect(at, box.top(), box.right() + 1 - at, box.height())
        for number, clip in ((left, first), (right, second)):
            self._draw_slot(scene, number, place, clip)
        self._draw_chip(scene, left, first)
        self._draw_chip(scene, right, second, right=True)
        draw_wipe_handle(self._painter, at, box)

    def _draw_chip(self, scene: Scene, number: int, clip: QRect, *, right: bool = False) -> None:
        slot = scene.slots[number]
        note = f"   {slot.note}" if slot.note else ""
        words = f"{number + 1}  {slot.label}{note}"
        draw_label(self._painter, self._font, clip, words, right=right)

    def _draw_loupe(self, scene: Scene, pointer: QPointF) -> None:
        place = next((p for p in scene.places.values() if p.box.contains(pointer.toPoint())), None)
        at = None if place is None else place.pixel(pointer)
        if at is not None:
            slots = {number: slot for number, slot in sorted(scene.slots.items()) if slot.picture is not None}
            draw_loupe(self._painter, self._looks, self._room, pointer, slots, at, scene.size, self._tokens)

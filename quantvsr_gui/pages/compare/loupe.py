"""The loupe: the same few pixels of every version, large, beside the pointer."""

import math
from collections.abc import Mapping

from PySide6.QtCore import QPointF, QRect, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen

from quantvsr_gui.pages.compare.frames import Picture
from quantvsr_gui.pages.compare.slot import Looks, Slot
from quantvsr_gui.shell.tokens import Tokens

PIXELS = 15  # of the large picture, a side; odd, so that one is in the middle
_SIDE = 135
_GAP = 4
_AWAY = 24


def draw_loupe(
    painter: QPainter,
    looks: Looks,
    room: QRect,
    pointer: QPointF,
    slots: Mapping[int, Slot],
    at: tuple[int, int],
    size: tuple[int, int],
    tokens: Tokens,
) -> None:
    """Draw it.

    Args:
        painter: Of the canvas.
        looks: Prepares what is drawn.
        room: The canvas.
        pointer: Where the pointer is.
        slots: By number, each with a picture.
        at: Pixel of the large picture under the pointer.
        size: Width and height of the large picture.
        tokens: Colours.
    """
    if not slots:
        return
    width = len(slots) * (_SIDE + _GAP) + _GAP
    height = _SIDE + 2 * _GAP + 18
    left, top = _beside(pointer.x(), width, room.right()), _beside(pointer.y(), height, room.bottom())
    frame = QRectF(max(left, 4), max(top, 4), width, height)
    painter.setPen(QPen(QColor(tokens.line), 1))
    painter.setBrush(QColor(tokens.panel))
    painter.drawRoundedRect(frame, 6, 6)
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, False)
    for place, (number, slot) in enumerate(slots.items()):
        assert slot.picture is not None
        box = QRectF(frame.left() + _GAP + place * (_SIDE + _GAP), frame.top() + _GAP, _SIDE, _SIDE)
        _draw(painter, looks, box, slot, at, slot.picture.size[0] / size[0])
        painter.setPen(QColor(tokens.text))
        words = QRectF(box.left(), box.bottom(), _SIDE, 20)
        red, green, blue = value_at(slot.picture, at, size)
        painter.drawText(words, Qt.AlignmentFlag.AlignCenter, f"{number + 1}:  {red}  {green}  {blue}")


def _beside(pointer: float, size: float, end: float) -> float:
    return pointer + _AWAY if pointer + _AWAY + size < end else pointer - _AWAY - size


def value_at(picture: Picture, at: tuple[int, int], size: tuple[int, int]) -> tuple[int, int, int]:
    """Red, green and blue of a picture at a pixel of the large one."""
    width, height = picture.size
    column = min(at[0] * width // size[0], width - 1)
    row = min(at[1] * height // size[1], height - 1)
    blue, green, red = (int(v) for v in picture.pixels[row, column, :3])
    return red, green, blue


def _draw(
    painter: QPainter, looks: Looks, box: QRectF, slot: Slot, at: tuple[int, int], factor: float
) -> None:
    """Draw the surroundings of a pixel of the large picture, of which `factor` are one of this picture."""
    side = PIXELS * factor
    left, top = ((each + 0.5) * factor - side / 2 for each in at)
    # Whole pixels around them; at the border of the picture there are fewer.
    area = QRect(math.floor(left), math.floor(top), math.ceil(side) + 2, math.ceil(side) + 2)
    image = looks.part(slot, area)
    first = QPointF(max(area.left(), 0), max(area.top(), 0))
    scale = box.width() / side
    painter.fillRect(box, QColor("#000000"))
    painter.save()
    painter.setClipRect(box)
    corner = box.topLeft() + (first - QPointF(left, top)) * scale
    painter.drawImage(QRectF(corner.x(), corner.y(), image.width() * scale, image.height() * scale), image)
    painter.restore()
    step = box.width() / PIXELS
    middle = QRectF(0, 0, step, step)
    middle.moveCenter(box.center())
    for colour, width in ((QColor(0, 0, 0, 200), 3.0), (QColor("#ffffff"), 1.0)):
        painter.setPen(QPen(colour, width))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(middle)

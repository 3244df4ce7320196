"""The loupe: the same few pixels of every version, large, beside the pointer."""

from collections.abc import Sequence

from PySide6.QtCore import QPointF, QRect, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen

from quantvsr_gui.pages.compare.frames import Picture
from quantvsr_gui.shell.tokens import Tokens

PIXELS = 15  # of the large picture, a side; odd, so that one is in the middle
_SIDE = 135
_GAP = 4
_AWAY = 24


def draw_loupe(
    painter: QPainter,
    room: QRect,
    pointer: QPointF,
    pictures: Sequence[tuple[str, Picture, Picture]],
    at: tuple[int, int],
    size: tuple[int, int],
    tokens: Tokens,
) -> None:
    """Draw it.

    Args:
        painter: Of the canvas.
        room: The canvas.
        pointer: Where the pointer is.
        pictures: Of each version: label, what is drawn (perhaps a difference), the frame itself.
        at: Pixel of the large picture under the pointer.
        size: Width and height of the large picture.
        tokens: Colours.
    """
    if not pictures:
        return
    width = len(pictures) * (_SIDE + _GAP) + _GAP
    height = _SIDE + 2 * _GAP + 18
    left = pointer.x() + _AWAY if pointer.x() + _AWAY + width < room.right() else pointer.x() - _AWAY - width
    top = (
        pointer.y() + _AWAY if pointer.y() + _AWAY + height < room.bottom() else pointer.y() - _AWAY - height
    )
    frame = QRectF(max(left, 4), max(top, 4), width, height)
    painter.setPen(QPen(QColor(tokens.line), 1))
    painter.setBrush(QColor(tokens.panel))
    painter.drawRoundedRect(frame, 6, 6)
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, False)
    for number, (label, shown, picture) in enumerate(pictures):
        box = QRectF(frame.left() + _GAP + number * (_SIDE + _GAP), frame.top() + _GAP, _SIDE, _SIDE)
        _draw(painter, box, shown, at, size)
        painter.setPen(QColor(tokens.text))
        words = QRectF(box.left(), box.bottom(), _SIDE, 20)
        red, green, blue = value_at(picture, at, size)
        painter.drawText(words, Qt.AlignmentFlag.AlignCenter, f"{label}:  {red}  {green}  {blue}")


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
    painter: QPainter, box: QRectF, picture: Picture, at: tuple[int, int], size: tuple[int, int]
) -> None:
    factor = picture.size[0] / size[0]
    side = PIXELS * factor
    source = QRectF((at[0] + 0.5) * factor - side / 2, (at[1] + 0.5) * factor - side / 2, side, side)
    painter.fillRect(box, QColor("#000000"))
    painter.save()
    painter.setClipRect(box)
    painter.drawImage(box, picture.image, source)
    painter.restore()
    step = box.width() / PIXELS
    middle = QRectF(0, 0, step, step)
    middle.moveCenter(box.center())
    for colour, width in ((QColor(0, 0, 0, 200), 3.0), (QColor("#ffffff"), 1.0)):
        painter.setPen(QPen(colour, width))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(middle)

"""Where a picture is on the canvas: between pixels of the picture and of the screen."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import QPointF, QRect, QRectF

from quantvsr_gui.pages.compare.state import View, grid

GAP = 4
"""Widget pixels between pictures beside each other."""


@dataclass(frozen=True)
class Place:
    """A picture in its box.

    Attributes:
        box: Where it may be drawn, in the widget's pixels.
        width, height: Of the large picture.
        zoom: Device pixels per pixel of the large picture.
        x, y: Place in the picture (0..1) that is in the middle of the box; a picture that is smaller than the
            box is centred whatever these say.
        ratio: Device pixels per pixel of the widget.
    """

    box: QRect
    width: int
    height: int
    zoom: float
    x: float
    y: float
    ratio: float

    def target(self) -> QRectF:
        """The whole picture in the widget's pixels; begins at a whole device pixel, so that 1:1 is exact."""
        w, h = (side * self.zoom / self.ratio for side in (self.width, self.height))
        left = _begin(self.box.x(), self.box.width(), w, self.x)
        top = _begin(self.box.y(), self.box.height(), h, self.y)
        return QRectF(
            math.floor(left * self.ratio + 0.5) / self.ratio,
            math.floor(top * self.ratio + 0.5) / self.ratio,
            w,
            h,
        )

    def part(self, width: int, height: int, step: int = 1) -> tuple[QRectF, QRectF]:
        """What of a picture is seen, and where.

        Args:
            width: Of the picture that is drawn; may be smaller than the large one.
            height: Likewise.
            step: Only every such pixel is drawn: the rectangle begins and ends at multiples of it.

        Returns:
            Rectangle of whole pixels in the picture, and in the widget.
        """
        whole = self.target()
        seen = whole.intersected(QRectF(self.box))
        if seen.isEmpty():
            return QRectF(), QRectF()
        sx, sy = whole.width() / width, whole.height() / height
        left = max(math.floor((seen.left() - whole.left()) / sx), 0) // step * step
        top = max(math.floor((seen.top() - whole.top()) / sy), 0) // step * step
        right = -(-min(math.ceil((seen.right() - whole.left()) / sx), width) // step) * step
        bottom = -(-min(math.ceil((seen.bottom() - whole.top()) / sy), height) // step) * step
        source = QRectF(left, top, right - left, bottom - top)
        target = QRectF(
            whole.left() + left * sx, whole.top() + top * sy, (right - left) * sx, (bottom - top) * sy
        )
        return source, target

    def at(self, where: QPointF) -> tuple[float, float]:
        """Place in the picture (0..1, or outside) under a point of the widget."""
        whole = self.target()
        return (where.x() - whole.left()) / whole.width(), (where.y() - whole.top()) / whole.height()

    def pixel(self, where: QPointF) -> tuple[int, int] | None:
        """Pixel of the large picture under a point; None outside."""
        x, y = self.at(where)
        column, row = math.floor(x * self.width), math.floor(y * self.height)
        return (column, row) if 0 <= column < self.width and 0 <= row < self.height else None


def places(
    view: View, visible: Sequence[int], size: tuple[int, int], room: tuple[int, int], ratio: float
) -> dict[int, Place]:
    """Where each visible picture is.

    Args:
        view: How the pictures are shown.
        visible: Slots, in order.
        size: Width and height of the large picture.
        room: Width and height of the canvas in widget pixels.
        ratio: Device pixels per widget pixel.
    """
    width, height = size
    if not visible or not width or not height:
        return {}
    count = len(visible) if view.mode == "side" else 1
    columns, rows = grid(count, *room, width / height, GAP)
    cell = [(side - GAP * (number - 1)) // number for side, number in zip(room, (columns, rows), strict=True)]
    zoom = view.zoom
    if zoom is None:
        fit = min(cell[0] / width, cell[1] / height) * ratio
        # A small picture is not blown up by an odd factor.
        zoom = float(int(fit)) if fit >= 2 else max(fit, 1 / max(size))
    # Pictures that leave room are moved together, in the middle.
    cell = [min(side, math.ceil(full * zoom / ratio)) for side, full in zip(cell, size, strict=True)]
    left, top = (
        (side - number * each - GAP * (number - 1)) // 2
        for side, number, each in zip(room, (columns, rows), cell, strict=True)
    )
    found = {}
    for number, slot in enumerate(visible):
        row, column = divmod(number % count, columns)
        box = QRect(left + column * (cell[0] + GAP), top + row * (cell[1] + GAP), *cell)
        found[slot] = Place(box, width, height, zoom, view.x, view.y, ratio)
    return found


def _begin(start: int, room: int, size: float, middle: float) -> float:
    if size <= room:
        return start + (room - size) / 2
    begin = start + room / 2 - middle * size
    # No empty border while the picture is larger than its box.
    return min(max(begin, start + room - size), start)

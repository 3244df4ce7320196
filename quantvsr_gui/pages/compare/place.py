"""Where a picture is on the canvas: between pixels of the picture and of the screen."""

import math
from dataclasses import dataclass

from PySide6.QtCore import QPointF, QRect, QRectF


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

    def part(self, width: int, height: int) -> tuple[QRectF, QRectF]:
        """What of a picture is seen, and where.

        Args:
            width: Of the picture that is drawn; may be smaller than the large one.
            height: Likewise.

        Returns:
            Rectangle of whole pixels in the picture, and in the widget.
        """
        whole = self.target()
        seen = whole.intersected(QRectF(self.box))
        if seen.isEmpty():
            return QRectF(), QRectF()
        sx, sy = whole.width() / width, whole.height() / height
        left = max(math.floor((seen.left() - whole.left()) / sx), 0)
        top = max(math.floor((seen.top() - whole.top()) / sy), 0)
        right = min(math.ceil((seen.right() - whole.left()) / sx), width)
        bottom = min(math.ceil((seen.bottom() - whole.top()) / sy), height)
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


def _begin(start: int, room: int, size: float, middle: float) -> float:
    if size <= room:
        return start + (room - size) / 2
    begin = start + room / 2 - middle * size
    # No empty border while the picture is larger than its box.
    return min(max(begin, start + room - size), start)

"""The line that is followed through time: a value, and the brightness of the pixels along it. No widgets."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

# Of blue, green and red (ITU-R BT.709).
_LUMA = np.asarray((0.0722, 0.7152, 0.2126), np.float32)
_SNAP = math.tan(math.pi / 8)


@dataclass(frozen=True)
class Line:
    """A straight line on the picture.

    Attributes:
        x0, y0: Where it begins, in 0..1 of the picture's width and height.
        x1, y1: Where it ends.
    """

    x0: float = 0.0
    y0: float = 0.5
    x1: float = 1.0
    y1: float = 0.5

    def moved(self, dx: float, dy: float) -> "Line":
        """Shifted as a whole, as far as it stays on the picture."""
        dx = min(max(dx, -min(self.x0, self.x1)), 1 - max(self.x0, self.x1))
        dy = min(max(dy, -min(self.y0, self.y1)), 1 - max(self.y0, self.y1))
        return Line(self.x0 + dx, self.y0 + dy, self.x1 + dx, self.y1 + dy)

    def with_end(self, end: int, x: float, y: float) -> "Line":
        """With its begin (0) or its end (1) elsewhere."""
        x, y = min(max(x, 0.0), 1.0), min(max(y, 0.0), 1.0)
        return replace(self, **({"x1": x, "y1": y} if end else {"x0": x, "y0": y}))

    def snapped(self, end: int, width: int, height: int) -> "Line":
        """With one end brought to the nearest multiple of 45 degrees around the other one.

        Args:
            end: 0 or 1.
            width: Of the picture in pixels.
            height: Likewise.
        """
        fixed = (self.x0, self.y0) if end else (self.x1, self.y1)
        moving = (self.x1, self.y1) if end else (self.x0, self.y0)
        dx, dy = (moving[0] - fixed[0]) * width, (moving[1] - fixed[1]) * height
        if abs(dy) < _SNAP * abs(dx):
            dy = 0.0
        elif abs(dx) < _SNAP * abs(dy):
            dx = 0.0
        else:
            side = min(abs(dx), abs(dy))
            dx, dy = math.copysign(side, dx), math.copysign(side, dy)
        return self.with_end(end, fixed[0] + dx / width, fixed[1] + dy / height)

    def level(self) -> "Line":
        """A whole row, through the middle of this line."""
        y = (self.y0 + self.y1) / 2
        return Line(0.0, y, 1.0, y)

    def upright(self) -> "Line":
        """A whole column, through the middle of this line."""
        x = (self.x0 + self.x1) / 2
        return Line(x, 0.0, x, 1.0)

    def steep(self, width: int, height: int) -> bool:
        """Whether it runs down rather than across, on a picture of that size."""
        return abs(self.y1 - self.y0) * height > abs(self.x1 - self.x0) * width


def luma_along(pixels: NDArray[np.uint8], line: Line) -> NDArray[np.float32]:
    """The brightness along a line, one value a pixel of its length, between pixels by bilinear interpolation.

    Args:
        pixels: (H, W, 4): blue, green, red, anything. The middle of the upper left pixel is at
            (0.5 / W, 0.5 / H) of the picture.
        line: Where.

    Returns:
        (N,), 0..255; N is at least 2.
    """
    height, width = pixels.shape[:2]
    length = math.hypot((line.x1 - line.x0) * width, (line.y1 - line.y0) * height)
    count = max(round(length), 2)
    along = (np.arange(count) + 0.5) / count
    x = np.clip((line.x0 + (line.x1 - line.x0) * along) * width - 0.5, 0, width - 1)
    y = np.clip((line.y0 + (line.y1 - line.y0) * along) * height - 0.5, 0, height - 1)
    left, top = x.astype(np.intp), y.astype(np.intp)
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)

    def luma(rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[np.float32]:
        return pixels[rows, columns, :3].astype(np.float32) @ _LUMA

    fx, fy = (x - left).astype(np.float32), (y - top).astype(np.float32)
    upper = luma(top, left) * (1 - fx) + luma(top, right) * fx
    lower = luma(bottom, left) * (1 - fx) + luma(bottom, right) * fx
    return upper * (1 - fy) + lower * fy

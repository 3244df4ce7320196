"""What the canvas shows, as a value: mode, place, zoom, difference. No widgets."""

import math
from dataclasses import dataclass, field, replace

from quantvsr_gui.pages.compare.line import Line

MODES = {"side": "Side by side", "wipe": "Wipe", "single": "Single"}
SLOTS = 4
ZOOMS = (0.0625, 0.125, 0.25, 1 / 3, 0.5, 2 / 3, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0)


@dataclass(frozen=True)
class View:
    """How the pictures are shown.

    Attributes:
        mode: One of `MODES`.
        zoom: Device pixels per pixel of the large picture; None fits it into the space.
        x, y: Place in the large picture (0..1) that is in the middle.
        active: Slot that is shown alone, and at the right of the wipe.
        left: Slot at the left of the wipe.
        wipe: Where the wipe is, 0..1 of the width.
        difference: One of `difference.KINDS`.
        gain: What differences are multiplied by.
        reference: Slot that differences are taken against.
        loupe: Whether the loupe is shown.
        sliced: Whether the line of the slice is shown.
        line: That line.
    """

    mode: str = "side"
    zoom: float | None = None
    x: float = 0.5
    y: float = 0.5
    active: int = 1
    left: int = 0
    wipe: float = 0.5
    difference: str = "off"
    gain: int = 4
    reference: int = 0
    loupe: bool = False
    sliced: bool = False
    line: Line = field(default_factory=Line)

    def moved(self, dx: float, dy: float) -> "View":
        """Shifted by parts of the picture, staying on it."""
        return replace(self, x=min(max(self.x + dx, 0.0), 1.0), y=min(max(self.y + dy, 0.0), 1.0))


def next_zoom(zoom: float, steps: int) -> float:
    """The zoom some steps closer (or farther, when negative)."""
    if steps > 0:
        larger = [each for each in ZOOMS if each > zoom * 1.001]
        return larger[min(steps, len(larger)) - 1] if larger else ZOOMS[-1]
    smaller = [each for each in ZOOMS if each < zoom * 0.999]
    return smaller[max(len(smaller) + steps, 0)] if smaller else ZOOMS[0]


def grid(count: int, width: int, height: int, aspect: float, gap: int) -> tuple[int, int]:
    """Columns and rows in which some pictures of one shape are largest.

    Args:
        count: 1 to 4.
        width: Of the space.
        height: Of the space.
        aspect: Width over height of a picture.
        gap: Between them.
    """
    best: tuple[float, int, int] = (-math.inf, 1, 1)
    for columns in range(1, count + 1):
        rows = -(-count // columns)
        w = (width - gap * (columns - 1)) / columns
        h = (height - gap * (rows - 1)) / rows
        # Empty places only where that makes the pictures larger.
        best = max(best, (min(w, h * aspect) - 0.01 * (rows * columns - count), columns, rows))
    return best[1], best[2]

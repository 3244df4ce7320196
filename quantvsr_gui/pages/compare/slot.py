"""What one of the places of the canvas shows, and how it is prepared for drawing."""

from collections.abc import Hashable
from dataclasses import dataclass

from PySide6.QtCore import QRect, QSize, Qt
from PySide6.QtGui import QImage

from quantvsr_gui.pages.compare.difference import difference
from quantvsr_gui.pages.compare.frames import Lru, Picture, picture_of, pixels_of

_MOST, _MEMORY = 96, 256 * 2**20


@dataclass(frozen=True)
class Difference:
    """A difference that is to be seen instead of a picture; both are of one size.

    Attributes:
        reference: What it is taken against.
        kind: One of `difference.KINDS`.
        gain: What it is multiplied by.
    """

    reference: Picture
    kind: str
    gain: int


@dataclass(frozen=True)
class Slot:
    """What one of the four places shows.

    Attributes:
        label: Name of the version.
        picture: The frame; None where there is none.
        difference: Shown in its place; None for the frame itself.
        note: Small print behind the label, such as "still frame 12" while frame 17 is not there yet.
        reason: Why there is no picture.
    """

    label: str
    picture: Picture | None = None
    difference: Difference | None = None
    note: str = ""
    reason: str = "Not rendered yet"


class Looks:
    """Prepares slots for drawing, and keeps the last results.

    Differences are computed where and as finely as they are seen: of a frame that is drawn at half its size,
    half the rows and columns.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Compute everything again."""
        self._kept = Lru(_MOST, _MEMORY)

    def part(self, slot: Slot, area: QRect, step: int = 1) -> QImage:
        """An area of what a slot shows.

        Args:
            slot: With a picture.
            area: In the picture's pixels; what is outside is left out.
            step: Only every such row and column.
        """
        picture, what = slot.picture, slot.difference
        assert picture is not None
        area = area.intersected(QRect(0, 0, *picture.size))
        if what is None:
            return picture.image.copy(area)
        left, top, width, height = area.x(), area.y(), area.width(), area.height()
        rows, columns = slice(top, top + height), slice(left, left + width)
        key = (*self._key(slot), left, top, width, height, step)
        made = self._kept.get(
            key,
            lambda: picture_of(
                difference(
                    picture.pixels[rows, columns],
                    what.reference.pixels[rows, columns],
                    what.kind,
                    what.gain,
                    step,
                ),
                key,
            ),
        )
        return made.image

    def shrunk(self, slot: Slot, size: QSize) -> QImage:
        """All of what a slot shows, shrunk with care: every pixel counts, where plain drawing skips some."""
        picture = slot.picture
        assert picture is not None
        key = (*self._key(slot), size.width(), size.height())

        def make() -> Picture:
            whole = self.part(slot, QRect(0, 0, *picture.size)) if slot.difference else picture.image
            mode = Qt.TransformationMode.SmoothTransformation
            small = whole.scaled(size, Qt.AspectRatioMode.IgnoreAspectRatio, mode)
            return picture_of(pixels_of(small), key)

        return self._kept.get(key, make).image

    def _key(self, slot: Slot) -> tuple[Hashable, ...]:
        assert slot.picture is not None
        what = slot.difference
        if what is None:
            return (slot.picture.key,)
        return (slot.picture.key, what.reference.key, what.kind, what.gain)

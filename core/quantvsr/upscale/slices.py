"""Space-time slices: one line of pixels followed through a clip. Flicker shows as stripes."""

from collections.abc import Mapping
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from quantvsr.errors import BadInput
from quantvsr.upscale.labels import BACKGROUND, chip, paste, to_bytes

_GAP = 6


class Slice:
    """Collects one row (or column) of pixels of each frame; memory is bounded by `largest` lines.

    Args:
        place: Row or column, full-size pixels; None takes the middle of the first frame.
        axis: "row" follows y = place (an x-t picture), "column" follows x = place (a y-t picture).
        largest: Most lines kept. When a clip has more, every second line is dropped, again and again, so that
            the whole clip stays covered evenly.

    Attributes:
        stride: Frames per kept line.
    """

    def __init__(
        self, place: int | None = None, axis: Literal["row", "column"] = "row", largest: int = 1024
    ) -> None:
        if largest < 2:
            raise BadInput(f"A slice of {largest} lines shows no change; give 2 or more.")
        self.place, self.axis, self.largest = place, axis, largest
        self.stride = 1
        self._count = 0
        self._lines: list[NDArray[np.uint8]] = []

    def add(self, picture: NDArray) -> None:
        """Take the next frame (H, W, 3), floats in 0..1 or uint8.

        Raises:
            BadInput: The place lies outside, or the frame size changed.
        """
        along = picture.shape[0 if self.axis == "row" else 1]
        if self.place is None:
            self.place = along // 2
        if not 0 <= self.place < along:
            raise BadInput(
                f"There is no {self.axis} {self.place} in a picture with {along}; take a smaller one."
            )
        line = to_bytes(picture[self.place] if self.axis == "row" else picture[:, self.place])
        if self._lines and line.shape != self._lines[0].shape:
            raise BadInput("The frame size changes inside a clip; cut the clip there.")
        if self._count % self.stride == 0:
            if len(self._lines) == self.largest:
                del self._lines[1::2]
                self.stride *= 2
            if self._count % self.stride == 0:
                self._lines.append(line.copy())
        self._count += 1

    def result(self) -> NDArray[np.uint8]:
        """(lines, length, 3): time runs down. Empty, (0, 0, 3), before the first frame."""
        return np.stack(self._lines) if self._lines else np.zeros((0, 0, 3), np.uint8)


def slice_picture(slices: Mapping[str, NDArray[np.uint8]], *, lowest: int = 120) -> NDArray[np.uint8]:
    """Slices of several versions one below the other, labelled; time runs down in each.

    Args:
        slices: Label to (lines, length, 3) as `Slice.result` gives them.
        lowest: Least height of each slice; short clips are stretched by a whole factor.

    Returns:
        (H, W, 3) uint8.

    Raises:
        BadInput: None given, or one is empty.
    """
    if not slices or any(part.size == 0 for part in slices.values()):
        raise BadInput("There is no slice to draw; the clip has no frames.")
    width = max(part.shape[1] for part in slices.values())
    grown = -(-480 // width) if width < 480 else 1
    rows: list[NDArray[np.uint8]] = []
    for label, part in slices.items():
        height = part.shape[0] * max(1, -(-lowest // part.shape[0]))
        resized = cv2.resize(part, (width * grown, height), interpolation=cv2.INTER_NEAREST)
        drawn = np.asarray(resized, np.uint8)
        size = min(max(round(drawn.shape[1] / 40), 13), 28)
        paste(drawn, chip(label, size, drawn.shape[1] - 2 * size), size // 2, size // 2)
        if rows:
            rows.append(np.full((_GAP, drawn.shape[1], 3), BACKGROUND, np.uint8))
        rows.append(drawn)
    return np.concatenate(rows)

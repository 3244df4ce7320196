"""Turning pictures upright: display matrices of video and EXIF orientations of photographs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Orientation:
    """One of the eight ways to lay a picture down: first transpose, then flip.

    Attributes:
        transpose: Swap rows and columns.
        flip_x: Mirror left to right, after the transposition.
        flip_y: Mirror top to bottom, after the transposition.
    """

    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @property
    def degrees(self) -> int:
        """The clockwise turn in it: 0, 90, 180 or 270 (a mirroring counts as the turn it comes with)."""
        if self.transpose:
            return 90 if self.flip_x else 270
        return 180 if self.flip_y else 0

    def apply(self, picture: np.ndarray) -> np.ndarray:
        """Turn (height, width, ...) upright; a view, or the picture itself."""
        if self.transpose:
            picture = picture.swapaxes(0, 1)
        if self.flip_x:
            picture = picture[:, ::-1]
        if self.flip_y:
            picture = picture[::-1]
        return picture


def from_display_matrix(matrix: Sequence[int]) -> Orientation:
    """The nearest upright orientation of a display matrix.

    Args:
        matrix: Nine integers as in ISO/IEC 14496-12 section 8.3.2 and FFmpeg's libavutil/display.h; a stored
            point (x, y) is shown at (m0 x + m3 y, m1 x + m4 y).
    """
    a, b, c, d = matrix[0], matrix[1], matrix[3], matrix[4]
    if abs(a) >= abs(b):
        return Orientation(False, flip_x=a < 0, flip_y=d < 0)
    return Orientation(True, flip_x=c < 0, flip_y=b < 0)


# EXIF 2.32 section 4.6.4, tag 274: where the stored row 0 and column 0 belong.
_EXIF = {
    1: Orientation(),
    2: Orientation(False, True, False),
    3: Orientation(False, True, True),
    4: Orientation(False, False, True),
    5: Orientation(True, False, False),
    6: Orientation(True, True, False),
    7: Orientation(True, True, True),
    8: Orientation(True, False, True),
}


def from_exif(tag: object) -> Orientation:
    """The orientation of an EXIF tag value; an unknown value leaves the picture as it is."""
    return _EXIF.get(tag, Orientation()) if isinstance(tag, int) else Orientation()

"""What every metric does to a picture first: check it, bring it to 0..1, take luma, cut the border off."""

from collections.abc import Hashable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantvsr.errors import BadInput

FloatImage = NDArray[np.floating]

# ITU-R BT.601 luma of gamma-encoded R'G'B' in 0..1, studio swing: black 16, white 235 (BT.601-7, 2.5.1 and
# 2.5.3).
_LUMA_WEIGHTS = np.array([65.481, 128.553, 24.966])
_LUMA_BLACK = 16.0


def to_unit(picture: NDArray, what: str = "The frame") -> FloatImage:
    """A picture as floats in 0..1.

    Args:
        picture: (H, W, 3) RGB, gamma-encoded; uint8 (0..255), uint16 (0..65535) or floating (0..1).
        what: How to name the picture in an error.

    Returns:
        (H, W, 3) float32 or float64; values outside 0..1 are cut off, as writing the picture would.

    Raises:
        BadInput: Not an RGB picture, or it holds NaN or infinity.
    """
    if picture.ndim != 3 or picture.shape[2] != 3 or 0 in picture.shape:
        raise BadInput(f"{what} has the shape {picture.shape}; give an RGB picture (height x width x 3).")
    if picture.dtype.kind == "u":
        return picture.astype(np.float32) / np.float32(np.iinfo(picture.dtype).max)
    if picture.dtype.kind != "f":
        raise BadInput(f"{what} holds {picture.dtype} values; give unsigned integers or floats in 0..1.")
    if picture.dtype.itemsize < 4:
        picture = picture.astype(np.float32)
    if not np.isfinite(picture).all():
        raise BadInput(f"{what} holds values that are not finite; its model may need more precision.")
    return np.clip(picture, 0.0, 1.0)


class Picture:
    """A frame on its way through several metrics: what they share is computed once.

    Args:
        pixels: (H, W, 3) RGB as `to_unit` takes it.
        what: How to name the picture in an error.

    Attributes:
        kept: For metrics that want to keep more with the picture, by keys of their own.
    """

    def __init__(self, pixels: NDArray, what: str = "The frame") -> None:
        self._pixels, self._what = pixels, what
        self.kept: dict[Hashable, Any] = {}

    @cached_property
    def unit(self) -> FloatImage:
        """(H, W, 3) in 0..1; see `to_unit`, also for what it raises."""
        return to_unit(self._pixels, self._what)

    @cached_property
    def luma(self) -> NDArray[np.float64]:
        """(H, W) BT.601 luma, 16..235."""
        return luma(self.unit)

    @classmethod
    def of(cls, frame: "NDArray | Picture", what: str = "The frame") -> "Picture":
        """The frame itself if it is a `Picture` already."""
        return frame if isinstance(frame, Picture) else cls(frame, what)


def check_same_size(a: Picture, b: Picture) -> None:
    """Check that two pictures can be compared.

    Raises:
        BadInput: Their sizes differ, or one is not a picture.
    """
    if a.unit.shape != b.unit.shape:
        (ha, wa), (hb, wb) = a.unit.shape[:2], b.unit.shape[:2]
        raise BadInput(
            f"The compared frames have different sizes ({wa}x{ha} and {wb}x{hb}); "
            "scale or crop one of the clips first."
        )


def luma(picture: FloatImage) -> NDArray[np.float64]:
    """BT.601 luma on the 8-bit scale.

    Args:
        picture: (H, W, 3) gamma-encoded RGB in 0..1.

    Returns:
        (H, W) float64 in 16..235, not rounded.
    """
    weights = _LUMA_WEIGHTS
    # Channel by channel: a matrix product would give the sum in another order on another machine.
    y = picture[..., 0] * weights[0]
    y += picture[..., 1] * weights[1]
    y += picture[..., 2] * weights[2]
    return y + _LUMA_BLACK


def full_range_luma(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """Luma of the 16-235 scale on the scale 0-255, on which many papers define their constants."""
    return (plane - _LUMA_BLACK) * (255.0 / _LUMA_WEIGHTS.sum())


def halve(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means of 2x2 pixels, (ceil(H / 2), ceil(W / 2)); beyond an odd edge there are zeros."""
    height, width = plane.shape
    even = np.pad(plane, ((0, height % 2), (0, width % 2)))
    return (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4


def crop(picture: NDArray, border: int) -> NDArray:
    """The picture (H, W, ...) without `border` pixels on each side; may be empty."""
    if border < 0:
        raise BadInput(f"A border of {border} pixels cannot be left out; give 0 or more.")
    height, width = picture.shape[:2]
    return picture[border : max(height - border, border), border : max(width - border, border)]

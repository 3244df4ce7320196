"""Slices through time: the pixels along a line in every frame. Steady pictures give smooth stripes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantvsr_gui.pages.compare.frames import Frames
from quantvsr_gui.pages.compare.line import Line, luma_along

_LEAST = 8.0  # of a grey scale, so that noise in an even picture does not fill it


@dataclass(frozen=True)
class Slice:
    """A line of one version through time.

    Attributes:
        label: The version's name.
        slot: Its place on the canvas.
        values: (frames, N): brightness 0..255 along the line; NaN in frames that are missing.
    """

    label: str
    slot: int
    values: NDArray[np.float32]


def slice_through(frames: Frames, key: str, indices: Sequence[int], line: Line) -> NDArray[np.float32]:
    """The pixels along a line in each frame.

    Args:
        frames: The cache.
        key: The version.
        indices: Frames in order.
        line: Where.

    Returns:
        (frames, N), see `Slice`; (0, 0) where no frame is there.
    """
    found = {}
    for number, index in enumerate(indices):
        picture = frames.picture(key, index)
        if picture is not None:
            found[number] = luma_along(picture.pixels, line)
    if not found:
        return np.zeros((0, 0), np.float32)
    values = np.full((len(indices), len(next(iter(found.values())))), np.nan, np.float32)
    for number, each in found.items():
        values[number] = each
    return values


def common_scale(slices: Sequence[Slice]) -> tuple[float, float]:
    """What is black and what is white: the same for all, so that they can be compared."""
    values = [each.values for each in slices if each.values.size]
    if not values:
        return 0.0, 255.0
    low = min(float(np.nanmin(each)) for each in values)
    high = max(float(np.nanmax(each)) for each in values)
    return low, max(high, low + _LEAST)


def grey(values: NDArray[np.float32], scale: tuple[float, float], missing: int) -> NDArray[np.uint8]:
    """Brightness as pixels.

    Args:
        values: (H, W), NaN where there is none.
        scale: What is black and what is white.
        missing: Pixel (0xffRRGGBB) for what is missing.

    Returns:
        (H, W, 4): blue, green, red, 255.
    """
    low, high = scale
    there = np.isfinite(values)
    level = np.where(there, (values - low) * (255 / (high - low)), 0)
    level = np.rint(np.clip(level, 0, 255)).astype(np.uint32)
    pixels = np.where(there, level * 0x010101 | 0xFF000000, missing).astype(np.uint32)
    return pixels.view(np.uint8).reshape(*values.shape, 4)

"""Plain bicubic resizing, in the two conventions that the program meets.

| | `enlarge` (the model's) | `pillow_resize` (the yardstick's) |
|---|---|---|
| same as | `torch.nn.functional.interpolate(mode="bicubic", align_corners=False, antialias=False)`, OpenCV's
  `INTER_CUBIC` | Pillow's `BICUBIC`, MATLAB's `imresize` |
| Keys' parameter a | -0.75 (sharper, rings more) | -0.5 |
| outside the picture | the edge pixel is repeated | the kernel is cut off and its sum made 1 again |
| when shrinking | no antialiasing: do not | the kernel is widened by the factor (antialiasing) |
| values | floats, not cut off: may leave 0..1 by some hundredths | 8 bits, rounded and cut off at every step
|

Both place pixel centres at half integers, so neither shifts the picture.
"""

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from quantvsr.errors import BadInput


def enlarge(frame: NDArray, scale: int = 4) -> NDArray[np.float32]:
    """Bicubic enlargement in the model's convention.

    Args:
        frame: (H, W, 3) or (H, W); floats.
        scale: Factor, a positive whole number.

    Returns:
        (scale*H, scale*W, ...) float32, not cut off to 0..1.
    """
    height, width = frame.shape[:2]
    size = (width * scale, height * scale)
    enlarged = cv2.resize(np.ascontiguousarray(frame, np.float32), size, interpolation=cv2.INTER_CUBIC)
    return np.asarray(enlarged, np.float32)


def pillow_resize(frame: NDArray, height: int, width: int) -> NDArray[np.uint8]:
    """Resize with Pillow's BICUBIC in 8-bit RGB, antialiased where it shrinks.

    Args:
        frame: (H, W, 3) RGB; uint8, or floats in 0..1 (rounded to 8 bits first).
        height: New height, at least 1.
        width: New width, at least 1.

    Returns:
        (height, width, 3) uint8.
    """
    if frame.dtype != np.uint8:
        frame = np.rint(np.clip(frame, 0, 1) * 255).astype(np.uint8)
    return np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.BICUBIC))


def make_lq(frame: NDArray, scale: int = 4) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A low-quality frame and its ground truth, as the yardstick makes them.

    Args:
        frame: (H, W, 3) RGB ground truth; uint8, or floats in 0..1. Right and bottom are cropped to a
            multiple.
        scale: Factor.

    Returns:
        (H // scale, W // scale, 3) and the cropped ground truth, both uint8.

    Raises:
        BadInput: The frame is smaller than the factor.
    """
    height, width = (side - side % scale for side in frame.shape[:2])
    if not height or not width:
        raise BadInput(
            f"A frame of {frame.shape[1]}x{frame.shape[0]} is too small to be shrunk by {scale}; take a "
            "larger clip."
        )
    truth = pillow_resize(frame[:height, :width], height, width)
    return pillow_resize(truth, height // scale, width // scale), truth

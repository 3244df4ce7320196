"""Text on pictures: Pillow's own font, so that no font file is looked for on the user's machine."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]

BACKGROUND: Colour = (22, 24, 29)
TEXT: Colour = (245, 246, 248)
QUIET: Colour = (160, 167, 178)

_CHIP_OPACITY = 215
_ELLIPSIS = "..."
_SMALLEST_TEXT = 9


@lru_cache(maxsize=64)
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's embedded font at a size in pixels."""
    return ImageFont.load_default(size)


def text_width(text: str, size: int) -> int:
    """Pixels that a line takes."""
    return int(np.ceil(font(size).getlength(text)))


def line_height(size: int) -> int:
    """Pixels from one line to the next."""
    return round(size * 1.4)


def fit(text: str, size: int, width: int) -> tuple[str, int]:
    """A line made to fit into `width` pixels: set smaller, then cut off with an ellipsis."""
    while size > _SMALLEST_TEXT and text_width(text, size) > width:
        size -= 1
    if text_width(text, size) <= width:
        return text, size
    while text and text_width(text + _ELLIPSIS, size) > width:
        text = text[:-1]
    return (text.rstrip() + _ELLIPSIS if text else ""), size


def chip(text: str, size: int, width: int) -> NDArray[np.uint8]:
    """A label that can be read on any background: light text on a dark, nearly opaque, rounded patch.

    Args:
        text: One line.
        size: Wanted text height in pixels.
        width: Largest width of the patch in pixels.

    Returns:
        (h, w, 4) RGBA; zero-sized where not even the ellipsis fits.
    """
    pad_x, pad_y = max(3, round(size * 0.5)), max(2, round(size * 0.28))
    text, size = fit(text, size, width - 2 * pad_x)
    if not text:
        return np.zeros((0, 0, 4), np.uint8)
    # Capitals and descenders share the line, whatever letters the label has, so that all chips are equally
    # high.
    top, bottom = font(size).getbbox("Ag")[1], font(size).getbbox("Ag")[3]
    extent = (text_width(text, size) + 2 * pad_x, round(bottom - top) + 2 * pad_y)
    image = Image.new("RGBA", extent, (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    corner = (0, 0, extent[0] - 1, extent[1] - 1)
    draw.rounded_rectangle(corner, radius=round(size * 0.35), fill=(*BACKGROUND, _CHIP_OPACITY))
    draw.text((pad_x, pad_y - top), text, font=font(size), fill=(*TEXT, 255))
    return np.asarray(image)


def paste(picture: NDArray[np.uint8], patch: NDArray[np.uint8], y: int, x: int) -> None:
    """Lay an RGBA patch (h, w, 4) over an RGB picture in place; what sticks out is cut off."""
    height, width = picture.shape[:2]
    top, left = max(y, 0), max(x, 0)
    bottom, right = min(y + patch.shape[0], height), min(x + patch.shape[1], width)
    if top >= bottom or left >= right:
        return
    part = patch[top - y : bottom - y, left - x : right - x].astype(np.uint16)
    alpha = part[..., 3:]
    under = picture[top:bottom, left:right]
    under[:] = ((part[..., :3] * alpha + under * (255 - alpha) + 127) // 255).astype(np.uint8)


def to_bytes(picture: NDArray) -> NDArray[np.uint8]:
    """Floats in 0..1 rounded to 8 bits; uint8 as it is."""
    if picture.dtype == np.uint8:
        return picture
    return np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)

"""The difference of two pictures, amplified, on a colour scale that colour-blind eyes can read."""

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from quantvsr.errors import BadInput
from quantvsr.upscale.labels import TEXT, font, paste, text_width, to_bytes

_BAR_CHIP = (22, 24, 29, 215)


def _map(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """0..255 to the `inferno` scale (black, violet, orange, pale yellow): lightness rises evenly."""
    coloured = cv2.applyColorMap(np.ascontiguousarray(values), cv2.COLORMAP_INFERNO)
    return np.ascontiguousarray(coloured[..., ::-1], np.uint8)


def difference_picture(
    a: NDArray, b: NDArray, *, full_scale: float = 0.1, bar: bool = True
) -> NDArray[np.uint8]:
    """Where and how much two pictures differ.

    Args:
        a: (H, W, 3) RGB; floats in 0..1 or uint8.
        b: The other one, same size.
        full_scale: The difference, 0..1, that gets the brightest colour; larger ones look the same.
        bar: Draw the colour scale into the lower left corner, where the picture has room.

    Returns:
        (H, W, 3) uint8: the largest absolute difference of the three channels; black is none.

    Raises:
        BadInput: Different sizes, or `full_scale` is not above 0.
    """
    if a.shape != b.shape:
        raise BadInput(
            f"The compared pictures have different sizes ({a.shape[1]}x{a.shape[0]} and "
            f"{b.shape[1]}x{b.shape[0]}); scale or crop one of them first."
        )
    if not full_scale > 0:
        raise BadInput(f"A difference of {full_scale} cannot be full scale; give a number above 0.")
    floats = [p.astype(np.float32) / 255 if p.dtype == np.uint8 else np.clip(p, 0, 1) for p in (a, b)]
    amount = np.abs(floats[0] - floats[1]).max(axis=2) / full_scale
    picture = _map(to_bytes(amount))
    if bar:
        _draw_bar(picture, full_scale)
    return picture


def _draw_bar(picture: NDArray[np.uint8], full_scale: float) -> None:
    height, width = picture.shape[:2]
    size = min(max(round(width / 34), 11), 32)
    text = f"{full_scale * 100:.3g} %"
    bar_width, bar_height = size * 6, round(size * 0.8)
    pad = round(size * 0.5)
    total = (pad * 4 + text_width("0", size) + bar_width + text_width(text, size), size + 2 * pad)
    if total[0] > width - 2 * pad or total[1] > height // 3:
        return
    image = Image.new("RGBA", total, (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    draw.rounded_rectangle((0, 0, total[0] - 1, total[1] - 1), radius=round(size * 0.35), fill=_BAR_CHIP)
    middle = total[1] // 2
    draw.text((pad, middle), "0", font=font(size), fill=(*TEXT, 255), anchor="lm")
    left = 2 * pad + text_width("0", size)
    scale = _map(np.tile(np.linspace(0, 255, bar_width).round().astype(np.uint8), (bar_height, 1)))
    image.paste(Image.fromarray(scale), (left, middle - bar_height // 2))
    draw.rectangle(
        (left - 1, middle - bar_height // 2 - 1, left + bar_width, middle - bar_height // 2 + bar_height),
        outline=(*TEXT, 255),
    )
    draw.text((left + bar_width + pad, middle), text, font=font(size), fill=(*TEXT, 255), anchor="lm")
    paste(picture, np.asarray(image), height - total[1] - pad, pad)

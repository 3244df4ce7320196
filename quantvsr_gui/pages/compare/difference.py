"""Differences of two pictures, amplified, as pictures. Pure NumPy, on bytes, fast enough while scrubbing."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

KINDS = {"off": "No difference", "absolute": "Absolute", "signed": "Signed", "heat": "Heat map"}
GAINS = (1, 2, 4, 8, 16)
Pixels = NDArray[np.uint8]
_BLOCK = 2**16  # pixels

# Viridis (van der Walt and Smith, 2015; CC0), sampled: lightness rises evenly, also for colour-blind eyes.
_VIRIDIS = (
    (68, 1, 84), (72, 36, 117), (65, 68, 135), (53, 95, 141), (42, 120, 142), (33, 145, 140), (34, 168, 132),
    (68, 191, 112), (122, 209, 81), (189, 223, 38), (253, 231, 37),
)  # fmt: skip


@lru_cache(maxsize=1)
def heat_colours() -> NDArray[np.uint32]:
    """256 colours from no difference (dark violet) to the largest (yellow), as pixels of 4 bytes."""
    place = np.linspace(0, len(_VIRIDIS) - 1, 256)
    table = np.asarray(_VIRIDIS, float)
    channels = [np.interp(place, np.arange(len(table)), table[:, i]) for i in (2, 1, 0)]
    pixels = np.stack([*channels, np.full(256, 255.0)], axis=1)
    return np.rint(pixels).astype(np.uint8).view(np.uint32).reshape(256)


def legend_colours(kind: str) -> NDArray[np.uint32]:
    """256 colours from the least to the most that a kind of difference shows."""
    grey = np.arange(256, dtype=np.uint32) * np.uint32(0x010101) | np.uint32(0xFF000000)
    return heat_colours() if kind == "heat" else grey


def difference(picture: Pixels, reference: Pixels, kind: str, gain: int, step: int = 1) -> Pixels:
    """How a picture differs from a reference.

    Args:
        picture: (H, W, 4): blue, green, red, 255; may be a part of a larger picture.
        reference: The same size.
        kind: "absolute" (each channel; black is none), "signed" (grey is none, brighter is more) or "heat"
            (the largest of the channels, coloured).
        gain: What differences are multiplied by; what leaves the scale is cut off.
        step: Only every such row and column is looked at, for pictures that are drawn so much smaller.

    Returns:
        (ceil(H / step), ceil(W / step), 4).

    Raises:
        ValueError: The sizes differ, or the kind is unknown.
    """
    if picture.shape != reference.shape:
        raise ValueError("the pictures differ in size")
    if kind not in _METHODS:
        raise ValueError(f"no difference of kind {kind!r}")
    # Whole pixels are copied at once, where NumPy would go through strided bytes one by one.
    a, b = (_whole(each)[::step, ::step] for each in (picture, reference))
    result = np.empty((*a.shape, 4), np.uint8)
    # Some rows at a time: what is between stays in the processor's cache.
    rows = max(_BLOCK // max(a.shape[1], 1), 1)
    for top in range(0, len(a), rows):
        part = slice(top, top + rows)
        first, second = (np.ascontiguousarray(each[part]).view(np.uint8) for each in (a, b))
        _METHODS[kind](first, second, gain, result[part].reshape(first.shape))
    return result


def _whole(pixels: Pixels) -> NDArray[np.uint32]:
    """Pixels as one number each."""
    return pixels.view(np.uint32)[..., 0]


def _absolute(picture: Pixels, reference: Pixels, gain: int, out: Pixels) -> None:
    np.maximum(picture, reference, out=out)
    out -= np.minimum(picture, reference)
    if gain > 1:
        most = np.uint8(255 // gain)
        beyond = out > most
        # One more than fits times a power of two is 256, which a byte keeps as 0; one less is 255.
        np.minimum(out, most + np.uint8(1), out=out)
        out *= np.uint8(gain)
        out -= beyond.view(np.uint8)
    _opaque(out)


def _signed(picture: Pixels, reference: Pixels, gain: int, out: Pixels) -> None:
    apart = picture.astype(np.int16)
    apart -= reference
    apart *= np.int16(gain)
    apart >>= 1
    apart += 128
    np.clip(apart, 0, 255, out=apart)
    out[...] = apart
    _opaque(out)


def _heat(picture: Pixels, reference: Pixels, gain: int, out: Pixels) -> None:
    np.maximum(picture, reference, out=out)
    out -= np.minimum(picture, reference)
    pixels = out.view(np.uint32)
    # Only the lowest byte counts: the fourth channel is the same in both pictures, so nothing is above red.
    largest = pixels >> 16
    np.maximum(largest, pixels >> 8 & 255, out=largest)
    np.maximum(largest, pixels & 255, out=largest)
    np.take(_scale(gain), largest, out=pixels, mode="clip")


def _opaque(out: Pixels) -> None:
    pixels = out.view(np.uint32)
    pixels |= np.uint32(0xFF000000)


_METHODS = {"absolute": _absolute, "signed": _signed, "heat": _heat}


@lru_cache(maxsize=len(GAINS))
def _scale(gain: int) -> NDArray[np.uint32]:
    return heat_colours()[np.minimum(np.arange(256) * gain, 255)]

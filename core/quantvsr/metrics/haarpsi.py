"""Haar wavelet-based perceptual similarity after Reisenhofer, Bosse, Kutyniok, Wiegand (SPIC 61, 2018)."""

import cv2
import numpy as np
from numpy.typing import NDArray

from quantvsr.errors import BadInput
from quantvsr.metrics.frames import Picture, check_same_size, crop, halve
from quantvsr.metrics.motion import Motion
from quantvsr.metrics.registry import Accumulator, metric

Plane = NDArray[np.float64]
_C, _ALPHA = 30.0, 4.2
_SCALES = (1, 2, 3)
# NTSC's YIQ, as the paper takes it.
_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
# The widest filter covers 8 pixels of the halved frame.
_SMALLEST = 16


def _filtered(plane: Plane, across: Plane, down: Plane) -> Plane:
    # An even filter has no middle: this anchor is that of a convolution that keeps the size.
    anchor = (len(across) // 2 - 1, len(down) // 2 - 1)
    return np.abs(
        cv2.sepFilter2D(plane, cv2.CV_64F, across, down, anchor=anchor, borderType=cv2.BORDER_CONSTANT)
    )


def _features(picture: Picture, border: int) -> tuple[list[list[Plane]], list[Plane]]:
    """Magnitudes of Haar coefficients [direction][scale], and of smoothed I and Q; kept with the picture."""
    key = ("haarpsi", border)
    if key not in picture.kept:
        rgb = crop(picture.unit, border).astype(np.float64) * 255
        y, i, q = (
            halve(rgb[..., 0] * red + rgb[..., 1] * green + rgb[..., 2] * blue) for red, green, blue in _YIQ
        )
        edges: list[list[Plane]] = [[], []]
        for scale in _SCALES:
            size = 2**scale
            flat, step = np.full(size, 2.0**-scale), np.repeat([-1.0, 1.0], size // 2)
            edges[0].append(_filtered(y, flat, step))
            edges[1].append(_filtered(y, step, flat))
        mean = np.full(2, 0.5)
        picture.kept[key] = edges, [_filtered(plane, mean, mean) for plane in (i, q)]
    return picture.kept[key]


def _similarity(a: Plane, b: Plane) -> Plane:
    return (2 * a * b + _C) / (a * a + b * b + _C)


def haarpsi(a: Picture, b: Picture, border: int = 0) -> float:
    """HaarPSI of two colour pictures of one size, 0..1, 1 where they are equal (equations 10 to 15)."""
    (edges_a, colour_a), (edges_b, colour_b) = (_features(picture, border) for picture in (a, b))
    similar, weights = [], []
    for one, other in zip(edges_a, edges_b, strict=True):
        similar.append((_similarity(one[0], other[0]) + _similarity(one[1], other[1])) / 2)
        weights.append(np.maximum(one[2], other[2]))
    similar.append(sum(_similarity(c, d) for c, d in zip(colour_a, colour_b, strict=True)) / 2)
    weights.append((weights[0] + weights[1]) / 2)
    total = float(sum(weight.sum() for weight in weights))
    if total == 0.0:
        # Both are flat: nothing has an edge, so only colour and none of the weights can tell.
        return float(similar[2].mean())
    pressed = sum(
        float((weight / (1 + np.exp(-_ALPHA * part))).sum())
        for part, weight in zip(similar, weights, strict=True)
    )
    share = pressed / total
    return float((np.log(share / (1 - share)) / _ALPHA) ** 2)


@metric(
    "haarpsi",
    title="HaarPSI",
    direction="higher",
    range=(0.0, 1.0),
    needs=("reference",),
    conventions=(
        "Reisenhofer 2018, colour version: YIQ of gamma-encoded RGB on 0-255, halved by 2x2 means, Haar "
        "filters of three scales (zero outside the frame, as in the authors' code), C = 30, alpha = 4.2; "
        "mean over frames; `border` pixels left out on every side first. Two frames without any edge have "
        "no weights: then the mean similarity of their colours."
    ),
)
class HaarPsi(Accumulator):
    """How alike the edges and colours of two pictures look."""

    def _value(self, frame: Picture, reference: Picture | None, motion: Motion | None) -> float | None:
        if reference is None:
            raise BadInput("HaarPSI compares two clips; give the reference clip as well.")
        check_same_size(frame, reference)
        if min(frame.unit.shape[:2]) - 2 * self.border < _SMALLEST:
            return None
        return haarpsi(frame, reference, self.border)

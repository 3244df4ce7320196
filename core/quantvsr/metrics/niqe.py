"""NIQE: how far the local statistics of a picture are from those of undistorted photographs.

Mittal, Soundararajan, Bovik: Making a "completely blind" image quality analyzer, IEEE SPL 20(3), 2013.
"""

import math
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from quantvsr.metrics.frames import Picture, crop, full_range_luma
from quantvsr.metrics.motion import Motion
from quantvsr.metrics.registry import Accumulator, metric
from quantvsr.resources import resource

Plane = NDArray[np.float64]

_BLOCK = 96
_FLAT = 1e-9  # of float noise in a flat region; one step of one pixel changes more by far
_SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))  # right, down, both diagonals: the order of the model's features


def _gaussian() -> Plane:
    taps = np.exp(-np.square(np.arange(-3.0, 4.0)) / (2 * (7 / 6) ** 2))
    return taps / taps.sum()


def _halving() -> Plane:
    # Keys' cubic (a = -0.5) stretched to twice its width, at the eight pixels around a new pixel's centre.
    x = np.abs(np.arange(-3.5, 4.0)) / 2
    near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    taps = np.where(x <= 1, near, far)
    return taps / taps.sum()


_WINDOW, _HALF = _gaussian(), _halving()


def _smooth(plane: Plane) -> Plane:
    filtered = cv2.sepFilter2D(plane, cv2.CV_64F, _WINDOW, _WINDOW, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(filtered, np.float64)


def normalised(plane: Plane) -> Plane:
    """Mean-subtracted, contrast-normalised values (equation 1), with the nearest value beyond edges.

    Args:
        plane: (H, W) luma, 0..255.

    Returns:
        (H, W); exactly 0 where the 7x7 window is flat.
    """
    mean = _smooth(plane)
    deviation = np.sqrt(np.abs(_smooth(plane * plane) - mean * mean))
    difference = plane - mean
    difference[np.abs(difference) < _FLAT] = 0.0
    return difference / (deviation + 1)


def shrunk(plane: Plane) -> Plane:
    """Half of an even size, by antialiased bicubic with mirrored edges as MATLAB's imresize does it."""
    whole = cv2.sepFilter2D(plane, cv2.CV_64F, _HALF, _HALF, anchor=(3, 3), borderType=cv2.BORDER_REFLECT)
    return np.asarray(whole[::2, ::2], np.float64)


@lru_cache(maxsize=1)
def _shapes() -> tuple[Plane, Plane, Plane, Plane]:
    """Shapes 0.2 to 10 of a generalized Gaussian, and its ratio of moments, scale and mean for each."""
    alpha = np.arange(200, 10001) / 1000
    one, two, three = (np.array([math.gamma(k / a) for a in alpha]) for k in (1, 2, 3))
    return alpha, two**2 / (one * three), np.sqrt(one / three), two / one


def fitted(values: Plane) -> tuple[Plane, Plane, Plane, Plane]:
    """Asymmetric generalized Gaussians, fitted by their moments (equations 4 to 8).

    Args:
        values: (N, M): N sets.

    Returns:
        Shape, mean, left and right scale, (N,) each; all but the shape are NaN where one side of 0 is empty.
    """
    size = values.shape[1]
    positive, negative = np.maximum(values, 0.0), np.minimum(values, 0.0)
    squares = [np.einsum("nm,nm->n", side, side) for side in (negative, positive)]
    counts = [np.count_nonzero(side, axis=1) for side in (negative, positive)]
    with np.errstate(divide="ignore", invalid="ignore"):
        left, right = (np.sqrt(square / count) for square, count in zip(squares, counts, strict=True))
        ratio = left / right
        moments = ((positive.sum(1) - negative.sum(1)) / size) ** 2 / ((squares[0] + squares[1]) / size)
        moments *= (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1) ** 2
    alpha, moment_of, scale_of, mean_of = _shapes()
    # The nearest entry of a table that rises with the shape.
    place = np.clip(np.searchsorted(moment_of, moments), 1, len(alpha) - 1)
    place -= moments - moment_of[place - 1] <= moment_of[place] - moments
    left, right = left * scale_of[place], right * scale_of[place]
    return alpha[place], (right - left) * mean_of[place], left, right


def features(plane: Plane) -> Plane:
    """36 features of each block of 96x96 pixels, 18 on each of two scales (section II).

    Args:
        plane: (H, W) luma, 0..255; what is left over at the right and the bottom is not looked at.

    Returns:
        (N, 36), row by row; a block without texture holds NaN.
    """
    rows, columns = plane.shape[0] // _BLOCK, plane.shape[1] // _BLOCK
    if rows * columns == 0:
        return np.empty((0, 36))
    plane, found = np.ascontiguousarray(plane[: rows * _BLOCK, : columns * _BLOCK]), []
    for side in (_BLOCK, _BLOCK // 2):
        if side < _BLOCK:
            plane = shrunk(plane)
        blocks = normalised(plane).reshape(rows, side, columns, side).swapaxes(1, 2).reshape(-1, side, side)
        shape, _, left, right = fitted(blocks.reshape(len(blocks), -1))
        found += [shape, (left + right) / 2]
        for shift in _SHIFTS:
            # Neighbours are sought inside the block, which is closed to a ring as in the authors' code.
            products = blocks * np.roll(blocks, shift, axis=(1, 2))
            found += fitted(products.reshape(len(blocks), -1))
    return np.stack(found, axis=1)


@lru_cache(maxsize=1)
def pristine() -> tuple[Plane, Plane]:
    """Mean (36,) and covariance (36, 36) of the features of undistorted photographs, as published."""
    with np.load(resource("metrics/niqe.npz")) as file:
        return file["mean"], file["covariance"]


def niqe(plane: Plane) -> float | None:
    """Distance between the Gaussians of a picture's features and of undistorted photographs (equation 10).

    Args:
        plane: (H, W) luma in whole steps, 0..255.

    Returns:
        0 or more; None where fewer than two blocks have texture.
    """
    found = features(plane)
    found = found[np.isfinite(found).all(axis=1)]
    if len(found) < 2:
        return None
    mean, covariance = pristine()
    away = found.mean(axis=0) - mean
    pooled = (covariance + np.cov(found, rowvar=False)) / 2
    return math.sqrt(max(float(away @ np.linalg.pinv(pooled, hermitian=True) @ away), 0.0))


@metric(
    "niqe",
    title="NIQE",
    direction="lower",
    range=(0.0, None),
    licence="Apache-2.0; numbers of the model as LIVE's notice allows, see resources/metrics/niqe-notice.txt",
    conventions=(
        "Mittal 2013, with the authors' published model and 96x96 blocks: BT.601 luma on the full scale "
        "0-255, rounded to whole steps (grey of an 8-bit picture, as in the authors' code; some papers take "
        "luma on 16-235, which gives other figures), two scales, the second by antialiased bicubic; pixels "
        "right of and below the last whole block are not looked at; mean over frames; `border` pixels left "
        "out on every side first. Blocks without texture, such as black bars, are left out; a frame needs "
        "two blocks that have some. It knows photographs, not what the frame should show: wrong detail can "
        "lower it. Read it beside the reference clip's own; compare frames of one size only."
    ),
)
class Niqe(Accumulator):
    """NIQE of each frame, without any reference."""

    def _value(self, frame: Picture, reference: Picture | None, motion: Motion | None) -> float | None:
        luma = full_range_luma(crop(frame.luma, self.border))
        # 8-bit RGB gives multiples of 0.001: halves go up whatever the noise of floats says.
        return niqe(np.floor(luma + 0.5001))

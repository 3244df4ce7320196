"""Structural similarity after Wang, Bovik, Sheikh, Simoncelli (IEEE TIP 13(4), 2004)."""

import cv2
import numpy as np
from numpy.typing import NDArray

from quantvsr.errors import BadInput
from quantvsr.metrics.frames import crop, luma, to_pair
from quantvsr.metrics.motion import Motion
from quantvsr.metrics.registry import Accumulator, metric

SSIM_WINDOW = 11
_SIGMA = 1.5
_K1, _K2, _PEAK = 0.01, 0.03, 255.0


def _gaussian() -> NDArray[np.float64]:
    distance = np.arange(SSIM_WINDOW) - SSIM_WINDOW // 2
    weights = np.exp(-(distance**2) / (2 * _SIGMA**2))
    return weights / weights.sum()


_KERNEL = _gaussian()


def _local_mean(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gaussian-weighted mean around each pixel whose whole window lies inside: (H - 10, W - 10)."""
    # The border rule is of no account: what it touches is cut off. One thread or many, the sum is the same.
    filtered = cv2.sepFilter2D(plane, cv2.CV_64F, _KERNEL, _KERNEL, borderType=cv2.BORDER_REFLECT)
    return crop(filtered, SSIM_WINDOW // 2)


def ssim_map(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """SSIM at each pixel whose 11 x 11 window lies inside the picture.

    Args:
        a: (H, W) plane on the 8-bit scale, at least 11 x 11.
        b: The other one.

    Returns:
        (H - 10, W - 10) values in -1..1 (equation 13 of the paper, population variances).
    """
    mean_a, mean_b = _local_mean(a), _local_mean(b)
    variance_a = _local_mean(a * a) - mean_a * mean_a
    variance_b = _local_mean(b * b) - mean_b * mean_b
    covariance = _local_mean(a * b) - mean_a * mean_b
    c1, c2 = (_K1 * _PEAK) ** 2, (_K2 * _PEAK) ** 2
    numerator = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    return numerator / ((mean_a**2 + mean_b**2 + c1) * (variance_a + variance_b + c2))


@metric(
    "ssim",
    title="SSIM",
    direction="higher",
    range=(-1.0, 1.0),
    needs=("reference",),
    conventions=(
        "Wang 2004: 11x11 Gaussian window with sigma 1.5, K1 0.01, K2 0.03, population variances, on BT.601 "
        "luma (16-235, not rounded) with L = 255, mean over windows that lie inside the frame, then over "
        "frames; no downscaling before; `border` pixels left out on every side first."
    ),
)
class Ssim(Accumulator):
    """Mean structural similarity on luma; None for frames smaller than the 11 x 11 window."""

    def _value(self, frame: NDArray, reference: NDArray | None, motion: Motion | None) -> float | None:
        if reference is None:
            raise BadInput("SSIM compares two clips; give the reference clip as well.")
        a, b = (crop(picture, self.border) for picture in to_pair(frame, reference))
        if min(a.shape[:2]) < SSIM_WINDOW:
            return None
        return float(ssim_map(luma(a), luma(b)).mean())

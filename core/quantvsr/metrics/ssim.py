"""Structural similarity after Wang, Bovik, Sheikh, Simoncelli (IEEE TIP 13(4), 2004)."""

import cv2
import numpy as np
from numpy.typing import NDArray

from quantvsr.errors import BadInput
from quantvsr.metrics.frames import Picture, check_same_size, crop
from quantvsr.metrics.motion import Motion
from quantvsr.metrics.registry import Accumulator, metric

Plane = NDArray[np.float64]
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


def _moments(picture: Picture, border: int) -> tuple[Plane, Plane, Plane]:
    """Luma without the border, its local mean and its local variance; kept with the picture."""
    key = ("ssim", border)
    if key not in picture.kept:
        plane = crop(picture.luma, border)
        mean = _local_mean(plane)
        picture.kept[key] = plane, mean, _local_mean(plane * plane) - mean * mean
    return picture.kept[key]


def ssim_map(a: Picture, b: Picture, border: int = 0) -> Plane:
    """SSIM of luma at each pixel whose 11 x 11 window lies inside the picture.

    Args:
        a: At least 11 x 11 pixels without the border.
        b: The other one, same size.
        border: Pixels left out on every side first.

    Returns:
        (H - 2 border - 10, W - 2 border - 10), in -1..1 (equation 13 of the paper, population variances).
    """
    plane_a, mean_a, variance_a = _moments(a, border)
    plane_b, mean_b, variance_b = _moments(b, border)
    covariance = _local_mean(plane_a * plane_b) - mean_a * mean_b
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

    def _value(self, frame: Picture, reference: Picture | None, motion: Motion | None) -> float | None:
        if reference is None:
            raise BadInput("SSIM compares two clips; give the reference clip as well.")
        check_same_size(frame, reference)
        if min(frame.unit.shape[:2]) - 2 * self.border < SSIM_WINDOW:
            return None
        return float(ssim_map(frame, reference, self.border).mean())

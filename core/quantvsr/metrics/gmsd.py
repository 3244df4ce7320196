"""Gradient magnitude similarity deviation after Xue, Zhang, Mou, Bovik (IEEE TIP 23(2), 2014)."""

import cv2
import numpy as np
from numpy.typing import NDArray

from quantvsr.errors import BadInput
from quantvsr.metrics.frames import Picture, check_same_size, crop, full_range_luma, halve
from quantvsr.metrics.motion import Motion
from quantvsr.metrics.registry import Accumulator, metric

Plane = NDArray[np.float64]
# The paper's constant, for grey levels 0..255.
_T = 170.0
# Smaller than this nothing is left of a frame once it is halved and its gradients are taken.
_SMALLEST = 6


def _gradients(picture: Picture, border: int) -> Plane:
    """Gradient magnitude (Prewitt, a third) of the halved luma; kept with the picture."""
    key = ("gmsd", border)
    if key not in picture.kept:
        half = halve(full_range_luma(crop(picture.luma, border)))
        smooth, slope = np.full(3, 1 / 3), np.array([-1.0, 0.0, 1.0])
        across, down = (
            cv2.sepFilter2D(half, cv2.CV_64F, *kernels, borderType=cv2.BORDER_CONSTANT)
            for kernels in ((slope, smooth), (smooth, slope))
        )
        picture.kept[key] = np.hypot(across, down)
    return picture.kept[key]


@metric(
    "gmsd",
    title="GMSD",
    direction="lower",
    range=(0.0, 1.0),
    needs=("reference",),
    conventions=(
        "Xue 2014: BT.601 luma on the full scale 0-255, halved by 2x2 means, Prewitt gradients (zero "
        "outside the frame, as in the authors' code), T = 170, population deviation of the similarity over "
        "the frame, then mean over frames; `border` pixels left out on every side first."
    ),
)
class Gmsd(Accumulator):
    """How unevenly the edges of two pictures resemble each other; 0 is equal."""

    def _value(self, frame: Picture, reference: Picture | None, motion: Motion | None) -> float | None:
        if reference is None:
            raise BadInput("GMSD compares two clips; give the reference clip as well.")
        check_same_size(frame, reference)
        if min(frame.unit.shape[:2]) - 2 * self.border < _SMALLEST:
            return None
        a, b = (_gradients(picture, self.border) for picture in (frame, reference))
        return float(((2 * a * b + _T) / (a * a + b * b + _T)).std())

"""Peak signal-to-noise ratio, on RGB and on luma."""

import numpy as np
from numpy.typing import NDArray

from quantvsr.errors import BadInput
from quantvsr.metrics.frames import Picture, check_same_size, crop
from quantvsr.metrics.motion import Motion
from quantvsr.metrics.registry import Accumulator, metric

# Equal frames would give infinity, which JSON cannot hold and no mean survives.
PSNR_CAP = 100.0

_SHARED = (
    "Values in 0..1 before encoding, not rounded to 8 bits unless the clip is; mean over frames of each "
    f"frame's decibels, each cut off at {PSNR_CAP:.0f} dB (equal frames); `border` pixels left out on every "
    "side."
)


def psnr(difference: NDArray, peak: float) -> float:
    """PSNR in dB of a difference picture, at most `PSNR_CAP`."""
    error = float(np.mean(np.square(difference, dtype=np.float64)))
    if error <= 0.0:
        return PSNR_CAP
    return min(PSNR_CAP, float(10.0 * np.log10(peak * peak / error)))


class _Psnr(Accumulator):
    """Shared part: border off, PSNR of what `_plane` makes of them."""

    peak: float

    def _value(self, frame: Picture, reference: Picture | None, motion: Motion | None) -> float | None:
        if reference is None:
            raise BadInput("PSNR compares two clips; give the reference clip as well.")
        check_same_size(frame, reference)
        a, b = (crop(self._plane(picture), self.border) for picture in (frame, reference))
        return None if a.size == 0 else psnr(np.subtract(a, b, dtype=np.float64), self.peak)

    def _plane(self, picture: Picture) -> NDArray:
        raise NotImplementedError


@metric(
    "psnr",
    title="PSNR (RGB)",
    unit="dB",
    direction="higher",
    range=(0.0, PSNR_CAP),
    needs=("reference",),
    conventions=f"Mean squared error over pixels and channels of gamma-encoded RGB, peak 1. {_SHARED}",
)
class PsnrRgb(_Psnr):
    """PSNR over the three channels of gamma-encoded RGB."""

    peak = 1.0

    def _plane(self, picture: Picture) -> NDArray:
        return picture.unit


@metric(
    "psnr_y",
    title="PSNR (luma)",
    unit="dB",
    direction="higher",
    range=(0.0, PSNR_CAP),
    needs=("reference",),
    conventions=f"BT.601 luma on the 16-235 scale, not rounded, peak 255 (as in most papers). {_SHARED}",
)
class PsnrLuma(_Psnr):
    """PSNR on BT.601 luma, 16-235, with peak 255."""

    peak = 255.0

    def _plane(self, picture: Picture) -> NDArray:
        return picture.luma

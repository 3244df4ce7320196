"""Warping error E*_warp: how much a clip changes along its own motion."""

import numpy as np

from quantvsr.errors import BadInput
from quantvsr.metrics.frames import FloatImage, Picture
from quantvsr.metrics.motion import Motion, sample
from quantvsr.metrics.registry import Accumulator, metric

# Tables print E_warp in thousandths and call it E*_warp.
WARP_SCALE = 1e3


@metric(
    "warp_error",
    title="E*warp (DIS)",
    unit="1e-3",
    direction="lower",
    range=(0.0, WARP_SCALE),
    needs=("motion",),
    frames=2,
    conventions=(
        "Warping error, mode `dis`. For each pair of neighbouring frames the later one is drawn back to the "
        "earlier one along the optical flow (bilinear) and the squared difference, mean over RGB in 0..1 "
        "and over visible pixels, is taken; mean over pairs, times 1000 (E*warp = E_warp / 1e-3; Lai et "
        "al., ECCV 2018). Flow: OpenCV DIS, preset medium, on 8-bit BT.601 luma, from the earlier to the "
        "later frame of the reference clip (ground truth where there is one, else the full-precision "
        "output, else the clip itself), the same flow for every clip that is compared. Visible: target "
        "inside the frame, forward-backward test 0.01 (|w|^2 + |w'|^2) + 0.5, no motion boundary 0.01 |w|^2 "
        "+ 0.002 (Sundaram et al., ECCV 2010). Pairs with no visible pixel (hard cuts) are left out. "
        "Figures of other flow methods differ: compare only like with like."
    ),
)
class WarpError(Accumulator):
    """E*_warp of one clip along motion that is handed in.

    `border` pixels of each frame are left out of the mean (the motion may still lead there).

    Attributes:
        visible_share: Part of the pixels that counted in the newest pair, 0..1; None before there is a pair.
    """

    def __init__(self, border: int = 0) -> None:
        super().__init__(border)
        self.visible_share: float | None = None
        self._earlier: FloatImage | None = None

    def _value(self, frame: Picture, reference: Picture | None, motion: Motion | None) -> float | None:
        later = np.ascontiguousarray(frame.unit, dtype=np.float32)
        earlier, self._earlier = self._earlier, later
        if earlier is None:
            return None
        if motion is None:
            raise BadInput("The warping error follows motion; give one with every frame but the first.")
        if not earlier.shape[:2] == later.shape[:2] == motion.visible.shape:
            height, width = motion.visible.shape
            raise BadInput(
                f"The frames ({later.shape[1]}x{later.shape[0]}) and their motion ({width}x{height}) have "
                "different sizes; scale or crop one of the clips first."
            )
        counts = motion.visible.copy()
        if self.border:
            counts[: self.border] = counts[-self.border :] = False
            counts[:, : self.border] = counts[:, -self.border :] = False
        self.visible_share = float(counts.mean())
        if not counts.any():
            return None
        difference = sample(later, motion.flow) - earlier
        squared = np.einsum("hwc,hwc->hw", difference, difference)
        return WARP_SCALE * float(squared[counts].mean(dtype=np.float64)) / 3

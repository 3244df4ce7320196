"""Change from frame to frame without following motion: plain, and against a reference clip."""

import numpy as np
from numpy.typing import NDArray

from quantvsr.errors import BadInput
from quantvsr.metrics.frames import Picture, check_same_size, crop
from quantvsr.metrics.motion import Motion
from quantvsr.metrics.registry import Accumulator, metric


class _Change(Accumulator):
    """Shared part: mean absolute change, from one call to the next, of the plane that a subclass makes."""

    def __init__(self, border: int = 0) -> None:
        super().__init__(border)
        self._earlier: NDArray[np.float64] | None = None

    def _change(self, later: NDArray[np.float64]) -> float | None:
        later = crop(later, self.border)
        earlier, self._earlier = self._earlier, later
        if earlier is None or later.size == 0:
            return None
        if earlier.shape != later.shape:
            raise BadInput("The frame size changes inside a clip; cut the clip there.")
        return float(np.abs(later - earlier).mean())


@metric(
    "temporal_difference",
    title="Temporal difference",
    unit="8-bit steps",
    direction="match",
    range=(0.0, 219.0),
    frames=2,
    conventions=(
        "Mean absolute difference of neighbouring frames at the same place, on BT.601 luma (16-235, not "
        "rounded), mean over pairs. Motion counts too: read it beside the same figure of the reference "
        "clip, not alone."
    ),
)
class TemporalDifference(_Change):
    """How much the picture changes from frame to frame."""

    def _value(self, frame: Picture, reference: Picture | None, motion: Motion | None) -> float | None:
        return self._change(frame.luma)


@metric(
    "flicker",
    title="Flicker",
    unit="8-bit steps",
    direction="lower",
    range=(0.0, 438.0),
    needs=("reference",),
    frames=2,
    conventions=(
        "Mean absolute value of (change of the clip minus change of the reference) between neighbouring "
        "frames, on BT.601 luma (16-235, not rounded), mean over pairs. An error that stands still costs "
        "nothing, one that comes and goes does."
    ),
)
class Flicker(_Change):
    """How much the error against the reference changes from frame to frame."""

    def _value(self, frame: Picture, reference: Picture | None, motion: Motion | None) -> float | None:
        if reference is None:
            raise BadInput("Flicker compares two clips; give the reference clip as well.")
        check_same_size(frame, reference)
        # (a1 - b1) - (a0 - b0) is the change of the error picture.
        return self._change(frame.luma - reference.luma)

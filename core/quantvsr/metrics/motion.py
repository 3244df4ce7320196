"""How a clip moves: dense optical flow with an occlusion test, shared by the temporal metrics."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from quantvsr.errors import BadInput
from quantvsr.metrics.frames import Picture

# DIS refuses pictures with no side of 12 or more, and is poor below about 32.
_SMALLEST_SIDE = 32

# Forward-backward test and motion boundaries: Sundaram, Brox, Keutzer (ECCV 2010), equations 5 and 6; the
# same constants in Ruder, Dosovitskiy, Brox (GCPR 2016), equations 4 and 5, on which E_warp builds.
_CONSISTENCY = (0.01, 0.5)
_BOUNDARY = (0.01, 0.002)


@dataclass(frozen=True)
class Motion:
    """From one frame to the next.

    Attributes:
        flow: (H, W, 2) float32: the pixel at (x, y) of the earlier frame is at (x + flow[y, x, 0],
            y + flow[y, x, 1]) in the later one. Pixels.
        visible: (H, W) bool: the flow can be trusted here: the target lies in the frame, the way back leads
            home, and it is no motion boundary.
    """

    flow: NDArray[np.float32]
    visible: NDArray[np.bool_]


def sample(picture: NDArray[np.float32], flow: NDArray[np.float32]) -> NDArray[np.float32]:
    """The later picture (H, W, ...) drawn back to the earlier grid: bilinear, edges repeated."""
    height, width = flow.shape[:2]
    x = np.arange(width, dtype=np.float32)[None, :] + flow[..., 0]
    y = np.arange(height, dtype=np.float32)[:, None] + flow[..., 1]
    return cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[return-value]


def visible(forward: NDArray[np.float32], backward: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Where the forward flow (H, W, 2) can be trusted, given the flow from the later frame back.

    Three tests, all must pass: the target lies inside the frame; |w + w'|^2 <= 0.01 (|w|^2 + |w'|^2) + 0.5,
    with w' the backward flow at the target; |grad u|^2 + |grad v|^2 <= 0.01 |w|^2 + 0.002 (no motion
    boundary).
    """
    height, width = forward.shape[:2]
    x = np.arange(width, dtype=np.float32)[None, :] + forward[..., 0]
    y = np.arange(height, dtype=np.float32)[:, None] + forward[..., 1]
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)

    back = sample(backward, forward)
    squared = np.square(forward).sum(axis=2)
    factor, offset = _CONSISTENCY
    home = np.square(forward + back).sum(axis=2) <= factor * (squared + np.square(back).sum(axis=2)) + offset

    gradient = np.zeros((height, width), np.float32)
    for axis in (0, 1):
        if forward.shape[axis] > 1:
            gradient += np.square(np.gradient(forward, axis=axis)).sum(axis=2)
    factor, offset = _BOUNDARY
    return inside & home & (gradient <= factor * squared + offset)


class DisMotion:
    """Motion of a clip fed frame by frame, with OpenCV's DIS flow (Kroeger et al., ECCV 2016), preset medium.

    The flow is computed on 8-bit BT.601 luma at the clip's own size. The result does not depend on the number
    of threads. Memory: one frame.
    """

    def __init__(self) -> None:
        self._dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self._earlier: NDArray[np.uint8] | None = None

    def add(self, frame: NDArray | Picture) -> Motion | None:
        """Take the next frame (H, W, 3); give the motion from the one before to it, None for the first.

        Raises:
            BadInput: The size changed, or the frame is not a picture.
        """
        later = np.rint(Picture.of(frame).luma).astype(np.uint8)
        earlier, self._earlier = self._earlier, later
        if earlier is None:
            return None
        if earlier.shape != later.shape:
            (ha, wa), (hb, wb) = earlier.shape, later.shape
            raise BadInput(
                f"The frame size changes from {wa}x{ha} to {wb}x{hb} in a clip; cut the clip there."
            )
        forward, backward = self._flow(earlier, later), self._flow(later, earlier)
        return Motion(forward, visible(forward, backward))

    def _flow(self, a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.float32]:
        height, width = a.shape
        pad = ((0, max(0, _SMALLEST_SIDE - height)), (0, max(0, _SMALLEST_SIDE - width)))
        if pad != ((0, 0), (0, 0)):
            a, b = np.pad(a, pad, mode="edge"), np.pad(b, pad, mode="edge")
        # A fresh start for each pair: the flow of one pair must not depend on the pairs before.
        flow = self._dis.calc(a, b, None)  # type: ignore[call-overload]
        return np.ascontiguousarray(flow[:height, :width], dtype=np.float32)

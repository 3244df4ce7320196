"""A cheap detector of hard cuts, so that no window mixes two scenes."""

import cv2
import numpy as np

_SIZE = 32  # side of the small luma picture
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


def _small_luma(rgb: np.ndarray) -> np.ndarray:
    small = cv2.resize(rgb, (_SIZE, _SIZE), interpolation=cv2.INTER_AREA)
    return small @ _LUMA


def _histogram(luma: np.ndarray) -> np.ndarray:
    counts, _ = np.histogram(luma, bins=16, range=(0.0, 1.0))
    return counts / luma.size


class CutDetector:
    """Tells, frame by frame, whether a new scene begins.

    A cut is a frame whose small luma picture differs from the one before by more than `threshold`, and by
    more than `contrast` times the usual difference of this scene (so that fast but steady motion is no cut).
    Grey-level histograms, blind to motion, must change too unless the difference is very large.

    Args:
        threshold: Least mean absolute difference of luma (0..1) that can be a cut.
        contrast: How many times the scene's usual difference a cut must exceed.
    """

    def __init__(self, threshold: float = 0.06, contrast: float = 3.0) -> None:
        self.threshold = threshold
        self.contrast = contrast
        self._previous: np.ndarray | None = None
        self._usual = 0.0

    def is_cut(self, rgb: np.ndarray) -> bool:
        """Whether `rgb`, float32 (height, width, 3) in 0..1, begins a new scene; the first frame does not."""
        luma = _small_luma(rgb)
        previous, self._previous = self._previous, luma
        if previous is None or previous.shape != luma.shape:
            return False
        difference = float(np.abs(luma - previous).mean())
        spread = float(np.abs(_histogram(luma) - _histogram(previous)).sum()) / 2
        changed = difference > 0.12 or spread > 0.25
        if changed and difference > max(self.threshold, self.contrast * self._usual):
            self._usual = 0.0
            return True
        # Fast to rise, slow to fall: one calm frame must not make the next motion look like a cut.
        self._usual = max(difference, 0.8 * self._usual)
        return False

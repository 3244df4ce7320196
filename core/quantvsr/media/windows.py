"""Temporal windows over a stream of frames, and blending of what a model makes of them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from quantvsr.media.cuts import CutDetector
from quantvsr.media.types import Frame


@dataclass(frozen=True)
class TemporalWindow:
    """Some consecutive frames of one scene, as many as the model sees at once.

    Attributes:
        start: Clip number of the first frame.
        length: Number of positions.
        indices: Clip number of the frame at each position; a scene shorter than the window repeats its last.
        weights: Share of each position in the blended result. Over all windows the shares of a frame add up
            to one; repeated positions have 0.
        frames: The frame at each position.
    """

    start: int
    length: int
    indices: tuple[int, ...]
    weights: tuple[float, ...]
    frames: tuple[Frame, ...] = field(repr=False, compare=False, default=())

    def stack(self) -> np.ndarray:
        """The pictures as one float32 array (length, height, width, 3)."""
        return np.stack([frame.rgb for frame in self.frames])


class _Scene:
    """The frames of one scene that are still needed, and the windows that are not yet given out."""

    def __init__(self, length: int, overlap: int) -> None:
        self.length = length
        self.stride = length - overlap
        self.frames: list[Frame] = []
        self.offset = 0  # scene number of frames[0]
        self.count = 0  # frames seen
        self.next = 0  # scene number where the next window starts
        self.previous: list[int] = []  # starts of the last windows given out, for the weights

    def add(self, frame: Frame) -> Iterator[TemporalWindow]:
        self.frames.append(frame)
        self.count += 1
        # With this many frames, whatever comes, the windows overlapping the next one are known.
        while self.count >= self.next + 2 * self.length:
            yield self._window(self.next, self._regular_starts(self.next + self.length))
            self.next += self.stride

    def finish(self) -> Iterator[TemporalWindow]:
        if not self.count:
            return
        last = max(self.count - self.length, 0)
        starts = [*range(self.next, last, self.stride), last]
        for start in starts:
            yield self._window(start, [*self.previous, *starts])

    def _regular_starts(self, end: int) -> list[int]:
        return [*self.previous, *range(self.next, end, self.stride)]

    def _window(self, start: int, starts: Sequence[int]) -> TemporalWindow:
        positions = range(start, start + self.length)
        known = {*starts, start}
        weights = [self._weight(p, start, known) if p < self.count else 0.0 for p in positions]
        chosen = [self.frames[min(p, self.count - 1) - self.offset] for p in positions]
        window = TemporalWindow(
            chosen[0].index, self.length, tuple(f.index for f in chosen), tuple(weights), tuple(chosen)
        )
        self.previous = [s for s in {*self.previous, start} if s > start - self.length]
        self._forget(start)
        return window

    def _weight(self, position: int, start: int, starts: Iterable[int]) -> float:
        """A triangle over each window, divided by the sum over the windows that hold the position."""
        own = min(position - start + 1, start + self.length - position)
        total = sum(max(min(position - s + 1, s + self.length - position), 0) for s in starts)
        return own / total

    def _forget(self, start: int) -> None:
        # The scene may end now, and its last window then reaches back `length` frames from the end.
        keep = max(min(start + 1, self.count - self.length), self.offset)
        del self.frames[: keep - self.offset]
        self.offset = keep


def iter_windows(
    frames: Iterable[Frame],
    length: int = 5,
    overlap: int = 1,
    cuts: CutDetector | None = None,
    *,
    find_cuts: bool = True,
) -> Iterator[TemporalWindow]:
    """Cut a stream of frames into overlapping windows, never across a hard cut.

    Each scene is covered by windows `length - overlap` apart; the last one is moved back so that it ends with
    the scene. At most `3 * length` frames are held.

    Args:
        frames: In order.
        length: Frames per window.
        overlap: Frames that neighbouring windows share, 0 <= overlap < length.
        cuts: Detector to use; a new one by default.
        find_cuts: False takes everything as one scene.

    Raises:
        ValueError: length or overlap out of range.
    """
    if length < 1 or not 0 <= overlap < length:
        raise ValueError(f"windows of {length} frames cannot overlap by {overlap}")
    detector = (cuts or CutDetector()) if find_cuts else None
    scene = _Scene(length, overlap)
    for frame in frames:
        if detector is not None and detector.is_cut(frame.rgb):
            yield from scene.finish()
            scene = _Scene(length, overlap)
        yield from scene.add(frame)
    yield from scene.finish()


def blend_windows(
    results: Iterable[tuple[TemporalWindow, Sequence[np.ndarray] | np.ndarray]],
) -> Iterator[tuple[Frame, np.ndarray]]:
    """Bring the results of windows back to one picture per frame, in order, each frame exactly once.

    Args:
        results: Each window of `iter_windows`, in order, with one array per position (any shape, all alike).

    Yields:
        The input frame and its blended float32 result.
    """
    sums: dict[int, tuple[Frame, np.ndarray, float]] = {}
    for window, outputs in results:
        for frame, weight, output in zip(window.frames, window.weights, outputs, strict=True):
            if weight == 0.0:
                continue
            share = np.asarray(output, dtype=np.float32) * np.float32(weight)
            if frame.index in sums:
                _, picture, have = sums[frame.index]
                sums[frame.index] = (frame, picture + share, have + weight)
            else:
                sums[frame.index] = (frame, share, weight)
        for index in sorted(sums):
            frame, picture, have = sums[index]
            if have < 1 - 1e-6:
                break
            yield frame, picture
            del sums[index]

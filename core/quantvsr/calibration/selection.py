"""Which windows and crops of which clips become calibration samples. NumPy only.

The choice is spread evenly over clips, over time and over the range from flat and still to textured and
moving content, with a moderate preference for the latter. It follows from the clips and one seed.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from quantvsr.errors import BadInput

# u ** _SKEW for u evenly in 0..1: content rank of the crops taken. Below 1 it favours textured and moving
# ones: 0.6 takes 65 % of the crops from the busier half and still every tenth from the flattest fifth.
_SKEW = 0.6
_GOLDEN = 0.6180339887498949  # steps of the golden ratio spread any number of values evenly over 0..1


class ClipSource(Protocol):
    """A clip as calibration reads it.

    Attributes:
        name: For people.
        digest: Hash of the content.
        frames: Number of frames, at least 1.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def digest(self) -> str: ...  # noqa: D102
    @property
    def frames(self) -> int: ...  # noqa: D102

    def read(self, start: int, count: int) -> NDArray[np.float32]:
        """`count` frames from `start`, (count, h, w, 3), 0..1; the last one repeats past the end."""
        ...


@dataclass(frozen=True)
class WindowChoice:
    """One window and crop.

    Attributes:
        clip: Number of the clip.
        start: First frame.
        y: Top of the crop in LQ pixels.
        x: Left of the crop.
        height: Height of the crop.
        width: Width of the crop.
    """

    clip: int
    start: int
    y: int
    x: int
    height: int
    width: int

    def to_json(self) -> dict[str, int]:
        """All values by name."""
        return asdict(self)


def busyness(frames: NDArray[np.float32]) -> NDArray[np.float32]:
    """How textured and moving each pixel is: luma gradients inside frames and differences between frames.

    Args:
        frames: (T, h, w, 3), 0..1.

    Returns:
        (2, h, w): mean absolute gradient and mean absolute frame difference.
    """
    luma = frames @ np.array([0.299, 0.587, 0.114], np.float32)
    texture = np.zeros(luma.shape[1:], np.float32)
    texture[:, 1:] += np.abs(np.diff(luma, axis=2)).mean(0)
    texture[1:] += np.abs(np.diff(luma, axis=1)).mean(0)
    motion = np.abs(np.diff(luma, axis=0)).mean(0) if len(luma) > 1 else np.zeros_like(texture)
    return np.stack([texture, motion])


def _box_means(values: NDArray[np.float32], ys: Sequence[int], xs: Sequence[int], height: int, width: int):
    """Means of (2, h, w) over all boxes with these corners, (2, len(ys) * len(xs))."""
    total = np.pad(values.astype(np.float64).cumsum(1).cumsum(2), ((0, 0), (1, 0), (1, 0)))
    top, left = np.meshgrid(ys, xs, indexing="ij")
    top, left = top.reshape(-1), left.reshape(-1)
    bottom, right = top + height, left + width
    inside = total[:, bottom, right] - total[:, top, right] - total[:, bottom, left] + total[:, top, left]
    return inside / (height * width), np.stack([top, left], 1)


def _corners(size: int, crop: int) -> list[int]:
    """Corners half a crop apart, both ends included."""
    return sorted({*range(0, size - crop + 1, max(crop // 2, 1)), size - crop})


def _starts(frames: int, window: int, count: int, draw: np.random.Generator) -> list[int]:
    """One start in each of `count` equal parts of the clip."""
    last = max(frames - window, 0)
    return [int((i + draw.random()) / count * (last + 1)) for i in range(count)]


def choose_windows(
    clips: Sequence[ClipSource],
    count: int,
    *,
    window: int = 5,
    crop: int = 64,
    multiple: int = 1,
    seed: int = 0,
) -> list[WindowChoice]:
    """Choose windows and crops.

    Args:
        clips: Where from; every clip is used if `count` allows.
        count: How many.
        window: Frames of a window.
        crop: Edge of a crop in LQ pixels; smaller clips are taken whole, cut to `multiple`.
        multiple: Edges are multiples of this.
        seed: Everything random follows from it.

    Returns:
        `count` choices; neighbours come from different clips, so that any first part is spread as well.

    Raises:
        BadInput: No clip, or a clip smaller than `multiple`.
    """
    if not clips:
        raise BadInput("Calibration needs at least one clip; add one.")
    draw = np.random.default_rng(seed)
    order = draw.permutation(len(clips))
    shares = [len(range(place, count, len(clips))) for place in range(len(clips))]
    quantile = draw.random()
    found: list[list[WindowChoice]] = []
    for place, share in enumerate(shares):
        number = int(order[place])
        clip, chosen = clips[number], []
        for start in _starts(clip.frames, window, share, draw):
            quantile = (quantile + _GOLDEN) % 1.0
            chosen.append(_crop_of(clip, number, start, window, crop, multiple, quantile**_SKEW))
        # A prefix of the list should not cover the beginning of the clip only.
        found.append([chosen[i] for i in draw.permutation(len(chosen))])
    return [part[i] for i in range(max(shares)) for part in found if i < len(part)]


def _crop_of(
    clip: ClipSource, number: int, start: int, window: int, crop: int, multiple: int, quantile: float
) -> WindowChoice:
    frames = clip.read(start, window)
    size = [min(crop, edge) // multiple * multiple for edge in frames.shape[1:3]]
    if min(size) < 1:
        text = f"{clip.name} is {frames.shape[2]} x {frames.shape[1]} pixels, too small for the model"
        raise BadInput(f"{text}; use clips of at least {multiple} x {multiple}.")
    corners = [_corners(edge, part) for edge, part in zip(frames.shape[1:3], size, strict=True)]
    means, places = _box_means(busyness(frames), corners[0], corners[1], size[0], size[1])
    # Ranks, not values: texture and motion have different units.
    ranks = means.argsort(axis=1, kind="stable").argsort(axis=1, kind="stable").sum(axis=0)
    pick = ranks.argsort(kind="stable")[min(int(quantile * len(ranks)), len(ranks) - 1)]
    y, x = (int(v) for v in places[pick])
    return WindowChoice(number, start, y, x, size[0], size[1])

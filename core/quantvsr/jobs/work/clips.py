"""Clips as the jobs read them: the bundled ones, pieces of one, and those to learn from."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantvsr.errors import BadInput, QuantVSRError
from quantvsr.hashing import hash_path
from quantvsr.media.reader import ClipReader, open_clip
from quantvsr.media.types import Frame
from quantvsr.progress import Progress
from quantvsr.resources import resource

# Learning from more of a long clip would mean decoding all of it for every window.
_LEARN_FRAMES = 300


@dataclass(frozen=True)
class BundledClip:
    """A clip that comes with the program: low quality and ground truth."""

    name: str
    lq: Path
    gt: Path


def bundled_clips() -> tuple[BundledClip, ...]:
    """The bundled clips in the order of their names.

    Raises:
        QuantVSRError: The installation lacks them.
    """
    folder = resource("clips")
    pairs = [(lq, _truth_of(lq)) for lq in sorted(folder.iterdir()) if "_lq" in lq.stem]
    found = tuple(BundledClip(lq.stem.replace("_lq", ""), lq, gt) for lq, gt in pairs if gt is not None)
    if not found:
        raise QuantVSRError(f"The bundled clips are missing in {folder}: install the program again.")
    return found


def _truth_of(lq: Path) -> Path | None:
    found = sorted(lq.parent.glob(lq.stem.replace("_lq", "_gt") + ".*"))
    return found[0] if found else None


@dataclass(frozen=True)
class Piece:
    """A part of a clip: some frames, and a rectangle of them.

    Attributes:
        path: The clip.
        start: First frame.
        count: Number of frames; None for all that follow.
        region: (y, x, height, width) in the clip's pixels; None for whole frames.
        frame_rate: Of pictures, which have none themselves.
    """

    path: Path
    start: int = 0
    count: int | None = None
    region: tuple[int, int, int, int] | None = None
    frame_rate: Fraction | None = None

    def to_json(self) -> dict[str, Any]:
        """What decides the frames, as JSON values; the content by its hash."""
        region = None if self.region is None else list(self.region)
        rate = None if self.frame_rate is None else str(self.frame_rate)
        return {
            "hash": hash_path(self.path),
            "start": self.start,
            "count": self.count,
            "region": region,
            "frame_rate": rate,
        }

    def open(self) -> ClipReader:
        """A reader of these frames, not yet cut to the region.

        Raises:
            BadInput: The clip cannot be read, or has no such frames.
        """
        stop = None if self.count is None else self.start + self.count
        return open_clip(self.path, start=self.start, stop=stop, frame_rate=self.frame_rate)

    def frames(self, reader: ClipReader) -> Iterator[Frame]:
        """The frames, numbered from 0 and cut to the region; their times stay."""
        for index, frame in enumerate(reader):
            yield Frame(index, self._cut(frame.rgb), frame.time, frame.duration)

    def size(self, reader: ClipReader) -> tuple[int, int]:
        """Height and width of the frames."""
        return (reader.info.height, reader.info.width) if self.region is None else self.region[2:]

    def _cut(self, rgb: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.region is None:
            return rgb
        y, x, height, width = self.region
        return np.ascontiguousarray(rgb[y : y + height, x : x + width])


def tell_warnings(reader: ClipReader, progress: Progress) -> None:
    """Pass on what a reader had to say."""
    for text in reader.warnings:
        progress.warn(text if str(reader.info.path) in text else f"{reader.info.path.name}: {text}")


def likely_frames(reader: ClipReader) -> int | None:
    """How many frames will come, for showing progress: where the container has no count, by its duration."""
    if reader.info.frames is not None or reader.info.duration is None:
        return reader.expected_frames
    end = max(round(reader.info.duration * reader.info.frame_rate), 1)
    return max((end if reader.stop is None else min(end, reader.stop)) - reader.start, 1)


class LearnClip:
    """A clip for calibration (a `ClipSource`): windows of frames, read on demand.

    Args:
        path: A video or a folder of pictures.

    Raises:
        BadInput: It cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name
        self.digest = hash_path(path)
        self._frames = 0

    @property
    def frames(self) -> int:
        """Number of frames that can be decoded, of the first few hundred."""
        if not self._frames:
            self._frames = self._count()
        return self._frames

    def _count(self) -> int:
        # What a container claims may be wrong, so they are counted.
        with open_clip(self.path, stop=_LEARN_FRAMES) as reader:
            count = sum(1 for _ in reader)
        if not count:
            raise BadInput(f"{self.path} holds no frame that can be decoded; choose another clip.")
        return count

    def read(self, start: int, count: int) -> NDArray[np.float32]:
        """`count` frames from `start`, (count, h, w, 3), 0..1; the last one repeats past the end."""
        with open_clip(self.path, start=start, stop=min(start + count, self.frames)) as reader:
            found = [frame.rgb for frame in reader]
        return np.stack(found + [found[-1]] * (count - len(found)))


def learn_clips(paths: Sequence[str], without: Path | None = None) -> list[LearnClip]:
    """The given clips, or the bundled ones.

    Args:
        paths: Paths; empty takes the bundled clips.
        without: A bundled clip that shall not be learned from, because it is what is shown afterwards.

    Raises:
        BadInput: One of them cannot be read, or is given twice.
    """
    if not paths:
        bundled = [clip.lq for clip in bundled_clips()]
        others = [path for path in bundled if path != without]
        return [LearnClip(path) for path in others or bundled]
    repeated = [first for first, second in itertools.pairwise(sorted(paths)) if first == second]
    if repeated:
        raise BadInput(f"{repeated[0]} is given twice; name each clip once.")
    return [LearnClip(Path(path).expanduser()) for path in paths]

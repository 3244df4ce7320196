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
from quantvsr.jobs.options import FrameRange
from quantvsr.media.clip_writer import ClipWriter
from quantvsr.media.reader import ClipReader, open_clip
from quantvsr.media.segment_writer import Written, check_written
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
    pairs = [(lq, truth_of(lq)) for lq in sorted(folder.iterdir()) if "_lq" in lq.stem]
    found = tuple(BundledClip(lq.stem.replace("_lq", ""), lq, gt) for lq, gt in pairs if gt is not None)
    if not found:
        raise QuantVSRError(f"The bundled clips are missing in {folder}: install the program again.")
    return found


def truth_of(lq: Path) -> Path | None:
    """The clip `NAME_gt` beside a clip `NAME_lq`, if there is one."""
    wanted = lq.stem.replace("_lq", "_gt")
    found = sorted(path for path in lq.parent.iterdir() if path.stem == wanted)
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


def checked_output(target: Path, writer: ClipWriter, reader: ClipReader, progress: Progress) -> Written:
    """Read a written clip back, and tell what was noticed while reading and writing.

    Raises:
        BadInput: The output does not hold what was written.
    """
    written = check_written(target, writer.frames, writer.duration)
    tell_warnings(reader, progress)
    for text in writer.notes:
        progress.warn(text)
    return written


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
        frames: The part of it that is used.

    Raises:
        BadInput: It cannot be read.
    """

    def __init__(self, path: Path, frames: FrameRange | None = None) -> None:
        part = frames or FrameRange()
        with open_clip(path):
            pass  # what is no clip is found before any work
        self.path = path
        self.name = path.name
        self.digest = hash_path(path) if part == FrameRange() else f"{hash_path(path)} {part}"
        self._start, self._stop = part.start, part.stop
        self._frames = 0

    @property
    def frames(self) -> int:
        """Number of frames that can be decoded, of the first few hundred."""
        if not self._frames:
            self._frames = self._count()
        return self._frames

    def _count(self) -> int:
        # What a container claims may be wrong, so they are counted.
        stop = self._start + _LEARN_FRAMES
        with open_clip(self.path, start=self._start, stop=min(stop, self._stop or stop)) as reader:
            count = sum(1 for _ in reader)
        if not count:
            text = f"holds no frame from number {self._start} that can be decoded"
            raise BadInput(f"{self.path} {text}; choose another clip or range.")
        return count

    def read(self, start: int, count: int) -> NDArray[np.float32]:
        """`count` frames from `start`, (count, h, w, 3), 0..1; the last one repeats past the end."""
        stop = self._start + min(start + count, self.frames)
        with open_clip(self.path, start=self._start + start, stop=stop) as reader:
            found = [frame.rgb for frame in reader]
        return np.stack(found + [found[-1]] * (count - len(found)))


def learn_clips(
    paths: Sequence[str], without: Path | None = None, ranges: Sequence[FrameRange] = ()
) -> list[LearnClip]:
    """The given clips, or the bundled ones.

    Args:
        paths: Paths; empty takes the bundled clips.
        without: A bundled clip that shall not be learned from, because it is what is shown afterwards.
        ranges: Frames used of each path; empty for all.

    Raises:
        BadInput: One of them cannot be read or is given twice, or there are not as many ranges as paths.
    """
    if ranges and len(ranges) != len(paths):
        raise BadInput(
            f"There are {len(ranges)} ranges for {len(paths)} clips; give one for each, : for all."
        )
    if not paths:
        bundled = [clip.lq for clip in bundled_clips()]
        others = [path for path in bundled if path != without]
        return [LearnClip(path) for path in others or bundled]
    repeated = [first for first, second in itertools.pairwise(sorted(paths)) if first == second]
    if repeated:
        raise BadInput(f"{repeated[0]} is given twice; name each clip once.")
    parts = ranges or [FrameRange()] * len(paths)
    return [LearnClip(Path(path).expanduser(), part) for path, part in zip(paths, parts, strict=True)]

"""What is compared: the low-quality clip, and its ground truth where there is one."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

from quantvsr.errors import BadInput
from quantvsr.jobs.work.clips import Piece, likely_frames, tell_warnings
from quantvsr.jobs.work.ledger import Ledger
from quantvsr.media.reader import ClipReader
from quantvsr.media.types import Frame
from quantvsr.media.writer import open_writer
from quantvsr.progress import Progress
from quantvsr.upscale.bicubic import make_lq

SCALE = 4


class TruthChoice(Protocol):
    """The part of a job that says where the ground truth comes from."""

    @property
    def gt(self) -> str | None: ...  # noqa: D102
    @property
    def shrink(self) -> bool: ...  # noqa: D102


@dataclass(frozen=True)
class Scene:
    """A clip to compare on.

    Attributes:
        lq: Low-quality frames, what the models enlarge.
        source: Where the times of the frames come from.
        pictures: Folders with the frames as pictures: `lq`, and `gt` where there is a ground truth.
        frames: Number of frames.
        width: Of a low-quality frame.
        height: Of a low-quality frame.
        key: What decides the frames; the key of the stage.
    """

    lq: Piece
    source: Piece
    pictures: dict[str, Path]
    frames: int
    width: int
    height: int
    key: str

    def times(self) -> Iterator[tuple[Fraction, Fraction | None]]:
        """Time and duration of each frame, in seconds from the start of `source`."""
        with self.source.open() as reader:
            for frame in reader:
                yield frame.time, frame.duration


def prepare_scene(
    choice: TruthChoice, piece: Piece, folder: Path, ledger: Ledger, progress: Progress
) -> Scene:
    """Write the low-quality clip, and its ground truth where there is one, as pictures.

    Args:
        choice: Says whether there is a ground truth, or the clip shall be shrunk to make one.
        piece: The part of the clip to use; for shrinking, in its own (high-quality) pixels.
        folder: Where the folders `lq` and `gt` go.
        ledger: Keeps finished stages.
        progress: Of this stage.

    Raises:
        BadInput: The ground truth does not fit the clip, or both ways to get one are asked for.
    """
    if choice.gt is not None and choice.shrink:
        raise BadInput("Give either --gt or --shrink: with --shrink the clip itself is the ground truth.")
    truth = None if choice.gt is None else _truth(Path(choice.gt).expanduser(), piece)
    settings = {"clip": piece.to_json(), "gt": truth and truth.to_json(), "shrink": choice.shrink}
    names = ["lq", "gt"] if choice.shrink or truth is not None else ["lq"]
    pictures = {name: folder / name for name in names}

    def work(inner: Progress) -> dict[str, Any]:
        if choice.shrink:
            return _shrink(piece, pictures, inner)
        figures = _copy(piece, pictures["lq"], inner.stage("prepare", 0.0, 0.5))
        if truth is not None:
            other = _copy(truth, pictures["gt"], inner.stage("prepare", 0.5, 1.0))
            if other["frames"] != figures["frames"]:
                counts = f"{other['frames']} frames where {piece.path.name} has {figures['frames']}"
                raise BadInput(f"{truth.path} has {counts}; give --frames, or cut one of them.")
        return figures

    outcome = ledger.stage("prepare", settings, list(pictures.values()), work, progress)
    # Made from pictures only where there is no other source: those have 8 bits.
    lq = Piece(pictures["lq"]) if choice.shrink else piece
    figures = outcome.figures
    return Scene(lq, piece, pictures, figures["frames"], figures["width"], figures["height"], outcome.key)


def _truth(path: Path, piece: Piece) -> Piece:
    region = None
    if piece.region is not None:
        y, x, height, width = (SCALE * value for value in piece.region)
        region = (y, x, height, width)
    truth = Piece(path, piece.start, piece.count, region)
    with piece.open() as reader, truth.open() as other:
        small, large = reader.info, other.info
        if (large.height, large.width) != (small.height * SCALE, small.width * SCALE):
            raise BadInput(
                f"{path} is {large.width}x{large.height} but must be {SCALE} times the size of "
                f"{piece.path.name} ({small.width}x{small.height}); crop or scale it, or use --shrink on it."
            )
    return truth


def _copy(piece: Piece, folder: Path, progress: Progress) -> dict[str, Any]:
    """Write the frames as pictures."""
    with piece.open() as reader:
        height, width = piece.size(reader)
        with open_writer(folder, width, height, codec="png", overwrite=True) as writer:
            for frame in _watched(piece, reader, progress):
                writer.write(frame.rgb)
        tell_warnings(reader, progress)
    return {"frames": writer.frames, "width": width, "height": height}


def _shrink(piece: Piece, pictures: dict[str, Path], progress: Progress) -> dict[str, Any]:
    """Write the frames, cropped to a multiple of 4, and the same shrunk, as pictures."""
    with piece.open() as reader, ExitStack() as stack:
        height, width = (side // SCALE for side in piece.size(reader))
        if min(height, width) < 1:
            raise BadInput(f"{piece.path} is too small to be shrunk by {SCALE}; take a larger clip.")
        lq = stack.enter_context(open_writer(pictures["lq"], width, height, codec="png", overwrite=True))
        size = (width * SCALE, height * SCALE)
        gt = stack.enter_context(open_writer(pictures["gt"], *size, codec="png", overwrite=True))
        for frame in _watched(piece, reader, progress):
            small, truth = make_lq(frame.rgb, SCALE)
            lq.write(small)
            gt.write(truth)
        tell_warnings(reader, progress)
    return {"frames": lq.frames, "width": width, "height": height}


def _watched(piece: Piece, reader: ClipReader, progress: Progress) -> Iterator[Frame]:
    """The frames of a piece, with checks and reports."""
    total = likely_frames(reader)
    for frame in piece.frames(reader):
        progress.check()
        yield frame
        done = frame.index + 1
        progress.report(min(done / total, 1.0) if total else 0.0, f"frame {done}")

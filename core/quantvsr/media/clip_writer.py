"""What all writers share: nothing half-written is ever left under the final name."""

import contextlib
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import numpy as np

from quantvsr.errors import BadInput
from quantvsr.files import atomic_path, write_errors
from quantvsr.media.codecs import OutputCodec
from quantvsr.media.types import ClipInfo


@dataclass(frozen=True)
class WriteJob:
    """What is to be written, checked.

    Attributes:
        path: Final name.
        width: Of the pictures, pixels.
        height: Of the pictures, pixels.
        codec: How they are stored.
        rate: Frames per second, the mean.
        source: The clip they were made from.
        cut_start: Whether the source's first frames are left out; the first picture is then at time 0.
        cut_length: Seconds written, about, where the source's last frames are left out.
    """

    path: Path
    width: int
    height: int
    codec: OutputCodec
    rate: Fraction
    source: ClipInfo | None = None
    cut_start: bool = False
    cut_length: Fraction | None = None


class ClipWriter:
    """Writes pictures one after another; use it in a `with` statement.

    Leaving the statement in the usual way finishes the file and gives it its name; an exception (Ctrl-C, too)
    leaves nothing behind.

    Attributes:
        path: Where the result will be.
        notes: Sentences on what was converted or left out; complete when the statement is left.
        frames: Pictures written so far, those of an interrupted run included.
        finished: Pictures that an interrupted run has left; the next one to write is the one after them.
    """

    def __init__(self, job: WriteJob) -> None:
        self.job = job
        self.path = job.path
        self.notes: list[str] = []
        self.frames = self.finished = 0
        self._stack = contextlib.ExitStack()
        self._temporary: Path | None = None
        self._time: Fraction | None = None

    def __enter__(self) -> "ClipWriter":
        with self._stack:
            self._temporary = self._stack.enter_context(atomic_path(self.path))
            try:
                self._open(self._temporary)
            except BaseException:
                self._let_go()
                raise
            self._stack = self._stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            # The stack sees the exception, so the temporary file goes.
            self._let_go()
            self._stack.__exit__(kind, error, trace)
            return
        with self._stack:
            try:
                if self.frames == 0:
                    raise BadInput(f"{self.path} was given no pictures; nothing is written.")
                self._finish()
            except BaseException:
                self._let_go()
                raise

    def _let_go(self) -> None:
        # The file goes anyway; what closing it has to say would hide the real error.
        with contextlib.suppress(Exception):
            self._abandon()

    def write(self, rgb: np.ndarray, time: Fraction | None = None, duration: Fraction | None = None) -> None:
        """Append one picture.

        Args:
            rgb: (height, width, 3), uint8 or float 0..1 (clipped).
            time: Seconds from the source clip's start, rising; by default evenly after the one before.
            duration: Seconds it is shown; matters for the last one only.

        Raises:
            ValueError: The picture's shape is wrong or it holds NaN, or the time does not rise.
            DiskFull: No space left.
        """
        shape = (self.job.height, self.job.width, 3)
        if rgb.shape != shape:
            raise ValueError(f"expected a picture of shape {shape}, got {rgb.shape}")
        if self._temporary is None:
            raise ValueError("use the writer in a with statement")
        if time is not None and self._time is not None and time <= self._time:
            raise ValueError(f"time {float(time)} of picture {self.frames} does not rise")
        self._time = time
        if rgb.dtype.kind == "f" and not np.isfinite(rgb).all():
            raise ValueError(f"picture {self.frames} for {self.path} holds NaN or infinity")
        with write_errors(self.path.parent):
            self._write(rgb, time, duration)
        self.frames += 1

    @property
    def duration(self) -> Fraction | None:
        """Seconds written; None where the output holds no times."""
        return None

    def note(self, text: str) -> None:
        """Add a sentence to `notes`, once."""
        if text not in self.notes:
            self.notes.append(text)

    def _open(self, temporary: Path) -> None:
        raise NotImplementedError

    def _write(self, rgb: np.ndarray, time: Fraction | None, duration: Fraction | None) -> None:
        raise NotImplementedError

    def _finish(self) -> None:
        raise NotImplementedError

    def _abandon(self) -> None:
        """Let go of the unfinished file."""

"""Playing at the clip's own pace: each frame is shown as long as its time stamps say."""

import time
from bisect import bisect_right
from collections.abc import Sequence

from PySide6.QtCore import QObject, Qt, QTimer, Signal


class Playback(QObject):
    """Tells which frame is to be shown while playing; leaves frames out where drawing is too slow.

    Signals:
        frame_due: Show this frame.
        changed: Playing began or ended.
    """

    frame_due = Signal(int)
    changed = Signal(bool)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._times: Sequence[float] = ()
        self._first, self._stop = 0, 0
        self._frame = 0
        self._began = 0.0
        self.loop = True
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)

    @property
    def playing(self) -> bool:
        """Whether it plays."""
        return self._timer.isActive()

    def set_clip(self, times: Sequence[float], first: int, stop: int) -> None:
        """Time stamps (seconds) of all frames of the clip, and the part that is played."""
        self.pause()
        self._times, self._first, self._stop = times, first, min(stop, len(times))

    def set_part(self, first: int, stop: int) -> None:
        """The part that is played: the whole, or the frames that are rendered."""
        self._first, self._stop = first, min(stop, len(self._times))

    def play(self, frame: int) -> None:
        """Play from a frame; from the start where it is the last."""
        if self._stop - self._first < 2:
            return
        inside = self._first <= frame < self._stop - 1
        self._start(frame if inside else self._first)
        self.changed.emit(True)

    def pause(self) -> None:
        """Stop playing."""
        if self._timer.isActive():
            self._timer.stop()
            self.changed.emit(False)

    def _start(self, frame: int) -> None:
        self._frame = frame
        self._began = time.perf_counter() - self._times[frame]
        self.frame_due.emit(frame)
        self._wait()

    def _end_of(self, frame: int) -> float:
        if frame + 1 < len(self._times):
            return self._times[frame + 1]
        before = self._times[frame] - self._times[frame - 1] if frame else 0.04
        return self._times[frame] + before

    def _wait(self) -> None:
        rest = self._end_of(self._frame) + self._began - time.perf_counter()
        self._timer.start(max(round(1000 * rest), 0))

    def _tick(self) -> None:
        now = time.perf_counter() - self._began
        if now >= self._end_of(self._stop - 1) - 0.001:
            if self.loop:
                self._start(self._first)
            else:
                self.changed.emit(False)
            return
        due = min(bisect_right(self._times, now + 0.001) - 1, self._stop - 1)
        if due > self._frame:
            self._frame = due
            self.frame_due.emit(due)
        self._wait()

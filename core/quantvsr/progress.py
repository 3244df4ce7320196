"""The one way a long computation talks to whoever started it: how far, what, and whether to stop.

Subclass `Progress` and override `report` and `warn` to show something. Any thread may call anything.
"""

import threading

from quantvsr.errors import Cancelled


class Progress:
    """Progress of a job. The base class shows nothing; cancelling and pausing work.

    Fractions are 0..1 of the whole (or of the stage, on a stage). A resumed job starts where it left off.
    """

    def __init__(self) -> None:
        self._stopped = threading.Event()
        self._running = threading.Event()
        self._running.set()

    def report(self, fraction: float, message: str = "", **payload: object) -> None:
        """Tell how far the work is.

        Args:
            fraction: Part of the work done, 0..1.
            message: What is going on, for a person; empty keeps the last one.
            payload: Further values for live charts (step, loss, ...), small and JSON-able.
        """

    def warn(self, message: str) -> None:
        """Tell the user something that does not stop the work."""

    def check(self) -> None:
        """Return at once, or wait while paused; call it at least twice a second.

        Raises:
            Cancelled: The work was cancelled, before or while waiting.
        """
        # Cancelling sets both events, so one wait covers pause and cancel.
        self._running.wait()
        if self._stopped.is_set():
            raise Cancelled

    def stage(self, name: str, start: float, end: float) -> "Progress":
        """A part of this progress: its 0..1 is `start`..`end` here, its reports carry `stage=name`.

        Cancelling or pausing either one acts on both.
        """
        return Stage(self, name, start, end)

    def cancel(self) -> None:
        """Ask the work to stop; the next `check` raises `Cancelled`, also while paused."""
        self._stopped.set()
        self._running.set()

    def pause(self) -> None:
        """Ask the work to wait at its next `check`."""
        if not self._stopped.is_set():
            self._running.clear()

    def resume(self) -> None:
        """Let paused work go on."""
        self._running.set()

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._stopped.is_set()

    @property
    def paused(self) -> bool:
        """Whether work waits at `check`."""
        return not self._running.is_set()


class Part(Progress):
    """Speaks through another progress, sharing its cancel and pause flags; subclasses change what is said."""

    def __init__(self, parent: Progress) -> None:
        self._stopped = parent._stopped
        self._running = parent._running
        self._parent = parent

    def report(self, fraction: float, message: str = "", **payload: object) -> None:
        """Report to the whole."""
        self._parent.report(fraction, message, **payload)

    def warn(self, message: str) -> None:
        """Warn through the whole."""
        self._parent.warn(message)

    def check(self) -> None:
        """Check the whole, so that a subclass's own `check` is honoured."""
        self._parent.check()

    def cancel(self) -> None:
        """Cancel the whole."""
        self._parent.cancel()

    def pause(self) -> None:
        """Pause the whole."""
        self._parent.pause()

    def resume(self) -> None:
        """Resume the whole."""
        self._parent.resume()


class Stage(Part):
    """A stretch of another progress, with a name."""

    def __init__(self, parent: Progress, name: str, start: float, end: float) -> None:
        super().__init__(parent)
        self._name, self._start, self._end = name, start, end

    def report(self, fraction: float, message: str = "", **payload: object) -> None:
        """Report to the whole, with this stage's name."""
        inside = min(max(fraction, 0.0), 1.0)
        # The innermost stage is the first to put its name in.
        payload.setdefault("stage", self._name)
        self._parent.report(self._start + (self._end - self._start) * inside, message, **payload)


class Rising(Part):
    """Another progress whose fraction never goes back."""

    def __init__(self, parent: Progress) -> None:
        super().__init__(parent)
        self._most = 0.0

    def report(self, fraction: float, message: str = "", **payload: object) -> None:
        """Report to the whole; never less than before."""
        self._most = max(self._most, fraction)
        super().report(self._most, message, **payload)

"""How the command line shows progress and results: bars on a terminal, plain lines elsewhere, or nothing."""

import sys
import time
from typing import TextIO

from quantvsr.progress import Progress

_LINE_EVERY = 30.0
_LINE_STEP = 0.1


class Quiet(Progress):
    """Shows nothing; warnings are part of the result."""


class Lines(Progress):
    """One line at each new stage, each tenth of the way, and every half minute while reports come."""

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__()
        self._stream = stream or sys.stderr
        self._stage = ""
        self._fraction = -1.0
        self._time = 0.0

    def report(self, fraction: float, message: str = "", **payload: object) -> None:
        """Print a line when there is news."""
        stage, now = str(payload.get("stage", "")), time.monotonic()
        step = fraction - self._fraction >= _LINE_STEP or (fraction >= 1.0 > self._fraction)
        if stage == self._stage and not step and now - self._time < _LINE_EVERY:
            return
        self._stage, self._fraction, self._time = stage, fraction, now
        # Some messages name their stage themselves.
        named = [message] if stage and stage in message else [stage, message]
        words = ": ".join(word for word in named if word)
        self._print(f"{min(max(fraction, 0.0), 1.0):4.0%} {words}".rstrip())

    def warn(self, message: str) -> None:
        """Print it."""
        self._print(f"Note: {message}")

    def _print(self, line: str) -> None:
        print(line, file=self._stream, flush=True)


class Bar(Progress):
    """A live bar on standard error: stage, what is going on, percent, time used and left."""

    def __init__(self) -> None:
        super().__init__()
        from rich import progress as bars
        from rich.console import Console

        self._bars = bars.Progress(
            bars.TextColumn("{task.description}", markup=False),
            bars.BarColumn(),
            bars.TaskProgressColumn(),
            bars.TimeElapsedColumn(),
            bars.TimeRemainingColumn(),
            bars.TextColumn("{task.fields[message]}", markup=False),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bars.add_task("", total=1.0, message="")

    def __enter__(self) -> "Bar":
        self._bars.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._bars.stop()

    def report(self, fraction: float, message: str = "", **payload: object) -> None:
        """Move the bar."""
        stage = str(payload.get("stage", ""))
        self._bars.update(self._task, completed=fraction, description=stage)
        if message:
            self._bars.update(self._task, message=message)

    def warn(self, message: str) -> None:
        """Print a line above the bar."""
        self._bars.console.print(f"Note: {message}", markup=False, highlight=False)


def choose(*, quiet: bool) -> Quiet | Lines | Bar:
    """The display that fits standard error."""
    if quiet:
        return Quiet()
    return Bar() if sys.stderr.isatty() else Lines()


def print_rows(rows: list[tuple[str, str]], stream: TextIO | None = None) -> None:
    """Print (label, value) rows as two aligned columns."""
    width = max((len(label) for label, _ in rows), default=0)
    for label, value in rows:
        print(f"{label:<{width}}  {value}".rstrip(), file=stream or sys.stdout)

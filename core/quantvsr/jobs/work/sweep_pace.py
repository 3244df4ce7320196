"""How far a sweep is and how long it will take, from rough amounts of work and the time they took so far."""

import contextlib
import time
from collections.abc import Iterator, Mapping

from quantvsr.progress import Progress, Stage

# Parts that an earlier run left are taken over in less; they say nothing about the pace.
_TAKEN_OVER = 0.5

Part = tuple[str, ...]


class Pace:
    """Shares a progress out among parts of known amounts.

    Args:
        progress: Of everything.
        amounts: Amount of work of each part, in any unit.
    """

    def __init__(self, progress: Progress, amounts: Mapping[Part, float]) -> None:
        self._progress, self._amounts = progress, dict(amounts)
        self._total = sum(self._amounts.values()) or 1.0
        self._done = 0.0
        self._seconds = self._timed = 0.0  # time and amount of the parts that were really done

    @contextlib.contextmanager
    def part(self, key: Part, label: str) -> Iterator[Progress]:
        """The progress of one part; its reports carry `seconds_left` of everything."""
        amount = self._amounts.pop(key)
        began = time.perf_counter()
        start, self._done = self._done, self._done + amount
        stage = _Part(self, label, amount, began, start / self._total, self._done / self._total)
        self._progress.check()
        stage.report(0.0)
        yield stage
        took = time.perf_counter() - began
        if took > _TAKEN_OVER:
            self._seconds += took
            self._timed += amount

    def seconds_left(self, amount: float, began: float, fraction: float) -> float | None:
        """Seconds that everything still takes, inside a part; None while nothing is known."""
        spent, inside = time.perf_counter() - began, fraction * amount
        timed = self._timed + inside
        if spent + self._seconds < _TAKEN_OVER or timed <= 0:
            return None
        pace = (self._seconds + spent) / timed
        return pace * (amount - inside + sum(self._amounts.values()))

    @property
    def progress(self) -> Progress:
        """Of everything."""
        return self._progress


class _Part(Stage):
    """The progress of one part: says what it is about and how long everything will take."""

    def __init__(self, pace: Pace, label: str, amount: float, began: float, start: float, end: float) -> None:
        super().__init__(pace.progress, "sweep", start, end)
        self._pace, self._label, self._amount, self._began = pace, label, amount, began

    def report(self, fraction: float, message: str = "", **payload: object) -> None:
        left = self._pace.seconds_left(self._amount, self._began, min(max(fraction, 0.0), 1.0))
        words = f"{self._label}, {message}" if message else self._label
        if left is not None:
            words += f" (about {in_words(left)} left)"
        # The name of an inner stage would push the time left off the line.
        super().report(fraction, words, **{**payload, "stage": "sweep", "seconds_left": left})


def in_words(seconds: float) -> str:
    """A duration for a person: `40 s`, `12 min`, `3 h 20 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"

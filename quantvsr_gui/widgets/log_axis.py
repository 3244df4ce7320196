"""A log axis with round numbers that never touch each other."""

import itertools
import math
from collections.abc import Sequence

import pyqtgraph as pg

# From many numbers a decade to few; the first that has room is taken.
_CHOICES = ((1, 2, 3, 4, 5, 6, 7, 8, 9), (1, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,))
_ROOM = {"left": 22, "bottom": 36}  # pixels from one number to the next


class LogAxis(pg.AxisItem):
    """An axis of values that are given as powers of ten: -2 is shown as 0.01."""

    def tickValues(self, minVal: float, maxVal: float, size: float) -> list[tuple[float, list[float]]]:
        """Places of the numbers, as powers of ten."""
        low, high = sorted((float(minVal), float(maxVal)))
        if high <= low or size <= 0:
            return []
        return [(1.0, log_ticks(low, high, max(round(size / _ROOM.get(self.orientation, 36)), 1)))]

    def tickStrings(self, values: Sequence[float], scale: float, spacing: float) -> list[str]:
        """The numbers themselves."""
        return [_number(10**value) for value in values]


def _number(value: float) -> str:
    """Short: "0.002", "3e-4", "1e5"."""
    if 0.001 * (1 - 1e-9) <= value < 1e4:
        return f"{value:.4g}"
    digits, _, power = f"{value:.1e}".partition("e")
    return f"{digits.removesuffix('.0')}e{int(power)}"


def log_ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers between two powers of ten.

    Args:
        low: The lower power of ten.
        high: The higher one.
        most: How many even steps have room between them.
    """
    room = (high - low) / most
    first, last = math.floor(low), math.ceil(high)
    for mantissas in _CHOICES:
        ticks = [power + math.log10(m) for power in range(first, last + 1) for m in mantissas]
        inside = [tick for tick in ticks if low <= tick <= high]
        steps = [b - a for a, b in itertools.pairwise(inside)]
        if len(inside) >= 2 and min(steps) >= room:
            return inside
    decades = [float(power) for power in range(first, last + 1) if low <= power <= high]
    if len(decades) >= 2:
        return decades[:: math.ceil(room)]
    return _even_ticks(10**low, 10**high, most)


def _even_ticks(low: float, high: float, most: int) -> list[float]:
    """Less than a decade without two round numbers: even steps of the values themselves."""
    rough = (high - low) / min(most, 4)
    unit = 10 ** math.floor(math.log10(rough))
    step = next(unit * m for m in (1, 2, 5, 10) if unit * m >= rough)
    first = math.ceil(low / step)
    values = [step * k for k in range(first, math.floor(high / step) + 1)]
    return [math.log10(value) for value in values if value > 0]

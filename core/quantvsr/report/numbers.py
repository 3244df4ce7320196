"""Numbers as people read them: digits of a metric, bytes, seconds, ticks of axes."""

import math
from collections.abc import Iterable

NONE = "–"
"""In the place of a number that there is not."""

_DIGITS = {"dB": 2, "1e-3": 3, "8-bit steps": 2, "bits": 2}


def shown(value: float | None, unit: str = "") -> str:
    """A figure with the digits that its unit deserves; a dash for none."""
    if value is None or not math.isfinite(value):
        return NONE
    return f"{value:.{_DIGITS.get(unit, 4)}f}".replace("-", "−")


def compact(value: float) -> str:
    """A number of an axis or a tooltip, with few digits."""
    if value == 0:
        return "0"
    size = abs(value)
    if 1e-3 <= size < 1e5:
        text = f"{value:.4g}"
        return (text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text).replace("-", "−")
    mantissa, exponent = f"{value:.1e}".split("e")
    mantissa = mantissa.removesuffix(".0").replace("-", "−")
    raised = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"10{raised}" if mantissa == "1" else f"{mantissa}·10{raised}"


def size(count: float | None) -> str:
    """A number of bytes."""
    if count is None:
        return NONE
    if count >= 1e9:
        return f"{count / 1e9:.2f} GB"
    return f"{count / 1e6:.2f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"


def duration(seconds: float | None) -> str:
    """A time."""
    if seconds is None:
        return NONE
    if seconds >= 5400:
        return f"{seconds / 3600:.1f} h"
    if seconds >= 120:
        return f"{seconds / 60:.1f} min"
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


def linear_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers between two limits (1, 2 or 5 times a power of ten apart), about `most` of them."""
    if not high > low:
        return [low]
    raw = (high - low) / max(most, 1)
    while True:
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * (1 - 1e-9))
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last > first:
            return [round(number * step, 12) for number in range(first, last + 1)]
        # A wide step can miss the limits; this leads from any of them to the next smaller one.
        raw = step / 2.5


def log_ticks(low: float, high: float) -> list[float]:
    """Ticks of a log axis: powers of ten, with 2 and 5 times these where there are few."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    decades = math.log10(high / low)
    factors = (1,) if decades > 4 else (1, 2, 5) if decades > 1 else (1, 1.5, 2, 3, 4, 5, 6, 8)
    found = [factor * 10.0**power for power in range(first, last + 1) for factor in factors]
    every = max(1, (last - first) // 8)
    if every > 1:
        found = [10.0**power for power in range(first, last + 1, every)]
    return [tick for tick in found if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9)]


def log_limits(values: Iterable[float]) -> tuple[float, float]:
    """Limits of a log axis with some room around positive values."""
    found = [value for value in values if value > 0 and math.isfinite(value)]
    if not found:
        return 0.1, 10.0
    low, high = min(found), max(found)
    if high / low < 4:
        middle = math.sqrt(low * high)
        low, high = min(low, middle / 2), max(high, middle * 2)
    room = (high / low) ** 0.05
    return low / room, high * room

"""A plot area as SVG: axes, grid, labels. Colours are classes, so that both themes fit; units are pixels."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from quantvsr.report.html import Html, Part, join, tag
from quantvsr.report.numbers import compact, linear_ticks, log_ticks

Scale = Callable[[float], float]
SERIES = 8
"""Colours there are, as classes c0 to c7; markers repeat with them."""


def svg(width: float, height: float, *parts: Part, label: str) -> Html:
    """A picture of its own size, somewhat smaller where there is less room, then scrolled.

    Args:
        width: Pixels.
        height: Pixels.
        parts: What is drawn.
        label: What it shows, for those who cannot see it.
    """
    drawing = tag(
        "svg",
        *parts,
        viewBox=f"0 0 {_n(width)} {_n(height)}",
        width=_n(width),
        height=_n(height),
        role="img",
        aria_label=label,
    )
    return tag("div", drawing, class_="scroll")


def _n(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".")


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Html:
    """A straight line."""
    return tag("line", x1=_n(x1), y1=_n(y1), x2=_n(x2), y2=_n(y2), class_=class_)


def text(x: float, y: float, words: str, class_: str = "label", anchor: str = "start", turn: int = 0) -> Html:
    """A line of text; `anchor` is start, middle or end, `turn` degrees."""
    rotation = f"rotate({turn} {_n(x)} {_n(y)})" if turn else None
    return tag("text", words, x=_n(x), y=_n(y), class_=class_, text_anchor=anchor, transform=rotation)


def bar(x: float, y: float, width: float, height: float, class_: str, told: str = "") -> Html:
    """A rectangle with a tooltip."""
    return tag(
        "rect",
        tag("title", told) if told else None,
        x=_n(x),
        y=_n(y),
        width=_n(max(width, 0)),
        height=_n(max(height, 0)),
        class_=class_,
    )


def path(points: Sequence[tuple[float, float]], class_: str) -> Html:
    """A line through points."""
    moves = " ".join(f"{'L' if number else 'M'}{_n(x)} {_n(y)}" for number, (x, y) in enumerate(points))
    return tag("path", d=moves, class_=class_)


_SHAPES = (
    "",
    "M-4-4H4V4H-4Z",
    "M0-5.2L5 4H-5Z",
    "M0-5.4L5.4 0 0 5.4-5.4 0Z",
    "M0 5.2L5-4H-5Z",
    "M-1.8-5H1.8V-1.8H5V1.8H1.8V5H-1.8V1.8H-5V-1.8H-1.8Z",
    "M0-5.2L5-1.6 3.1 4.4H-3.1L-5-1.6Z",
    "M-3-5.2H3L6 0 3 5.2H-3L-6 0Z",
)


def marker(x: float, y: float, number: int, told: str = "", class_: str = "dot") -> Html:
    """A marker in the colour and shape of a series, with a tooltip."""
    title = tag("title", told) if told else None
    names = f"{class_} c{number % SERIES}"
    shape = _SHAPES[number % SERIES]
    if not shape:
        return tag("circle", title, cx=_n(x), cy=_n(y), r="4.6", class_=names)
    return tag("path", title, d=shape, transform=f"translate({_n(x)} {_n(y)})", class_=names)


def legend(x: float, y: float, entries: Sequence[str], width: float) -> tuple[Html, float]:
    """Markers with names, on as many lines as needed.

    Returns:
        The drawing and its height.
    """
    parts: list[Html] = []
    left, top = x, y
    for number, name in enumerate(entries):
        need = 22 + text_width(name)
        if left > x and left + need > x + width:
            left, top = x, top + 20
        parts += [marker(left + 6, top, number), text(left + 16, top + 4, name, "key")]
        left += need + 10
    return join(*parts), top - y + 20


def text_width(words: str, size: float = 13) -> float:
    """About how wide a line is; fonts differ, so with some room."""
    return sum(0.34 if c in "il.,:;|'I 1" else 0.9 if c in "mwMW" else 0.6 for c in words) * size


@dataclass(frozen=True)
class Frame:
    """A plot area with its scales.

    Attributes:
        left, top, right, bottom: Its edges, pixels.
        x_limits, y_limits: Values at the edges.
        x_log, y_log: Whether an axis is logarithmic.
    """

    left: float
    top: float
    right: float
    bottom: float
    x_limits: tuple[float, float]
    y_limits: tuple[float, float]
    x_log: bool = False
    y_log: bool = False

    def x(self, value: float) -> float:
        """Pixel of a value; beyond the limits it is the edge."""
        return self.left + (self.right - self.left) * _share(value, self.x_limits, self.x_log)

    def y(self, value: float) -> float:
        """Pixel of a value; beyond the limits it is the edge."""
        return self.bottom - (self.bottom - self.top) * _share(value, self.y_limits, self.y_log)

    def axes(self, x_name: str = "", y_name: str = "", *, x_ticks: bool = True) -> Html:
        """Grid, tick labels and names."""
        parts: list[Html] = []
        if x_ticks:
            for tick in _ticks(self.x_limits, self.x_log, (self.right - self.left) / 90):
                parts.append(line(self.x(tick), self.top, self.x(tick), self.bottom, "grid"))
                parts.append(text(self.x(tick), self.bottom + 18, compact(tick), "tick", "middle"))
        for tick in _ticks(self.y_limits, self.y_log, (self.bottom - self.top) / 45):
            parts.append(line(self.left, self.y(tick), self.right, self.y(tick), "grid"))
            parts.append(text(self.left - 8, self.y(tick) + 4, compact(tick), "tick", "end"))
        parts.append(line(self.left, self.bottom, self.right, self.bottom, "axis"))
        parts.append(line(self.left, self.top, self.left, self.bottom, "axis"))
        middle = (self.top + self.bottom) / 2
        if x_name:
            parts.append(text((self.left + self.right) / 2, self.bottom + 40, x_name, "label", "middle"))
        if y_name:
            parts.append(text(self.left - 48, middle, y_name, "label", "middle", -90))
        return join(*parts)


def _share(value: float, limits: tuple[float, float], log: bool) -> float:
    low, high = limits
    if log:
        value, low, high = math.log(max(value, low)), math.log(low), math.log(high)
    return min(max((value - low) / (high - low), 0.0), 1.0) if high > low else 0.5


def _ticks(limits: tuple[float, float], log: bool, most: float) -> list[float]:
    return log_ticks(*limits) if log else linear_ticks(*limits, most=max(int(most), 2))

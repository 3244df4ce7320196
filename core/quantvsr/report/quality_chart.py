"""Figures side by side: a panel per metric, a line per version, and full precision as a dashed line."""

from collections.abc import Sequence

from quantvsr.report.chart import Frame, line, marker, svg, text, text_width
from quantvsr.report.columns import GROUPS, Column
from quantvsr.report.data import Entry
from quantvsr.report.html import Html, join
from quantvsr.report.numbers import shown

_WIDTH, _ROW, _TOP, _GAP = 980.0, 24.0, 52.0, 24.0


def quality_chart(entries: Sequence[Entry], columns: Sequence[Column]) -> Html | None:
    """Means over the clips; None where there is nothing to compare.

    Args:
        entries: Lines from top to bottom, those without a mean are left out.
        columns: Panels, at most 4.
    """
    lines = [
        entry for entry in entries if any(entry.mean.get(column.figure) is not None for column in columns)
    ]
    if len(lines) < 2 or not columns:
        return None
    names = min(max(text_width(entry.title, 12) for entry in lines) + 16, 260)
    width = (_WIDTH - names - _GAP * (len(columns) - 1)) / len(columns)
    height = _TOP + _ROW * len(lines)
    parts: list[Html] = [
        text(names - 10, _TOP + _ROW * number + 16, entry.title, "tick", "end")
        for number, entry in enumerate(lines)
    ]
    for number, column in enumerate(columns):
        parts.append(_panel(lines, column, names + number * (width + _GAP), width, height))
    return svg(_WIDTH, height + 30, *parts, label="Figures of all versions")


def _panel(lines: Sequence[Entry], column: Column, left: float, width: float, bottom: float) -> Html:
    values = [entry.mean.get(column.figure) for entry in lines]
    found = [value for value in values if value is not None]
    low, high = (min(found), max(found)) if found else (0.0, 1.0)
    room = (high - low or abs(high) or 1.0) * 0.08
    # Values are written beside their dots: room for them on the right.
    frame = Frame(left, _TOP, left + width - 52, bottom, (low - room, high + room), (0, 1))
    better = {"higher": "↑", "lower": "↓"}.get(column.goal, "")
    unit = f", {column.unit}" if column.unit else ""
    parts: list[Html] = [
        text(left, 16, f"{column.title}{unit}", "label"),
        text(left, 33, f"{better} {GROUPS[column.group]}".strip(), "tick"),
        line(left, bottom, left + width - 52, bottom, "axis"),
    ]
    full = next((value for entry, value in zip(lines, values, strict=True) if entry.key == "fp"), None)
    if full is not None:
        parts.append(line(frame.x(full), _TOP, frame.x(full), bottom, "mark"))
    series = {entry.bits: i for i, entry in enumerate({entry.bits: entry for entry in lines}.values())}
    for number, (entry, value) in enumerate(zip(lines, values, strict=True)):
        y = _TOP + _ROW * number + 12
        parts.append(line(left, y, left + width - 52, y, "grid"))
        if value is not None:
            told = f"{entry.title}: {shown(value, column.unit)} {column.unit}"
            parts.append(marker(frame.x(value), y, series[entry.bits], told))
            parts.append(text(left + width, y + 4, shown(value, column.unit), "tick", "end"))
    return join(*parts)

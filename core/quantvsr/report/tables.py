"""Tables of figures, with the best and the second best of each number of bits marked."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby

from quantvsr.report.columns import GROUPS, Column, places
from quantvsr.report.data import Entry, Figures
from quantvsr.report.html import Html, Part, join, tag
from quantvsr.report.numbers import NONE, duration, shown, size

_MARKS = {1: "best", 2: "second"}
_STEPS = ("quantize", "upscale")
_GOALS = {"higher": "↑", "lower": "↓", "zero": "→ 0"}


def figures_table(
    entries: Sequence[Entry],
    columns: Sequence[Column],
    figures: Callable[[Entry], Figures],
    caption: str = "",
) -> Html:
    """Entries by columns; full precision and yardsticks first, then one block for each number of bits.

    Args:
        entries: Lines; those without bits are not ranked.
        columns: What is shown.
        figures: The figures of an entry.
        caption: Above the table.
    """
    full = next((figures(entry) for entry in entries if entry.key == "fp"), {})
    rows: list[Html] = []
    for bits, block in groupby(entries, key=lambda entry: entry.bits):
        lines = list(block)
        if bits:
            rows.append(
                tag("tr", tag("th", bits, colspan=len(columns) + 1, scope="rowgroup"), class_="block")
            )
        cells = [[column.value(figures(entry), full) for entry in lines] for column in columns]
        marks = [
            places(values, column.goal) if bits else [None] * len(lines)
            for values, column in zip(cells, columns, strict=True)
        ]
        for number, entry in enumerate(lines):
            rows.append(
                tag(
                    "tr",
                    tag("th", entry.label, scope="row", title=entry.error),
                    *(
                        _cell(values[number], column, mark[number])
                        for values, column, mark in zip(cells, columns, marks, strict=True)
                    ),
                    class_=None if bits else "yardstick",
                )
            )
    return _scroll(
        tag("table", tag("caption", caption) if caption else None, _head(columns), tag("tbody", *rows))
    )


def _cell(value: float | None, column: Column, place: int | None) -> Html:
    words: Part = shown(value, column.unit)
    if column.offset and value is not None and value > 0:
        words = f"+{words}"
    mark = _MARKS.get(place or 0)
    return tag("td", tag("span", words, class_=mark) if mark else words)


def _head(columns: Sequence[Column]) -> Html:
    groups = [(name, len(list(part))) for name, part in groupby(columns, key=lambda column: column.group)]
    over = (tag("th", GROUPS[name], colspan=count, class_="group") for name, count in groups)
    above = tag("tr", tag("th"), *over, class_="above")
    below = tag("tr", tag("th", "", scope="col"), *(_column_head(column) for column in columns))
    return tag("thead", above, below)


def _column_head(column: Column) -> Html:
    unit = f" {column.unit}" if column.unit else ""
    return tag("th", column.title, tag("span", f"{_GOALS[column.goal]}{unit}", class_="unit"), scope="col")


def cost_table(entries: Sequence[Entry], frames: int) -> Html | None:
    """Bytes, effective bits and measured times; None where nothing is known.

    Args:
        entries: Lines.
        frames: Frames of all clips, for the time of one.
    """
    known = [entry for entry in entries if entry.bytes_lowbit or entry.seconds]
    if not known:
        return None
    steps = list(dict.fromkeys(name for entry in known for name in entry.seconds))
    steps.sort(key=lambda name: _STEPS.index(name) if name in _STEPS else len(_STEPS))
    columns: list[tuple[str, Callable[[Entry], str]]] = [
        ("Size of layers", lambda entry: size(entry.bytes_lowbit if entry.bits else entry.bytes_fp32)),
        ("Saved", _saved),
        ("Bits a weight", lambda entry: shown(entry.effective_bits, "bits")),
        *((name.capitalize(), partial(_time, name, 1)) for name in steps),
        ("A frame", partial(_time, "upscale", frames)),
    ]
    # What nobody knows is no column.
    columns = [(title, cell) for title, cell in columns if any(cell(entry) != NONE for entry in known)]
    rows = (
        tag("tr", tag("th", entry.title, scope="row"), *(tag("td", cell(entry)) for _, cell in columns))
        for entry in known
    )
    head = tag("thead", tag("tr", tag("th"), *(tag("th", title, scope="col") for title, _ in columns)))
    return _scroll(tag("table", head, tag("tbody", *rows)))


def _saved(entry: Entry) -> str:
    if not entry.bytes_lowbit or not entry.bytes_fp32:
        return NONE
    return f"{1 - entry.bytes_lowbit / entry.bytes_fp32:.2%}"


def _time(name: str, parts: int, entry: Entry) -> str:
    seconds = entry.seconds.get(name)
    return duration(seconds / parts) if seconds is not None and parts else NONE


def pairs_table(pairs: Sequence[tuple[Part, Part]], class_: str = "facts") -> Html:
    """Labels and values."""
    rows = (tag("tr", tag("th", label, scope="row"), tag("td", value)) for label, value in pairs)
    return _scroll(tag("table", tag("tbody", *rows), class_=class_))


def _scroll(table: Html) -> Html:
    return tag("div", table, class_="scroll")


def legend() -> Html:
    """What the marks mean."""
    return tag(
        "p",
        join(tag("span", "best", class_="best"), " and ", tag("span", "second best", class_="second")),
        " among the methods of one number of bits. Arrows say which way is better; → 0: closest to zero.",
        class_="note",
    )

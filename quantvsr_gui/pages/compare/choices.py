"""Filling the page's choices, and the view as a project keeps it."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from PySide6.QtCore import QSignalBlocker
from PySide6.QtWidgets import QComboBox

from quantvsr.preview.keys import FP, GT
from quantvsr_gui.pages.compare.line import Line
from quantvsr_gui.pages.compare.state import MODES, View
from quantvsr_gui.pages.compare.versions import Version

# Whether the line of the slice is shown is not kept: a page opens with its pictures uncovered.
_KEPT = ("mode", "zoom", "x", "y", "active", "left", "wipe", "difference", "gain", "reference", "loupe")


def offer(choice: QComboBox, entries: Iterable[tuple[str, Any]], chosen: Any) -> None:
    """Offer entries (label, value) without telling anybody; `chosen` or else the first is chosen."""
    with QSignalBlocker(choice):
        choice.clear()
        for words, value in entries:
            choice.addItem(words, value)
        choice.setCurrentIndex(max(choice.findData(chosen), 0))


def choose(choice: QComboBox, value: Any) -> None:
    """Show an entry as the chosen one without telling anybody, if it is offered."""
    place = choice.findData(value)
    if place >= 0:
        with QSignalBlocker(choice):
            choice.setCurrentIndex(place)


def offer_versions(
    choices: Sequence[QComboBox], versions: Mapping[str, Version], chosen: Mapping[int, str]
) -> None:
    """Offer all versions in each slot, and nothing."""
    entries = [("–", ""), *((version.label, version.id) for version in versions.values())]
    for slot, choice in enumerate(choices):
        offer(choice, entries, chosen.get(slot, ""))


def best_reference(chosen: Mapping[int, str], kept: int | None) -> int:
    """The slot that differences are taken against.

    Args:
        chosen: Version of each slot.
        kept: The slot that was chosen before; None takes full precision, else the ground truth.
    """
    if kept is not None and kept in chosen:
        return kept
    slots = {version: slot for slot, version in chosen.items()}
    return slots.get(FP, slots.get(GT, min(chosen, default=0)))


def kept_view(view: View) -> dict[str, Any]:
    """A view as JSON values."""
    return {name: getattr(view, name) for name in _KEPT} | {"line": list(dataclasses.astuple(view.line))}


def as_view(value: Any) -> View:
    """The view that a project kept; what is not usable takes its default."""
    plain = View()
    if not isinstance(value, dict) or value.get("mode", plain.mode) not in MODES:
        return plain
    usable: dict[str, Any] = {}
    for name in _KEPT:
        known, entry = getattr(plain, name), value.get(name)
        if name == "zoom":
            fits = entry is None or (isinstance(entry, int | float) and entry > 0)
        else:
            fits = isinstance(entry, type(known))
        if name in value and fits:
            usable[name] = entry
    return dataclasses.replace(plain, **usable, line=_as_line(value.get("line")))


def _as_line(value: Any) -> Line:
    numbers = value if isinstance(value, list) else []
    usable = [float(each) for each in numbers if isinstance(each, int | float) and 0 <= each <= 1]
    return Line(*usable) if len(usable) == len(numbers) == 4 else Line()

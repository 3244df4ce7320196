"""Filling the page's choices, and the view as a project keeps it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from PySide6.QtWidgets import QComboBox

from quantvsr.preview.keys import FP, GT
from quantvsr_gui.pages.compare.state import MODES, View
from quantvsr_gui.pages.compare.versions import Version

# The line of the slice is not kept: a page opens with its pictures uncovered.
_KEPT = (
    "mode", "zoom", "x", "y", "active", "left", "wipe", "difference", "gain", "reference", "loupe",
    "vertical",
)  # fmt: skip


def offer_versions(
    choices: Sequence[QComboBox], versions: Mapping[str, Version], chosen: Mapping[int, str]
) -> None:
    """Offer all versions in each slot, and nothing."""
    for slot, choice in enumerate(choices):
        choice.clear()
        choice.addItem("–", "")
        for version in versions.values():
            choice.addItem(version.label, version.id)
        choice.setCurrentIndex(max(choice.findData(chosen.get(slot, "")), 0))


def offer_reference(
    choice: QComboBox, versions: Mapping[str, Version], chosen: Mapping[int, str], kept: int | None
) -> None:
    """Offer the chosen versions as what differences are taken against.

    Args:
        choice: Where.
        versions: All, by id.
        chosen: Version of each slot.
        kept: The slot that was chosen before; None takes full precision, else the ground truth.
    """
    choice.clear()
    for slot, version in sorted(chosen.items()):
        choice.addItem(f"{slot + 1}  {versions[version].label}", slot)
    slots = {version: slot for slot, version in chosen.items()}
    wanted = slots.get(FP, slots.get(GT, 0)) if kept is None or kept not in chosen else kept
    choice.setCurrentIndex(max(choice.findData(wanted), 0))


def kept_view(view: View) -> dict[str, Any]:
    """A view as JSON values."""
    return {name: getattr(view, name) for name in _KEPT}


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
    return replace(plain, **usable)

"""What all readers of results folders share."""

import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantvsr.calibration.kinds import block_kind
from quantvsr.calibration.table import ComplexityTable
from quantvsr.errors import BadInput
from quantvsr.files import read_json
from quantvsr.methods import get_method
from quantvsr.progress import Progress
from quantvsr.report.data import Layers, Report, Stage

CHECKPOINT = "checkpoint.safetensors"
_LARGEST_HEADER = 1 << 28


@dataclass(frozen=True)
class Source:
    """A kind of results folder.

    Attributes:
        files: It is recognised by any of these.
        read: Reads it: folder, whether with pictures, progress.
    """

    files: tuple[str, ...]
    read: Callable[[Path, bool, Progress], Report]


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        BadInput: Missing, damaged, or no object.
    """
    value = read_json(path)
    if not isinstance(value, dict):
        raise BadInput(f"{path} holds no results of this program; make them again.")
    return value


def optional_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file; empty where it is missing or damaged."""
    try:
        return read_object(path)
    except BadInput:
        return {}


def checkpoint_header(path: Path) -> dict[str, Any]:
    """What a checkpoint says about itself, read without loading its tensors; empty where it says nothing."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > _LARGEST_HEADER:
                return {}
            head = json.loads(file.read(length))
        value = json.loads(head["__metadata__"]["quantvsr"])
    except (OSError, ValueError, KeyError, TypeError, struct.error):
        return {}
    return value if isinstance(value, dict) else {}


def read_layers(folder: Path, title: str) -> Layers | None:
    """Complexity, ranks and losses in the folder of a model; None where there is nothing of all that."""
    found = optional_object(folder / "ranks.json").get("layers")
    ranks = {
        name: layer
        for name, layer in (found.items() if isinstance(found, dict) else ())
        if isinstance(layer, dict) and isinstance(layer.get("rank"), int)
    }
    table = _table(folder / "complexity.npz")
    stages = _stages(folder / "refinement.json")
    names = tuple(ranks) or (() if table is None else table.names)
    if not names and not stages:
        return None
    spatial = temporal = None
    if table is not None and names:
        means = dict(zip(table.names, zip(*table.means(), strict=True), strict=True))
        missing = (float("nan"), float("nan"))
        spatial, temporal = (tuple(float(means.get(name, missing)[i]) for name in names) for i in (0, 1))
    return Layers(
        title,
        names,
        tuple(block_kind(name) for name in names),
        tuple(ranks[name]["rank"] for name in names) if ranks else None,
        spatial=spatial,
        temporal=temporal,
        thresholds=_thresholds(optional_object(folder / "ranks.json").get("thresholds")),
        stages=stages,
    )


def _table(path: Path) -> ComplexityTable | None:
    try:
        return ComplexityTable.load(path)
    except BadInput:
        return None


def _thresholds(value: Any) -> tuple[float, float, float, float] | None:
    if not isinstance(value, dict):
        return None
    keys = ("spatial_low", "spatial_high", "temporal_low", "temporal_high")
    if not all(isinstance(value.get(key), int | float) for key in keys):
        return None
    low_s, high_s, low_t, high_t = (float(value[key]) for key in keys)
    return low_s, high_s, low_t, high_t


def _stages(path: Path) -> tuple[Stage, ...]:
    stages = optional_object(path).get("stages")
    found = []
    for stage in stages if isinstance(stages, list) else ():
        if isinstance(stage, dict) and isinstance(stage.get("losses"), list):
            held = tuple((int(step), float(loss)) for step, loss in stage.get("held_out") or ())
            losses = tuple(float("nan") if loss is None else float(loss) for loss in stage["losses"])
            found.append(Stage(str(stage.get("name", "")), losses, held))
    return tuple(found)


def method_title(name: str | None, fallback: str = "Quantized") -> str:
    """Title of a method; the fallback where this program does not know it."""
    try:
        return get_method(name or "").title
    except BadInput:
        return fallback


def settings_rows(settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Settings as labels and values, those that are not set left out."""
    rows = []
    for name, value in settings.items():
        if value in (None, [], "", False):
            continue
        words = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        rows.append((name.replace("_", " ").capitalize(), "yes" if value is True else words))
    return rows

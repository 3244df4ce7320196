"""The VSR models we can open, and how a path is recognised as one of them."""

import importlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from quantvsr.errors import BadModel
from quantvsr.models.adapter import Recognition, VSRAdapter
from quantvsr.resources import resource

BUNDLED = "bundled"
BUNDLED_FOLDER = "models/compact-x4"
# Modules with a constant FAMILY; imported when a model is looked for.
_BUILT_IN = ("quantvsr.models.compact.adapter", "quantvsr.models.mgld.adapter")


@dataclass(frozen=True)
class ModelFamily:
    """One kind of model: how to recognise a path (without loading weights) and how to open it."""

    name: str
    title: str
    recognise: Callable[[Path], Recognition | None]
    open: Callable[[Path, torch.device], VSRAdapter]


_families: dict[str, ModelFamily] = {}


def register_family(family: ModelFamily) -> None:
    """Add a kind of model; a later one of the same name replaces the earlier."""
    _families[family.name] = family


def read_json(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file, or None where there is no such file or object."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def model_path(reference: str | Path) -> Path:
    """Folder or file behind a reference; `bundled` is the model that comes with the program."""
    return resource(BUNDLED_FOLDER) if str(reference) == BUNDLED else Path(reference)


def recognise(reference: str | Path) -> Recognition:
    """Say what a path holds.

    Raises:
        BadModel: The path is missing, or no known model.
    """
    path = model_path(reference)
    if not path.exists():
        raise BadModel(f"There is no model at {path}: check the path, or use the bundled model.")
    _load_families()
    for family in _families.values():
        found = family.recognise(path)
        if found is not None:
            return found
    known = ", ".join(family.title for family in _families.values())
    raise BadModel(f"{path} is not a model this program knows ({known}).")


def title_of(family: str) -> str:
    """A family's name for a person.

    Raises:
        BadModel: There is no such family.
    """
    _load_families()
    if family not in _families:
        raise BadModel(f"There is no kind of model '{family}'; it may need a newer version of this program.")
    return _families[family].title


def open_model(reference: str | Path, device: str | torch.device = "cpu") -> VSRAdapter:
    """Open a model for running and quantizing.

    Raises:
        BadModel: Missing, unknown, incomplete or damaged.
    """
    path = model_path(reference)
    family = _families[recognise(path).family]
    try:
        return family.open(path, torch.device(device))
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise BadModel(f"The model at {path} could not be loaded ({reason}); copy it again.") from error


def _load_families() -> None:
    """Register the families that come with the program, after those that were registered by hand."""
    for name in _BUILT_IN:
        family = importlib.import_module(name).FAMILY
        _families.setdefault(family.name, family)

"""The VSR models we can open, and how a path is recognised as one of them."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from quantvsr.errors import BadModel
from quantvsr.hashing import hash_file, hash_json, hash_path
from quantvsr.models import hub
from quantvsr.models.adapter import Recognition, VSRAdapter
from quantvsr.models.unknown import explain
from quantvsr.resources import resource

BUNDLED = "bundled"
BUNDLED_FOLDER = "models/compact-x4"
# Modules with a tuple FAMILIES; imported when a model is looked for.
_BUILT_IN = (
    "quantvsr.models.compact.adapter",
    "quantvsr.models.mgld.family",
    "quantvsr.models.upscalers.families",
    "quantvsr.models.own",
)


@dataclass(frozen=True)
class ModelFamily:
    """One kind of model.

    Attributes:
        name: For files and messages of the program.
        title: For people.
        recognise: Says what a path holds, or None; loads no weights.
        open: Opens it on a device.
        files: The files that `open` reads; all visible ones of the path, if left out.
    """

    name: str
    title: str
    recognise: Callable[[Path], Recognition | None]
    open: Callable[[Path, torch.device], VSRAdapter]
    files: Callable[[Path], list[Path]] | None = None


_families: dict[str, ModelFamily] = {}


def register_family(family: ModelFamily) -> None:
    """Add a kind of model; a later one of the same name replaces the earlier."""
    _families[family.name] = family


def model_path(reference: str | Path) -> Path:
    """Folder or file behind a reference.

    `bundled` is the model that comes with the program, `hub:owner/name` one in the hub's local cache.

    Raises:
        BadModel: The hub's cache does not have it.
    """
    if str(reference) == BUNDLED:
        return resource(BUNDLED_FOLDER)
    if str(reference).startswith(hub.PREFIX):
        return hub.cached(str(reference))
    return Path(reference)


def recognise(reference: str | Path) -> Recognition:
    """Say what a path holds.

    Raises:
        BadModel: The path is missing, or no known model.
    """
    path = model_path(reference)
    if not path.exists():
        text = f"There is no model at {path}: check the path, or use the bundled model"
        if hub.is_id(str(reference)):
            text += f", or write {hub.PREFIX}{reference} for one in the hub's cache"
        raise BadModel(f"{text}.")
    _load_families()
    for family in _families.values():
        found = family.recognise(path)
        if found is not None:
            return found
    raise BadModel(explain(path, ", ".join(family.title for family in _families.values())))


def title_of(family: str) -> str:
    """A family's name for a person.

    Raises:
        BadModel: There is no such family.
    """
    _load_families()
    if family not in _families:
        raise BadModel(f"There is no kind of model '{family}'; it may need a newer version of this program.")
    return _families[family].title


def family_of(reference: str | Path) -> ModelFamily:
    """The family of what a path holds.

    Raises:
        BadModel: As `recognise`.
    """
    return _families[recognise(reference).family]


def model_files(reference: str | Path) -> list[Path]:
    """The files that a model consists of.

    Raises:
        BadModel: As `recognise`.
    """
    path = model_path(reference)
    given = family_of(reference).files
    if given is not None:
        return given(path)
    every = sorted(path.rglob("*")) if path.is_dir() else [path]
    hidden = (file for file in every if any(part.startswith(".") for part in file.relative_to(path).parts))
    return [file for file in every if file.is_file() and file not in set(hidden)]


def model_hash(reference: str | Path) -> str:
    """One hash of all files of a model: their names and contents.

    Raises:
        BadModel: As `recognise`.
    """
    path = model_path(reference)
    if family_of(reference).files is None:
        return hash_path(path)
    return hash_json({file.name: hash_file(file) for file in model_files(reference)})


def open_model(reference: str | Path, device: str | torch.device = "cpu") -> VSRAdapter:
    """Open a model for running and quantizing.

    Raises:
        BadModel: Missing, unknown, incomplete or damaged.
    """
    path = model_path(reference)
    family = family_of(path)
    try:
        return family.open(path, torch.device(device))
    except torch.OutOfMemoryError:
        # Said by whoever runs the job; the model is not to blame.
        raise
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise BadModel(f"The model at {path} could not be loaded ({reason}); copy it again.") from error


def _load_families() -> None:
    """Register the families that come with the program, after those that were registered by hand."""
    for name in _BUILT_IN:
        for family in importlib.import_module(name).FAMILIES:
            _families.setdefault(family.name, family)

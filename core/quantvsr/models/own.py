"""Models that a user brings: a Python file with an adapter in it, run because the user names the file."""

import ast
import hashlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from quantvsr.errors import BadModel, QuantVSRError
from quantvsr.models.adapter import Recognition, VSRAdapter
from quantvsr.models.registry import ModelFamily

ENTRY = "open_adapter"
# A list of file names beside the adapter that decide what it computes.
FILES = "FILES"
_ATTRIBUTES = (
    "name",
    "scale",
    "window",
    "size_multiple",
    "noise_channels",
    "denoiser",
    "default_steps",
    "default_exclude",
)


def recognise(path: Path) -> Recognition | None:
    """A Python file that defines `open_adapter`; it is read, not run."""
    tree = _parse(path)
    if tree is None or not any(isinstance(n, ast.FunctionDef) and n.name == ENTRY for n in tree.body):
        return None
    return Recognition("python", f"{path.name} defines {ENTRY}")


def files_of(path: Path) -> list[Path]:
    """The file, and those that its constant `FILES` names.

    Raises:
        BadModel: One of them is missing.
    """
    tree = _parse(path)
    names: list[str] = []
    for node in tree.body if tree is not None else ():
        if isinstance(node, ast.Assign) and FILES in [ast.unparse(target) for target in node.targets]:
            try:
                names = [str(name) for name in ast.literal_eval(node.value)]
            except (ValueError, TypeError) as error:
                raise BadModel(f"{FILES} in {path} is not a plain list of names; write it out.") from error
    files = [path.parent / name for name in names]
    for file in files:
        if not file.is_file():
            raise BadModel(f"{path} names the file {file}, which does not exist; put it there.")
    return [path, *files]


def open_file(path: Path, device: torch.device) -> VSRAdapter:
    """Run the file and take the adapter that its `open_adapter(device)` returns.

    Raises:
        BadModel: The code fails, or returns no complete adapter.
    """
    files_of(path)
    module = _import(path)
    try:
        adapter = getattr(module, ENTRY)(device)
    except QuantVSRError:
        raise
    except Exception as error:
        raise BadModel(f"{ENTRY} in {path} failed ({type(error).__name__}: {error}); mend it.") from error
    if not isinstance(adapter, VSRAdapter):
        raise BadModel(f"{ENTRY} in {path} returned a {type(adapter).__name__}, not a VSRAdapter; mend it.")
    missing = [name for name in _ATTRIBUTES if not hasattr(adapter, name)]
    if missing:
        raise BadModel(f"The adapter in {path} has no {missing[0]}; see docs/adapters.md.")
    adapter.source, adapter.device = path, device
    return adapter


def _parse(path: Path) -> ast.Module | None:
    if path.suffix != ".py" or not path.is_file():
        return None
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError) as error:
        raise BadModel(f"{path} is not readable Python ({error}); mend it.") from error


def _import(path: Path) -> ModuleType:
    name = f"quantvsr_own_{hashlib.sha256(str(path.absolute()).encode()).hexdigest()[:12]}"
    spec: Any = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise BadModel(f"{path} failed ({type(error).__name__}: {error}); mend it.") from error
    return module


FAMILIES = (ModelFamily("python", "An adapter in a Python file", recognise, open_file, files_of),)

"""How MGLD-VSR is recognised. The networks are imported when a model is opened, not before."""

from pathlib import Path

import torch

from quantvsr.models.adapter import Recognition, VSRAdapter
from quantvsr.models.mgld.files import (
    CLASS_NAME,
    COMPUTED_CONTEXT,
    description_file,
    find_files,
    is_converted,
)
from quantvsr.models.registry import ModelFamily
from quantvsr.models.weights import is_weight_file, parts_of

NAME = "mgld"


def recognise(path: Path) -> Recognition | None:
    """A folder with the official files, or one of them; told by their keys, reading no weights."""
    if is_converted(path):
        return Recognition(NAME, f"model_index.json names {CLASS_NAME}")
    if not path.is_dir() and not is_weight_file(path):
        return None
    found = find_files(path).found
    if "main" in found:
        return Recognition(NAME, f"{found['main'].name} has the keys of MGLD-VSR's UNet")
    if "video" in found:
        return Recognition(NAME, f"{found['video'].name} has the keys of MGLD-VSR's video autoencoder")
    return None


def open_path(path: Path, device: torch.device) -> VSRAdapter:
    """Load a folder, or a file with the others beside it."""
    from quantvsr.models.mgld import adapter

    return adapter.open_path(path, device)


def files_of(path: Path) -> list[Path]:
    """What makes the model: the official files, shard by shard, and the description of the sizes.

    The text encoder counts only as what is made of it, a constant that is the same for all these models;
    so the hash does not change when that is stored and the encoder's file goes away.
    """
    if is_converted(path):
        return sorted(file for file in path.rglob("*") if file.suffix in (".json", ".safetensors"))
    found = find_files(path)
    chosen = [file for kind, file in found.found.items() if kind != "text" and file.name != COMPUTED_CONTEXT]
    description = description_file(found.folder)
    shards = [part for file in chosen for part in parts_of(file)]
    return shards + ([description] if description is not None else [])


FAMILIES = (ModelFamily(NAME, "MGLD-VSR", recognise, open_path, files_of),)

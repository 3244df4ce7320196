"""What tensors a weight file holds, without reading their data."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import torch
from torch import Tensor

from quantvsr.errors import BadModel
from quantvsr.models.safe_load import _storage_fields, _Unpickler, load_pickle, load_safetensors

SUFFIXES = frozenset({".ckpt", ".pt", ".pth", ".bin", ".safetensors"})


def shapes_in(path: Path) -> dict[str, tuple[int, ...]] | None:
    """Shape of every tensor by key; None where that cannot be told without reading the file (or at all)."""
    try:
        if path.suffix == ".safetensors":
            with safetensors.safe_open(path, framework="pt") as opened:
                names = list(opened.keys())
                return {name: tuple(opened.get_slice(name).get_shape()) for name in names}
        if not zipfile.is_zipfile(path):
            return None
        return {name: tuple(value.shape) for name, value in state_dict(_unfilled(path)).items()}
    except Exception:  # noqa: BLE001 - any damage means: not a file we know
        return None


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a weight file, by key.

    Raises:
        BadModel: The file is missing, damaged, holds no tensors, or asks for more than data.
    """
    tensors = load_safetensors(path)[0] if path.suffix == ".safetensors" else state_dict(load_pickle(path))
    if not tensors:
        raise BadModel(f"{path} holds no tensors; choose a weight file.")
    return tensors


def state_dict(value: Any) -> dict[str, Tensor]:
    """The named tensors of what was saved: below `state_dict` where there is such an entry, else on top."""
    if isinstance(value, Mapping) and isinstance(value.get("state_dict"), Mapping):
        value = value["state_dict"]
    if not isinstance(value, Mapping):
        return {}
    return {name: entry for name, entry in value.items() if isinstance(entry, Tensor)}


def _unfilled(path: Path) -> Any:
    """What a zip file of `torch.save` holds, with tensors that have a shape and no data."""
    with zipfile.ZipFile(path) as archive:
        (name,) = (n for n in archive.namelist() if n == "data.pkl" or n.endswith("/data.pkl"))
        content = archive.read(name)

    def storage_of(pid: Any) -> Tensor:
        dtype, _, count = _storage_fields(pid)
        return torch.empty(count, dtype=dtype, device="meta")

    return _Unpickler(io.BytesIO(content), storage_of).load()

"""Weight files of any kind as named tensors: safetensors, pickles, and either of them cut into shards."""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from quantvsr.errors import BadModel
from quantvsr.models.safe_load import data_name, load_pickle, load_safetensors, safetensors_shapes

Shapes = Mapping[str, tuple[int, ...]]

SUFFIXES = frozenset({".ckpt", ".pt", ".pth", ".bin", ".safetensors"})
# The list of shards that libraries write beside them, as in `model.safetensors.index.json`.
INDEX_ENDINGS = tuple(f"{suffix}.index.json" for suffix in sorted(SUFFIXES))
# Where programs put the weights among other things they save; averaged weights before those they come from.
_WRAPPERS = ("state_dict", "params_ema", "params", "model_state_dict")


def read_json_object(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file, or None where there is no such file or object."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def is_weight_file(path: Path) -> bool:
    """Whether a file is one by its name: weights, or the list of their shards."""
    return path.is_file() and (path.suffix in SUFFIXES or path.name.endswith(INDEX_ENDINGS))


def weight_files(folder: Path) -> list[Path]:
    """The weight files in a folder by name; the list of shards stands for its shards.

    Raises:
        BadModel: A list of shards cannot be used.
    """
    files = sorted(path for path in folder.iterdir() if is_weight_file(path))
    shards = {shard for file in files if file.name.endswith(INDEX_ENDINGS) for shard in _shards(file)}
    return [file for file in files if file not in shards]


def parts_of(path: Path) -> list[Path]:
    """The files that a weight file consists of: itself, or a list of shards and its shards."""
    return [path, *_shards(path)] if path.name.endswith(INDEX_ENDINGS) else [path]


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor by key, without reading the tensors.

    Raises:
        BadModel: The file is missing, damaged, or asks for more than data; a shard is missing.
    """
    if path.name.endswith(INDEX_ENDINGS):
        return _merged(path, read_shapes, ())
    if path.suffix == ".safetensors":
        return safetensors_shapes(path)
    return {name: tuple(value.shape) for name, value in state_dict(load_pickle(path, data=False)).items()}


def read_tensors(path: Path, without: tuple[str, ...] = ()) -> dict[str, Tensor]:
    """The tensors of a weight file, by key.

    Args:
        path: The file.
        without: Beginnings of keys that are left out; their data is not read.

    Raises:
        BadModel: The file is missing, damaged, holds no tensors, or asks for more than data.
    """
    tensors = _read(path, without)
    if not tensors:
        raise BadModel(f"{path} holds no tensors; choose a weight file.")
    return tensors


def _read(path: Path, without: tuple[str, ...]) -> dict[str, Tensor]:
    if path.name.endswith(INDEX_ENDINGS):
        return _merged(path, lambda shard: _read(shard, without), without)
    return load_safetensors(path, without)[0] if path.suffix == ".safetensors" else _unpickled(path, without)


def _unpickled(path: Path, without: tuple[str, ...]) -> dict[str, Tensor]:
    if not without:
        return state_dict(load_pickle(path))
    outline = state_dict(load_pickle(path, data=False))
    used = {data_name(tensor) for name, tensor in outline.items() if not name.startswith(without)}
    every = {data_name(tensor) for tensor in outline.values()}
    found = state_dict(load_pickle(path, skip=every - used))
    return {name: tensor for name, tensor in found.items() if not name.startswith(without)}


def state_dict(value: Any) -> dict[str, Tensor]:
    """The named tensors of what was saved: below `state_dict` or the like where there is one, else on top."""
    if not isinstance(value, Mapping):
        return {}
    value = next((value[name] for name in _WRAPPERS if isinstance(value.get(name), Mapping)), value)
    return {name: v for name, v in value.items() if isinstance(name, str) and isinstance(v, Tensor)}


def with_prefix(names: Iterable[str], *prefixes: str) -> str:
    """The first of some prefixes that any name has; empty where none has one."""
    names = list(names)
    return next((prefix for prefix in prefixes if any(name.startswith(prefix) for name in names)), "")


def _shards(index: Path) -> list[Path]:
    """The shards that an index lists.

    Raises:
        BadModel: It lists none, or one that is not beside it.
    """
    try:
        listed = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        names = sorted({str(name) for name in listed.values()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadModel(f"{index} is not a list of shards ({error}); get it again.") from error
    for name in names:
        # A name that leads elsewhere, or to a list, is not a shard.
        plain = Path(name).name == name and Path(name).suffix in SUFFIXES
        if not plain or not (index.parent / name).is_file():
            raise BadModel(f"{index.parent} lacks the shard {name} that {index.name} lists; get it as well.")
    return [index.parent / name for name in names]


def _merged(index: Path, read: Callable[[Path], dict[str, Any]], without: tuple[str, ...]) -> dict[str, Any]:
    """What the shards hold together; each key from the shard that the index says."""
    shards = _shards(index)
    found: dict[str, Any] = {}
    for shard in shards:
        found |= read(shard)
    listed = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
    absent = sorted(name for name in set(listed) - set(found) if not name.startswith(without))
    if absent:
        raise BadModel(f"{listed[absent[0]]} beside {index.name} lacks {absent[0]}; get it again.")
    return found

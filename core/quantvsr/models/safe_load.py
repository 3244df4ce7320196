"""Reading weight files without running what they contain.

Pickled files (`torch.save`, both the zip form and the legacy form) are read by an unpickler that knows a
handful of harmless names (tensors, containers, numbers), puts empty objects in the place of what training
frameworks leave behind, and refuses every other name.
"""

import contextlib
import io
import os
import pickle
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from quantvsr.errors import BadModel
from quantvsr.models.stand_ins import stand_in

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001

_STORAGES: dict[str, torch.dtype] = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
_DTYPES = {str(dtype).partition(".")[2]: dtype for dtype in _STORAGES.values()}
_NAME = "quantvsr_data_name"
_NUMPY_KINDS = frozenset("biuf")


def load_pickle(
    path: str | os.PathLike[str], *, data: bool = True, skip: Collection[str] = frozenset()
) -> Any:
    """Read a file written by `torch.save`, on the processor, running nothing it contains.

    Args:
        path: The file.
        data: Read the tensors' data; without, they come back on the meta device, with shape and type only,
            and a file of gigabytes takes moments.
        skip: Names of data that is not read even so; see `data_name`.

    Returns:
        What was saved: tensors, dicts (also ordered), lists, tuples, sets, strings, bytes, numbers, NumPy
        scalars, None. Parameters come back as plain tensors, objects of training frameworks as empty ones.

    Raises:
        BadModel: The file is missing, truncated or damaged, or asks for anything else; the message names it.
    """
    file = Path(path)
    try:
        with file.open("rb") as stream:
            if zipfile.is_zipfile(stream):
                return _read_zip(stream, data, skip)
            stream.seek(0)
            return _read_legacy(stream, data, skip)
    except _Refused as error:
        raise BadModel(
            f"{file} asks to run {error}, which no weight file needs; ask its author for a safetensors file."
        ) from None
    except FileNotFoundError as error:
        raise BadModel(f"{file} does not exist; check the path.") from error
    except IsADirectoryError as error:
        raise BadModel(f"{file} is a folder; choose a weight file.") from error
    except OSError as error:
        raise BadModel(f"{file} cannot be read ({error.strerror or error}); check the file.") from error
    except Exception as error:
        raise BadModel(f"{file} is not a complete weight file ({error}); get it again.") from error


def data_name(tensor: Tensor) -> str:
    """Name of the data, inside its file, of a tensor that was loaded without; tensors may share data."""
    return getattr(tensor, _NAME)


def safetensors_shapes(path: str | os.PathLike[str]) -> dict[str, tuple[int, ...]]:
    """Shapes of the tensors of a safetensors file, by name; reads its header only.

    Raises:
        BadModel: The file is missing, truncated or damaged.
    """
    file = Path(path)
    with _complete_safetensors(file), safetensors.safe_open(file, framework="pt") as opened:
        return {name: tuple(opened.get_slice(name).get_shape()) for name in list(opened.keys())}


def safetensors_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """The metadata of a safetensors file.

    Raises:
        BadModel: The file is missing, truncated or damaged.
    """
    file = Path(path)
    with _complete_safetensors(file), safetensors.safe_open(file, framework="pt") as opened:
        return dict(opened.metadata() or {})


def load_safetensors(
    path: str | os.PathLike[str], without: tuple[str, ...] = ()
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a safetensors file.

    Args:
        path: The file.
        without: Beginnings of names that are left out.

    Returns:
        Tensors by name, and the file's metadata.

    Raises:
        BadModel: The file is missing, truncated or damaged.
    """
    file = Path(path)
    with _complete_safetensors(file), safetensors.safe_open(file, framework="pt") as opened:
        names = [name for name in list(opened.keys()) if not name.startswith(without)]
        tensors = {name: opened.get_tensor(name) for name in names}
        return tensors, dict(opened.metadata() or {})


@contextlib.contextmanager
def _complete_safetensors(file: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise BadModel(f"{file} does not exist; check the path.") from error
    except (OSError, safetensors.SafetensorError, ValueError) as error:
        raise BadModel(f"{file} is not a complete safetensors file ({error}); get it again.") from error


class _Refused(Exception):
    """A name outside the list; the message is the name."""


class _Storage:
    """Stands for a storage class in a pickle; holds its element type."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype


def _rebuild_tensor(
    storage: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: object
) -> Tensor:
    if not isinstance(storage, Tensor):
        raise ValueError("a tensor without data")
    if len(size) != len(stride) or offset < 0 or min((*size, *stride), default=0) < 0:
        raise ValueError("a tensor with an impossible shape")
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if 0 not in size and last >= storage.numel():
        raise ValueError("a tensor larger than its data")
    tensor = storage.as_strided(size, stride, offset)
    if storage.is_meta:
        setattr(tensor, _NAME, getattr(storage, _NAME))
    return tensor


def _rebuild_parameter(data: Tensor, *_: object) -> Tensor:
    return data


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise _Refused(f"_codecs.encode({encoding!r})")
    return text.encode("latin1")


class _NumpyType:
    """A NumPy number type in a pickle; its state (byte order) arrives by `__setstate__`."""

    def __init__(self, code: str, *_: object) -> None:
        self.type = np.dtype(code)
        if self.type.kind not in _NUMPY_KINDS:
            raise _Refused(f"numpy.dtype({code!r})")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        order = state[1]
        if order in ("<", ">"):
            self.type = self.type.newbyteorder(order)


def _numpy_scalar(kind: _NumpyType, data: bytes) -> np.generic:
    if not isinstance(kind, _NumpyType) or not isinstance(data, bytes) or len(data) != kind.type.itemsize:
        raise ValueError("a number of the wrong size")
    return np.frombuffer(data, kind.type)[0]


def _size(items: object = ()) -> tuple[int, ...]:
    return tuple(int(i) for i in items)  # type: ignore[attr-defined]


def _collection(kind: Callable[..., Any]) -> Callable[..., Any]:
    def build(items: object = ()) -> Any:
        if not isinstance(items, list | tuple | set | frozenset | dict):
            raise ValueError("a collection of something else")
        return kind(items)

    return build


_ALLOWED: dict[tuple[str, str], object] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("builtins", "set"): _collection(set),
    ("__builtin__", "set"): _collection(set),
    ("builtins", "frozenset"): _collection(frozenset),
    ("torch", "Size"): _size,
    ("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    ("_codecs", "encode"): _encode,
    ("numpy", "dtype"): _NumpyType,
    ("numpy.core.multiarray", "scalar"): _numpy_scalar,
    ("numpy._core.multiarray", "scalar"): _numpy_scalar,
    **{("torch", name): _Storage(dtype) for name, dtype in _STORAGES.items()},
    **{("torch.storage", name): _Storage(dtype) for name, dtype in _STORAGES.items()},
    **{("torch", name): dtype for name, dtype in _DTYPES.items()},
}


class _Unpickler(pickle.Unpickler):
    def __init__(self, stream: BinaryIO, storage_of: Callable[[Any], Tensor]) -> None:
        super().__init__(stream, encoding="utf-8")
        self._storage_of = storage_of

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        found = _ALLOWED.get((module_name, global_name)) or stand_in(module_name, global_name)
        if found is None:
            raise _Refused(f"{module_name}.{global_name}")
        return found

    def persistent_load(self, pid: Any, /) -> Tensor:
        return self._storage_of(pid)


def _storage_fields(pid: Any) -> tuple[torch.dtype, str, int]:
    """Element type, key and element count from a storage's persistent id."""
    kind, storage, key, _, count = pid[:5]
    if kind != "storage" or not isinstance(storage, _Storage):
        raise ValueError("an unknown kind of data")
    return storage.dtype, str(key), int(count)


def _without_data(dtype: torch.dtype, count: int, key: str) -> Tensor:
    tensor = torch.empty(count, dtype=dtype, device="meta")
    setattr(tensor, _NAME, key)
    return tensor


def _tensor(data: bytes, dtype: torch.dtype, count: int, byte_order: str) -> Tensor:
    if len(data) != count * dtype.itemsize:
        raise ValueError(f"{count} values take {count * dtype.itemsize} bytes, not {len(data)}")
    if not count:
        return torch.empty(0, dtype=dtype)
    raw = bytearray(data)
    if byte_order != sys.byteorder and dtype.itemsize > 1:
        raw = bytearray(np.frombuffer(raw, f"u{dtype.itemsize}").byteswap().tobytes())
    return torch.frombuffer(raw, dtype=dtype)


def _read_zip(stream: BinaryIO, data: bool, skip: Collection[str]) -> Any:
    with zipfile.ZipFile(stream) as archive:
        entries = {info.filename: info for info in archive.infolist()}
        pickles = [name for name in entries if name.endswith("/data.pkl") or name == "data.pkl"]
        if len(pickles) != 1:
            raise ValueError("no data.pkl in the archive")
        root = pickles[0][: -len("data.pkl")]

        def read(name: str) -> bytes:
            # Weight files are not compressed; a compressed entry could unpack to any size.
            if entries[root + name].compress_type != zipfile.ZIP_STORED:
                raise ValueError(f"{name} is compressed")
            return archive.read(entries[root + name])

        order = read("byteorder").decode() if root + "byteorder" in entries else "little"
        loaded: dict[str, Tensor] = {}

        def storage_of(pid: Any) -> Tensor:
            dtype, key, count = _storage_fields(pid)
            if key not in loaded:
                if entries[f"{root}data/{key}"].file_size != count * dtype.itemsize:
                    raise ValueError("data of the wrong size")
                loaded[key] = (
                    _tensor(read(f"data/{key}"), dtype, count, order)
                    if data and key not in skip
                    else _without_data(dtype, count, key)
                )
            return loaded[key]

        return _Unpickler(io.BytesIO(read("data.pkl")), storage_of).load()


def _read_legacy(stream: BinaryIO, data: bool, skip: Collection[str]) -> Any:
    """The form before PyTorch 1.6: several pickles in a row, then the data of all storages."""

    def refuse(pid: Any) -> Tensor:
        raise ValueError("data before its header")

    if _Unpickler(stream, refuse).load() != _LEGACY_MAGIC:
        raise ValueError("not written by torch.save")
    if _Unpickler(stream, refuse).load() != _LEGACY_PROTOCOL:
        raise ValueError("an unknown version of the legacy format")
    system = _Unpickler(stream, refuse).load()
    order = "little" if system.get("little_endian", True) else "big"

    # Tensors are built before their data arrives: storages are filled afterwards.
    storages: dict[str, Tensor] = {}
    end = stream.seek(0, os.SEEK_CUR)
    size = stream.seek(0, os.SEEK_END)
    stream.seek(end)

    def storage_of(pid: Any) -> Tensor:
        dtype, key, count = _storage_fields(pid)
        if len(pid) > 5 and pid[5] is not None:
            raise ValueError("views of storages, an unused feature of the legacy format")
        if not 0 <= count * dtype.itemsize <= size:
            raise ValueError("more data than the file holds")
        if key not in storages:
            wanted = data and key not in skip
            storages[key] = torch.empty(count, dtype=dtype) if wanted else _without_data(dtype, count, key)
        return storages[key]

    result = _Unpickler(stream, storage_of).load()
    if not data:
        return result
    for key in _Unpickler(stream, refuse).load():
        storage = storages[key]
        count = int.from_bytes(stream.read(8), "little" if order == "little" else "big")
        if count != storage.numel():
            raise ValueError("data of the wrong size")
        if storage.is_meta:
            stream.seek(count * storage.dtype.itemsize, os.SEEK_CUR)
            continue
        content = stream.read(count * storage.dtype.itemsize)
        storage.copy_(_tensor(content, storage.dtype, count, order))
    return result

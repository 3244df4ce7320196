"""Content hashes (SHA-256, hexadecimal) of files, image folders, settings and models.

They tell whether a finished stage can be used again, and a checkpoint whether it belongs to a model.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from quantvsr.errors import BadInput

if TYPE_CHECKING:
    import torch

_BLOCK = 1 << 20


def hash_file(path: str | os.PathLike[str]) -> str:
    """Hash of a file's content, read in blocks.

    Raises:
        BadInput: The file is missing or cannot be read.
    """
    digest = hashlib.sha256()
    _feed_file(digest, Path(path))
    return digest.hexdigest()


def hash_path(path: str | os.PathLike[str]) -> str:
    """Hash of a file, or of a folder: the names (below it) and contents of all its visible files.

    Hidden files are left out, so that thumbnails and the like do not change the hash of an image folder.

    Raises:
        BadInput: The path is missing or cannot be read.
    """
    place = Path(path)
    if not place.is_dir():
        return hash_file(place)
    digest = hashlib.sha256()
    for file in sorted(place.rglob("*"), key=lambda f: f.relative_to(place).as_posix()):
        name = file.relative_to(place)
        if file.is_file() and not any(part.startswith(".") for part in name.parts):
            digest.update(name.as_posix().encode("utf-8") + b"\0" + str(file.stat().st_size).encode() + b"\0")
            _feed_file(digest, file)
    return digest.hexdigest()


def hash_json(value: object) -> str:
    """Hash of a JSON value; the order of keys in objects does not matter."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def hash_state_dict(state: "Mapping[str, torch.Tensor]") -> str:
    """Hash of named tensors: names, types, shapes and bytes, whatever their order and device."""
    import torch

    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().to("cpu").contiguous()
        digest.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        # Reading the bytes as uint8 works for every type, bfloat16 too, which NumPy does not know.
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _feed_file(digest: "hashlib._Hash", file: Path) -> None:
    try:
        with file.open("rb") as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
    except FileNotFoundError as error:
        raise BadInput(f"{file} does not exist; check the path.") from error
    except OSError as error:
        raise BadInput(f"{file} cannot be read ({error.strerror}); check its permissions.") from error

"""Snapshots of the refinement: everything that decides how it goes on, in safetensors and JSON.

A snapshot is a folder `snapshot-NUMBER` that appears whole or not at all. The newest valid one that belongs
to the same refinement (same settings, layers and samples) is taken; damaged or foreign ones are passed over.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor

from quantvsr.errors import BadInput
from quantvsr.files import atomic_json, atomic_path, make_folder, read_json, remove
from quantvsr.hashing import hash_file

_VERSION = 1
_KEEP = 2


@dataclass(frozen=True)
class Snapshot:
    """A state read back.

    Attributes:
        state: JSON part.
        tensors: Tensors by name.
    """

    state: dict[str, Any]
    tensors: dict[str, Tensor]


class SnapshotFolder:
    """Snapshots of one refinement.

    Args:
        folder: Where they are; None keeps none.
        identity: Hash of everything that the trajectory depends on.
    """

    def __init__(self, folder: str | os.PathLike[str] | None, identity: str) -> None:
        self.folder = None if folder is None else Path(folder)
        self.identity = identity

    def _found(self) -> list[Path]:
        if self.folder is None or not self.folder.is_dir():
            return []
        return sorted(p for p in self.folder.glob("snapshot-*") if p.is_dir())

    def save(self, number: int, state: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Write snapshot `number` (rising) and drop all but the newest two.

        Raises:
            DiskFull: No space; older snapshots stay.
        """
        if self.folder is None:
            return
        make_folder(self.folder)
        with atomic_path(self.folder / f"snapshot-{number:08d}") as temporary:
            temporary.mkdir()
            file = temporary / "state.safetensors"
            save_file({k: t.detach().cpu().contiguous().clone() for k, t in tensors.items()}, file)
            header = {"version": _VERSION, "identity": self.identity, "sha256": hash_file(file)}
            atomic_json(temporary / "state.json", header | {"state": dict(state)})
        for old in self._found()[:-_KEEP]:
            remove(old)

    def newest(self) -> Snapshot | None:
        """The newest snapshot that is whole and belongs to this refinement."""
        for folder in reversed(self._found()):
            try:
                header = read_json(folder / "state.json")
                data = (folder / "state.safetensors").read_bytes()
                if not isinstance(header, dict) or header.get("version") != _VERSION:
                    continue
                if header["identity"] != self.identity or header["sha256"] != hash_file(
                    folder / "state.safetensors"
                ):
                    continue
                return Snapshot(header["state"], load(data))
            except (BadInput, OSError, SafetensorError, KeyError):
                # Damaged: an older one may be whole.
                continue
        return None

    def clear(self) -> None:
        """Remove all snapshots."""
        for folder in self._found():
            remove(folder)

"""Snapshots of the refinement: everything that decides how it goes on, in safetensors and JSON.

A snapshot is a folder `snapshot-NUMBER` that appears whole or not at all. The newest valid one that belongs
to the same refinement (same settings, layers and samples) is taken; damaged or foreign ones are passed over.

The newest two are kept whole. Of older ones those with the least loss are kept as `light-NUMBER`, with the
trained values only: a person may still choose one as the result.
"""

import contextlib
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor

from quantvsr.calibration.snapshot_list import LIGHT, WHOLE, loss_of
from quantvsr.errors import BadInput
from quantvsr.files import atomic_json, atomic_path, make_folder, read_json, remove
from quantvsr.hashing import hash_file

_VERSION = 1
_KEEP, _KEEP_LIGHT = 2, 6
_VALUES = "state/"


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

    def _found(self, kind: str = WHOLE) -> list[Path]:
        if self.folder is None or not self.folder.is_dir():
            return []
        return sorted(p for p in self.folder.glob(f"{kind}*") if p.is_dir())

    def save(self, number: int, state: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Write snapshot `number` (rising); of older ones the newest stays whole, a few stay light.

        Raises:
            DiskFull: No space; older snapshots stay.
        """
        if self.folder is None:
            return
        self._write(f"{WHOLE}{number:08d}", state, tensors)
        for old in self._found()[:-_KEEP]:
            found = self._read(old)
            values = {k: t for k, t in found.tensors.items() if k.startswith(_VALUES)} if found else {}
            if found is not None and values:
                self._write(LIGHT + old.name.removeprefix(WHOLE), found.state, values)
            remove(old)
        for dropped in sorted(self._found(LIGHT), key=self._rank)[_KEEP_LIGHT:]:
            remove(dropped)

    def _rank(self, folder: Path) -> float:
        """Sorts light snapshots: own ones with the least loss first."""
        with contextlib.suppress(BadInput, KeyError, TypeError, ValueError):
            header: Any = read_json(folder / "state.json")
            if header["identity"] == self.identity:
                loss = loss_of(header["state"])
                return math.inf if loss is None else loss
        return math.inf

    def _write(self, name: str, state: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        assert self.folder is not None
        make_folder(self.folder)
        with atomic_path(self.folder / name) as temporary:
            temporary.mkdir()
            file = temporary / "state.safetensors"
            save_file({k: t.detach().cpu().contiguous().clone() for k, t in tensors.items()}, file)
            header = {"version": _VERSION, "identity": self.identity, "sha256": hash_file(file)}
            atomic_json(temporary / "state.json", header | {"state": dict(state)})

    def _read(self, folder: Path) -> Snapshot | None:
        """A snapshot that is whole and belongs to this refinement, else None."""
        try:
            header = read_json(folder / "state.json")
            data = (folder / "state.safetensors").read_bytes()
            if not isinstance(header, dict) or header.get("version") != _VERSION:
                return None
            if header["identity"] != self.identity or header["sha256"] != hash_file(
                folder / "state.safetensors"
            ):
                return None
            return Snapshot(header["state"], load(data))
        except (BadInput, OSError, SafetensorError, KeyError):
            return None

    def newest(self, most: int | None = None) -> Snapshot | None:
        """The newest snapshot to go on from that is whole and belongs to this refinement.

        Args:
            most: Largest number that may be taken; any if left out.
        """
        for folder in reversed(self._found()):
            found = self._read(folder)  # None where damaged: an older one may be whole
            if found is not None and (most is None or int(found.state["number"]) <= most):
                return found
        return None

    def exactly(self, number: int) -> Snapshot | None:
        """Snapshot `number`, perhaps with the trained values only; None where it is not there."""
        if self.folder is None:
            return None
        places = [self.folder / f"{kind}{number:08d}" for kind in (WHOLE, LIGHT)]
        return next((found for place in places if (found := self._read(place)) is not None), None)

    def clear(self) -> None:
        """Remove all snapshots."""
        for folder in [*self._found(), *self._found(LIGHT)]:
            remove(folder)

"""Calibration samples on disk: what the denoiser saw in full-precision runs, and what it answered.

A store is a folder with one safetensors file per sample and `index.json`, which says what made them. Files
are verified by hash. Samples are read one at a time, so memory stays bounded.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor

from quantvsr.errors import BadInput
from quantvsr.files import atomic_json, atomic_path, make_folder, read_json, remove
from quantvsr.hashing import hash_file

_VERSION = 1
_INDEX = "index.json"


@dataclass(frozen=True)
class Sample:
    """One recorded call: `denoiser(**inputs)` gave `output`.

    Attributes:
        inputs: Tensors by argument name; values may be nested dictionaries or lists of tensors.
        output: What the full-precision denoiser returned.
        info: Where it comes from: clip, window, crop, step, steps, seed.
    """

    inputs: dict[str, Any]
    output: Tensor
    info: dict[str, Any]

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> "Sample":
        """Copy on a device; floating tensors in `dtype`, if one is given."""

        def move(value: Any) -> Any:
            if isinstance(value, Tensor):
                return value.to(device, dtype if value.is_floating_point() else None)
            if isinstance(value, Mapping):
                return {key: move(part) for key, part in value.items()}
            return [move(part) for part in value]

        return Sample(
            {name: move(value) for name, value in self.inputs.items()}, move(self.output), self.info
        )


def flatten(value: Any, prefix: str) -> dict[str, Tensor]:
    """Nested dictionaries and lists of tensors as one flat dictionary with `/` in the keys.

    Raises:
        TypeError: Something else than a tensor is inside.
    """
    if isinstance(value, Tensor):
        return {prefix: value}
    if isinstance(value, Mapping):
        parts = {f"{prefix}/{key}": part for key, part in value.items()}
    elif isinstance(value, list | tuple):
        parts = {f"{prefix}/[{i}]": part for i, part in enumerate(value)}
    else:
        raise TypeError(f"calibration samples hold tensors only, {prefix} is a {type(value).__name__}")
    return {key: tensor for name, part in parts.items() for key, tensor in flatten(part, name).items()}


def unflatten(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Inverse of `flatten` for a dictionary of named values (tuples come back as lists)."""
    root: dict[str, Any] = {}
    for key in sorted(tensors, key=_natural):
        *path, last = key.split("/")
        here = root
        for part in path:
            here = here.setdefault(part, {})
        here[last] = tensors[key]

    def lists(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        parts = {key: lists(part) for key, part in value.items()}
        return list(parts.values()) if parts and all(key.startswith("[") for key in parts) else parts

    return {key: lists(value) for key, value in root.items()}


def _natural(key: str) -> list[tuple[int, str]]:
    return [(len(part) if part.startswith("[") else 0, part) for part in key.split("/")]


class SampleStore(Sequence[Sample]):
    """A folder of samples.

    Args:
        folder: Where it is.

    Raises:
        BadInput: There is no store, or its index cannot be read.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        index = read_json(self.folder / _INDEX)
        if not isinstance(index, dict) or index.get("version") != _VERSION:
            raise BadInput(
                f"{self.folder / _INDEX} is no index of samples this program reads; record them again."
            )
        self.made_from: dict[str, Any] = index["made_from"]
        self.entries: list[dict[str, Any]] = index["samples"]

    @classmethod
    def create(cls, folder: str | os.PathLike[str], made_from: Mapping[str, Any]) -> "SampleStore":
        """Start an empty store, dropping what an older one in the folder held.

        Args:
            folder: Where; created if missing.
            made_from: JSON-able description of what makes the samples; the same description, the same
                samples.
        """
        path = make_folder(folder)
        for old in path.glob("sample-*.safetensors"):
            remove(old)
        atomic_json(path / _INDEX, {"version": _VERSION, "made_from": dict(made_from), "samples": []})
        return cls(path)

    def __len__(self) -> int:
        return len(self.entries)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> "list[Sample]": ...
    def __getitem__(self, index: int | slice) -> "Sample | list[Sample]":
        """Read one sample from disk.

        Raises:
            BadInput: The file is missing or damaged.
        """
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        entry = self.entries[index]
        path = self.folder / entry["file"]
        try:
            # From memory: a mapped file that is replaced meanwhile would end the process.
            tensors = load(path.read_bytes())
            output = tensors.pop("output")
        except (OSError, SafetensorError, KeyError) as error:
            raise BadInput(f"{path} is missing or damaged; record the calibration samples again.") from error
        if entry.get("half"):
            tensors = {k: t.float() if t.dtype == torch.float16 else t for k, t in tensors.items()}
            output = output.float()
        return Sample(unflatten({key[6:]: t for key, t in tensors.items()}), output, dict(entry["info"]))

    def __iter__(self) -> Iterator[Sample]:
        return (self[i] for i in range(len(self)))

    def infos(self) -> list[dict[str, Any]]:
        """Where each sample comes from, without reading tensors."""
        return [dict(entry["info"]) for entry in self.entries]

    def put(self, number: int, sample: Sample, *, half: bool = False) -> dict[str, Any]:
        """Write one sample's file and return its index entry; `commit` makes it part of the store."""
        tensors = flatten(sample.inputs, "input") | {"output": sample.output}
        tensors = {
            key: t.detach()
            .to("cpu", torch.float16 if half and t.dtype == torch.float32 else None)
            .contiguous()
            for key, t in tensors.items()
        }
        # Tensors that share memory (broadcast conditions) are refused by the format.
        tensors = {key: t.clone() for key, t in tensors.items()}
        path = self.folder / f"sample-{number:05d}.safetensors"
        with atomic_path(path) as temporary:
            save_file(tensors, temporary)
            digest = hash_file(temporary)
        return {"file": path.name, "sha256": digest, "half": half, "info": sample.info}

    def commit(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """Make these entries the content of the index."""
        self.entries = [dict(entry) for entry in entries]
        content = {"version": _VERSION, "made_from": self.made_from, "samples": self.entries}
        atomic_json(self.folder / _INDEX, content)

    def intact(self, entry: Mapping[str, Any]) -> bool:
        """Whether the file of an entry is there and has the recorded hash."""
        path = self.folder / str(entry["file"])
        return path.is_file() and hash_file(path) == entry["sha256"]


def infos_of(samples: Sequence[Sample]) -> list[dict[str, Any]]:
    """Where each sample comes from; a store tells without reading tensors."""
    return samples.infos() if isinstance(samples, SampleStore) else [sample.info for sample in samples]


def split_windows(infos: Sequence[Mapping[str, Any]], holdout: int) -> tuple[list[int], list[int]]:
    """Split samples into training and held-out ones, whole windows at a time.

    Args:
        infos: `SampleStore.infos()`; samples without a window count as one window each.
        holdout: How many windows to hold out; fewer if less than half of the windows would remain.

    Returns:
        Numbers of the training samples and of the held-out samples.
    """
    windows = sorted({info.get("window", i) for i, info in enumerate(infos)})
    count = min(holdout, len(windows) // 2)
    # Evenly over the list, never the first: any prefix of the windows is spread over the clips.
    held = {windows[(2 * i + 1) * len(windows) // (2 * count)] for i in range(count)} if count else set()
    train = [i for i, info in enumerate(infos) if info.get("window", i) not in held]
    return train, [i for i, info in enumerate(infos) if info.get("window", i) in held]

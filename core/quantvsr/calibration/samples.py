"""Calibration samples on disk: what the denoiser saw in full-precision runs, and what it answered.

A store is a folder with one safetensors file per sample and `index.json`, which says what made them.
Recording continues where it stopped; files are verified by hash. Samples are read one at a time, so memory
stays bounded.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, overload

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor

from quantvsr.calibration.selection import ClipSource, WindowChoice, choose_windows
from quantvsr.errors import BadInput
from quantvsr.files import atomic_json, atomic_path, make_folder, read_json, remove
from quantvsr.hashing import hash_file
from quantvsr.progress import Progress

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


@dataclass(frozen=True)
class RecordSettings:
    """What is recorded.

    Attributes:
        windows: Windows in all.
        crop: Edge of the crops in LQ pixels.
        steps: Sampling steps; None for the model's own number.
        keep_steps: How many steps of each run are kept, spread evenly; None for all.
        seed: Choice of windows, and noise.
        half: Store floating tensors in half precision: half the disk space, targets rounded to 11 bits.
    """

    windows: int = 12
    crop: int = 64
    steps: int | None = None
    keep_steps: int | None = None
    seed: int = 0
    half: bool = False


class Recorder(Protocol):
    """The part of a model's adapter that recording needs."""

    name: str
    window: int
    size_multiple: int
    noise_channels: int
    default_steps: int
    device: torch.device

    def record_window(self, lq: Tensor, noise: Tensor, steps: int) -> list[tuple[dict[str, Tensor], Tensor]]:
        """Inputs and output of the denoiser at every step; see `VSRAdapter`."""
        ...


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


def kept_steps(steps: int, keep: int | None, offset: int) -> list[int]:
    """Which of the steps of one run are kept: spread evenly, shifted by `offset` from run to run.

    With 50 steps and 10 kept these are 0, 5, ..., 45 for the first run, 1, 6, ..., 46 for the next.
    """
    if keep is None or keep >= steps:
        return list(range(steps))
    phase = offset % -(-steps // keep)
    return sorted({min(steps * i // keep + phase, steps - 1) for i in range(keep)})


def record_samples(
    adapter: Recorder,
    clips: Sequence[ClipSource],
    folder: str | os.PathLike[str],
    settings: RecordSettings | None = None,
    *,
    model_digest: str = "",
    progress: Progress | None = None,
) -> SampleStore:
    """Record calibration samples, or complete an earlier recording of the same ones.

    Args:
        adapter: The full-precision model.
        clips: Where the windows come from.
        folder: The store; what another recording left there is replaced.
        settings: What to record.
        model_digest: Hash of the model; samples of another model are not kept.
        progress: Reports windows and samples; checked before every window.

    Returns:
        The complete store; its order goes from window to window and inside from step to step.

    Raises:
        BadInput: A clip cannot be used.
        Cancelled: What was recorded stays and is used next time.
    """
    how, watch = settings or RecordSettings(), progress or Progress()
    watch.check()
    choices = choose_windows(
        clips,
        how.windows,
        window=adapter.window,
        crop=how.crop,
        multiple=adapter.size_multiple,
        seed=how.seed,
    )
    steps = how.steps or adapter.default_steps
    made_from = {
        "model": adapter.name,
        "model_digest": model_digest,
        "clips": [{"name": clip.name, "digest": clip.digest} for clip in clips],
        "settings": {**asdict(how), "steps": steps},
        "windows": [choice.to_json() for choice in choices],
    }
    store = _continue_or_create(folder, made_from)
    done = {(e["info"]["window"], e["info"]["step"]): e for e in store.entries if store.intact(e)}
    entries: list[dict[str, Any]] = []
    for number, choice in enumerate(choices):
        wanted = kept_steps(steps, how.keep_steps, number)
        if not all((number, step) in done for step in wanted):
            watch.check()
            for sample in _record_window(adapter, clips, choice, number, steps, wanted, how.seed):
                place = len(entries) + wanted.index(sample.info["step"])
                done[(number, sample.info["step"])] = store.put(place, sample, half=how.half)
            # Later windows of an earlier recording stay in the index until they are reached.
            later = [e for (w, _), e in sorted(done.items(), key=lambda item: item[0]) if w > number]
            store.commit(entries + [done[(number, step)] for step in wanted] + later)
        entries += [done[(number, step)] for step in wanted]
        share = (number + 1) / len(choices)
        watch.report(share, f"Recorded window {number + 1} of {len(choices)}", samples=len(entries))
    store.commit(entries)
    return store


def _continue_or_create(folder: str | os.PathLike[str], made_from: dict[str, Any]) -> SampleStore:
    try:
        store = SampleStore(folder)
    except BadInput:
        return SampleStore.create(folder, made_from)
    return store if store.made_from == made_from else SampleStore.create(folder, made_from)


def _record_window(
    adapter: Recorder,
    clips: Sequence[ClipSource],
    choice: WindowChoice,
    number: int,
    steps: int,
    wanted: Sequence[int],
    seed: int,
) -> Iterator[Sample]:
    clip = clips[choice.clip]
    frames = clip.read(choice.start, adapter.window)
    crop = frames[:, choice.y : choice.y + choice.height, choice.x : choice.x + choice.width]
    lq = torch.from_numpy(np.ascontiguousarray(crop.transpose(0, 3, 1, 2)))
    # The seed of a window does not depend on how many windows there are.
    noise_seed = int(np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0] >> np.uint64(1))
    generator = torch.Generator().manual_seed(noise_seed)
    noise = torch.randn(adapter.noise_channels, choice.height, choice.width, generator=generator)
    calls = adapter.record_window(lq.to(adapter.device), noise.to(adapter.device), steps)
    for step in wanted:
        inputs, output = calls[step]
        info = {
            **choice.to_json(),
            "clip": clip.digest,
            "clip_name": clip.name,
            "clip_number": choice.clip,
            "window": number,
            "step": step,
            "steps": steps,
            "seed": noise_seed,
        }
        yield Sample(inputs, output, info)


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

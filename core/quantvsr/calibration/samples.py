"""Recording calibration samples; an earlier recording is continued where it stopped."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from quantvsr.calibration.selection import ClipSource, WindowChoice, choose_windows
from quantvsr.calibration.store import Sample, SampleStore, infos_of, split_windows
from quantvsr.errors import BadInput
from quantvsr.progress import Progress

__all__ = [
    "RecordSettings",
    "Recorder",
    "Sample",
    "SampleStore",
    "infos_of",
    "kept_steps",
    "record_samples",
    "split_windows",
]


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

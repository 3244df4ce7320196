"""The ranked list of layers that hurt the picture: cost first, then layer by layer, kept from run to run."""

import functools
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantvsr import __version__
from quantvsr.calibration.kinds import block_kind
from quantvsr.errors import BadInput
from quantvsr.files import atomic_json, folder_for, make_folder, read_json
from quantvsr.hashing import hash_file, hash_json
from quantvsr.jobs.sensitivity import FILE, SensitivityJob, SensitivityResult
from quantvsr.jobs.work.analysis import source_hash
from quantvsr.jobs.work.clips import Piece, bundled_clips, tell_warnings
from quantvsr.jobs.work.lowbit import LowBit, open_lowbit
from quantvsr.jobs.work.quantization import checkpoint_file
from quantvsr.progress import Progress
from quantvsr.upscale.layer_effects import LayerEffects, cut_excerpt, decibels
from quantvsr.upscale.render import busiest_region

FORMAT, VERSION = "quantvsr-sensitivity", 1
# Side of the region that is looked at unless one is given, LQ pixels.
_SIDE = 24
_SAVE_EVERY = 2.0


@dataclass(frozen=True)
class _Scene:
    """What is run: windows of frames, and the region of them."""

    windows: list[NDArray[np.float32]]
    region: tuple[int, int, int, int]
    name: str
    piece: dict[str, Any]


def find_sensitivity(job: SensitivityJob, progress: Progress) -> SensitivityResult:
    """Say the cost, measure, rank, and write `sensitivity.json`.

    Raises:
        BadModel: The checkpoint is damaged, or belongs to another model.
        BadInput: The clip has no such frames, or the region does not lie in it.
    """
    checkpoint = checkpoint_file(job.checkpoint)
    lowbit = open_lowbit(job, checkpoint)
    scene = _read(job, lowbit, progress)
    adapter = lowbit.adapter
    steps = job.steps or adapter.default_steps
    effects = LayerEffects(
        adapter,
        lowbit.layers,
        [cut_excerpt(w, scene.region, adapter.scale, adapter.size_multiple) for w in scene.windows],
        seed=job.seed,
        steps=steps,
        progress=progress,
    )
    names = list(lowbit.layers)
    count = len(names) if job.layers is None else min(job.layers, len(names))
    progress.report(0.0, "timing two runs")
    started = time.perf_counter()
    error = effects.error(lambda name: True)
    quantized = effects.seconds
    full = time.perf_counter() - started - quantized
    # Two runs for each layer, one step of one for the quick look, and one of both kinds for the SNR.
    times = count + len(names) / (2 * steps * job.windows) + 1
    cost = {"layers": count, "runs": 2 * count, "seconds": round(times * (quantized + full), 1)}
    if job.estimate:
        return SensitivityResult(out=None, cost=cost, found=None)
    progress.warn(_told(job, len(names), cost))
    folder = make_folder(folder_for(job.out, job.name))
    identity = {
        "program": __version__,
        "model": source_hash(job.model),
        "checkpoint": hash_file(checkpoint),
        "clip": scene.piece,
        "region": list(scene.region),
        "windows": job.windows,
        "seed": job.seed,
        "steps": steps,
        "device": adapter.device.type,
    }
    store = _Store(folder / "work" / "sensitivity.json", hash_json(identity))
    try:
        order, quick, snr = _prepare(effects, names, store, progress.stage("quick look", 0.0, 0.15))
        chosen = order[:count]
        _measure(effects, chosen, store, progress.stage("layers", 0.15, 1.0))
    finally:
        # Stopped, too: what is measured is kept.
        store.save()
    found = {
        "format": FORMAT,
        "version": VERSION,
        "key": hash_json(identity),
        "command": job.command(),
        **identity,
        "bits": lowbit.bits,
        "clip_name": scene.name,
        "start": job.start,
        "frames": job.windows * adapter.window,
        "psnr": round(decibels(error), 4),
        "mse": error,
        "measured": len(chosen),
        "seconds": round(time.perf_counter() - started, 1),
        "layers": _ranked(names, lowbit, store.values, error, quick, snr),
    }
    atomic_json(folder / FILE, found)
    progress.report(1.0, "done")
    return SensitivityResult(out=folder / FILE, cost=cost, found=found)


def _told(job: SensitivityJob, layers: int, cost: Mapping[str, float]) -> str:
    what = f"{cost['runs']:.0f} runs for {cost['layers']:.0f} of {layers} layers"
    seconds = cost["seconds"]
    text = f"{what} take about {f'{seconds / 60:.0f} min' if seconds >= 120 else f'{seconds:.0f} s'}"
    return f"{text}; --layers measures fewer." if job.layers is None else f"{text}."


def _read(job: SensitivityJob, lowbit: LowBit, progress: Progress) -> _Scene:
    adapter = lowbit.adapter
    path = bundled_clips()[0].lq if job.clip is None else Path(job.clip).expanduser()
    piece = Piece(path, job.start, job.windows * adapter.window, frame_rate=job.frame_rate)
    with piece.open() as reader:
        frames = [frame.rgb for frame in piece.frames(reader)]
        tell_warnings(reader, progress)
    if not frames:
        raise BadInput(f"{path} has no frame from {job.start} on; choose an earlier --start.")
    # The last frame is repeated where the clip ends early, as the engine does.
    frames += [frames[-1]] * (-len(frames) % adapter.window)
    windows = [np.stack(frames[i : i + adapter.window]) for i in range(0, len(frames), adapter.window)]
    if job.region:
        x, y, width, height = job.region
        region = (y, x, height, width)
    else:
        found = busiest_region(windows[0][adapter.window // 2], _SIDE, _SIDE)
        y, x, height, width = (adapter.scale * v for v in (found.y, found.x, found.height, found.width))
        region = (y, x, height, width)
    return _Scene(windows, region, path.name, piece.to_json())


def _prepare(
    effects: LayerEffects, names: list[str], store: "_Store", progress: Progress
) -> tuple[list[str], dict[str, float], dict[str, float | None]]:
    """Layers from worst to least at a quick look, its errors, and the SNR of each layer."""
    progress.report(0.0, "looking at each layer once")
    if not all(f"quick:{name}" in store.values for name in names):
        quick = effects.quick_look(lambda done: progress.report(0.7 * done / len(names)))
        store.update({f"quick:{name}": value for name, value in quick.items()})
    if not all(f"snr:{name}" in store.values for name in names):
        store.update({f"snr:{name}": value for name, value in effects.layer_snr().items()})
    errors = {name: float(store.values[f"quick:{name}"] or 0.0) for name in names}
    order = sorted(names, key=lambda name: -errors[name])
    return order, errors, {name: store.values[f"snr:{name}"] for name in names}


def _measure(effects: LayerEffects, names: list[str], store: "_Store", progress: Progress) -> None:
    """Both runs of each layer, in this order."""
    for number, name in enumerate(names):
        for kind, measure in (("restored", effects.restored), ("alone", effects.alone)):
            progress.check()
            store.value(f"{kind}:{name}", functools.partial(measure, name))
        progress.report((number + 1) / len(names), f"layer {number + 1} of {len(names)}", layer=name)


def _ranked(
    names: list[str],
    lowbit: LowBit,
    values: Mapping[str, float | None],
    error: float,
    quick: Mapping[str, float],
    snr: Mapping[str, float | None],
) -> list[dict[str, Any]]:
    """All layers, those that gain most when restored first; unmeasured ones last, by the quick look."""
    layers = []
    for place, name in enumerate(names):
        restored, alone = values.get(f"restored:{name}"), values.get(f"alone:{name}")
        gain = None if restored is None else decibels(restored) - decibels(error)
        layers.append(
            {
                "name": name,
                "place": place,
                "kind": block_kind(name),
                "rank": lowbit.layers[name].rank,
                "gain": gain,
                "alone": None if alone is None else decibels(alone),
                "share": None if alone is None or error <= 0 else alone / error,
                "snr": snr[name],
                "quick": quick[name],
            }
        )
    return sorted(layers, key=lambda each: (each["gain"] is None, -(each["gain"] or 0.0), -each["quick"]))


class _Store:
    """Values of finished runs, kept in a file so that an interrupted job goes on.

    Args:
        path: The file.
        key: Hash of everything that decides the values; those of another key are dropped.
    """

    def __init__(self, path: Path, key: str) -> None:
        self._path, self._key = path, key
        self._saved = time.monotonic()
        self.values: dict[str, float | None] = {}
        try:
            kept = read_json(path)
        except BadInput:
            return
        if isinstance(kept, dict) and kept.get("key") == key and isinstance(kept.get("values"), dict):
            self.values = {
                name: value
                for name, value in kept["values"].items()
                if value is None or (isinstance(value, int | float) and math.isfinite(value))
            }

    def value(self, name: str, compute: Callable[[], float]) -> None:
        """Compute a value unless it is there; saved every few seconds."""
        if name not in self.values:
            self.update({name: compute()})

    def update(self, values: Mapping[str, float | None]) -> None:
        """Take values."""
        self.values.update(values)
        if time.monotonic() - self._saved > _SAVE_EVERY:
            self.save()

    def save(self) -> None:
        """Write the file."""
        atomic_json(self._path, {"key": self._key, "values": self.values})
        self._saved = time.monotonic()

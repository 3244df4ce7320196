"""Time, memory and disk of a job, from one call of the denoiser on this machine and how often it is called.

What a call costs is measured at each estimate. How much dearer it is with statistics, quantized layers or
gradients are ratios, which hardly depend on the machine; they were measured with
`benchmarks/make_demo_project.py` for the bundled model.
"""

import math
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from quantvsr.errors import BadInput
from quantvsr.jobs.analyze import AnalyzeJob
from quantvsr.jobs.base import Job
from quantvsr.jobs.estimate import EstimateJob, EstimateResult
from quantvsr.jobs.presets import budget_of
from quantvsr.jobs.quantize import QuantizeJob
from quantvsr.jobs.settings import ExecutionSettings, MethodSettings, ModelSettings
from quantvsr.jobs.sidebyside import SideBySideJob
from quantvsr.jobs.upscale import UpscaleJob
from quantvsr.jobs.work.clips import Piece, likely_frames
from quantvsr.jobs.work.machine import main_memory
from quantvsr.jobs.work.models import open_full
from quantvsr.jobs.work.upscaling import output_path
from quantvsr.methods import get_method
from quantvsr.models.adapter import VSRAdapter
from quantvsr.preview.keys import BICUBIC, FP, GT, LQ
from quantvsr.progress import Progress
from quantvsr.runtime.registry import candidates
from quantvsr.runtime.simulated import SimulatedBackend
from quantvsr.serve import resident_memory
from quantvsr.upscale.engine import DEFAULT_OVERLAP
from quantvsr.upscale.plan import make_plan

_EDGE = 32
# Cost of one of these in calls of the full-precision denoiser on the same pixels.
OBSERVE = 2.0  # statistics and expected errors of one sample
PREPARE = 100.0  # start values of all layers
UPDATE = 6.0  # an update of the branch with one sample: quantized forward, backward, optimizer
BIAS_UPDATE = 2.5  # an update of the bias
EVALUATE = 1.5  # a look at one held-out sample
QUANTIZED = 2.0  # a call with quantized layers, simulated
INTEGER = 1.0  # the same, as integers: faster on a processor, slower on a GPU (docs/benchmarks.md)
# Memory of a training step per pixel, in that of a full-precision call.
TRAINING_MEMORY = 12.0


@dataclass(frozen=True)
class Probe:
    """A measured call.

    Attributes:
        adapter: The opened model.
        seconds: Of one call of the denoiser on `pixels`.
        pixels: LQ pixels of the window.
        base: Bytes of the process with the model loaded.
        extra: Bytes more while it runs.
        opening: Seconds for opening the model.
    """

    adapter: VSRAdapter
    seconds: float
    pixels: int
    base: int
    extra: int
    opening: float

    def call(self, pixels: float) -> float:
        """Seconds of a call on so many pixels."""
        return self.seconds * pixels / self.pixels


@dataclass(frozen=True)
class Sum:
    """What a job adds up to: seconds, memory beyond the model's, bytes on disk, where, and what to lower."""

    seconds: float
    extra: float
    disk: float
    place: Path
    slow: str
    large: str


def estimate(job: EstimateJob, progress: Progress) -> EstimateResult:
    """Measure and add up.

    Raises:
        BadInput: The job is of a kind that is not estimated, or its model or clip cannot be opened.
    """
    asked = job.asked()
    adder = next((add for kind, add in _ADDERS if isinstance(asked, kind)), None)
    if adder is None or not isinstance(asked, ModelSettings):
        known = ", ".join(kind.name for kind, _ in _ADDERS)
        raise BadInput(f"There is no estimate for the job '{asked.name}'; ask for one of {known}.")
    probe = _probe(asked, progress)
    progress.check()
    found = adder(asked, probe)
    memory = round(probe.base + found.extra)
    there, free = _memory_there(probe.adapter.device), _free(found.place)
    advice = []
    if there is not None and memory > 0.85 * there:
        advice.append(f"The memory may not be enough: {found.large}.")
    if found.disk > 0.95 * free:
        advice.append(
            f"The disk at {found.place} may not be enough: free some space or choose another folder."
        )
    if found.seconds > 3600:
        advice.append(f"This takes long: {found.slow}.")
    return EstimateResult(
        seconds=found.seconds,
        memory=memory,
        memory_there=there,
        disk=round(found.disk),
        disk_free=free,
        measured={"seconds": probe.seconds, "pixels": float(probe.pixels), "opening": probe.opening},
        advice=tuple(advice),
    )


def _probe(job: ModelSettings, progress: Progress) -> Probe:
    progress.report(0.0, "opening the model")
    began = time.perf_counter()
    adapter = open_full(job)
    opening = time.perf_counter() - began
    progress.report(0.5, "measuring")
    edge = -(-_EDGE // adapter.size_multiple) * adapter.size_multiple
    lq = torch.zeros(adapter.window, 3, edge, edge, device=adapter.device)
    noise = torch.zeros(adapter.noise_channels, edge, edge, device=adapter.device)
    inputs, _ = adapter.record_window(lq, noise, 1)[0]
    progress.check()
    base = resident_memory() or 0
    if adapter.device.type == "cuda":
        base = torch.cuda.memory_allocated(adapter.device)
    with torch.no_grad(), _Highest(adapter.device) as highest:
        best = min(_timed(lambda: adapter.denoiser(**inputs), adapter.device) for _ in range(2))
    return Probe(adapter, best, edge * edge, base, max(highest.bytes - base, 0), opening)


def _timed(call: Callable[[], Any], device: torch.device) -> float:
    began = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began


class _Highest:
    """Watches the memory while a block runs."""

    def __init__(self, device: torch.device) -> None:
        self.bytes = 0
        self._device = device
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> "_Highest":
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
        else:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._device.type == "cuda":
            self.bytes = torch.cuda.max_memory_allocated(self._device)
            return
        self._end.set()
        self._thread.join()

    def _look(self) -> None:
        while True:
            self.bytes = max(self.bytes, resident_memory() or 0)
            if self._end.wait(0.02):
                return


def _calibration(job: MethodSettings, probe: Probe) -> tuple[float, float, float, int]:
    """Seconds of recording, pixels of a window, bytes of the samples, number of samples."""
    if not get_method(job.method).recipe.uses_samples:
        return 0.0, 0.0, 0.0, 0
    budget, steps = budget_of(job), job.steps or probe.adapter.default_steps
    windows = budget.windows(steps)
    samples = windows * min(budget.keep_steps or steps, steps)
    pixels = float(budget.crop**2)
    # A sample holds what the denoiser takes and gives: a few times the window in float32.
    channels = 3 + probe.adapter.noise_channels + 3 * probe.adapter.scale**2
    stored = samples * probe.adapter.window * pixels * channels * 4
    return windows * steps * probe.call(pixels), pixels, stored, samples


def _analyze(job: Job, probe: Probe) -> Sum:
    assert isinstance(job, AnalyzeJob)
    recording, pixels, stored, samples = _calibration(job, probe)
    seconds = 2 * probe.opening + recording + samples * OBSERVE * probe.call(pixels)
    scale = pixels / probe.pixels
    place = Path(job.out).expanduser()
    return Sum(
        seconds, 2 * probe.extra * scale, stored, place, "choose fewer samples", "choose a smaller window"
    )


def _quantize(job: Job, probe: Probe) -> Sum:
    assert isinstance(job, QuantizeJob)
    recording, pixels, stored, samples = _calibration(job, probe)
    weights = sum(value.numel() for value in probe.adapter.denoiser.parameters())
    call = probe.call(pixels)
    seconds = 3 * probe.opening + recording + samples * OBSERVE * call
    if samples:
        training = get_method(job.method).recipe.training(budget_of(job).refine)
        updates = training.updates + training.bias_updates
        trained_calls = (
            training.updates + training.layer_updates
        ) * UPDATE + training.bias_updates * BIAS_UPDATE
        looks = updates / max(training.evaluate_every, 1) * training.held_samples if training.holdout else 0
        seconds += call * (PREPARE + trained_calls * training.accumulation + looks * EVALUATE)
    # Factors, their gradients and the optimizer's two moments; two snapshots hold most of that as well.
    trained = weights * 0.15 * 4
    extra = TRAINING_MEMORY * probe.extra * pixels / probe.pixels + weights * 4 + 4 * trained
    disk = stored + 2 * 4 * trained + weights * job.bits.weights / 8 + trained
    slow = "choose a smaller budget, or fewer samples"
    return Sum(seconds, extra, disk, Path(job.out).expanduser(), slow, "choose a smaller window")


def _upscale(job: Job, probe: Probe) -> Sum:
    assert isinstance(job, UpscaleJob)
    low = job.checkpoint is not None or job.bits is not None
    cost = _low_bit_cost(job, probe) if low else 1.0
    return _enlarging(job, probe, [cost], low, output_path(job).parent, 1)


def _side_by_side(job: Job, probe: Probe) -> Sum:
    assert isinstance(job, SideBySideJob)
    # Each model runs over the whole clip; the others are read, or computed in no time.
    models = [version for version in job.versions if version not in (LQ, BICUBIC, GT)]
    cost = _low_bit_cost(job, probe)
    costs = [1.0 if version == FP else cost for version in models]
    low = any(version != FP for version in models)
    place = Path(job.out or job.clip).expanduser().parent
    return _enlarging(job, probe, costs, low, place, len(job.versions))


def _low_bit_cost(job: ExecutionSettings, probe: Probe) -> float:
    """What a call with quantized layers costs as they will be executed, in full-precision calls."""
    best = candidates(job.backend, probe.adapter.device)[0]
    return QUANTIZED if best.key == SimulatedBackend.key else INTEGER


def _enlarging(
    job: UpscaleJob | SideBySideJob, probe: Probe, costs: list[float], low: bool, place: Path, pictures: int
) -> Sum:
    """A clip through models.

    Args:
        job: Says which part of the clip, and how it is cut up.
        probe: The measured call.
        costs: Of each model that runs, in full-precision calls.
        low: Whether one of them is quantized.
        place: Where the result goes.
        pictures: Enlarged pictures in a frame of the result.
    """
    piece = Piece(Path(job.clip).expanduser(), job.start, job.frames, frame_rate=job.frame_rate)
    with piece.open() as reader:
        height, width = piece.size(reader)
        frames = likely_frames(reader) or 1
    adapter = probe.adapter
    side = job.tile or adapter.default_tile
    overlap = DEFAULT_OVERLAP if job.overlap is None else job.overlap
    plan = make_plan(height, width, side, overlap, adapter.size_multiple)
    windows = max(math.ceil((frames - 1) / (adapter.window - 1)), 1)
    pixels = math.prod(plan.tile_size)
    calls = windows * len(plan.tiles) * (job.steps or adapter.default_steps)
    seconds = 2 * probe.opening * len(costs) + calls * probe.call(pixels) * sum(costs)
    # A frame in float32 for each place of two windows, and the coded file: about a bit and a half a pixel.
    area = height * width * adapter.scale**2
    extra = probe.extra * pixels / probe.pixels * (2 if low else min(len(costs), 1))
    extra += pictures * 2 * adapter.window * area * 12
    disk = frames * area * pictures * (3 if job.codec in ("png", "ffv1") else 0.2)
    return Sum(seconds, extra, disk, place, "take fewer frames", "choose a smaller --tile")


_ADDERS: list[tuple[type[Job], Callable[[Job, Probe], Sum]]] = [
    (AnalyzeJob, _analyze),
    (QuantizeJob, _quantize),
    (UpscaleJob, _upscale),
    (SideBySideJob, _side_by_side),
]


def _memory_there(device: torch.device) -> int | None:
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return main_memory()


def _free(place: Path) -> int:
    """Bytes free where a folder is or will be."""
    there = next(folder for folder in (place, *place.absolute().parents) if folder.exists())
    return shutil.disk_usage(there).free

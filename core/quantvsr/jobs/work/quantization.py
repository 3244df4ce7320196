"""From a model to a checkpoint: analysis, refinement, bias alignment, packing."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from quantvsr import __version__
from quantvsr.calibration.refine_config import RefineConfig
from quantvsr.calibration.results import RefineResult
from quantvsr.calibration.samples import SampleStore
from quantvsr.errors import BadInput, BadModel
from quantvsr.files import atomic_json, atomic_path, folder_for, make_folder, remove
from quantvsr.jobs.presets import preset
from quantvsr.jobs.quantize import QuantizeJob, QuantizeResult
from quantvsr.jobs.settings import MethodSettings
from quantvsr.jobs.work.analysis import (
    Recorded,
    by_hand,
    read_ranks,
    run_analysis,
    run_recording,
    source_hash,
)
from quantvsr.jobs.work.clips import LearnClip, learn_clips
from quantvsr.jobs.work.ledger import Ledger
from quantvsr.jobs.work.machine import choose_device
from quantvsr.jobs.work.models import layer_config, open_full, quantize_layers_of
from quantvsr.methods import get_method
from quantvsr.methods.apply import calibrate
from quantvsr.models.registry import recognise
from quantvsr.progress import Progress
from quantvsr.quant.checkpoint import CheckpointInfo, read_checkpoint_info, save_checkpoint
from quantvsr.quant.surgery import LayerMap
from quantvsr.runtime.registry import SIMULATED
from quantvsr.upscale.charts import LossCurve, loss_curves
from quantvsr.upscale.memory import peak_memory

CHECKPOINT = "checkpoint.safetensors"


@dataclass(frozen=True)
class Quantized:
    """A finished quantization.

    Attributes:
        checkpoint: The file.
        figures: What is known about it: layers, bytes, losses.
        charts: Pictures of complexity, ranks and loss; empty where nothing was calibrated.
        key: Hash of everything that decided it.
    """

    checkpoint: Path
    figures: dict[str, Any]
    charts: tuple[Path, ...]
    key: str


def quantize(job: QuantizeJob, progress: Progress) -> QuantizeResult:
    """Run the quantization on its own."""
    folder = folder_for(job.out, job.name)
    recognise(job.model)
    device = choose_device(job.device)
    if job.analysis is not None and not Path(job.analysis).expanduser().is_dir():
        raise BadInput(
            f"{job.analysis} is no folder; give one that 'quantvsr analyze' wrote, or leave --analysis out."
        )
    _check_other(job, folder)
    clips = learn_clips(job.clips, ranges=job.ranges) if uses_samples(job) else []
    work = make_folder(folder / "work")
    if job.fresh:
        forget(work)
    ledger = Ledger(work)
    ranks = None if job.ranks is None else Path(job.ranks).expanduser()
    recorded, whole = None, progress
    if job.analysis is not None and uses_samples(job):
        shared = make_folder(Path(job.analysis).expanduser() / "work")
        first, whole = progress.stage("analyze", 0.0, 0.15), progress.stage("", 0.15, 1.0)
        recorded = run_recording(job, clips, shared / "samples", Ledger(shared), first)
        _take_statistics(shared.parent, folder)
    done = run_quantization(job, clips, folder, ledger, whole, ranks, recorded, job.stop_at)
    figures = done.figures
    return QuantizeResult(
        checkpoint=done.checkpoint,
        bits=job.bits,
        method=job.method,
        layers=figures["layers"],
        bytes_fp32=figures["bytes_fp32"],
        bytes_lowbit=figures["bytes_lowbit"],
        reduction=figures["reduction"],
        effective_bits=figures["effective_bits"],
        loss_first=figures["loss_first"],
        loss_last=figures["loss_last"],
        seconds=ledger.seconds(),
        peak_memory=peak_memory(device).ram or 0,
        execution=SIMULATED,
    )


def _check_other(job: QuantizeJob, folder: Path) -> None:
    """Keep a finished checkpoint of another kind: its training may have taken hours."""
    checkpoint = folder / CHECKPOINT
    if job.fresh or not checkpoint.is_file():
        return
    try:
        meta = read_checkpoint_info(checkpoint).meta
    except BadModel:
        return
    asked = {"bits": str(job.bits), "method": job.method, "preset": job.preset, "seed": job.seed}
    there = {name: meta.get(name, value) for name, value in asked.items()}
    if there != asked:
        words = ", ".join(f"{name} {there[name]}" for name in asked if there[name] != asked[name])
        raise BadInput(
            f"{checkpoint} was made with other settings ({words}); choose another --out, or give --fresh."
        )


def _take_statistics(analysis: Path, folder: Path) -> None:
    """Copy what an analysis measured of the layers; the ledger uses it only where it fits this job."""
    for name in ("complexity.npz", "work/observe.stage.json"):
        source, target = analysis / name, folder / name
        if source.is_file() and not target.exists():
            with atomic_path(target) as temporary:
                shutil.copyfile(source, temporary)


def forget(work: Path) -> None:
    """Remove what earlier runs left in a job's working folder, and nothing else."""
    for name in ("samples", "snapshots"):
        remove(work / name)
    for record in work.glob("*.stage.json"):
        remove(record)


def run_quantization(
    job: MethodSettings,
    clips: Sequence[LearnClip],
    folder: Path,
    ledger: Ledger,
    progress: Progress,
    ranks: Path | None = None,
    recorded: Recorded | None = None,
    stop_at: int | None = None,
) -> Quantized:
    """Make a checkpoint in a folder; parts that are there already are taken.

    Args:
        job: Says which model, bits, method and budget.
        clips: What to learn from; not needed by methods that use no samples.
        folder: Gets the checkpoint, complexity.npz, ranks.json and charts; samples and snapshots go into its
            `work`.
        ledger: Keeps finished stages.
        progress: Of everything.
        ranks: A ranks.json to use instead of the method's ranks.
        recorded: Calibration samples to use instead of recording some.
        stop_at: End the training after so many updates, with the state of that moment.

    Raises:
        BadInput: A clip, the model or the ranks cannot be used.
    """
    if not uses_samples(job):
        return _encode_plain(job, folder, ledger, progress)
    recipe, budget = get_method(job.method).recipe, training_budget(job)
    plan = _plan(job, clips, folder, ledger, progress.stage("analyze", 0.0, 0.25), ranks, recorded)
    checkpoint, losses = folder / CHECKPOINT, folder / "loss.png"
    meta = _meta(job, clips)

    def work(inner: Progress) -> dict[str, Any]:
        adapter = open_full(job)
        layers = quantize_layers_of(job, adapter, plan.ranks)
        snapshots = folder / "work" / "snapshots"
        samples = SampleStore(plan.samples)
        result = calibrate(
            adapter, layers, samples, recipe, budget, inner, snapshot_dir=snapshots, stop_at=stop_at
        )
        trained = [stage.to_json() for stage in result.stages]
        atomic_json(
            folder / "refinement.json", {"settings": recipe.training(budget).to_json(), "stages": trained}
        )
        _draw_losses(result, losses)
        layers.set_mode("frozen")
        info = save_checkpoint(checkpoint, adapter.denoiser, meta)
        # Only now is nothing left to go on from them.
        if stop_at is None:
            remove(snapshots)
        return {**_figures(info, layers), **_loss_figures(result, stop_at is not None)}

    outcome = ledger.stage(
        "quantize",
        {
            "analysis": plan.key,
            "ranks": plan.ranks,
            "layer": layer_config(job.method, job.bits).to_json(),
            "recipe": recipe.to_json(),
            "budget": budget.to_json(),
            "refine": recipe.training(budget).to_json(),
            "seed": job.seed,
            **by_hand(job, "exclude", "layer_bits"),
            **({} if stop_at is None else {"stop_at": stop_at}),
        },
        [checkpoint, losses],
        work,
        progress.stage("quantize", 0.25, 1.0),
    )
    return Quantized(checkpoint, outcome.figures, (*plan.charts, losses), outcome.key)


@dataclass(frozen=True)
class _Plan:
    """What is known before a layer is changed.

    Attributes:
        samples: Folder of the calibration samples.
        ranks: A rank per layer, or one for all.
        charts: Pictures of complexity and ranks, where ranks were allocated.
        key: Hash of everything that decided this.
    """

    samples: Path
    ranks: dict[str, int] | int
    charts: tuple[Path, ...]
    key: str


def _plan(
    job: MethodSettings,
    clips: Sequence[LearnClip],
    folder: Path,
    ledger: Ledger,
    progress: Progress,
    ranks: Path | None,
    recorded: Recorded | None,
) -> _Plan:
    """Samples and ranks; see `run_quantization`."""
    given = None if ranks is None else read_ranks(ranks).ranks
    rank = get_method(job.method).recipe.uniform_rank
    if rank is not None:
        # Nothing to allocate: complexity is not measured.
        found = recorded or run_recording(job, clips, folder / "work" / "samples", ledger, progress)
        return _Plan(found.samples, rank if given is None else given, (), found.key)
    analysis = run_analysis(job, clips, folder, ledger, progress, recorded)
    chosen = analysis.allocation.ranks if given is None else given
    return _Plan(analysis.samples, chosen, analysis.charts, analysis.key)


def _encode_plain(job: MethodSettings, folder: Path, ledger: Ledger, progress: Progress) -> Quantized:
    """Quantize without calibration."""
    checkpoint = folder / CHECKPOINT

    def work(inner: Progress) -> dict[str, Any]:
        adapter = open_full(job)
        layers = quantize_layers_of(job, adapter, 0)
        inner.check()
        layers.set_mode("frozen")
        info = save_checkpoint(checkpoint, adapter.denoiser, _meta(job, ()))
        return {**_figures(info, layers), "loss_first": None, "loss_last": None}

    settings = {
        "model": source_hash(job.model),
        "layer": layer_config(job.method, job.bits).to_json(),
        "seed": job.seed,
        **by_hand(job, "exclude", "layer_bits"),
    }
    stage = progress.stage("quantize", 0.0, 1.0)
    outcome = ledger.stage("quantize", settings, [checkpoint], work, stage)
    return Quantized(checkpoint, outcome.figures, (), outcome.key)


def training_budget(job: MethodSettings) -> RefineConfig:
    """How much a job may train, whatever its method."""
    return replace(preset(job.preset).refine, seed=job.seed)


def uses_samples(job: MethodSettings) -> bool:
    """Whether the job's method needs calibration samples."""
    return get_method(job.method).recipe.uses_samples


def checkpoint_file(path: str) -> Path:
    """The checkpoint behind what a user gave: the file, or the folder that `quantize` wrote.

    Raises:
        BadModel: There is none.
    """
    place = Path(path).expanduser()
    if place.is_dir():
        if not (place / CHECKPOINT).is_file():
            raise BadModel(f"{place} holds no {CHECKPOINT}; choose a folder that 'quantvsr quantize' wrote.")
        return place / CHECKPOINT
    if not place.is_file():
        raise BadModel(f"{place} does not exist; choose a checkpoint that 'quantvsr quantize' wrote.")
    return place


def _meta(job: MethodSettings, clips: Sequence[LearnClip]) -> dict[str, Any]:
    # Nothing here may differ between two runs of the same job: the files are compared bit for bit.
    return {
        "program": __version__,
        "model": job.model,
        "model_sha256": source_hash(job.model),
        "bits": str(job.bits),
        "method": job.method,
        "preset": job.preset,
        "seed": job.seed,
        "clips": [{"name": clip.name, "sha256": clip.digest} for clip in clips],
    }


def _figures(info: CheckpointInfo, layers: LayerMap) -> dict[str, Any]:
    weights = sum(layer.weight.numel() for layer in layers.values())
    return {
        "layers": len(layers),
        "skipped": layers.skipped,
        "weights": weights,
        "bytes_fp32": info.bytes_fp32,
        "bytes_lowbit": info.bytes_file,
        "reduction": info.saving,
        "effective_bits": info.bytes_file * 8 / weights,
    }


def _loss_figures(result: RefineResult, stopped: bool) -> dict[str, Any]:
    """Loss before and after all training: on held-out samples where there are any.

    The state that is left is the best one, or the last one where the training was stopped on purpose.
    """
    held = [loss for stage in result.stages for _, loss in stage.held_out]
    seen = [loss for stage in result.stages if stage.name != "layers" for loss in stage.losses]
    losses = held or seen
    return {
        "loss_first": losses[0] if losses else None,
        "loss_last": min(held) if held and not stopped else losses[-1] if losses else None,
        "updates": sum(len(stage.losses) for stage in result.stages),
        "refine_seconds": sum(stage.seconds for stage in result.stages),
    }


def _draw_losses(result: RefineResult, path: Path) -> None:
    curves = [LossCurve(stage.name, stage.losses) for stage in result.stages]
    held = [loss for stage in result.stages for _, loss in stage.held_out]
    loss_curves(path, curves, untrained=held[0] if held else None)

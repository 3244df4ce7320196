"""Comparing full precision with low-bit on one clip, and the report on it."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from quantvsr import __version__
from quantvsr.errors import BadInput
from quantvsr.files import atomic_json, folder_for, make_folder
from quantvsr.hashing import hash_file
from quantvsr.jobs.compare import CompareJob, CompareResult
from quantvsr.jobs.options import Bits
from quantvsr.jobs.settings import MethodSettings
from quantvsr.jobs.work.analysis import source_hash
from quantvsr.jobs.work.clips import Piece
from quantvsr.jobs.work.ledger import Ledger
from quantvsr.jobs.work.lowbit import (
    Way,
    cached_checkpoint,
    execute,
    full_precision,
    open_lowbit,
    watch_values,
)
from quantvsr.jobs.work.machine import choose_device
from quantvsr.jobs.work.models import layer_config, open_full, quantize_layers
from quantvsr.jobs.work.quantization import checkpoint_file
from quantvsr.jobs.work.scene import Scene, prepare_scene
from quantvsr.jobs.work.versions import Run, Shown, Version, draw_comparison, make_versions, measure_versions
from quantvsr.methods import get_method
from quantvsr.models.adapter import VSRAdapter
from quantvsr.models.registry import recognise
from quantvsr.progress import Progress
from quantvsr.quant.checkpoint import CheckpointInfo, read_checkpoint_info
from quantvsr.runtime.registry import AUTO, wanted
from quantvsr.runtime.registry import candidates as usable
from quantvsr.upscale.charts import QualityPanel, quality_bars
from quantvsr.upscale.memory import peak_memory

METRICS_FILE = "metrics.json"
# In every report, null where there is nothing to compare with.
_KEYS = (
    "psnr_gt_fp",
    "psnr_gt_lowbit",
    "psnr_gt_minmax",
    "psnr_fp_lowbit",
    "psnr_fp_minmax",
    "ssim_gt_fp",
    "ssim_gt_lowbit",
    "ssim_gt_minmax",
    "warp_error_fp",
    "warp_error_lowbit",
    "warp_error_minmax",
)


def compare(job: CompareJob, progress: Progress) -> CompareResult:
    """Compare on a clip, with a given checkpoint or with one made for it."""
    began = time.perf_counter()
    folder = folder_for(job.out, job.name)
    piece = Piece(Path(job.clip).expanduser(), job.start, job.frames, frame_rate=job.frame_rate)
    with piece.open():
        pass  # a clip that cannot be read is found before any work
    recognise(job.model)
    usable(job.backend, choose_device(job.device))
    ledger = Ledger(make_folder(folder / "work"))
    if job.checkpoint is not None:
        checkpoint = checkpoint_file(job.checkpoint)
        # Before anything long: whether it is whole, and belongs to the model.
        open_lowbit(job, checkpoint)
        share = 0.0
    else:
        share = 0.5
        checkpoint = _checkpoint_for(job, progress.stage("quantize", 0.0, share))
    scene = prepare_scene(
        job, piece, folder / "frames", ledger, progress.stage("prepare", share, share + 0.05)
    )
    run = Run(job.seed, job.steps, job.tile, job.overlap)
    return report_comparison(
        job,
        scene,
        Candidates(checkpoint, job.minmax, backend=job.backend),
        run,
        folder,
        ledger,
        progress.stage("compare", share + 0.05, 1.0),
        began,
    )


def _checkpoint_for(job: CompareJob, progress: Progress) -> Path:
    settings = {name: getattr(job, name) for name in MethodSettings.__dataclass_fields__}
    # Other noise needs no other checkpoint.
    return cached_checkpoint(replace(MethodSettings(**settings), seed=MethodSettings.seed), progress)


@dataclass(frozen=True)
class Candidates:
    """What is compared with full precision.

    Attributes:
        checkpoint: Of the low-bit model.
        minmax: Whether plain min-max codes with the same bits are shown too.
        charts: Charts made on the way, for the report.
        backend: How integers are computed, see `runtime.registry`.
    """

    checkpoint: Path
    minmax: bool
    charts: tuple[Path, ...] = ()
    backend: str = AUTO


def report_comparison(
    job: MethodSettings,
    scene: Scene,
    candidates: Candidates,
    run: Run,
    folder: Path,
    ledger: Ledger,
    progress: Progress,
    began: float,
) -> CompareResult:
    """Enlarge with every version, measure, draw, and write metrics.json.

    Args:
        job: Says which model; its settings go into the report.
        scene: The clip.
        candidates: What is compared.
        run: Seed, steps and tiles of all versions.
        folder: Gets compare.mp4, frames and metrics.json.
        ledger: Keeps finished stages.
        progress: Of all this.
        began: When the job began, on the clock of `time.perf_counter`.

    Raises:
        BadModel: The checkpoint does not fit the model.
    """
    info = read_checkpoint_info(candidates.checkpoint)
    config = next(iter(info.layers.values()))["config"]
    bits = Bits(config["weight_bits"], config["activation_bits"])
    versions = _versions(job, candidates, bits, _title(info))
    frames = folder / "frames"
    keys = make_versions(scene, versions, run, frames, ledger, progress.stage("upscale", 0.0, 0.8))
    figures = measure_versions(scene, frames, keys, ledger, progress.stage("measure", 0.8, 0.92))
    video = draw_comparison(
        scene,
        _shown(scene, versions, figures, bits),
        frames,
        keys,
        folder,
        "",
        ledger,
        progress.stage("draw", 0.92, 1.0),
    )
    quality = _draw_quality(folder / "quality.png", versions, figures, scene)
    device = choose_device(job.device)
    peaks = [ledger.outcomes[f"upscale_{version.name}"].figures for version in versions]
    metrics: dict[str, Any] = {
        "format": 1,
        "program": __version__,
        "versions": [version.name for version in versions],
        "labels": {version.name: version.label for version in versions},
        "clip": scene.source.path.name,
        "bits": str(bits),
        **dict.fromkeys(_KEYS),
        **{name: _rounded(value) for name, value in figures.items()},
        "frames": scene.frames,
        "width": scene.width * 4,
        "height": scene.height * 4,
        "bytes_fp32": info.bytes_fp32,
        "bytes_lowbit": info.bytes_file,
        "reduction": _rounded(info.saving),
        "execution": ledger.outcomes["upscale_lowbit"].figures["execution"],
        # By version; a folder of an older program may not know.
        "compute": {
            version.name: ledger.outcomes[f"upscale_{version.name}"].figures.get("compute")
            for version in versions
        },
        "device": str(device),
        "seconds_total": round(time.perf_counter() - began, 3),
        "seconds": ledger.seconds(),
        "reused": ledger.reused(),
        "peak_memory": max([peak_memory(device).ram or 0, *(each["peak_memory"] or 0 for each in peaks)]),
        "peak_device_memory": max((each["peak_device_memory"] or 0 for each in peaks), default=0) or None,
        "model_sha256": source_hash(job.model),
        "checkpoint_sha256": hash_file(candidates.checkpoint),
        "command": job.command(),
    }
    atomic_json(folder / METRICS_FILE, metrics)
    charts = (*candidates.charts, quality)
    return CompareResult(out=folder, video=video, frames=frames, charts=charts, metrics=metrics)


def _title(info: CheckpointInfo) -> str:
    """Which method made a checkpoint, for a person."""
    try:
        return get_method(str(info.meta.get("method"))).title
    except BadInput:
        # Made by a program that knew other methods.
        return "low bit"


def _draw_quality(
    path: Path, versions: list[Version], figures: Mapping[str, float | None], scene: Scene
) -> Path:
    """A chart of the figures, with bicubic enlargement as a yardstick where there is a ground truth."""
    labels = {version.name: version.label for version in versions}
    if "gt" in scene.pictures:
        labels = {"bicubic": "Bicubic", **labels}

    def panel(
        title: str, key: str, unit: str, better: Literal["higher", "lower"], digits: int
    ) -> QualityPanel:
        found = {label: figures[key + name] for name, label in labels.items() if key + name in figures}
        return QualityPanel(title, found, unit, better, digits)

    panels = [panel("PSNR to full precision", "psnr_fp_", "dB", "higher", 2)]
    if "gt" in scene.pictures:
        panels.insert(0, panel("PSNR to ground truth", "psnr_gt_", "dB", "higher", 2))
        panels.insert(1, panel("SSIM to ground truth", "ssim_gt_", "", "higher", 3))
    panels.append(panel("Warping error", "warp_error_", "1e-3", "lower", 2))
    note = f"{scene.source.path.name}, {scene.frames} frames of {scene.width * 4}x{scene.height * 4}"
    return quality_bars(path, panels, title="Quality", note=note)


def _versions(job: MethodSettings, candidates: Candidates, bits: Bits, method: str) -> list[Version]:
    model = {"files": source_hash(job.model), "device": choose_device(job.device).type}
    checkpoint = candidates.checkpoint

    def full(progress: Progress) -> tuple[VSRAdapter, Way]:
        adapter = open_full(job)
        return adapter, full_precision(adapter)

    def low(progress: Progress) -> tuple[VSRAdapter, Way]:
        adapter = open_lowbit(job, checkpoint).adapter
        return adapter, execute(adapter, candidates.backend, progress)

    def plain(progress: Progress) -> tuple[VSRAdapter, Way]:
        adapter = open_full(job)
        layers = quantize_layers(adapter, layer_config("maxmin", bits), 0, 0)
        layers.set_mode("frozen")
        watch_values(layers, adapter.device)
        del layers
        return adapter, execute(adapter, candidates.backend, progress)

    lowbit = {**model, "backend": wanted(candidates.backend)}
    found = [
        Version("fp", "Full precision", model, full),
        Version("lowbit", f"{bits} {method}", {**lowbit, "checkpoint": hash_file(checkpoint)}, low),
    ]
    if candidates.minmax:
        found.append(Version("minmax", f"{bits} plain min-max", {**lowbit, "minmax": str(bits)}, plain))
    return found


def _shown(
    scene: Scene, versions: list[Version], figures: Mapping[str, float | None], bits: Bits
) -> list[Shown]:
    """The panes: the input, then the versions, then the ground truth where there is room for it."""
    panes = [Shown("lq", "Low-quality input (bicubic)", _below(figures, "bicubic"))]
    panes += [Shown(version.name, version.label, _below(figures, version.name)) for version in versions]
    if "gt" in scene.pictures and len(panes) < 4:
        panes.append(Shown("gt", "Ground truth"))
    return panes


def _below(figures: Mapping[str, float | None], name: str) -> tuple[tuple[str, str], ...]:
    wanted = (
        ("PSNR to GT", f"psnr_gt_{name}", "{:.2f} dB"),
        ("SSIM", f"ssim_gt_{name}", "{:.3f}"),
        ("PSNR to FP", f"psnr_fp_{name}", "{:.2f} dB"),
    )
    found = ((title, figures.get(key), form) for title, key, form in wanted)
    shown = tuple((title, form.format(value)) for title, value, form in found if value is not None)
    return shown if name != "bicubic" else shown[:2]


def _rounded(value: float | None) -> float | None:
    # More digits than anybody can see, fewer than float noise.
    return None if value is None else round(value, 5)

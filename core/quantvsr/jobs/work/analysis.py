"""Calibration samples, complexity and ranks: everything before a layer is changed."""

import functools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from quantvsr.calibration.allocation import Allocation, RankSettings
from quantvsr.calibration.complexity import NOT_OBSERVED, Complexity, reference_statistics, register
from quantvsr.calibration.cost import CostModel, LayerShape
from quantvsr.calibration.kinds import block_kind
from quantvsr.calibration.observe import observe
from quantvsr.calibration.ranks import allocate
from quantvsr.calibration.samples import RecordSettings, SampleStore, record_samples
from quantvsr.calibration.table import ComplexityTable
from quantvsr.errors import BadInput
from quantvsr.files import atomic_json, folder_for, make_folder, read_json
from quantvsr.jobs.analyze import AnalyzeJob, AnalyzeResult
from quantvsr.jobs.base import plain
from quantvsr.jobs.presets import budget_of
from quantvsr.jobs.settings import RANK_NUMBERS, MethodSettings
from quantvsr.jobs.work.clips import LearnClip, learn_clips
from quantvsr.jobs.work.ledger import Ledger
from quantvsr.jobs.work.machine import choose_device
from quantvsr.jobs.work.models import layer_config, layers_apart, open_full, quantize_layers_of, tell_notes
from quantvsr.methods import get_method
from quantvsr.models.registry import model_files, model_hash, recognise
from quantvsr.progress import Progress
from quantvsr.upscale.charts import complexity_scatter, rank_bars


@register("reference by layout")
def reference_by_layout(x: Tensor, name: str, layout: str, frames: int) -> Complexity | None:
    """The published statistics for any model: the layout says what the published code reads off a name."""
    if layout == NOT_OBSERVED:
        return None
    told = f"{name}.temporal_conv" if layout == "temporal" else name
    return reference_statistics(x, told, layout, frames)


@dataclass(frozen=True)
class Analysis:
    """What was found out about a model.

    Attributes:
        samples: Folder of the calibration samples.
        complexity: `complexity.npz`.
        ranks: `ranks.json`.
        charts: Pictures of both.
        allocation: The ranks.
        shapes: Sizes of the layers that are quantized.
        key: Hash of everything that decided this.
    """

    samples: Path
    complexity: Path
    ranks: Path
    charts: tuple[Path, ...]
    allocation: Allocation
    shapes: tuple[LayerShape, ...]
    key: str


def analyze(job: AnalyzeJob, progress: Progress) -> AnalyzeResult:
    """Run the analysis on its own."""
    folder = folder_for(job.out, job.name)
    clips = learn_clips(job.clips, ranges=job.ranges)
    recognise(job.model)
    ledger = Ledger(make_folder(folder / "work"))
    found = run_analysis(job, clips, folder, ledger, progress)
    store = SampleStore(found.samples)
    cost = cost_model(job, found.shapes).estimate(found.allocation.ranks)
    return AnalyzeResult(
        out=folder,
        complexity=found.complexity,
        ranks=found.ranks,
        charts=found.charts,
        layers=len(found.shapes),
        samples=len(store),
        rank_counts=dict(sorted(Counter(found.allocation.ranks.values()).items())),
        cost=cost.summary(),
        seconds=ledger.seconds(),
    )


@dataclass(frozen=True)
class Recorded:
    """Calibration samples.

    Attributes:
        samples: Their folder.
        key: Hash of everything that decided them.
    """

    samples: Path
    key: str


def run_recording(
    job: MethodSettings, clips: Sequence[LearnClip], samples: Path, ledger: Ledger, progress: Progress
) -> Recorded:
    """Record calibration samples; those that are there already are taken.

    Args:
        job: Says which model and budget; the method does not matter.
        clips: What to learn from.
        samples: Folder for the samples.
        ledger: Keeps the finished stage.
        progress: Of this stage.

    Raises:
        BadInput: A clip or the model cannot be used.
    """
    budget, digest = budget_of(job), source_hash(job.model)

    def record(inner: Progress) -> dict[str, Any]:
        adapter = open_full(job)
        tell_notes(adapter, inner)
        steps = job.steps or adapter.default_steps
        settings = RecordSettings(budget.windows(steps), budget.crop, steps, budget.keep_steps, job.seed)
        store = record_samples(adapter, clips, samples, settings, model_digest=digest, progress=inner)
        return {"samples": len(store)}

    outcome = ledger.stage(
        "record",
        {
            "model": digest,
            "clips": [[clip.name, clip.digest] for clip in clips],
            "budget": [budget.samples, budget.keep_steps, budget.crop],
            "steps": job.steps,
            "seed": job.seed,
            "device": choose_device(job.device).type,
        },
        [samples],
        record,
        progress.stage("record", 0.0, 1.0),
    )
    return Recorded(samples, outcome.key)


def run_analysis(
    job: MethodSettings,
    clips: Sequence[LearnClip],
    folder: Path,
    ledger: Ledger,
    progress: Progress,
    recorded: Recorded | None = None,
) -> Analysis:
    """Record, observe, allocate; parts that are there already are taken.

    Args:
        job: Says which model, method and budget.
        clips: What to learn from.
        folder: Where complexity.npz, ranks.json and the charts go; samples go into its `work`.
        ledger: Keeps finished stages.
        progress: Of all three stages.
        recorded: Samples to use instead of recording some.

    Raises:
        BadInput: A clip or the model cannot be used.
    """
    complexity, ranks = folder / "complexity.npz", folder / "ranks.json"
    charts = (folder / "complexity.png", folder / "ranks.png")
    digest = source_hash(job.model)
    statistics = get_method(job.method).recipe.statistics
    if recorded is None:
        stage = progress.stage("record", 0.0, 0.6)
        recorded = run_recording(job, clips, folder / "work" / "samples", ledger, stage)
    samples = recorded.samples

    def look(inner: Progress) -> dict[str, Any]:
        adapter = open_full(job)
        layers = quantize_layers_of(job, adapter, 0)
        seen = observe(
            adapter.denoiser,
            layers,
            SampleStore(samples),
            adapter.layout,
            frames=adapter.window,
            kind=statistics,
            device=adapter.device,
            progress=inner,
        )
        seen.table.save(complexity)
        return {"shapes": [shape.to_json() for shape in seen.shapes], "skipped": layers.skipped}

    observed = ledger.stage(
        "observe",
        {"samples": recorded.key, "statistics": statistics, **by_hand(job, "exclude")},
        [complexity],
        look,
        progress.stage("observe", 0.6, 0.95),
    )
    shapes = tuple(LayerShape.from_json(shape) for shape in observed.figures["shapes"])
    table = ComplexityTable.load(complexity)
    settings_of_ranks = rank_settings(job)

    def share(inner: Progress) -> dict[str, Any]:
        model = cost_model(job, shapes)
        found = allocate(table, settings_of_ranks, cost=model)
        content = {**found.to_json(), "bits": str(job.bits), "model": digest}
        content["shapes"] = observed.figures["shapes"]
        content["cost"] = model.estimate(found.ranks).summary()
        atomic_json(ranks, content)
        draw_charts(table, found, charts)
        return {}

    allocated = ledger.stage(
        "allocate",
        {
            "complexity": observed.key,
            "ranks": settings_of_ranks.to_json(),
            "layer": layer_config(job.method, job.bits).to_json(),
            **by_hand(job, "layer_bits"),
        },
        [ranks, *charts],
        share,
        progress.stage("allocate", 0.95, 1.0),
    )
    return Analysis(samples, complexity, ranks, charts, read_ranks(ranks), shapes, allocated.key)


def by_hand(job: MethodSettings, *names: str) -> dict[str, Any]:
    """Settings about single layers that decide a stage's result; left out where they are not used."""
    return {name: plain(getattr(job, name)) for name in names if getattr(job, name)}


def cost_model(job: MethodSettings, shapes: Sequence[LayerShape]) -> CostModel:
    """The cost of a job's layers for any ranks."""
    return CostModel(shapes, layer_config(job.method, job.bits), layers_apart(job))


def rank_settings(job: MethodSettings) -> RankSettings:
    """The rank rule of a job's method with the job's own numbers.

    Raises:
        BadInput: The numbers do not go together.
    """
    given = {name: getattr(job, name) for name in RANK_NUMBERS}
    chosen = {name: value for name, value in given.items() if value is not None}
    settings = get_method(job.method).recipe.ranks(chosen)
    return replace(settings, overrides={item.layer: item.rank for item in job.layer_ranks})


def draw_charts(table: ComplexityTable, allocation: Allocation, charts: tuple[Path, Path]) -> None:
    """Complexity of the layers, and their ranks, as pictures."""
    spatial, temporal = table.means()
    points = allocation.thresholds
    complexity_scatter(
        charts[0],
        table.names,
        spatial,
        temporal,
        [block_kind(name) for name in table.names],
        thresholds=(points.spatial_low, points.spatial_high, points.temporal_low, points.temporal_high),
    )
    names = list(allocation.ranks)
    limits = [limit for name in names for limit in allocation.limits[name]]
    rank_bars(
        charts[1],
        names,
        [allocation.ranks[name] for name in names],
        [block_kind(name) for name in names],
        low=min(limits, default=None),
        high=max(limits, default=None),
    )


def read_ranks(path: Path) -> Allocation:
    """The allocation in a ranks.json.

    Raises:
        BadInput: The file is missing, damaged or something else.
    """
    value = read_json(path)
    if not isinstance(value, dict):
        raise BadInput(f"{path} is no saved rank allocation; run 'quantvsr analyze' again.")
    try:
        return Allocation.from_json(value)
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from error


def source_hash(model: str) -> str:
    """Hash of a model's files: whether stages that used the model can be taken again."""
    stats = [(str(file), file.stat()) for file in model_files(model)]
    return _source_hash(model, tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats))


@functools.lru_cache(maxsize=8)
def _source_hash(model: str, stamps: tuple[tuple[str, int, int], ...]) -> str:
    # Reading some gigabytes once per job is enough; a file that changes gets another stamp.
    return model_hash(model)

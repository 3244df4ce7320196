"""From a project's settings to jobs. "Copy as command" shows exactly these."""

import fnmatch
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from quantvsr.errors import BadInput
from quantvsr.jobs.analyze import AnalyzeJob
from quantvsr.jobs.options import FrameRange, LayerBits, LayerRank
from quantvsr.jobs.quantize import QuantizeJob
from quantvsr.jobs.score import ScoreJob
from quantvsr.jobs.settings import RANK_NUMBERS
from quantvsr.project.records import RunRecord
from quantvsr.project.settings import Settings


def analyze_job(settings: Settings, folder: Path) -> AnalyzeJob:
    """The analysis of a project; it writes complexity.npz and ranks.json into the project's folder.

    Raises:
        BadInput: No clip to learn from, or a setting that is not allowed.
    """
    return AnalyzeJob(**_method(settings), **_clips(settings), out=str(folder))


def quantize_job(settings: Settings, out: Path, analysis: Path | None = None, **changes: Any) -> QuantizeJob:
    """The quantization of a project.

    Args:
        settings: The project's settings.
        out: Folder for the checkpoint (`Project.run_folder`).
        analysis: The project's folder, whose calibration samples are used.
        changes: Fields of the job that differ from the settings: bits, preset, method, ...

    Raises:
        BadInput: No clip to learn from, or a setting that is not allowed.
    """
    values = {**_method(settings), **_clips(settings), "out": str(out), **changes}
    return QuantizeJob(**values, analysis=None if analysis is None else str(analysis))


def score_job(settings: Settings, run: RunRecord) -> ScoreJob:
    """How close a finished run's pictures come to full precision's.

    Raises:
        BadInput: A setting that is not allowed.
    """
    # Clips that were not learned from come first: those are judged by.
    clips = sorted(settings.clips, key=lambda clip: clip.learn)
    made_with = run.job.get("settings", {})
    return ScoreJob(
        checkpoint=str(run.result["checkpoint"]),
        clips=tuple(dict.fromkeys(clip.path for clip in clips)),
        model=str(made_with.get("model", settings.model)),
        device=settings.device,
        seed=settings.seed,
        steps=settings.steps,
    )


def _method(settings: Settings) -> dict[str, Any]:
    words = ("model", "device", "seed", "steps", "bits", "preset", "method", "exclude")
    numbers = (*RANK_NUMBERS, "samples", "keep_steps", "crop")
    kept = _kept(settings.rank_overrides, settings.exclude)
    apart = _kept(settings.bit_overrides, settings.exclude)
    return {
        **{name: getattr(settings, name) for name in (*words, *numbers)},
        "layer_ranks": tuple(LayerRank(name, rank) for name, rank in sorted(kept.items())),
        "layer_bits": tuple(LayerBits(name, bits) for name, bits in sorted(apart.items())),
    }


def _kept(overrides: Mapping[str, Any], exclude: tuple[str, ...]) -> dict[str, Any]:
    """Overrides of layers that are quantized: one that is excluded keeps its override for later."""
    return {
        name: value
        for name, value in overrides.items()
        if not any(fnmatch.fnmatchcase(name, pattern) for pattern in exclude)
    }


def _clips(settings: Settings) -> dict[str, Any]:
    chosen = settings.learning_clips()
    if settings.clips and not chosen:
        raise BadInput("No clip is chosen for learning; tick one on the Clips page.")
    ranges = tuple(FrameRange(clip.start, clip.stop) for clip in chosen)
    whole = all(part == FrameRange() for part in ranges)
    return {"clips": tuple(clip.path for clip in chosen), "ranges": () if whole else ranges}

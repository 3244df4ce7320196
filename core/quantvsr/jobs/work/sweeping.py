"""The sweep: clips once, then model by model, each on all clips; the table is written after every model."""

import functools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from quantvsr.errors import BadInput, Cancelled, DiskFull, QuantVSRError
from quantvsr.files import folder_for, make_folder
from quantvsr.hashing import hash_file, hash_json
from quantvsr.jobs.options import Bits
from quantvsr.jobs.settings import MethodSettings
from quantvsr.jobs.sweep import RESULTS, TABLE, SweepJob, SweepResult
from quantvsr.jobs.work.analysis import Recorded, run_recording, source_hash
from quantvsr.jobs.work.clips import LearnClip, learn_clips
from quantvsr.jobs.work.ledger import Ledger
from quantvsr.jobs.work.lowbit import open_lowbit
from quantvsr.jobs.work.machine import choose_device
from quantvsr.jobs.work.models import layer_config
from quantvsr.jobs.work.quantization import Quantized, run_quantization, training_budget, uses_samples
from quantvsr.jobs.work.sweep_clips import (
    ClipChoice,
    SweepClip,
    clip_choices,
    measure_run,
    prepare_clip,
)
from quantvsr.jobs.work.sweep_pace import Pace, Part
from quantvsr.jobs.work.sweep_shots import shot_files
from quantvsr.jobs.work.sweep_table import best_by_bits, results_json, write_results
from quantvsr.methods import get_method
from quantvsr.metrics import MissingMetric, get_metric
from quantvsr.models.adapter import VSRAdapter
from quantvsr.models.registry import recognise
from quantvsr.progress import Progress


@dataclass
class Entry:
    """One method with one number of bits; filled in while the sweep runs.

    Attributes:
        method: Name of the method; "fp" for full precision.
        bits: None for full precision.
        cell: Name of its folders.
        status: "missing" while not reached, then "done" or "failed".
        error: One sentence where it failed.
        figures: Of the model: sizes, losses, seconds.
        clips: Of each clip: status, figures, places of pictures.
    """

    method: str
    bits: Bits | None
    cell: str
    status: str = "missing"
    error: str | None = None
    figures: dict[str, Any] = field(default_factory=dict)
    clips: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """For messages."""
        return self.method if self.bits is None else f"{self.method} {self.bits}"


def sweep(job: SweepJob, progress: Progress) -> SweepResult:
    """Run a sweep; finished parts of earlier ones in the same folder are taken.

    Raises:
        BadInput: The model, the device or the clips to learn from cannot be used, or no clip is left.
        Cancelled: What was finished stays, and stands in the table.
    """
    return _Sweep(job, progress).run()


class _Sweep:
    """One run of a sweep."""

    def __init__(self, job: SweepJob, progress: Progress) -> None:
        self.job, self.progress = job, progress
        self.began = time.perf_counter()
        self.folder = folder_for(job.out, job.name)
        recognise(job.model)
        choose_device(job.device)
        self.metrics = self._metrics()
        self.choices = clip_choices(job)
        learners = any(get_method(name).recipe.uses_samples for name in job.methods)
        self.learn: list[LearnClip] = learn_clips(job.learn) if learners else []
        self.left_out: list[dict[str, str]] = []
        self.clips: list[SweepClip] = []
        self.entries = [Entry("fp", None, "fp")]
        self.entries += [
            Entry(method, bits, self._cell(method, bits))
            for bits in dict.fromkeys(job.bits)
            for method in dict.fromkeys(job.methods)
        ]
        make_folder(self.folder)

    def run(self) -> SweepResult:
        pace = Pace(self.progress, self._amounts())
        for choice in self.choices:
            with pace.part(("clip", choice.name), f"clip {choice.name}") as stage:
                self._prepare(choice, stage)
        if not self.clips:
            reasons = " ".join(entry["error"] for entry in self.left_out)
            raise BadInput(f"No clip is left to compare on. {reasons}")
        self._take_fp()
        self._write()
        recorded: Recorded | None = None
        if self.learn:
            with pace.part(("samples",), "samples") as stage:
                recorded = self._record(stage)
        for entry in self.entries[1:]:
            self._run_entry(entry, recorded, pace)
            self._write()
        best = best_by_bits(self.entries)
        return SweepResult(
            out=self.folder,
            results=self.folder / RESULTS,
            table=self.folder / TABLE,
            clips=len(self.clips),
            done=sum(entry.status == "done" for entry in self.entries[1:]),
            failed={entry.title: entry.error or "" for entry in self.entries if entry.status == "failed"},
            best=best,
            seconds=round(time.perf_counter() - self.began, 3),
        )

    # Parts -------------------------------------------------------------------------------------------------

    def _prepare(self, choice: ClipChoice, progress: Progress) -> None:
        try:
            folder = self.folder / "scenes" / choice.name
            self.clips.append(prepare_clip(self.job, choice, self.metrics, folder, progress))
        except (Cancelled, DiskFull):
            raise
        except QuantVSRError as error:
            self.left_out.append({"clip": str(choice.path), "error": str(error)})
            self.progress.warn(f"{choice.name} is left out: {error}")

    def _record(self, progress: Progress) -> Recorded:
        job = self.job
        decides = [source_hash(job.model), choose_device(job.device).type, job.steps, job.seed]
        decides += [clip.digest for clip in self.learn]
        work = make_folder(self.folder / "samples" / f"{job.preset}-{hash_json(decides)[:10]}")
        any_method = self._method_job(job.methods[0], job.bits[0])
        return run_recording(any_method, self.learn, work / "samples", Ledger(work), progress)

    def _take_fp(self) -> None:
        full = self.entries[0]
        full.status = "done"
        full.figures = {"seconds": {"upscale": round(sum(clip.seconds for clip in self.clips), 3)}}
        for clip in self.clips:
            files = shot_files(clip.folder / "pictures", "fp_")
            full.clips[clip.name] = self._clip_entry(
                {"figures": clip.figures["fp"], "seconds": clip.seconds, "frames": clip.scene.frames}, files
            )

    def _run_entry(self, entry: Entry, recorded: Recorded | None, pace: Pace) -> None:
        """Quantize, then run the clips; a failure is noted and the sweep goes on."""
        assert entry.bits is not None
        job = self._method_job(entry.method, entry.bits)
        try:
            with pace.part(("model", entry.cell), f"{entry.title}: quantize") as stage:
                made = self._quantize(job, entry, recorded, stage)
        except (Cancelled, DiskFull):
            raise
        except QuantVSRError as error:
            entry.status, entry.error = "failed", str(error)
            self.progress.warn(f"{entry.title} is left out: {error}")
            return

        @functools.lru_cache(maxsize=1)
        def model() -> VSRAdapter:
            return open_lowbit(job, made.checkpoint).adapter

        for clip in self.clips:
            with pace.part(("run", entry.cell, clip.name), f"{entry.title}: {clip.name}") as stage:
                entry.clips[clip.name] = self._run_clip(entry, clip, made, model, stage)
        seconds = [each["seconds"] for each in entry.clips.values() if each["status"] == "done"]
        entry.figures["seconds"]["upscale"] = round(sum(seconds), 3)
        entry.status = "done" if seconds else "failed"
        if not seconds:
            entry.error = "No clip could be run."

    def _quantize(
        self, job: MethodSettings, entry: Entry, recorded: Recorded | None, progress: Progress
    ) -> Quantized:
        folder = self.folder / "models" / entry.cell
        ledger = Ledger(make_folder(folder / "work"))
        clips = self.learn if uses_samples(job) else []
        made = run_quantization(job, clips, folder, ledger, progress, recorded=recorded)
        wanted = (
            "layers", "bytes_fp32", "bytes_lowbit", "reduction", "effective_bits", "updates",
            "loss_first", "loss_last",
        )  # fmt: skip
        entry.figures = {name: made.figures.get(name) for name in wanted}
        entry.figures["checkpoint_sha256"] = hash_file(made.checkpoint)
        entry.figures["seconds"] = {"quantize": round(sum(ledger.seconds().values()), 3)}
        self.entries[0].figures["bytes_fp32"] = made.figures["bytes_fp32"]
        return made

    def _run_clip(
        self,
        entry: Entry,
        clip: SweepClip,
        made: Quantized,
        model: Callable[[], VSRAdapter],
        progress: Progress,
    ) -> dict[str, Any]:
        folder = self.folder / "cells" / entry.cell / clip.name
        files = shot_files(folder)
        settings = {"model": made.key, "clip": clip.key, "metrics": list(self.metrics)}

        def work(inner: Progress) -> dict[str, Any]:
            return measure_run(self.job, model(), clip, self.metrics, folder, inner)

        try:
            ledger = Ledger(make_folder(folder))
            outcome = ledger.stage("run", settings, list(files.values()), work, progress)
        except (Cancelled, DiskFull):
            raise
        except QuantVSRError as error:
            self.progress.warn(f"{entry.title} on {clip.name} is left out: {error}")
            return {"status": "failed", "error": str(error), "figures": {}, "seconds": 0.0, "pictures": {}}
        return self._clip_entry(outcome.figures, files)

    def _clip_entry(self, found: Mapping[str, Any], files: Mapping[str, Path]) -> dict[str, Any]:
        pictures = {kind: path.relative_to(self.folder).as_posix() for kind, path in files.items()}
        return {"status": "done", "error": None, **found, "pictures": pictures}

    # Bookkeeping -------------------------------------------------------------------------------------------

    def _method_job(self, method: str, bits: Bits) -> MethodSettings:
        job = self.job
        return MethodSettings(
            model=job.model,
            device=job.device,
            seed=job.seed,
            steps=job.steps,
            bits=bits,
            preset=job.preset,
            method=method,
        )

    def _cell(self, method: str, bits: Bits) -> str:
        """Method, bits and a hash of everything that decides the model."""
        # Not the device's name: `auto`, `cuda` and `cuda:1` are the same to a result.
        device = choose_device(self.job.device).type
        job = replace(self._method_job(method, bits), device=device)
        recipe = get_method(method).recipe
        decides = {
            "job": job.settings_hash(),
            "model": source_hash(job.model),
            "layer": layer_config(method, bits).to_json(),
            "recipe": recipe.to_json(),
            "budget": training_budget(job).to_json(),
            "refine": recipe.training(training_budget(job)).to_json(),
            "learn": [clip.digest for clip in self.learn] if recipe.uses_samples else [],
        }
        return f"{method}-{bits}-{hash_json(decides)[:10]}"

    def _metrics(self) -> tuple[str, ...]:
        """The metrics that can be computed here; the others are named."""
        found = []
        for name in dict.fromkeys(self.job.metrics):
            if "layers" in get_metric(name).needs:
                self.progress.warn(
                    f"{get_metric(name).title} is left out: it is measured on layers, not clips."
                )
                continue
            try:
                get_metric(name).make()
                found.append(name)
            except MissingMetric as error:
                self.progress.warn(str(error))
        if not found:
            raise BadInput("None of the metrics can be computed here; choose others with --metrics.")
        return tuple(found)

    def _amounts(self) -> dict[Part, float]:
        """Rough amounts of work of all parts, in denoiser calls, for the time left."""
        runs = 40.0  # a clip of a few dozen frames
        amounts: dict[Part, float] = {}
        for choice in self.choices:
            amounts["clip", choice.name] = runs
        if self.learn:
            amounts["samples",] = 24.0
        for entry in self.entries[1:]:
            assert entry.bits is not None
            recipe = get_method(entry.method).recipe
            budget = training_budget(self._method_job(entry.method, entry.bits))
            # Learned rounding takes the whole budget, block by block.
            training = budget if recipe.rounding is not None else recipe.training(budget)
            passes = (training.updates + training.bias_updates) * training.accumulation
            # Forward, backward and update are worth some three calls.
            amounts["model", entry.cell] = 20.0 + 3.0 * passes if recipe.uses_samples else 1.0
            for choice in self.choices:
                amounts["run", entry.cell, choice.name] = 2 * runs
        return amounts

    def _write(self) -> None:
        content = results_json(
            self.job, self.folder, self.entries, self.clips, self.left_out, self.learn, self.metrics
        )
        write_results(self.folder, content)

"""The table of a sweep as JSON and as CSV; `jobs.sweep` describes both."""

import csv
import io
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from quantvsr import __version__
from quantvsr.files import atomic_bytes, atomic_json
from quantvsr.jobs.sweep import RESULTS, TABLE, SweepJob
from quantvsr.jobs.work.analysis import source_hash
from quantvsr.jobs.work.clips import LearnClip
from quantvsr.jobs.work.machine import choose_device
from quantvsr.jobs.work.scene import SCALE
from quantvsr.jobs.work.sweep_clips import SweepClip
from quantvsr.jobs.work.sweep_shots import shot_files
from quantvsr.methods import get_method
from quantvsr.metrics import get_metric
from quantvsr.models.registry import recognise
from quantvsr.runtime.registry import SIMULATED

if TYPE_CHECKING:
    from quantvsr.jobs.work.sweeping import Entry

FORMAT = "quantvsr-results"
_LIBRARIES = ("torch", "numpy", "opencv-python-headless", "av", "diffusers")
_SIZES = ("effective_bits", "reduction", "bytes_lowbit")


def results_json(
    job: SweepJob,
    folder: Path,
    entries: Sequence["Entry"],
    clips: Sequence[SweepClip],
    left_out: Sequence[Mapping[str, str]],
    learn: Sequence[LearnClip],
    metrics: Sequence[str],
) -> dict[str, Any]:
    """The content of results.json."""
    device = choose_device(job.device)
    learned = {clip.digest for clip in learn}
    return {
        "format": FORMAT,
        "version": 1,
        "program": __version__,
        "command": job.command(),
        "settings": job.to_json(),
        "settings_hash": job.settings_hash(),
        "model": {
            "name": recognise(job.model).family,
            "reference": job.model,
            "sha256": source_hash(job.model),
        },
        "machine": {
            "device": str(device),
            "device_name": _device_name(device),
            "execution": SIMULATED,
            "versions": {name: _version(name) for name in _LIBRARIES},
        },
        "metrics": {name: get_metric(name).to_json() for name in metrics},
        "learned_from": [{"name": clip.name, "sha256": clip.digest} for clip in learn],
        "left_out": [dict(each) for each in left_out],
        "clips": [_clip(clip, folder, learned) for clip in clips],
        "methods": {
            name: get_method(name).to_json()
            for name in dict.fromkeys(entry.method for entry in entries if entry.method != "fp")
        },
        "entries": [_entry(entry, clips) for entry in entries],
    }


def write_results(folder: Path, content: Mapping[str, Any]) -> None:
    """Write results.json and results.csv."""
    atomic_json(folder / RESULTS, content)
    atomic_bytes(folder / TABLE, table(content).encode("utf-8"))


def table(content: Mapping[str, Any]) -> str:
    """results.csv: one line per method, bits and clip, and one for the mean over the clips ("mean")."""
    figures = sorted({name for entry in content["entries"] for name in entry.get("mean") or {}})
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["method", "bits", "clip", *figures, *_SIZES, "seconds"])
    for entry in content["entries"]:
        sizes = [_cell(entry.get(name)) for name in _SIZES]
        rows = [
            (name, clip["figures"], clip["seconds"])
            for name, clip in entry["clips"].items()
            if clip["status"] == "done"
        ]
        if entry.get("mean"):
            rows.append(("mean", entry["mean"], entry["seconds"].get("upscale")))
        for name, values, seconds in rows:
            found = [_cell(values.get(figure)) for figure in figures]
            lines.writerow([entry["method"], entry["bits"] or "", name, *found, *sizes, _cell(seconds)])
    return text.getvalue()


def best_by_bits(entries: Sequence["Entry"]) -> dict[str, str]:
    """By bits the method whose results are closest to full precision, by mean PSNR."""
    best: dict[str, tuple[float, str]] = {}
    for entry in entries:
        value = mean_figures(entry).get("psnr_fp") if entry.bits is not None else None
        if value is not None and value > best.get(str(entry.bits), (float("-inf"), ""))[0]:
            best[str(entry.bits)] = (value, entry.method)
    return {bits: method for bits, (_, method) in best.items()}


def mean_figures(entry: "Entry") -> dict[str, float]:
    """Means over the clips that have a value; empty unless all clips are done."""
    done = [clip for clip in entry.clips.values() if clip["status"] == "done"]
    if not done or len(done) < len(entry.clips) or entry.status != "done":
        return {}
    values: dict[str, list[float]] = {}
    for clip in done:
        for name, value in clip["figures"].items():
            if value is not None:
                values.setdefault(name, []).append(value)
    return {name: round(sum(found) / len(found), 5) for name, found in values.items()}


def _clip(clip: SweepClip, folder: Path, learned: set[str]) -> dict[str, Any]:
    names = ["lq", *(["gt"] if clip.has_gt else []), "bicubic", "fp"]
    places = {name: shot_files(clip.folder / "pictures", f"{name}_") for name in names}
    digest = clip.scene.source.to_json()["hash"]
    return {
        "id": clip.name,
        "name": clip.choice.path.name,
        "sha256": digest,
        "frames": clip.scene.frames,
        "width": clip.scene.width * SCALE,
        "height": clip.scene.height * SCALE,
        "has_gt": clip.has_gt,
        "learned": digest in learned,
        "region": {"frame": clip.frame, **asdict(clip.region)},
        "row": clip.row,
        "figures": {name: values for name, values in clip.figures.items() if name != "fp"},
        "pictures": {
            name: {kind: path.relative_to(folder).as_posix() for kind, path in files.items()}
            for name, files in places.items()
        },
    }


def _entry(entry: "Entry", clips: Sequence[SweepClip]) -> dict[str, Any]:
    return {
        "method": entry.method,
        "bits": None if entry.bits is None else str(entry.bits),
        "cell": entry.cell,
        "folder": None if entry.bits is None else f"models/{entry.cell}",
        "status": entry.status,
        "error": entry.error,
        **entry.figures,
        "clips": {clip.name: entry.clips[clip.name] for clip in clips if clip.name in entry.clips},
        "mean": mean_figures(entry),
    }


def _cell(value: Any) -> Any:
    return "" if value is None else value


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None

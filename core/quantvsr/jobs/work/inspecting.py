"""Looking at a model: its kind, its layers, what each of them computes."""

import dataclasses
import fnmatch
from pathlib import Path
from typing import Any

import torch

from quantvsr.calibration.hooks import forward_hooks
from quantvsr.calibration.observe import layer_shape
from quantvsr.errors import BadInput, BadModel
from quantvsr.hashing import hash_file
from quantvsr.jobs.inspect import InspectJob, InspectResult
from quantvsr.jobs.work.models import open_full
from quantvsr.jobs.work.quantization import CHECKPOINT
from quantvsr.models.adapter import VSRAdapter
from quantvsr.models.registry import model_files, model_hash, model_path, recognise, title_of
from quantvsr.progress import Progress
from quantvsr.quant.checkpoint import CheckpointInfo, read_checkpoint_info
from quantvsr.quant.surgery import iter_quantizable

# Above this a window takes minutes on a processor.
_MOST_PARAMETERS = 100_000_000
_WINDOW_EDGE = 32


def inspect(job: InspectJob, progress: Progress) -> InspectResult:
    """Say what a path is; then, if wanted, open the model and list its layers."""
    place = model_path(job.model)
    described = checkpoint_at(place)
    # The layers of a checkpoint are those of the model that it belongs to.
    model = job.model if described is None else str(described.meta.get("model", job.model))
    found = recognise(model)
    files = model_files(model) if described is None else [described.path]
    result = InspectResult(
        path=str(place),
        family=found.family,
        title=title_of(found.family),
        reason=found.reason,
        notes=(),
        checkpoint=None if described is None else _summary(described),
        files=tuple(files),
        bytes=sum(file.stat().st_size for file in files),
        sha256=_hash(job, described) if job.hash else None,
    )
    return _opened(job, model, result, progress) if job.layers else result


def _hash(job: InspectJob, described: CheckpointInfo | None) -> str:
    return model_hash(job.model) if described is None else hash_file(described.path)


def _opened(job: InspectJob, model: str, result: InspectResult, progress: Progress) -> InspectResult:
    """What only the opened model tells."""
    progress.report(0.0, "opening the model")
    adapter = open_full(dataclasses.replace(job, model=model))
    progress.check()
    progress.report(0.4, "counting")
    parameters = sum(weight.numel() for weight in adapter.denoiser.parameters())
    counted = parameters <= _MOST_PARAMETERS or adapter.device.type != "cpu"
    positions, size = _positions(adapter) if counted else ({}, None)
    return dataclasses.replace(
        result,
        notes=adapter.notes,
        scale=adapter.scale,
        window=adapter.window,
        steps=adapter.default_steps,
        parameters=parameters,
        size=size,
        layers=tuple(_layers(adapter, job.exclude, positions)),
    )


def checkpoint_at(place: Path) -> CheckpointInfo | None:
    """The quantized checkpoint at a path (a file, or the folder `quantize` wrote); None where it is none."""
    file = place / CHECKPOINT if place.is_dir() else place
    if not file.is_file() or file.suffix != ".safetensors":
        return None
    try:
        return read_checkpoint_info(file)
    except BadModel:
        # Weights of another kind, or damaged: recognising the model says which.
        return None


def _summary(info: CheckpointInfo) -> dict[str, Any]:
    weights = [layer["config"]["weight_bits"] for layer in info.layers.values()]
    return {
        "path": str(info.path),
        "meta": info.meta,
        "layers": len(info.layers),
        "bytes_fp32": info.bytes_fp32,
        "bytes_file": info.bytes_file,
        "saving": info.saving,
        "weight_bits": sorted(set(weights)),
    }


def _layers(adapter: VSRAdapter, exclude: tuple[str, ...], positions: dict[str, int]) -> list[dict[str, Any]]:
    names = []
    found = []
    for name, module, reason in iter_quantizable(adapter.denoiser):
        names.append(name)
        weight = getattr(module, "weight", None)
        family = next((p for p in adapter.default_exclude if fnmatch.fnmatchcase(name, p)), None)
        own = next((p for p in exclude if fnmatch.fnmatchcase(name, p)), None)
        if reason is None and family is not None:
            reason = f"left out by the model's family ({family})"
        elif reason is None and own is not None:
            reason = "left out by hand" if own == name else f"left out by hand ({own})"
        macs = None
        if name in positions and isinstance(weight, torch.Tensor):
            macs = weight.numel() * positions[name]
        found.append(
            {
                "name": name,
                "kind": type(module).__name__,
                "shape": [] if weight is None else list(weight.shape),
                "parameters": sum(value.numel() for value in module.parameters()),
                "macs": macs,
                "skipped": reason,
                "family": family is not None,
            }
        )
    unknown = [pattern for pattern in exclude if not fnmatch.filter(names, pattern)]
    if unknown:
        raise BadInput(f"The exclusion '{unknown[0]}' matches no layer of the model; correct or remove it.")
    return found


def _positions(adapter: VSRAdapter) -> tuple[dict[str, int], tuple[int, int]]:
    """Output positions of each layer in one step over a small window, and the window's size."""
    edge = -(-_WINDOW_EDGE // adapter.size_multiple) * adapter.size_multiple
    layers = {name: layer for name, layer, reason in iter_quantizable(adapter.denoiser) if reason is None}
    counts: dict[str, int] = {}

    def look(name: str, layer: torch.nn.Module, x: torch.Tensor, y: torch.Tensor) -> None:
        counts[name] = counts.get(name, 0) + y.numel() // layer_shape(name, layer).out_features

    lq = torch.zeros(adapter.window, 3, edge, edge, device=adapter.device)
    noise = torch.zeros(adapter.noise_channels, edge, edge, device=adapter.device)
    inputs, _ = adapter.record_window(lq, noise, 1)[0]
    with torch.no_grad(), forward_hooks(layers, look):
        adapter.denoiser(**inputs)
    return counts, (edge, edge)

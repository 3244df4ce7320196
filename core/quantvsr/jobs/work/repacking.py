"""Packing some layers of a checkpoint again: the closed loop between a rank and the picture it gives."""

import dataclasses
import time
from pathlib import Path

import torch
from torch import nn

from quantvsr.calibration.prepare import fit_to_samples
from quantvsr.calibration.refine import refine
from quantvsr.calibration.refine_config import PRESETS
from quantvsr.calibration.samples import SampleStore
from quantvsr.errors import BadInput
from quantvsr.files import folder_for
from quantvsr.jobs.options import Bits
from quantvsr.jobs.repack import RepackJob, RepackResult
from quantvsr.jobs.work.models import open_full
from quantvsr.jobs.work.quantization import CHECKPOINT, checkpoint_file
from quantvsr.models.adapter import VSRAdapter
from quantvsr.progress import Progress
from quantvsr.quant.checkpoint import load_checkpoint, save_checkpoint
from quantvsr.quant.layers import DualBranchLayer
from quantvsr.quant.surgery import LayerMap


def repack(job: RepackJob, progress: Progress) -> RepackResult:
    """Load, replace the changed layers, train them where asked, save."""
    began = time.perf_counter()
    changes = job.changes()
    if not changes:
        raise BadInput("Nothing is changed; give --layer-ranks or --layer-bits.")
    folder = folder_for(job.out, job.name)
    source = checkpoint_file(job.checkpoint)
    progress.report(0.0, "opening the model")
    adapter = open_full(job)
    plain = dict(adapter.denoiser.named_modules())
    layers, info = load_checkpoint(source, adapter.denoiser)
    unknown = sorted(set(changes) - set(layers))
    if unknown:
        raise BadInput(f"{source} has no quantized layer {unknown[0]}; correct or remove it.")
    changed = LayerMap()
    for number, (name, (rank, bits)) in enumerate(changes.items()):
        progress.check()
        changed[name] = _replace(adapter.denoiser, plain[name], layers[name], rank, bits)
        progress.report(0.1 + 0.2 * (number + 1) / len(changes), f"packed {name}")
    losses = _fit(job, source, adapter, changed, progress.stage("fit", 0.3, 0.95))
    target = folder / CHECKPOINT
    for layer in changed.values():
        layer.mode = "frozen"
    said = {
        "from": source.parent.name,
        "layer_ranks": [str(each) for each in job.layer_ranks],
        "layer_bits": [str(each) for each in job.layer_bits],
    }
    written = save_checkpoint(
        target, adapter.denoiser, {**info.meta, "repacked": {**said, "updates": job.updates}}
    )
    weights = sum(layer.weight.numel() for layer in layers.values())
    return RepackResult(
        checkpoint=target,
        changed=tuple(changes),
        bytes_lowbit=written.bytes_file,
        effective_bits=written.bytes_file * 8 / weights,
        loss_first=losses[0],
        loss_last=losses[1],
        seconds=round(time.perf_counter() - began, 3),
    )


@torch.no_grad()
def _replace(
    model: nn.Module, plain: nn.Module, old: DualBranchLayer, rank: int | None, bits: Bits | None
) -> DualBranchLayer:
    """Put a layer with another rank or other bits where the old one is; what still fits is taken over."""
    config = old.config
    if bits is not None:
        config = dataclasses.replace(config, weight_bits=bits.weights, activation_bits=bits.activations)
    layer = DualBranchLayer(plain, config, old.name)
    layer.set_rank(old.rank if rank is None else rank)
    for part, signs in enumerate(old.signs):
        layer.set_signs(part, signs)
    layer.initialise()
    for name in ("lba", "activation_clip"):
        value, before = getattr(layer, name), getattr(old, name)
        if value is not None and before is not None:
            value.copy_(before)
    if layer.activation_shift is not None and old.activation_shift is not None:
        layer.set_activation_shift(old.activation_shift)
    layer.train(plain.training)
    for name, module in list(model.named_modules(remove_duplicate=False)):
        if module is old:
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, layer)
    layer.mode = "frozen"
    return layer


def _fit(
    job: RepackJob, checkpoint: Path, adapter: VSRAdapter, changed: LayerMap, progress: Progress
) -> tuple[float | None, float | None]:
    """Fit activation ranges where samples are at hand, and train where asked; gives first and last loss."""
    place = Path(job.samples).expanduser() if job.samples else _samples_beside(checkpoint)
    if place is None or not place.is_dir():
        if job.updates:
            raise BadInput(
                f"There are no calibration samples beside {checkpoint}; give --samples, or --updates 0."
            )
        return None, None
    samples = SampleStore(place)
    fit_to_samples(
        adapter.denoiser, changed, samples, most=4, device=adapter.device,
        progress=progress.stage("fit", 0.0, 0.3),
    )  # fmt: skip
    if not job.updates:
        return None, None
    settings = dataclasses.replace(
        PRESETS["quick"],
        updates=job.updates,
        bias_updates=max(job.updates // 4, 1),
        evaluate_every=max(job.updates // 3, 1),
        seed=job.seed,
    )
    result = refine(
        adapter.denoiser, changed, samples, settings, progress=progress.stage("train", 0.3, 1.0),
        device=adapter.device,
    )  # fmt: skip
    held = [loss for stage in result.stages for _, loss in stage.held_out]
    seen = [loss for stage in result.stages for loss in stage.losses]
    found = held or seen
    return (found[0], min(held) if held else found[-1]) if found else (None, None)


def _samples_beside(checkpoint: Path) -> Path | None:
    """Samples of the run, or of the project's analysis: `checkpoints/RUN/` lies in the project's folder."""
    for folder in (checkpoint.parent, checkpoint.parent.parent.parent):
        if (folder / "work" / "samples").is_dir():
            return folder / "work" / "samples"
    return None

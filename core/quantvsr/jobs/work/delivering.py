"""Copying a checkpoint and saying what it is."""

import math
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

from quantvsr import __version__
from quantvsr.errors import BadInput
from quantvsr.files import atomic_json, atomic_path
from quantvsr.hashing import hash_file
from quantvsr.jobs.deliver import DeliverJob, DeliverResult
from quantvsr.jobs.work.machine import execution_backends
from quantvsr.jobs.work.quantization import checkpoint_file
from quantvsr.progress import Progress
from quantvsr.quant.checkpoint import CheckpointInfo, read_checkpoint_info

STAMP_FORMAT = "quantvsr-stamp"
# Parts of a layer as the checkpoint names them, and as the stamp does.
_PARTS = {
    "codes": "codes",
    "scales": "scales and zero points",
    "zero_points": "scales and zero points",
    "signs": "rotation signs",
    "L1": "low-rank branch",
    "L2": "low-rank branch",
    "bias": "bias",
    "activation_shift": "activation ranges",
    "activation_clip": "activation ranges",
}


def deliver(job: DeliverJob, progress: Progress) -> DeliverResult:
    """Copy, check the copy, write the stamp."""
    figures = job.measured()
    source, target = checkpoint_file(job.checkpoint), Path(job.out).expanduser()
    if target.suffix != ".safetensors":
        raise BadInput(f"{target} must end in .safetensors, so that programs know what it is; rename it.")
    stamp = target.with_suffix(".json")
    for place in (target, stamp):
        if place.exists() and not job.overwrite:
            raise BadInput(f"{place} exists already; choose another name, or give --overwrite.")
    if target.exists() and target.samefile(source):
        raise BadInput(f"{target} is the checkpoint itself; choose another name.")
    info = read_checkpoint_info(source)
    digest = hash_file(source)
    progress.check()
    progress.report(0.2, "copying")
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)
        progress.check()
        progress.report(0.6, "checking the copy")
        if hash_file(temporary) != digest:
            raise BadInput(f"{target} was not copied correctly; check the disk and try again.")
    content = {**stamp_of(info, digest), "measured": figures}
    atomic_json(stamp, content)
    return DeliverResult(out=target, stamp=stamp, content=content)


def stamp_of(info: CheckpointInfo, digest: str) -> dict[str, Any]:
    """What a checkpoint is, from its header: nothing here is computed from intentions.

    Args:
        info: Its header.
        digest: SHA-256 of the file.
    """
    parts: Counter[str] = Counter()
    for each in info.layer_bytes.values():
        for name, size in each.items():
            parts[_PARTS.get(name, "other")] += size
    parts["file header"] = info.bytes_file - info.bytes_data
    weights = sum(math.prod(layer["shape"]) for layer in info.layers.values())
    bits: Counter[str] = Counter(
        f"W{layer['config']['weight_bits']}A{layer['config']['activation_bits']}"
        for layer in info.layers.values()
    )
    ranks = [layer["rank"] for layer in info.layers.values()]
    meta = dict(info.meta)
    return {
        "format": STAMP_FORMAT,
        "version": 1,
        "program": __version__,
        "checkpoint_sha256": digest,
        "model": meta.get("model"),
        "model_hash": info.source_hash,
        "layers": len(info.layers),
        "weights": weights,
        "bits": dict(bits),
        "ranks": {"least": min(ranks), "most": max(ranks), "mean": round(sum(ranks) / len(ranks), 2)},
        "bytes": {"file": info.bytes_file, "fp32": info.bytes_fp32, "parts": dict(parts)},
        "effective_bits": {
            "all": round(info.bytes_file * 8 / weights, 4),
            "codes": round(parts["codes"] * 8 / weights, 4),
        },
        "reduction": round(info.saving, 6),
        "not_quantized": "everything else of the model, which comes from the source model",
        "execution": list(execution_backends()),
        "execution_note": (
            "simulated: integer values held in floating point, same results, no speed-up; other names "
            "compute with integers"
        ),
        "clips": meta.pop("clips", []),
        "settings": meta,
    }

"""Low-bit models ready to run: from a given checkpoint, or from one that is made once and kept."""

import re
from dataclasses import dataclass
from pathlib import Path

import torch

from quantvsr.errors import BadInput
from quantvsr.files import cache_folder, make_folder
from quantvsr.hashing import hash_json
from quantvsr.jobs.options import Bits
from quantvsr.jobs.settings import MethodSettings
from quantvsr.jobs.work.clips import learn_clips
from quantvsr.jobs.work.ledger import Ledger
from quantvsr.jobs.work.machine import choose_device
from quantvsr.jobs.work.models import ModelChoice, open_full
from quantvsr.jobs.work.quantization import run_quantization, uses_samples
from quantvsr.models.adapter import VSRAdapter
from quantvsr.models.placing import type_name
from quantvsr.progress import Progress
from quantvsr.quant.checkpoint import CheckpointInfo, load_checkpoint
from quantvsr.quant.surgery import LayerMap
from quantvsr.runtime.execution import accelerate
from quantvsr.runtime.registry import candidates


@dataclass(frozen=True)
class LowBit:
    """A low-bit model.

    Attributes:
        adapter: Ready to run.
        layers: Its quantized layers.
        info: What its checkpoint says.
    """

    adapter: VSRAdapter
    layers: LayerMap
    info: CheckpointInfo

    @property
    def bits(self) -> str:
        """Bits as `W4A4`; those of the first layer where layers differ."""
        config = next(iter(self.layers.values())).config
        return str(Bits(config.weight_bits, config.activation_bits))


def open_lowbit(job: ModelChoice, checkpoint: Path) -> LowBit:
    """Open the model of a job with a checkpoint; `execute` makes it fast.

    Raises:
        BadModel: The checkpoint is damaged, none, or belongs to another model.
    """
    adapter = open_full(job)
    layers, info = load_checkpoint(checkpoint, adapter.denoiser)
    watch_values(layers, adapter.device)
    return LowBit(adapter, layers, info)


@dataclass(frozen=True)
class Way:
    """How an opened model computes, for results.

    Attributes:
        execution: How integer values are computed: "integer, oneDNN int8", "simulated", ...; None in full
            precision.
        compute: Type in which the model computes apart from quantized layers: "float32", "bfloat16", ...
    """

    execution: str | None
    compute: str


def full_precision(adapter: VSRAdapter) -> Way:
    """How a model computes whose layers are not quantized."""
    return Way(None, type_name(adapter.precision))


def execute(adapter: VSRAdapter, backend: str, progress: Progress) -> Way:
    """Make the frozen layers of a model executable, in place, by the best backend or a chosen one.

    Returns:
        How the model computes now.

    Raises:
        BadInput: There is no such backend, or it does not run here.
    """
    found = accelerate(
        adapter.denoiser, adapter.device, backend=backend, carriers=adapter.carriers, warn=progress.warn
    )
    # In float32 nothing was cast: the model goes on in its own type.
    kind = adapter.precision if found.carrier == torch.float32 else found.carrier
    return Way(str(found), type_name(kind))


def execution_key(device: torch.device, backend: str | None) -> str:
    """What decides a model's output besides its files and settings; known before anything is opened.

    Args:
        device: Where it runs.
        backend: Of a low-bit model, `auto` or a key; None in full precision.

    Returns:
        "cpu", or "cpu-oneDNN_int8-bfloat16" with the backend's title and the type of its activations.

    Raises:
        BadInput: There is no such backend, or it does not run on the device.
    """
    if backend is None:
        return device.type
    best = candidates(backend, device)[0]
    carrier = type_name(best.carriers(device)[0])
    # Not its key, which several may share that differ in rounding.
    title = re.sub(r"[^A-Za-z0-9]+", "_", best.title.removeprefix("integer, "))
    return f"{device.type}-{title}-{carrier}"


def watch_values(layers: LayerMap, device: torch.device) -> None:
    """Have NaN in activations reported with the layer's name.

    Only on the processor: on a GPU every look would wait for it. There the engine's look at the result finds
    out too, only without the layer's name.
    """
    layers.check_finite(device.type == "cpu")


def cached_checkpoint(job: MethodSettings, progress: Progress) -> Path:
    """The checkpoint of a model for some bits, method and budget, learned from the bundled clips.

    Made at the first call, which may take minutes; later calls find it finished and return at once.
    """
    settings = {
        "model": job.model,
        "bits": str(job.bits),
        "preset": job.preset,
        "method": job.method,
        "ranks": [job.min_rank, job.max_rank, job.percentile],
        "steps": job.steps,
        "seed": job.seed,
        "device": choose_device(job.device).type,
        # Only where it is set: checkpoints that were made before stay known.
        **({} if job.extra_bits is None else {"extra_bits": job.extra_bits}),
    }
    name = f"{Path(job.model).name}-{job.bits}-{job.method}-{job.preset}-{hash_json(settings)[:10]}"
    folder = cache_folder() / "checkpoints" / name
    try:
        make_folder(folder)
    except BadInput as error:
        raise BadInput(
            f"{cache_folder()} cannot be written to; set QUANTVSR_CACHE to a folder, or give --checkpoint."
        ) from error
    # The records know the hashes of the model and the clips: after a change of either it is made anew.
    clips = learn_clips(()) if uses_samples(job) else []
    return run_quantization(job, clips, folder, Ledger(folder / "work"), progress).checkpoint

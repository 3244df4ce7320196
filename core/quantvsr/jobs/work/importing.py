"""Importing parameter files of the published method."""

import time
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from quantvsr import __version__
from quantvsr.errors import BadModel
from quantvsr.files import folder_for
from quantvsr.hashing import hash_file
from quantvsr.jobs.import_qparams import ImportQparamsJob, ImportQparamsResult
from quantvsr.jobs.work.analysis import source_hash
from quantvsr.jobs.work.models import open_full, tell_notes
from quantvsr.jobs.work.quantization import CHECKPOINT
from quantvsr.models.registry import recognise
from quantvsr.progress import Progress
from quantvsr.quant.checkpoint import save_checkpoint
from quantvsr.quant.config import LayerQuantConfig, reference
from quantvsr.quant.qparams import PREFIX, apply_qparams, read_qparams
from quantvsr.quant.surgery import quantize_model
from quantvsr.upscale.memory import peak_memory


def import_qparams(job: ImportQparamsJob, progress: Progress) -> ImportQparamsResult:
    """Read the file, put its values into the model's layers, pack and write them."""
    began = time.perf_counter()
    folder, file = folder_for(job.out, job.name), Path(job.file).expanduser()
    recognise(job.model)
    progress.report(0.0, f"reading {file.name}")
    params = read_qparams(file)
    config = config_of(params, reference(job.bits.weights, job.bits.activations), file)
    progress.check()
    progress.report(0.2, "opening the model")
    adapter = open_full(job)
    tell_notes(adapter, progress)
    names = {name.removeprefix(PREFIX) for name in params}
    strangers = sorted(names - {name for name, _ in adapter.denoiser.named_modules()})
    if strangers:
        raise BadModel(
            f"{file} has a layer {strangers[0]} that {adapter.source} lacks; choose the model it belongs to."
        )
    progress.check()
    progress.report(0.5, "setting the layers")
    layers = quantize_model(adapter.denoiser, config, 0, adapter.default_exclude, seed=job.seed)
    apply_qparams(adapter.denoiser, params)
    params.clear()
    progress.check()
    progress.report(0.7, "packing")
    layers.set_mode("frozen")
    meta = {
        "program": __version__,
        "model": job.model,
        "model_sha256": source_hash(job.model),
        "bits": str(job.bits),
        "method": "reference",
        "imported": {"name": file.name, "sha256": hash_file(file)},
    }
    info = save_checkpoint(folder / CHECKPOINT, adapter.denoiser, meta)
    progress.report(1.0, "done")
    return ImportQparamsResult(
        checkpoint=info.path,
        bits=job.bits,
        layers=len(layers),
        bytes_file=file.stat().st_size,
        bytes_fp32=info.bytes_fp32,
        bytes_lowbit=info.bytes_file,
        seconds=time.perf_counter() - began,
        peak_memory=peak_memory(adapter.device).ram or 0,
    )


def config_of(
    params: Mapping[str, Mapping[str, Tensor]], published: LayerQuantConfig, file: Path
) -> LayerQuantConfig:
    """The switches that a parameter file shows; those that it does not show are the published ones.

    Raises:
        BadModel: The entries lack what every such file has.
    """
    first = next(iter(params.values()))
    try:
        ranges, matrix = first["wq.x_min"], first["rot.rot_mat"]
    except KeyError as error:
        raise BadModel(
            f"{file} has no {error.args[0]} in its first layer; choose a file of the published method."
        ) from None
    return published.replace(
        parts=2 if "wq1.x_min" in first else 1,
        rotation="reference" if matrix.numel() else "none",
        weight_granularity="channel" if ranges.dim() else "tensor",
    )

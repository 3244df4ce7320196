"""Writing an opened model as a folder of safetensors files in the style of the diffusers library."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import save_file

from quantvsr.errors import BadInput
from quantvsr.files import atomic_json, atomic_path
from quantvsr.models.adapter import VSRAdapter
from quantvsr.models.mgld.files import CONTEXT_FILE, CONTEXT_KEY
from quantvsr.models.mgld.flow import RaftFlow

Writer = Callable[[Any, Path, torch.dtype], None]


def convert(adapter: VSRAdapter, folder: Path, dtype: torch.dtype = torch.float32) -> None:
    """Write a full-precision model; the folder opens as the same model.

    Args:
        adapter: The model, on any device; its weights are in `dtype` afterwards.
        folder: Where; must not exist, or be empty.
        dtype: Floating type of the weights in the files; what is opened computes in single precision.

    Raises:
        BadInput: The folder is not empty, or this kind of model is not written.
        DiskFull: No space left.
    """
    check_empty(folder)
    writer = _WRITERS.get(adapter.name)
    if writer is None:
        raise BadInput(f"{adapter.source} ({adapter.name}) cannot be converted; it is used as it is.")
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        writer(adapter, temporary, dtype)


def check_empty(folder: Path) -> None:
    """Say that a folder cannot be written as a new one.

    Raises:
        BadInput: It holds something, or is a file.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInput(f"{folder} is not empty; choose a new folder.")


def _mgld(adapter: Any, folder: Path, dtype: torch.dtype) -> None:
    from quantvsr.models.mgld.folder import save

    save(adapter.opened, folder, dtype)


def _compact(adapter: Any, folder: Path, dtype: torch.dtype) -> None:
    pipeline = adapter.pipeline
    _parts(
        folder, {"denoiser": pipeline.denoiser, "scheduler": pipeline.scheduler}, "CompactVSRPipeline", dtype
    )


def _x4(adapter: Any, folder: Path, dtype: torch.dtype) -> None:
    _with_text(adapter, folder, "StableDiffusionUpscalePipeline", dtype)


def _stablevsr(adapter: Any, folder: Path, dtype: torch.dtype) -> None:
    _with_text(adapter, folder, "StableVSRPipeline", dtype, controlnet=adapter.controlnet)
    if isinstance(adapter.flow, RaftFlow):
        # Some of its layers have two names; each needs memory of its own in the file.
        state = {name: value.cpu().clone() for name, value in adapter.flow.network.state_dict().items()}
        save_file(state, folder / "raft.safetensors")


def _with_text(adapter: Any, folder: Path, class_name: str, dtype: torch.dtype, **more: Any) -> None:
    parts = {
        "unet": adapter.denoiser.unet,
        "vae": adapter.vae,
        "scheduler": adapter.scheduler,
        "low_res_scheduler": adapter.low_res_scheduler,
    }
    _parts(folder, parts | more, class_name, dtype)
    # Instead of the text encoder, what is made of it.
    save_file({CONTEXT_KEY: adapter.context.cpu().contiguous()}, folder / CONTEXT_FILE)


def _ldm(adapter: Any, folder: Path, dtype: torch.dtype) -> None:
    parts = {"unet": adapter.denoiser.unet, "vqvae": adapter.vqvae, "scheduler": adapter.scheduler}
    _parts(folder, parts, "LDMSuperResolutionPipeline", dtype)


def _parts(folder: Path, parts: dict[str, Any], class_name: str, dtype: torch.dtype) -> None:
    index: dict[str, Any] = {"_class_name": class_name}
    for name, part in parts.items():
        if isinstance(part, torch.nn.Module):
            # The library's own `to` prints a remark.
            part = torch.nn.Module.to(part, dtype)
        cast(Any, part).save_pretrained(folder / name)
        index[name] = [type(part).__module__.partition(".")[0], type(part).__name__]
    atomic_json(folder / "model_index.json", index)


_WRITERS: dict[str, Writer] = {
    "compact": _compact,
    "mgld": _mgld,
    "sd-x4-upscaler": _x4,
    "ldm-super-resolution": _ldm,
    "stablevsr": _stablevsr,
}

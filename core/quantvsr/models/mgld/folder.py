"""MGLD-VSR as a folder in the style of the diffusers library: a part each, safetensors, no pickles.

Written by `quantvsr convert` and opened like the official files. Only what takes part in enlarging is in it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from quantvsr.errors import BadModel
from quantvsr.files import atomic_json
from quantvsr.models.mgld.checkpoint import Part, check_keys, load_parts
from quantvsr.models.mgld.config import MGLDConfig
from quantvsr.models.mgld.files import CLASS_NAME, CONTEXT_FILE, CONTEXT_KEY, INDEX
from quantvsr.models.mgld.flow import DisFlow, FlowEstimator, RaftFlow
from quantvsr.models.mgld.networks import FIRST_STAGE_NEEDED, VIDEO_VAE_NEEDED, Networks
from quantvsr.models.mgld.opening import LICENCE, Opened
from quantvsr.models.mgld.pipeline import MGLDPipeline
from quantvsr.models.placing import PRECISIONS
from quantvsr.models.weights import read_json_object, read_shapes, read_tensors

_WEIGHTS = "diffusion_pytorch_model.safetensors"


def save(opened: Opened, folder: Path, dtype: torch.dtype) -> None:
    """Write a model into an empty folder, weights in one floating type."""
    pipeline = opened.pipeline
    parts: dict[str, nn.Module] = {
        "unet": pipeline.unet,
        "structural_encoder": pipeline.structural,
        "first_stage": pipeline.first_stage,
        "video_vae": pipeline.video_vae,
    }
    if isinstance(opened.flow, RaftFlow):
        parts["flow"] = opened.flow.network
    # Part of the model, because it changes the pictures a little.
    precision = next(name for name, dtype in PRECISIONS.items() if dtype == pipeline.precision)
    index: dict[str, Any] = {
        "_class_name": CLASS_NAME,
        "config": pipeline.config.to_dict(),
        "precision": precision,
    }
    for name, network in parts.items():
        place = folder / name
        place.mkdir(parents=True)
        kind = type(network).__name__
        save_file(_distinct(network.state_dict(), dtype), place / _WEIGHTS)
        atomic_json(place / "config.json", {"_class_name": kind})
        index[name] = ["quantvsr", kind]
    save_file({CONTEXT_KEY: pipeline.context.cpu().contiguous()}, folder / CONTEXT_FILE)
    atomic_json(folder / INDEX, index)


def load(folder: Path) -> Opened:
    """Open a folder that `save` wrote.

    Raises:
        BadModel: A part is missing, damaged, or does not fit.
    """
    index = read_json_object(folder / INDEX) or {}
    try:
        config = MGLDConfig.from_dict(index["config"])
        precision = PRECISIONS[index.get("precision", "float32")]
    except (KeyError, TypeError) as error:
        raise BadModel(f"{folder / INDEX} does not describe a model ({error}); convert it again.") from error
    networks = Networks.skeleton(config)
    parts = {
        "unet": Part("", networks.unet),
        "structural_encoder": Part("", networks.structural),
        "first_stage": Part("", networks.first_stage, FIRST_STAGE_NEEDED),
        "video_vae": Part("", networks.video_vae, VIDEO_VAE_NEEDED),
    }
    if "flow" in index:
        parts["flow"] = Part("", networks.flow)
    files = {name: folder / name / _WEIGHTS for name in parts}
    for name, part in parts.items():
        check_keys(read_shapes(files[name]), [part], str(files[name]))
    for name, part in parts.items():
        load_parts(read_tensors(files[name]), [part], str(files[name]))
    context = read_tensors(folder / CONTEXT_FILE)[CONTEXT_KEY].float()
    flow: FlowEstimator = RaftFlow(networks.flow) if "flow" in parts else DisFlow()
    pipeline = MGLDPipeline(
        config,
        networks.unet,
        networks.structural,
        networks.first_stage,
        networks.video_vae,
        context,
        precision,
    )
    return Opened(pipeline, flow, (LICENCE, f"Motion comes from {flow.title}."))


def _distinct(state: Mapping[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    """Every tensor with memory of its own, as the format asks; RAFT has layers under two names."""
    return {
        name: value.to("cpu", dtype if value.is_floating_point() else None).contiguous().clone()
        for name, value in state.items()
    }

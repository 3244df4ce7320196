"""Opening MGLD-VSR: files to networks, text context and flow."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from quantvsr.errors import BadModel
from quantvsr.models.mgld.checkpoint import FLOW, TEXT, USELESS, Part, check_keys, load_parts
from quantvsr.models.mgld.config import MGLDConfig
from quantvsr.models.mgld.context import store_context
from quantvsr.models.mgld.files import (
    CONTEXT_FILE,
    CONTEXT_KEY,
    ModelFiles,
    find_files,
    read_config,
)
from quantvsr.models.mgld.flow import DisFlow, FlowEstimator, RaftFlow
from quantvsr.models.mgld.networks import Networks
from quantvsr.models.mgld.pipeline import MGLDPipeline
from quantvsr.models.placing import check_memory, is_small, weight_bytes
from quantvsr.models.weights import read_tensors, with_prefix

LICENCE = "MGLD-VSR's published weights are under a non-commercial licence; read it where you got them."


@dataclass(frozen=True)
class Opened:
    """A model ready to run on the processor.

    Attributes:
        pipeline: Networks and constants.
        flow: What finds the motion.
        notes: What the user should know.
    """

    pipeline: MGLDPipeline
    flow: FlowEstimator
    notes: tuple[str, ...]


def open_files(path: Path, device: torch.device) -> Opened:
    """Load a folder, or the main file with the others beside it.

    Keys and shapes of all files, and the memory, are checked before any weight is read. A text context that
    had to be computed is stored beside the model.

    Args:
        path: Folder or file.
        device: Where the model shall run; it is opened on the processor all the same.

    Raises:
        BadModel: A file is missing, damaged, or another model's.
        QuantVSRError: There is too little memory.
    """
    files = find_files(path)
    main = files.need("main", "mgldvsr_unet.ckpt (UNet and structural encoder)")
    video = files.need("video", "video_vae_cfw.ckpt (video autoencoder)")
    if "context" not in files.found and "text" not in files.found and not _holds_text(files):
        raise BadModel(
            f"{files.folder} has no text encoder for MGLD-VSR; put v2-1_512-ema-pruned.ckpt or "
            f"{CONTEXT_FILE} beside {main.name}."
        )
    config = read_config(files.folder)
    networks = Networks.skeleton(config)
    check_keys(files.shapes["main"], networks.main_parts(), str(main))
    check_keys(files.shapes["video"], networks.video_parts(), str(video))

    check_memory(weight_bytes((networks.unet, networks.structural)), device, str(files.folder))

    # The text encoder is only read when there is no context yet.
    tensors = read_tensors(main, USELESS + ((TEXT,) if "context" in files.found else ()))
    texts = {key: tensors.pop(key) for key in list(tensors) if key.startswith(TEXT)}
    parts = [part for part in networks.main_parts() if part.prefix != TEXT]
    held = load_parts(tensors, parts, str(main))
    tensors.clear()
    load_parts(read_tensors(video, USELESS), networks.video_parts(), str(video))
    context = _context(files, networks, texts, config)
    flow = _flow(files, networks, any(part.prefix == FLOW for part in held))
    pipeline = MGLDPipeline(
        config, networks.unet, networks.structural, networks.first_stage, networks.video_vae, context
    )
    return Opened(pipeline, flow, (LICENCE, f"Motion comes from {flow.title}."))


def _holds_text(files: ModelFiles) -> bool:
    return any(key.startswith(TEXT) for key in files.shapes["main"])


def _context(files: ModelFiles, networks: Networks, texts: dict[str, Tensor], config: MGLDConfig) -> Tensor:
    """The constant text context: stored, or computed and then stored."""
    stored = files.found.get("context")
    if stored is not None:
        context, where = read_tensors(stored)[CONTEXT_KEY].float(), stored
    else:
        where = files.found["main"] if texts else files.found["text"]
        texts = texts or {k: v for k, v in read_tensors(where).items() if k.startswith(TEXT)}
        load_parts(texts, [Part(TEXT, networks.text)], str(where))
        context = networks.text.empty_prompt()
        store_context(context, files.folder)
    if context.dim() != 3 or len(context) != 1 or context.shape[2] != config.unet.context_dim:
        raise BadModel(
            f"{where} gives a text context of shape {list(context.shape)}, the model wants "
            f"[1, tokens, {config.unet.context_dim}]; take the text encoder that belongs to it."
        )
    return context


def _flow(files: ModelFiles, networks: Networks, loaded: bool) -> FlowEstimator:
    """RAFT from the main file or a file of its own; without either, DIS, said clearly."""
    own = files.found.get("flow")
    if not loaded and own is not None:
        tensors = read_tensors(own)
        load_parts(tensors, [Part(with_prefix(tensors, "module."), networks.flow)], str(own))
        loaded = True
    if loaded:
        return RaftFlow(networks.flow)
    return DisFlow()


def move(opened: Opened, device: torch.device) -> Opened:
    """The same model on another device; on a small GPU the autoencoders stay in main memory between uses."""
    pipeline, offload = opened.pipeline, is_small(device)
    for network in (pipeline.unet, pipeline.structural):
        network.to(device)
    for network in (pipeline.first_stage, pipeline.video_vae):
        network.to("cpu" if offload else device)
    if isinstance(opened.flow, RaftFlow):
        opened.flow.network.to(device)
    moved = replace(pipeline, context=pipeline.context.to(device), offload=offload)
    return replace(opened, pipeline=moved)

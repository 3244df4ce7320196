"""What a path holds that is none of the models we can open: said by name, with what to choose instead."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from quantvsr.errors import BadModel
from quantvsr.models.safe_load import load_pickle, safetensors_metadata
from quantvsr.models.weights import (
    INDEX_ENDINGS,
    Shapes,
    is_weight_file,
    read_json_object,
    read_shapes,
    weight_files,
)

_UNET = "model.diffusion_model."
_CROSS = _UNET + "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"


@dataclass(frozen=True)
class Kind:
    """A kind of weight file that is met in practice.

    Attributes:
        title: What it is.
        remedy: What to do instead.
        test: Tells it by the shapes of its tensors.
    """

    title: str
    remedy: str
    test: Callable[[Shapes], bool]


def _any(shapes: Shapes, *parts: str) -> bool:
    return any(part in key for key in shapes for part in parts)


def _context(shapes: Shapes, width: int) -> bool:
    return _CROSS in shapes and shapes[_CROSS][-1] == width


# First match counts.
KINDS = (
    Kind(
        "a LoRA, a small change to some other model",
        "choose the model itself",
        lambda s: _any(s, "lora_up", "lora_down", "lora_A.", "lora_B.", ".lora."),
    ),
    Kind(
        "Stable Diffusion XL, which makes pictures from text",
        "choose a super-resolution model",
        lambda s: _any(s, "conditioner.embedders."),
    ),
    Kind(
        "Stable Diffusion 1.x, which makes pictures from text",
        "choose a super-resolution model",
        lambda s: _context(s, 768) or _any(s, "cond_stage_model.transformer.text_model."),
    ),
    Kind(
        "Stable Diffusion 2.x; MGLD-VSR takes no more than its text encoder from it",
        "choose mgldvsr_unet.ckpt, and leave this file beside it",
        lambda s: _context(s, 1024) and not _any(s, "structcond_stage_model."),
    ),
    Kind(
        "an image autoencoder",
        "choose the folder or file with the UNet",
        lambda s: _any(s, "encoder.conv_in.weight") and _any(s, "decoder.conv_in.weight"),
    ),
    Kind(
        "a ControlNet",
        "choose the folder of a whole pipeline, with model_index.json",
        lambda s: _any(s, "controlnet_down_blocks.", "zero_convs.", "controlnet_cond_embedding."),
    ),
    Kind(
        "RAFT, which finds motion and enlarges nothing",
        "leave it beside MGLD-VSR's files and choose their folder",
        lambda s: _any(s, "fnet.conv1.weight"),
    ),
    Kind(
        "a text encoder",
        "choose the folder or file with the UNet",
        lambda s: _any(s, "token_embedding.weight"),
    ),
    Kind(
        "a UNet of the diffusers library without its pipeline",
        "choose the folder of the whole pipeline, with model_index.json",
        lambda s: _any(s, "down_blocks.0.") and _any(s, "up_blocks.0.") and "conv_in.weight" in s,
    ),
)


def explain(path: Path, known: str) -> str:
    """One sentence on what a path holds, and what to do.

    Args:
        path: An existing file or folder that no family recognises.
        known: Titles of the models that can be opened.
    """
    try:
        return _folder(path, known) if path.is_dir() else _file(path, known)
    except BadModel as error:
        return str(error)


def _folder(path: Path, known: str) -> str:
    index = read_json_object(path / "model_index.json")
    if index is not None:
        name = index.get("_class_name")
        return f"{path} is a diffusers pipeline of the class {name}, which is not supported; choose {known}."
    config = read_json_object(path / "config.json") or {}
    if "_class_name" in config:
        name = config["_class_name"]
        return f"{path} is a single part, {name}; choose the pipeline's folder, with model_index.json."
    files = weight_files(path)
    if not files:
        return f"{path} holds no weight files; choose the folder or file of a model ({known})."
    return _file(files[0], known)


def _file(path: Path, known: str) -> str:
    if not is_weight_file(path):
        return f"{path} is no weight file by its name; choose a folder, or a file such as model.safetensors."
    if path.suffix == ".safetensors" and "quantvsr" in safetensors_metadata(path):
        return f"{path} is a quantized checkpoint; give it with --checkpoint, and its model with --model."
    shapes = read_shapes(path)
    for kind in KINDS:
        if kind.test(shapes):
            return f"{path} is {kind.title}; {kind.remedy}."
    if _is_qparams(path, shapes):
        return f"{path} is a parameter file of the published method; use 'quantvsr import-qparams' with it."
    if not shapes:
        return f"{path} holds no tensors; choose the weight file of a model ({known})."
    return (
        f"{path} is no model known here ({known}): its {len(shapes)} tensors begin with {next(iter(shapes))}."
    )


def _is_qparams(path: Path, shapes: Shapes) -> bool:
    if shapes or path.suffix == ".safetensors" or path.name.endswith(INDEX_ENDINGS):
        return False
    held = load_pickle(path, data=False)
    return isinstance(held, dict) and any(
        isinstance(entry, dict) and any(str(key).startswith("wq.") for key in entry)
        for entry in held.values()
    )

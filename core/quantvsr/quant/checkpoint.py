"""Low-bit models on disk: one safetensors file per model.

The file holds, for every quantized layer, packed codes, scales, zero points, rotation signs, factors and
bias; and in its header a JSON text with format version, the source model's hash, settings and figures. Parts
of the model that are not quantized are not in it: they come from the source model, whose hash is checked.

Tensors of layer NAME (i counts parts):

| name | content |
|---|---|
| NAME.codes{i} | uint8, packed codes (see `packing`); symmetric codes are shifted to start at 0 |
| NAME.scales{i} | (rows,), float32, or float16 multiples of 2**`scale_exponents[i]` of the layer's JSON |
| NAME.zero_points{i} | packed like codes when ranges hold zero, else float32 (rows,); absent if symmetric |
| NAME.signs{i} | uint8, one bit per channel; absent where nothing is rotated |
| NAME.L1, NAME.L2 | float16 or float32, shapes by `lowrank.factor_shapes`; absent at rank 0 |
| NAME.bias | (O,), bias, aligned bias and the shift's product added up; absent if there is none |
| NAME.activation_shift | (C,), float16 or float32; absent where not configured |
| NAME.activation_balance | (C,), float16 or float32; absent where not configured |
| NAME.activation_range | (parts, 2), float32; absent where ranges are dynamic |
| NAME.activation_clip | (parts, 2), float32; absent without learned clipping |
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from quantvsr.errors import BadInput, BadModel
from quantvsr.files import atomic_path
from quantvsr.hashing import hash_json, hash_state_dict
from quantvsr.models.safe_load import load_safetensors
from quantvsr.quant.affine import code_range, decode_scale, encode_scale
from quantvsr.quant.config import LayerQuantConfig
from quantvsr.quant.encoded import EncodedWeight
from quantvsr.quant.geometry import geometry_of, plain_weight
from quantvsr.quant.layers import DualBranchLayer
from quantvsr.quant.lowrank import factor_shapes
from quantvsr.quant.packing import pack_codes, pack_signs, unpack_codes, unpack_signs
from quantvsr.quant.surgery import LayerMap, quantized_layers

FORMAT = 1
"""Version of the file format; raised when an older program could misread a file."""

_KEY, _HASH = "quantvsr", "quantvsr.sha256"


@dataclass(frozen=True)
class CheckpointInfo:
    """What a checkpoint says about itself.

    Attributes:
        path: The file.
        format: Version of the format.
        source_hash: `source_hash` of the model it belongs to.
        meta: What the caller of `save_checkpoint` added: settings, hashes of clips, figures.
        layers: Per layer its configuration, rank and shape of the weight, as JSON.
        layer_bytes: Per layer the stored bytes by part (codes, scales, ...).
        bytes_fp32: Bytes of the quantized layers in float32, biases included.
        bytes_data: Bytes of all tensors in the file.
        bytes_file: Size of the file.
    """

    path: Path
    format: int
    source_hash: str
    meta: dict[str, Any]
    layers: dict[str, dict[str, Any]]
    layer_bytes: dict[str, dict[str, int]]
    bytes_fp32: int
    bytes_data: int
    bytes_file: int

    @property
    def saving(self) -> float:
        """Share of the float32 bytes of the quantized layers that the file saves, header included."""
        return 1 - self.bytes_file / self.bytes_fp32

    def to_json(self) -> dict[str, Any]:
        """All figures by name."""
        return {
            "path": str(self.path),
            "format": self.format,
            "source_hash": self.source_hash,
            "meta": self.meta,
            "layers": self.layers,
            "layer_bytes": self.layer_bytes,
            "bytes_fp32": self.bytes_fp32,
            "bytes_data": self.bytes_data,
            "bytes_file": self.bytes_file,
            "saving": self.saving,
        }


def source_hash(model: nn.Module) -> str:
    """Hash of a model's full-precision values, the same before and after `quantize_model`.

    Values count as float32: a model loaded in half precision and the same one converted hash alike.
    """
    added = {
        f"{name}.{key}"
        for name, layer in model.named_modules(remove_duplicate=False)
        if isinstance(layer, DualBranchLayer)
        for key in layer.state_dict()
        if key not in ("weight", "bias")
    }
    digest = hashlib.sha256()
    state = model.state_dict()
    for name in sorted(set(state) - added):
        tensor = state[name].detach()
        tensor = (tensor.float() if tensor.is_floating_point() else tensor).cpu().contiguous()
        digest.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def save_checkpoint(
    path: str | os.PathLike[str], model: nn.Module, meta: Mapping[str, Any] | None = None
) -> CheckpointInfo:
    """Write the quantized layers of a model, encoding those that are not frozen yet.

    Args:
        path: File to write, ending in .safetensors; written whole or not at all.
        model: Model after `quantize_model`.
        meta: JSON values to keep with it: settings, hashes of clips, figures.

    Raises:
        BadInput: The model has no quantized layers, or the folder cannot be written to.
        DiskFull: No space left.
    """
    target = Path(path)
    layers = quantized_layers(model)
    if not layers:
        raise BadInput(f"{target} was not written: the model has no quantized layers; quantize it first.")
    tensors: dict[str, Tensor] = {}
    described: dict[str, dict[str, Any]] = {}
    configs: list[dict[str, Any]] = []
    for name, layer in layers.items():
        if not layer.is_frozen:
            layer.freeze()
        stored, exponents = _store(layer)
        tensors.update({f"{name}.{key}": value for key, value in stored.items()})
        settings = layer.config.to_json()
        if settings not in configs:
            configs.append(settings)
        described[name] = {
            "config": configs.index(settings),
            "rank": layer.rank,
            "shape": list(layer.weight.shape),
            "bias": layer.bias is not None,
            **({"scale_exponents": exponents} if exponents else {}),
        }
    header = {
        "format": FORMAT,
        "source_hash": source_hash(model),
        "content_hash": hash_state_dict(tensors),
        "configs": configs,
        "layers": described,
        "meta": dict(meta or {}),
    }
    text = json.dumps(header, separators=(",", ":"), allow_nan=False)
    with atomic_path(target) as temporary:
        safetensors.torch.save_file(tensors, temporary, {_KEY: text, _HASH: hash_json(header)})
    return read_checkpoint_info(target)


def read_checkpoint_info(path: str | os.PathLike[str]) -> CheckpointInfo:
    """Read a checkpoint's header only.

    Raises:
        BadModel: Not a checkpoint, a damaged one, or one of a newer version.
    """
    file = Path(path)
    try:
        with safetensors.safe_open(file, framework="pt") as opened:
            metadata = opened.metadata() or {}
            sizes = {}
            for name in opened.keys():  # noqa: SIM118 - not a dict
                part = opened.get_slice(name)
                count = 1
                for n in part.get_shape():
                    count *= n
                sizes[name] = count * _BYTES[part.get_dtype()]
    except FileNotFoundError as error:
        raise BadModel(f"{file} does not exist; check the path.") from error
    except (OSError, safetensors.SafetensorError, ValueError, KeyError) as error:
        raise BadModel(f"{file} is not a complete checkpoint ({error}); make it again.") from error
    header = _header(file, metadata)
    layer_bytes: dict[str, dict[str, int]] = {name: {} for name in header["layers"]}
    for key, size in sizes.items():
        name, _, part = key.rpartition(".")
        if name in layer_bytes:
            part = part.rstrip("0123456789") if not part.startswith("L") else part
            layer_bytes[name][part] = layer_bytes[name].get(part, 0) + size
    fp32 = sum(4 * (_product(d["shape"]) + d["bias"] * d["shape"][0]) for d in header["layers"].values())
    return CheckpointInfo(
        file,
        header["format"],
        header["source_hash"],
        header["meta"],
        {name: {**d, "config": header["configs"][d["config"]]} for name, d in header["layers"].items()},
        layer_bytes,
        fp32,
        sum(sizes.values()),
        file.stat().st_size,
    )


def load_checkpoint(path: str | os.PathLike[str], model: nn.Module) -> tuple[LayerMap, CheckpointInfo]:
    """Turn a full-precision model into the low-bit one of a checkpoint, in place, mode "frozen".

    The outputs are bit for bit those of the model that was saved.

    Args:
        path: Checkpoint.
        model: The source model, not quantized.

    Returns:
        The quantized layers, and what the checkpoint says about itself.

    Raises:
        BadModel: Not a checkpoint, truncated, changed, of a newer version, or of another model. The model is
            unchanged then.
    """
    info = read_checkpoint_info(path)
    file = info.path
    if quantized_layers(model):
        raise BadInput(f"{file} was not loaded: the model is quantized already; load the source model first.")
    if source_hash(model) != info.source_hash:
        raise BadModel(f"{file} belongs to another model; choose the model it was made from.")
    tensors, metadata = load_safetensors(file)
    header = _header(file, metadata)
    if hash_state_dict(tensors) != header["content_hash"]:
        raise BadModel(f"{file} has changed since it was written; get or make it again.")
    built = LayerMap()
    for name, described in info.layers.items():
        stored = {
            key[len(name) + 1 :]: value for key, value in tensors.items() if key.rpartition(".")[0] == name
        }
        built[name] = _rebuild(file, name, model, described, stored)
    by_plain = {id(model.get_submodule(name)): layer for name, layer in built.items()}
    # A layer may be reached by several names.
    for name, plain in list(model.named_modules(remove_duplicate=False)):
        layer = by_plain.get(id(plain))
        if layer is not None:
            layer.train(plain.training)
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, layer)
    return built, info


_BYTES = {"U8": 1, "I8": 1, "F16": 2, "BF16": 2, "F32": 4, "I32": 4, "F64": 8, "I64": 8, "BOOL": 1}


_HEADER_TYPES = {
    "format": int,
    "source_hash": str,
    "content_hash": str,
    "configs": list,
    "layers": dict,
    "meta": dict,
}


def _header(file: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    if _KEY not in metadata:
        raise BadModel(f"{file} is no checkpoint of a quantized model; choose a file this program wrote.")
    try:
        header = json.loads(metadata[_KEY])
        version = header["format"]
        if isinstance(version, int) and version > FORMAT:
            raise BadModel(
                f"{file} was written by a newer version of the program (format {version}): update it."
            )
        good = hash_json(header) == metadata.get(_HASH)
    except (ValueError, TypeError, KeyError):
        good = False
    if not good or any(not isinstance(header.get(k), kind) for k, kind in _HEADER_TYPES.items()):
        raise BadModel(f"{file} has a damaged header; get or make it again.")
    return header


def _product(shape: list[int]) -> int:
    result = 1
    for n in shape:
        result *= n
    return result


def _store(layer: DualBranchLayer) -> tuple[dict[str, Tensor], list[int]]:
    """The tensors of one frozen layer, and the exponents of its scales."""
    config = layer.config
    half, bits = config.at_rest == "float16", config.weight_bits
    low, _ = code_range(bits, config.weight_symmetric)
    real = torch.float16 if half else torch.float32
    stored: dict[str, Tensor] = {}
    exponents: list[int] = []
    frozen = zip(layer.codes(), layer.scales(), layer.zero_points(), layer.signs, strict=True)
    for i, (codes, scale, zero_point, signs) in enumerate(frozen):
        stored[f"codes{i}"] = pack_codes(codes.to(torch.int16) - low, bits)
        scale = scale.reshape(-1).cpu()
        if half:
            scale, exponent = encode_scale(scale)
            exponents.append(exponent)
        stored[f"scales{i}"] = scale
        if not config.weight_symmetric:
            zero_point = zero_point.reshape(-1).cpu()
            stored[f"zero_points{i}"] = (
                pack_codes(zero_point, bits) if config.range_holds_zero else zero_point.float()
            )
        if signs is not None and signs.numel():
            stored[f"signs{i}"] = pack_signs(signs)
    assert layer.encoded is not None
    l1, l2 = layer.encoded.l1, layer.encoded.l2
    if len(l2):
        stored["L1"], stored["L2"] = l1.cpu().to(real), l2.cpu().to(real)
    with torch.no_grad():
        bias = layer.total_bias()
    if bias is not None:
        stored["bias"] = bias.detach().cpu().to(real)
    if layer.activation_clip is not None:
        stored["activation_clip"] = layer.activation_clip.detach().cpu().float()
    if layer.activation_shift is not None:
        stored["activation_shift"] = layer.activation_shift.detach().cpu().to(real)
    if layer.activation_range is not None:
        stored["activation_range"] = layer.activation_range.detach().cpu().float()
    if layer.activation_balance is not None:
        stored["activation_balance"] = layer.activation_balance.detach().cpu().to(real)
    return {key: value.contiguous().clone() for key, value in stored.items()}, exponents


def _rebuild(
    file: Path, name: str, model: nn.Module, described: dict[str, Any], stored: dict[str, Tensor]
) -> DualBranchLayer:
    try:
        plain = model.get_submodule(name)
    except AttributeError:
        plain = None
    known = plain is not None and geometry_of(plain) is not None
    if plain is None or not known or list(plain_weight(plain)[0].shape) != described["shape"]:
        raise BadModel(
            f"{file} has a layer {name} that does not fit the model; choose the model it was made from."
        )
    config = LayerQuantConfig.from_json(described["config"])
    layer = DualBranchLayer(plain, config, name)
    try:
        _restore(layer, described, stored)
    except (KeyError, RuntimeError, ValueError, BadModel) as error:
        raise BadModel(f"{file} does not hold what layer {name} needs; get or make it again.") from error
    return layer


def _restore(layer: DualBranchLayer, described: dict[str, Any], stored: dict[str, Tensor]) -> None:
    config, device = layer.config, layer.weight.device
    bits, half = config.weight_bits, config.at_rest == "float16"
    low, _ = code_range(bits, config.weight_symmetric)
    out, *kernel = layer.weight.shape[:1] + layer.weight.shape[2:]
    shape = (out, *[1] * (layer.weight.ndim - 1)) if config.weight_granularity == "channel" else ()
    rows = out if shape else 1
    codes, scales, zero_points = [], [], []
    for i, size in enumerate(layer.parts):
        part = (out, size, *kernel)
        found = unpack_codes(stored[f"codes{i}"], bits, _product(list(part))).reshape(part)
        if config.weight_symmetric:
            found = (found.to(torch.int16) + low).to(torch.int8)
        scale = stored[f"scales{i}"]
        scale = decode_scale(scale, described["scale_exponents"][i]) if half else scale
        if config.weight_symmetric:
            zero_point = torch.zeros_like(scale)
        elif config.range_holds_zero:
            zero_point = unpack_codes(stored[f"zero_points{i}"], bits, rows).float()
        else:
            zero_point = stored[f"zero_points{i}"]
        codes.append(found.to(device))
        scales.append(scale.reshape(shape).to(device))
        zero_points.append(zero_point.reshape(shape).to(device))
        signs = stored.get(f"signs{i}")
        layer.set_signs(i, torch.ones(0, dtype=torch.int8) if signs is None else unpack_signs(signs, size))
    none = factor_shapes(layer.weight.shape, 0, layer.basis)
    l1, l2 = (
        stored[key].float() if key in stored else torch.zeros(shape)
        for key, shape in zip(("L1", "L2"), none, strict=True)
    )
    bias = stored["bias"].float().to(device) if "bias" in stored else None
    if layer.activation_clip is not None:
        with torch.no_grad():
            layer.activation_clip.copy_(stored["activation_clip"])
    if layer.activation_range is not None:
        with torch.no_grad():
            layer.activation_range.copy_(stored["activation_range"])
    if layer.activation_balance is not None:
        layer.set_activation_balance(stored["activation_balance"].float().to(device))
    if layer.activation_shift is not None:
        layer.set_activation_shift(stored["activation_shift"].float().to(device))
    factors = (l1.to(device), l2.to(device))
    groups = layer.geometry.groups
    encoded = EncodedWeight(codes, scales, zero_points, *factors, groups, layer.basis, bias)
    layer.load_encoded(described["rank"], encoded)

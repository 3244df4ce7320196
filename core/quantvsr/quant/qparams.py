"""Parameter files of the reference implementation, in and out (specification, section 7).

The file is a pickled dictionary: layer name with the prefix "model." -> ordered dictionary of tensors. Bits
and switches are not in it and must be known: the layers it is applied to carry them.
"""

import os
from collections import OrderedDict
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from quantvsr.errors import BadInput, BadModel
from quantvsr.files import atomic_path
from quantvsr.models.safe_load import load_pickle
from quantvsr.quant.hadamard import Rotation, from_dense
from quantvsr.quant.layers import DualBranchLayer
from quantvsr.quant.surgery import quantized_layers

PREFIX = "model."
"""What the reference puts before each layer's dotted name."""

QParams = dict[str, OrderedDict[str, Tensor]]


def read_qparams(path: str | os.PathLike[str]) -> QParams:
    """Read a parameter file through the restricted loader.

    Raises:
        BadModel: Not such a file.
    """
    found = load_pickle(path)
    if not isinstance(found, dict) or not found:
        raise BadModel(f"{path} holds no dictionary of layers; choose a parameter file of the reference.")
    for name, entry in found.items():
        good = isinstance(name, str) and isinstance(entry, dict)
        if not good or not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in entry.items()):
            raise BadModel(f"{path} holds something else than layers of tensors; choose a parameter file.")
    return found


def write_qparams(path: str | os.PathLike[str], model: nn.Module) -> None:
    """Write the parameter file of a model, readable by the reference implementation.

    Raises:
        BadInput: A layer was never initialised.
    """
    values = export_qparams(model)
    with atomic_path(path) as temporary:
        torch.save(values, temporary)


def export_qparams(model: nn.Module) -> QParams:
    """The parameters of all quantized layers in the reference's form, on the processor.

    Raises:
        BadInput: A layer was never initialised, or has a rotation the format cannot hold.
    """
    return {PREFIX + name: _export(name, layer) for name, layer in quantized_layers(model).items()}


def apply_qparams(
    model: nn.Module, params: Mapping[str, Mapping[str, Tensor]], *, strict: bool = True
) -> list[str]:
    """Set the quantized layers of a model from reference parameters.

    Ranges keep their stored type: bfloat16 ranges give bfloat16 scales, as in the reference (section 13.1).

    Args:
        model: Model after `quantize_model`, with the bits and switches the file was made with.
        params: From `read_qparams`.
        strict: Refuse when a layer is missing in the file or the file has a layer the model lacks; the
            reference would initialise missing layers from data, silently.

    Returns:
        Names of layers without an entry (empty when strict).

    Raises:
        BadModel: Layers or shapes do not fit.
    """
    layers = quantized_layers(model)
    missing = [name for name in layers if PREFIX + name not in params]
    unknown = sorted(set(params) - {PREFIX + name for name in layers})
    if strict and missing:
        raise BadModel(
            f"The parameter file has no entry for layer {missing[0]}; it belongs to another model."
        )
    if strict and unknown:
        raise BadModel(f"The parameter file has layer {unknown[0]}, which the model does not quantize.")
    for name, layer in layers.items():
        if PREFIX + name in params:
            _apply(name, layer, params[PREFIX + name])
    return missing


def _export(name: str, layer: DualBranchLayer) -> OrderedDict[str, Tensor]:
    if not layer.initialised:
        raise BadInput(
            f"Layer {name} was never initialised; quantize the model before writing its parameters."
        )
    if layer.rotation_kind == "block":
        raise BadInput(
            f"Layer {name} has a block rotation, which the format cannot hold; use profile reference."
        )
    if layer.basis != "weight":
        raise BadInput(
            f"Layer {name} has factors of activations, which the format cannot hold; use profile reference."
        )
    lba = layer.lba
    if lba is None:  # the reference keeps the parameter when it is switched off
        lba = torch.zeros(1, layer.geometry.out_channels, *[1] * (layer.weight.ndim - 2))
    values = [
        ("wq.x_min", layer.range_min[0]),
        ("wq.x_max", layer.range_max[0]),
        ("stca.L1", layer.L1),
        ("stca.L2", layer.L2),
        ("stca._rank", torch.tensor(layer.rank)),
        ("rot.rot_mat", _matrix(layer, 0)),
        ("lba.lba", lba),
    ]
    if len(layer.parts) == 2:
        values += [
            ("wq1.x_min", layer.range_min[1]),
            ("wq1.x_max", layer.range_max[1]),
            ("rot1.rot_mat", _matrix(layer, 1)),
        ]
    return OrderedDict((key, value.detach().cpu().clone()) for key, value in values)


def _matrix(layer: DualBranchLayer, part: int) -> Tensor:
    if layer.rotation_kind == "none":
        return torch.empty(0, 0)
    return layer.rotation(part).dense()


def _apply(name: str, layer: DualBranchLayer, entry: Mapping[str, Tensor]) -> None:
    ranges, rotations = [], []
    try:
        l1, l2 = entry["stca.L1"].float(), entry["stca.L2"].float()
        rank = int(entry["stca._rank"])
        lba = entry["lba.lba"].float()
        for i in range(len(layer.parts)):
            suffix = "1" if i else ""
            ranges.append((entry[f"wq{suffix}.x_min"], entry[f"wq{suffix}.x_max"]))
            rotations.append(from_dense(entry[f"rot{suffix}.rot_mat"]))
    except KeyError as error:
        raise BadModel(
            f"Layer {name} has no {error.args[0]} in the parameter file; check the switches."
        ) from None
    if f"wq{len(layer.parts)}.x_min" in entry:
        raise BadModel(f"Layer {name} has two parts in the parameter file; switch the channel split on.")
    out, n = layer.geometry.out_channels, layer.weight[0].numel()
    if l1.shape != (out, len(l2)) or l2.shape[1] != n:
        raise BadModel(
            f"Layer {name} has factors of another shape in the parameter file; it is another model's."
        )
    for (lo, hi), current in zip(ranges, layer.range_min, strict=True):
        if lo.shape != current.shape or hi.shape != current.shape:
            raise BadModel(
                f"Layer {name} has ranges of another shape in the parameter file; check the switches."
            )
    for i, (rotation, size) in enumerate(zip(rotations, layer.parts, strict=True)):
        _check_rotation(name, layer, i, rotation, size)
    layer.load_reference(rank, l1, l2, lba, ranges, [r.signs for r in rotations])


def _check_rotation(name: str, layer: DualBranchLayer, part: int, rotation: Rotation, size: int) -> None:
    stored = rotation.size > 0
    if stored != (layer.rotation_kind == "reference") or (stored and rotation.size != size):
        raise BadModel(f"Layer {name} has another rotation in the parameter file; check the switches.")

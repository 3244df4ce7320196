"""The weight side of the low-bit branch: residual, rotation, ranges, codes.

Functions of a dual-branch layer.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from quantvsr.quant import rounding
from quantvsr.quant.affine import encode, fake_quantize, scale_and_zero_point, value_range
from quantvsr.quant.encoded import EncodedWeight
from quantvsr.quant.lowrank import skip_weight

if TYPE_CHECKING:
    from quantvsr.quant.layers import DualBranchLayer


def residual(layer: "DualBranchLayer") -> Tensor:
    """The weight less `L1 L2`, float32, with derivatives to L1 and L2."""
    weight = layer.weight.float()
    if not len(layer.L2):
        return weight
    return weight - skip_weight(*layer.factors(), weight.shape, layer.basis)


def rotate(layer: "DualBranchLayer", weight: Tensor) -> list[Tensor]:
    """Each part of a weight, its channels balanced, rotated."""
    if layer.activation_balance is not None:
        weight = balanced(layer, weight)
    pieces = weight.split(layer.parts, dim=1) if len(layer.parts) > 1 else [weight]
    apply = "apply_channels" if layer.geometry.dims else "apply_last"
    return [getattr(layer.rotation(i), apply)(piece) for i, piece in enumerate(pieces)]


def balanced(layer: "DualBranchLayer", weight: Tensor) -> Tensor:
    """A weight with its input channels multiplied by the factors that divide those of the activations."""
    assert layer.activation_balance is not None
    return weight * layer.activation_balance.reshape(1, -1, *[1] * (weight.ndim - 2))


def offset(layer: "DualBranchLayer", weight: Tensor) -> Tensor | None:
    """What the low-bit branch leaves out by the shift: the residual's product with it, (O,).

    The product is exact, so the mean of the activations suffers no quantization error at all.
    """
    if not layer.is_shifted:
        return None
    assert layer.activation_shift is not None
    groups = layer.geometry.groups
    summed = weight.flatten(2).sum(2) if weight.ndim > 2 else weight
    shift = layer.activation_shift.reshape(groups, -1, 1)
    return torch.bmm(summed.reshape(groups, -1, summed.shape[1]), shift).reshape(-1)


def ranges(layer: "DualBranchLayer", rotated: Tensor) -> tuple[Tensor, Tensor]:
    """Minimum and maximum of one rotated part, per output channel or of all."""
    keep = (0,) if layer.config.weight_granularity == "channel" else ()
    return value_range(rotated.detach(), keep)


def scale(layer: "DualBranchLayer", rotated: Tensor, part: int) -> tuple[Tensor, Tensor]:
    """Scale and zero point of one rotated part, by the configured kind of range."""
    config = layer.config
    if config.weight_range == "refresh":
        lo, hi = ranges(layer, rotated)
        if config.weight_clip_search:
            lo, hi = lo * layer.weight_clips[part], hi * layer.weight_clips[part]
    else:
        lo, hi = layer.range_min[part], layer.range_max[part]
    return scale_and_zero_point(
        lo,
        hi,
        config.weight_bits,
        symmetric=config.weight_symmetric,
        holds_zero=config.range_holds_zero,
        floor=config.scale_floor,
        half_scale=config.at_rest == "float16",
    )


def quantize(layer: "DualBranchLayer", weight: Tensor) -> Tensor:
    """A residual as the low-bit branch sees it: all parts, rotated, quantized, decoded, with derivatives."""
    bits, symmetric = layer.config.weight_bits, layer.config.weight_symmetric
    parts = []
    for i, rotated in enumerate(rotate(layer, weight)):
        steps = scale(layer, rotated, i)
        if layer.rounding is None:
            parts.append(fake_quantize(rotated, *steps, bits, symmetric))
        else:
            parts.append(rounding.soft_quantize(rotated, layer.rounding[i], *steps, bits, symmetric))
    return parts[0] if len(parts) == 1 else torch.cat(parts, 1)


def encode_weight(layer: "DualBranchLayer") -> EncodedWeight:
    """Encode the current residual."""
    bits, symmetric = layer.config.weight_bits, layer.config.weight_symmetric
    codes, scales, zero_points = [], [], []
    weight = residual(layer)
    for i, rotated in enumerate(rotate(layer, weight)):
        step, zero_point = scale(layer, rotated, i)
        if layer.rounding is None:
            found = encode(rotated, step, zero_point, bits, symmetric)
        else:
            found = rounding.hard_codes(rotated, layer.rounding[i], step, zero_point, bits, symmetric)
        codes.append(found.to(torch.int8 if symmetric else torch.uint8))
        scales.append(step.float())
        zero_points.append(zero_point.float())
    l1, l2 = (factor.float() for factor in layer.factors())
    return EncodedWeight(
        codes,
        scales,
        zero_points,
        l1,
        l2,
        layer.geometry.groups,
        layer.basis,
        offset=offset(layer, weight),
    )

"""The activation side of the low-bit branch: shift, rotation, dynamic ranges, codes.

Functions of a dual-branch layer and its input; the input is batched and float32 throughout.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from quantvsr.errors import BadInput
from quantvsr.quant.affine import encode, fake_quantize, scale_and_zero_point, value_range

if TYPE_CHECKING:
    from quantvsr.quant.layers import DualBranchLayer

SMALLEST_FACTOR = 0.05
"""Learned clip factors cannot go below this."""


def pad(layer: "DualBranchLayer", x: Tensor) -> tuple[Tensor, bool]:
    """Apply a padding mode other than zeros, which the operation itself does not do.

    Returns:
        The input, and whether it is padded.
    """
    return layer.geometry.pad(x) if layer.config.honour_padding else (x, False)


def leave_over(layer: "DualBranchLayer", x: Tensor, features: Tensor | None = None) -> Tensor:
    """What the directions of the low-rank branch leave over of an input: `x - L2^T L2 x`.

    The input itself in the basis "weight".

    Args:
        layer: The layer.
        x: Input.
        features: `L2 x`, where it is known already.
    """
    if layer.basis == "weight" or not len(layer.L2):
        return x
    geometry = layer.geometry
    directions = layer.encoded.l2 if layer.encoded is not None else layer.factors()[1]
    ones = [1] * geometry.dims
    if features is None:
        features = geometry.pointwise(x, directions.reshape(*directions.shape, *ones))
    return x - geometry.pointwise(features, directions.T.reshape(-1, len(directions), *ones))


def pad_shifted(layer: "DualBranchLayer", x: Tensor, padded: bool) -> tuple[Tensor, bool]:
    """Pad with zeros where a shift is subtracted after: the borders then hold minus the shift.

    Returns:
        The input, and whether it is padded.
    """
    if layer.is_shifted and layer.geometry.pads and not padded:
        return layer.geometry.pad_zeros(x), True
    return x, padded


def low_input(layer: "DualBranchLayer", x: Tensor) -> Tensor:
    """A batched input as the low-bit branch takes it: padded where it has to be, directions taken out."""
    plain, padded = pad(layer, x)
    return pad_shifted(layer, leave_over(layer, plain), padded)[0]


def rotate(layer: "DualBranchLayer", x: Tensor) -> list[Tensor]:
    """Parts of an input, rotated, the shift not subtracted."""
    dim = layer.geometry.channel_dim
    if layer.activation_balance is not None:
        x = x / layer.activation_balance.reshape([-1 if d == dim % x.ndim else 1 for d in range(x.ndim)])
    pieces = x.split(layer.activation_parts, dim=dim) if len(layer.parts) > 1 else [x]
    rotated = []
    for i, piece in enumerate(pieces):
        rotation = layer.rotation(i)
        if rotation.is_identity:
            rotated.append(piece)
        elif dim == -1:
            rotated.append(rotation.apply_last(piece))
        elif layer.geometry.groups > 1:
            # One rotation serves all groups: fold them into the batch.
            folded = piece.reshape(-1, layer.parts[i], *piece.shape[2:])
            rotated.append(rotation.apply_channels(folded).reshape(piece.shape))
        else:
            rotated.append(rotation.apply_channels(piece))
    return rotated


def prepare(layer: "DualBranchLayer", x: Tensor) -> tuple[list[Tensor], list[bool]]:
    """Parts of a padded input as they are quantized: shifted and rotated.

    Returns:
        The parts, and for each whether it is a tensor of its own, which may be overwritten.
    """
    parts = rotate(layer, x)
    fresh = [not layer.rotation(i).is_identity for i in range(len(parts))]
    if not layer.is_shifted:
        return parts, fresh
    assert layer.activation_shift is not None
    dim = layer.geometry.channel_dim % x.ndim
    shift = layer.activation_shift.reshape([-1 if d == dim else 1 for d in range(x.ndim)])
    for i, moved in enumerate(rotate(layer, shift)):
        # R (x - shift) = R x - R shift: the small product is subtracted from the large one.
        own = fresh[i] and not parts[i].requires_grad
        parts[i] = parts[i].sub_(moved) if own else parts[i] - moved
    return parts, [True] * len(parts)


def channel_means(layer: "DualBranchLayer", inputs: Sequence[Tensor]) -> Tensor:
    """Mean of each channel of what is to be quantized, (C,), float32; inputs may be unbatched."""
    means = [_vectors(layer, leave_over(layer, batched(layer, x.float()))).mean(0) for x in inputs]
    return torch.stack(means).mean(0)


def channel_covariance(layer: "DualBranchLayer", inputs: Sequence[Tensor]) -> Tensor:
    """Covariance of the channels over all inputs, (C, C), float32; inputs may be unbatched."""
    found = [_vectors(layer, batched(layer, x.float())) for x in inputs]
    mean = torch.stack([vectors.mean(0) for vectors in found]).mean(0)
    moments = [(vectors - mean).T @ (vectors - mean) / len(vectors) for vectors in found]
    return torch.stack(moments).mean(0)


def static_range(layer: "DualBranchLayer", inputs: Sequence[Tensor]) -> Tensor:
    """Minimum and maximum of each prepared part over all inputs, (parts, 2); inputs may be unbatched."""
    found = []
    for x in inputs:
        parts, _ = prepare(layer, low_input(layer, batched(layer, x.float())))
        found.append(torch.stack([torch.stack([part.amin(), part.amax()]) for part in parts]))
    every = torch.stack(found)
    return torch.stack([every[..., 0].amin(0), every[..., 1].amax(0)], -1)


def channel_sizes(layer: "DualBranchLayer", inputs: Sequence[Tensor]) -> Tensor:
    """Largest magnitude of each channel over all inputs, (C,), float32; inputs may be unbatched."""
    return torch.stack([_vectors(layer, batched(layer, x.float())).abs().amax(0) for x in inputs]).amax(0)


def batched(layer: "DualBranchLayer", x: Tensor) -> Tensor:
    """An input with the batch dimension that convolutions may do without."""
    return x[None] if layer.geometry.dims and x.ndim == layer.geometry.dims + 1 else x


def _vectors(layer: "DualBranchLayer", x: Tensor) -> Tensor:
    return x.movedim(layer.geometry.channel_dim, -1).reshape(-1, layer.geometry.in_channels)


def bounds(layer: "DualBranchLayer", prepared: Tensor, part: int) -> tuple[Tensor, Tensor]:
    """Minimum and maximum of one prepared part, or its static range; clip factors not applied.

    Raises:
        BadInput: `check_finite` is set and a value is NaN or infinite.
    """
    if layer.activation_range is not None:
        return layer.activation_range[part, 0], layer.activation_range[part, 1]
    granularity = layer.config.activation_granularity
    keep: tuple[int, ...] = ()
    if granularity != "tensor" and prepared.ndim > 1:
        keep = (0,) if granularity == "frame" else layer.geometry.token_dims(prepared.ndim)
    lo, hi = value_range(prepared.detach(), keep)
    if layer.check_finite and not bool((hi - lo).isfinite().all()):
        raise BadInput(
            f"The input of layer {layer.name or '(unnamed)'} holds NaN or infinite values; "
            "check the source clip and run the full-precision model in float32."
        )
    return lo, hi


def scale(layer: "DualBranchLayer", lo: Tensor, hi: Tensor, part: int) -> tuple[Tensor, Tensor]:
    """Scale and zero point of one part's bounds, clip factors applied."""
    config = layer.config
    if layer.activation_clip is not None:
        factors = layer.activation_clip[part].clamp(min=SMALLEST_FACTOR)
        lo, hi = lo * factors[0], hi * factors[1]
    return scale_and_zero_point(
        lo,
        hi,
        config.activation_bits,
        symmetric=config.activation_symmetric,
        holds_zero=config.range_holds_zero,
        floor=config.scale_floor,
    )


def quantize(layer: "DualBranchLayer", x: Tensor) -> Tensor:
    """A padded input as the low-bit branch sees it: all parts, shifted, rotated, quantized, decoded."""
    bits, symmetric = layer.config.activation_bits, layer.config.activation_symmetric
    done = []
    for i, (part, fresh) in enumerate(zip(*prepare(layer, x), strict=True)):
        steps = scale(layer, *bounds(layer, part, i), i)
        done.append(fake_quantize(part, *steps, bits, symmetric, overwrite=fresh))
    return done[0] if len(done) == 1 else torch.cat(done, layer.geometry.channel_dim)


def codes(layer: "DualBranchLayer", x: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Codes (whole numbers in float32), scale and zero point of each part of a padded input."""
    bits, symmetric = layer.config.activation_bits, layer.config.activation_symmetric
    found = []
    for i, part in enumerate(prepare(layer, x)[0]):
        step, zero_point = scale(layer, *bounds(layer, part, i), i)
        found.append((encode(part, step, zero_point, bits, symmetric), step, zero_point))
    return found

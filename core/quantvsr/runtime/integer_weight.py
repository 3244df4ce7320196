"""The weight side as 8-bit integers without zero point, for libraries that ignore one."""

from dataclasses import dataclass

import torch
from torch import Tensor

from quantvsr.quant.layers import DualBranchLayer


@dataclass(frozen=True)
class IntegerPart:
    """One part of a weight.

    Attributes:
        codes: int8, (O', C, kernel...).
        scale: (O',), float32.
        sums: (O',), sum of `codes * scale` over inputs: what a zero point of the activation is multiplied by.
    """

    codes: Tensor
    scale: Tensor
    sums: Tensor


@dataclass(frozen=True)
class IntegerWeight:
    """A weight: the sum over parts, with corrections where codes do not fit.

    Attributes:
        parts: With O' = O outputs where `code - zero point` fits into 8 bits with sign, else O' = O + parts:
            the codes are then moved by a constant, and row O + p of part p, all ones, sums its activations.
        rest: (parts, O): what the additional outputs are multiplied by before they are added to the others;
            None where every code fits.
    """

    parts: tuple[IntegerPart, ...]
    rest: Tensor | None


def fits(layer: DualBranchLayer) -> bool:
    """Whether `code - zero point` of a frozen layer fits into 8 bits with sign everywhere."""
    return all(bool((codes.float() - zero).abs().amax() <= 127) for codes, zero, _ in _stored(layer))


def integer_weight(layer: DualBranchLayer) -> IntegerWeight:
    """The weight of a frozen layer; unless it `fits`, groups must be 1."""
    stored = _stored(layer)
    if fits(layer):
        return IntegerWeight(
            tuple(_part((codes.float() - zero).to(torch.int8), scale) for codes, zero, scale in stored), None
        )
    parts, rests = [], []
    for p, (codes, zero, scale) in enumerate(stored):
        middle = 2 ** (int(codes.amax()).bit_length() - 1)
        rows = codes.new_zeros((len(stored), *codes.shape[1:]), dtype=torch.int8)
        rows[p] = 1
        moved = (codes.to(torch.int16) - middle).to(torch.int8)
        parts.append(_part(torch.cat([moved, rows]), torch.cat([scale, scale.new_ones(len(stored))])))
        rests.append((middle - zero.reshape(-1)) * scale)
    return IntegerWeight(tuple(parts), torch.stack(rests))


def _part(codes: Tensor, scale: Tensor) -> IntegerPart:
    sums = codes.flatten(1).double().sum(1).mul(scale.double()).float()
    return IntegerPart(codes, scale, sums)


def _stored(layer: DualBranchLayer) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Codes, zero points (O, 1...) and scales (O,) of each part, one per output channel."""
    out, ones = layer.geometry.out_channels, [1] * (layer.weight.ndim - 1)
    found = zip(layer.codes(), layer.zero_points(), layer.scales(), strict=True)
    return [
        (
            codes,
            zero.reshape(-1).expand(out).reshape(out, *ones),
            scale.reshape(-1).expand(out).float().clone(),
        )
        for codes, zero, scale in found
    ]

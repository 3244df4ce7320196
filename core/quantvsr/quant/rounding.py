"""Learned rounding: whether each weight is rounded down or up, found by gradient.

AdaRound (Nagel et al., "Up or Down? Adaptive Rounding for Post-Training Quantization", ICML 2020): a variable
v per weight is mapped to `h(v) = clamp(1.2 sigmoid(v) - 0.1, 0, 1)`, which is added to the weight rounded
down; a regulariser drives h to 0 or 1, and at the end each weight is rounded up where h is at least 1/2.
"""

import math

import torch
from torch import Tensor

from quantvsr.quant.affine import code_range

_STRETCH, _SHIFT = 1.2, -0.1


def rectified(v: Tensor) -> Tensor:
    """h(v), 0..1."""
    return (torch.sigmoid(v) * _STRETCH + _SHIFT).clamp(0, 1)


def start(weight: Tensor, scale: Tensor) -> Tensor:
    """Variables with which the soft rounding gives the weight itself back, shaped like it."""
    quotient = weight / scale
    share = (quotient - quotient.floor()).clamp(1e-4, 1 - 1e-4)
    return torch.logit((share - _SHIFT) / _STRETCH)


def soft_quantize(
    weight: Tensor, v: Tensor, scale: Tensor, zero_point: Tensor, bits: int, symmetric: bool
) -> Tensor:
    """The weight with soft codes, decoded; derivatives reach v where the code is not cut off."""
    low, high = code_range(bits, symmetric)
    codes = (weight / scale).floor() + rectified(v) + zero_point
    return (codes.clamp(low, high) - zero_point) * scale


def hard_codes(
    weight: Tensor, v: Tensor, scale: Tensor, zero_point: Tensor, bits: int, symmetric: bool
) -> Tensor:
    """Codes with each weight rounded down or up, whole numbers in floating point."""
    low, high = code_range(bits, symmetric)
    up = (rectified(v) >= 0.5).to(weight.dtype)
    return ((weight / scale).floor() + up + zero_point).clamp(low, high)


def regulariser(v: Tensor, beta: float) -> Tensor:
    """Mean over weights of `1 - |2 h(v) - 1| ** beta`: 0 where all are decided."""
    return 1 - (2 * rectified(v) - 1).abs().pow(beta).mean()


def annealed(step: int, steps: int, warm_up: float, beta: tuple[float, float]) -> float | None:
    """The exponent beta in update `step` (from 0) of `steps`; None while warming up."""
    begin = math.ceil(warm_up * steps)
    if step < begin:
        return None
    return beta[0] + (beta[1] - beta[0]) * (step - begin) / max(steps - begin - 1, 1)

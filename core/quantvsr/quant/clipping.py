"""Search for ranges narrower than minimum to maximum: fewer clipped outliers' worth of resolution wasted.

A uniform code of few bits has its least squared error when the rare extremes are clipped (for a normal
distribution and 4 bits near 2.6 standard deviations).
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from quantvsr.quant import activations, weights
from quantvsr.quant.affine import fake_quantize, scale_and_zero_point
from quantvsr.quant.config import LayerQuantConfig

if TYPE_CHECKING:
    from quantvsr.quant.layers import DualBranchLayer

_WEIGHT_RATIOS = tuple(1 - 0.04 * i for i in range(14))
_ACTIVATION_FACTORS = tuple(1 - 0.05 * i for i in range(16))


def best_ratio(weight: Tensor, lo: Tensor, hi: Tensor, config: LayerQuantConfig) -> Tensor:
    """Share of the range lo..hi with the least squared error, per range.

    Args:
        weight: (O, ...), rotated residual.
        lo: Lower bounds, (O, 1...) or 0-dimensional.
        hi: Upper bounds, the same shape.
        config: Bits and conventions of weights.

    Returns:
        Ratios in (0, 1], shaped like lo; 1 where narrowing does not help.
    """
    least = torch.full_like(lo, torch.inf)
    best = torch.ones_like(lo)
    for ratio in _WEIGHT_RATIOS:
        scale, zero_point = scale_and_zero_point(
            lo * ratio,
            hi * ratio,
            config.weight_bits,
            symmetric=config.weight_symmetric,
            holds_zero=config.range_holds_zero,
            floor=config.scale_floor,
            half_scale=config.at_rest == "float16",
        )
        hat = fake_quantize(weight, scale, zero_point, config.weight_bits, config.weight_symmetric)
        error = (hat - weight).square_()
        error = error.flatten(1).sum(1).reshape(lo.shape) if lo.ndim else error.sum()
        better = error < least
        least = torch.where(better, error, least)
        best = torch.where(better, torch.full_like(best, ratio), best)
    return best


def search_activation_clip(layer: "DualBranchLayer", inputs: list[Tensor], rows: int) -> Tensor:
    """Factors on the dynamic bounds with the least output error of the low-bit branch.

    The output error of a convolution is estimated from channel vectors e of the activation error as `e G e`,
    with G the sum of `w w^T` over output channels and kernel positions: exact when errors of different
    positions are uncorrelated.

    Args:
        layer: Initialised layer.
        inputs: Inputs of the layer.
        rows: Channel vectors looked at, over all inputs and per part.

    Returns:
        (parts, 2) factors on lo and hi.
    """
    found = []
    for part, weight in enumerate(weights.rotate(layer, weights.residual(layer))):
        vectors, lows, highs = _sample(layer, inputs, part, max(1, rows // max(1, len(inputs))))
        gram = None
        if layer.geometry.groups == 1:
            flat = weight.movedim(1, 0).flatten(1)
            gram = flat @ flat.T
        errors: dict[tuple[float, float], float] = {}

        def error(low: float, high: float, data=(vectors, lows, highs, gram, errors)) -> float:
            vectors, lows, highs, gram, errors = data
            if (low, high) not in errors:
                errors[low, high] = _error(layer.config, vectors, lows * low, highs * high, gram)
            return errors[low, high]

        low = high = min(_ACTIVATION_FACTORS, key=lambda f, error=error: error(f, f))
        for _ in range(2):
            low = min(_near(low), key=lambda f, high=high, error=error: error(f, high))
            high = min(_near(high), key=lambda f, low=low, error=error: error(low, f))
        found.append((low, high))
    return torch.tensor(found)


def _near(factor: float) -> list[float]:
    """The factor first, so that it wins ties, then its neighbours on the grid."""
    i = _ACTIVATION_FACTORS.index(factor)
    return [factor, *(f for f in _ACTIVATION_FACTORS[max(0, i - 3) : i + 4] if f != factor)]


def _sample(
    layer: "DualBranchLayer", inputs: list[Tensor], part: int, count: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Evenly spaced channel vectors (M, n) of one rotated part, with their bounds (M, 1)."""
    vectors, lows, highs = [], [], []
    dim = layer.geometry.channel_dim
    for x in inputs:
        x = x.float()
        if layer.geometry.dims and x.ndim == layer.geometry.dims + 1:
            x = x[None]
        rotated = activations.prepare(layer, activations.pad(layer, x)[1])[0][part]
        lo, hi = activations.bounds(layer, rotated)
        rotated = rotated.movedim(dim, -1)
        lo, hi = (
            (bound.movedim(dim, -1) if bound.ndim else bound).expand(*rotated.shape[:-1], 1)
            for bound in (lo, hi)
        )
        total = rotated[..., 0].numel()
        chosen = torch.linspace(0, total - 1, min(count, total), device=x.device).long()
        # Indexing the positions leaves the large tensor where it is.
        place = torch.unravel_index(chosen, rotated.shape[:-1])
        vectors.append(rotated[place])
        lows.append(lo[place])
        highs.append(hi[place])
    return torch.cat(vectors), torch.cat(lows), torch.cat(highs)


def _error(config: LayerQuantConfig, x: Tensor, lo: Tensor, hi: Tensor, gram: Tensor | None) -> float:
    scale, zero_point = scale_and_zero_point(
        lo,
        hi,
        config.activation_bits,
        symmetric=config.activation_symmetric,
        holds_zero=config.range_holds_zero,
        floor=config.scale_floor,
    )
    bits, symmetric = config.activation_bits, config.activation_symmetric
    wrong = fake_quantize(x, scale, zero_point, bits, symmetric) - x
    weighted = wrong if gram is None else wrong @ gram
    return float((weighted * wrong).sum())

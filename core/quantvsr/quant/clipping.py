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
_ACTIVATION_FACTORS = tuple(1 - 0.05 * i for i in range(17))
_VIEWS = 32


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
    positions are uncorrelated. G in turn is estimated by a few random combinations of all w, the same for all
    factors that are compared.

    Args:
        layer: Initialised layer.
        inputs: Inputs of the layer.
        rows: Channel vectors looked at, over all inputs and per part.

    Returns:
        (parts, 2) factors on lo and hi.
    """
    found = []
    for part, weight in enumerate(weights.rotate(layer, weights.residual(layer))):
        sample = _sample(layer, inputs, part, max(1, rows // max(1, len(inputs))))
        views = None if layer.geometry.groups > 1 else _random_views(weight.movedim(1, 0).flatten(1))
        found.append(_Search(layer.config, *sample, views).best())
    return torch.tensor(found)


def _random_views(weight: Tensor) -> Tensor:
    """(n, K) with `views views^T` near `weight weight^T` (n, n), for a small K."""
    if weight.shape[1] <= _VIEWS:
        return weight
    generator = torch.Generator().manual_seed(0)
    mix = torch.randn(weight.shape[1], _VIEWS, generator=generator) / _VIEWS**0.5
    return weight @ mix.to(weight.device)


class _Search:
    """Coordinate descent over a grid of factors, coarse then fine.

    Args:
        config: Bits and conventions of activations.
        x: (M, n) prepared channel vectors.
        lo: (M, 1) their lower bounds.
        hi: (M, 1) their upper bounds.
        views: See `_random_views`; None weighs all channels alike.
    """

    def __init__(
        self, config: LayerQuantConfig, x: Tensor, lo: Tensor, hi: Tensor, views: Tensor | None
    ) -> None:
        self.config, self.x, self.lo, self.hi, self.views = config, x, lo, hi, views
        self.errors: dict[tuple[int, int], float] = {}

    def best(self) -> tuple[float, float]:
        """Factors on the lower and the upper bound."""
        last = len(_ACTIVATION_FACTORS) - 1
        low = high = min(range(0, last + 1, 2), key=lambda i: self.error(i, i))
        for reach in (3, 1):
            low = min(_near(low, reach, last), key=lambda i: self.error(i, high))
            high = min(_near(high, reach, last), key=lambda i: self.error(low, i))
        return _ACTIVATION_FACTORS[low], _ACTIVATION_FACTORS[high]

    def error(self, low: int, high: int) -> float:
        """Error with the grid's factors number `low` and `high`."""
        if (low, high) not in self.errors:
            self.errors[low, high] = self._measure(_ACTIVATION_FACTORS[low], _ACTIVATION_FACTORS[high])
        return self.errors[low, high]

    def _measure(self, low: float, high: float) -> float:
        config = self.config
        scale, zero_point = scale_and_zero_point(
            self.lo * low,
            self.hi * high,
            config.activation_bits,
            symmetric=config.activation_symmetric,
            holds_zero=config.range_holds_zero,
            floor=config.scale_floor,
        )
        bits, symmetric = config.activation_bits, config.activation_symmetric
        wrong = fake_quantize(self.x, scale, zero_point, bits, symmetric).sub_(self.x)
        return float((wrong if self.views is None else wrong @ self.views).square_().sum())


def _near(place: int, reach: int, last: int) -> list[int]:
    """The place first, so that it wins ties, then its neighbours."""
    around = range(max(0, place - reach), min(last, place + reach) + 1)
    return [place, *(i for i in around if i != place)]


def _sample(
    layer: "DualBranchLayer", inputs: list[Tensor], part: int, count: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Evenly spaced channel vectors (M, n) of one rotated part, with their bounds (M, 1)."""
    vectors, lows, highs = [], [], []
    dim = layer.geometry.channel_dim
    for x in inputs:
        x = activations.low_input(layer, activations.batched(layer, x.float()))
        rotated = activations.prepare(layer, x)[0][part]
        lo, hi = activations.bounds(layer, rotated, part)
        rotated = rotated.movedim(dim, -1)
        lo, hi = (
            (bound.movedim(dim, -1) if bound.ndim else bound).expand(*rotated.shape[:-1], 1)
            for bound in (lo, hi)
        )
        total = rotated[..., 0].numel()
        count = min(count, total)
        chosen = torch.arange(count, device=x.device) * total // count
        # Indexing the positions leaves the large tensor where it is.
        place = torch.unravel_index(chosen, rotated.shape[:-1])
        vectors.append(rotated[place])
        lows.append(lo[place])
        highs.append(hi[place])
    return torch.cat(vectors), torch.cat(lows), torch.cat(highs)

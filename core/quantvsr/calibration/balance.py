"""Factors that balance the channels of a layer's activations against those of its weight.

SmoothQuant (Xiao et al., ICML 2023): `max|x_c| ** alpha / max|w_c| ** (1 - alpha)` for channel c.
Activations are divided by it and weights multiplied, so that outliers of few channels cost less
resolution.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from quantvsr.calibration.prepare import Layers, layer_inputs
from quantvsr.calibration.samples import Sample
from quantvsr.progress import Progress
from quantvsr.quant import activations
from quantvsr.quant.layers import DualBranchLayer

_TRIED_ON = 2  # inputs of a layer on which exponents are compared


def balance_factors(sizes: Tensor, weight: Tensor, alpha: float) -> Tensor:
    """Factors of one layer.

    Args:
        sizes: (C,), largest magnitude of each input channel over the calibration inputs.
        weight: (O, C, ...).
        alpha: 0 (all channels of the weight alike) to 1 (all channels of the activations alike).

    Returns:
        (C,), positive, with the geometric mean 1; channels that are zero on either side get 1.
    """
    columns = weight.detach().float().abs().movedim(1, 0).flatten(1).amax(1)
    used = (sizes > 0) & (columns > 0)
    one = torch.ones_like(sizes)
    ratio = torch.where(used, sizes, one) ** alpha / torch.where(used, columns, one) ** (1 - alpha)
    if not used.any():
        return one
    return torch.where(used, ratio / ratio[used].log().mean().exp(), one)


def balance_layers(
    model: nn.Module,
    layers: Layers,
    samples: Sequence[Sample],
    alphas: Sequence[float],
    *,
    indices: Sequence[int] | None = None,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> dict[str, float]:
    """Balance the layers whose configuration asks for it, from full-precision inputs, and initialise them.

    Args:
        model: Holds the layers.
        layers: Layers to look at.
        samples: Calibration samples.
        alphas: Exponents; of several the one with the least error of the layer's output is taken.
        indices: Numbers of the samples that may be used; all if left out.
        device: Where samples are sent.
        progress: Checked between samples and layers.

    Returns:
        The exponent of each balanced layer.
    """
    wanted = {name: layer for name, layer in layers.items() if layer.activation_balance is not None}
    chosen: dict[str, float] = {}
    for name, inputs in layer_inputs(
        model, layers, wanted, samples, indices=indices, device=device, progress=progress
    ):
        layer = wanted[name]
        sizes = activations.channel_sizes(layer, inputs)
        errors = {}
        for alpha in alphas:
            layer.set_activation_balance(balance_factors(sizes, layer.weight, alpha))
            layer.initialise()
            errors[alpha] = _error(layer, inputs[:_TRIED_ON]) if len(alphas) > 1 else 0.0
        chosen[name] = min(errors, key=lambda alpha: errors[alpha])
        layer.set_activation_balance(balance_factors(sizes, layer.weight, chosen[name]))
        layer.initialise()
    return chosen


@torch.no_grad()
def _error(layer: DualBranchLayer, inputs: Sequence[Tensor]) -> float:
    """Squared error of the layer's low-bit output on its own inputs."""
    before, total = layer.mode, 0.0
    for x in inputs:
        layer.mode = "fp"
        wanted = layer(x)
        layer.mode = "train"
        total += float((layer(x) - wanted).square().sum())
    layer.mode = before
    return total

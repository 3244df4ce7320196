"""How much each layer's quantization is expected to harm the denoiser's output, as a function of its rank.

With the low-rank branch in the basis "activation" the quantization error of a layer's output is, to first
order, white with a variance proportional to the energy of the activations outside the branch's directions,
times the weight's energy per output channel. How far such an error reaches the denoiser's output follows from
one backward pass: for a random direction v of the output, the squared gradient of `v . output` with respect
to the layer's output is, in the mean, the squared norm of its Jacobian (Hutchinson's estimator). Errors of
different layers are taken as independent.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from quantvsr.calibration.hooks import forward_hooks, full_precision
from quantvsr.calibration.order import order_of
from quantvsr.calibration.samples import Sample
from quantvsr.progress import Progress
from quantvsr.quant.geometry import geometry_of, plain_weight
from quantvsr.quant.layers import DualBranchLayer

MOST_RANKS = 128
"""Ranks looked at: 0 to this; a larger rank counts as this one."""


def expected_errors(
    model: nn.Module,
    layers: Mapping[str, nn.Module],
    samples: Sequence[Sample],
    *,
    most: int = 8,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> dict[str, NDArray[np.float32]]:
    """Expected error of the output by layer and rank, up to one factor common to all layers.

    Args:
        model: Called as `model(**sample.inputs)`; computes in full precision.
        layers: Plain layers or dual-branch ones (which stay in their mode).
        samples: Calibration samples; at most `most` are used, in a fixed order that mixes windows and steps.
        most: See `samples`.
        device: Where to compute.
        progress: Checked before every sample.

    Returns:
        Per layer (MOST_RANKS + 1,), not increasing. Layers that were never called, or do not reach the
        output, are missing.
    """
    watch = progress or Progress()
    found = {name: _Layer(layer) for name, layer in layers.items()}
    chosen = sorted({order_of(range(len(samples)), 0, "sensitivity", n) for n in range(most)})
    generator = torch.Generator().manual_seed(0)

    def look(name: str, layer: nn.Module, x: Tensor, y: Tensor) -> None:
        found[name].see(x.detach())
        if not y.requires_grad:
            y.requires_grad_()
        y.register_hook(found[name].receive)

    with _untrained(model), full_precision(layers), forward_hooks(layers, look):
        for done, index in enumerate(chosen, 1):
            watch.check()
            inputs = dict(samples[index].to(device).inputs)
            with torch.enable_grad():
                output = model(**inputs)
                direction = torch.randn(output.shape, generator=generator).to(output)
                (output * direction).sum().backward()
            watch.report(done / len(chosen), f"Sensitivity from sample {done} of {len(chosen)}")
    return {name: state.errors() for name, state in found.items() if state.reached}


@contextlib.contextmanager
def _untrained(model: nn.Module) -> Iterator[None]:
    """No parameter collects a gradient while the context lasts."""
    trained = [p for p in model.parameters() if p.requires_grad]
    try:
        for p in trained:
            p.requires_grad_(False)
        yield
    finally:
        for p in trained:
            p.requires_grad_(True)


class _Layer:
    """Sums over the samples of one layer."""

    def __init__(self, layer: nn.Module) -> None:
        geometry = layer.geometry if isinstance(layer, DualBranchLayer) else geometry_of(layer)
        assert geometry is not None
        weight, _ = plain_weight(layer)
        self.dim, self.groups = geometry.channel_dim, geometry.groups
        self.energy = float(weight.detach().float().square().sum()) / geometry.out_channels
        self.channels, self.count = geometry.in_channels, 0
        self.sums: Tensor | None = None
        self.products: Tensor | None = None
        self.squares = 0.0
        self.reached = False

    def see(self, x: Tensor) -> None:
        vectors = x.float().movedim(self.dim % x.ndim, -1).reshape(-1, self.channels)
        self.count += len(vectors)
        self.sums = vectors.sum(0) + (0 if self.sums is None else self.sums)
        self.products = vectors.T @ vectors + (0 if self.products is None else self.products)

    def receive(self, gradient: Tensor) -> None:
        self.reached = True
        self.squares += float(gradient.float().square().sum())

    def errors(self) -> NDArray[np.float32]:
        assert self.sums is not None and self.products is not None
        mean = self.sums / self.count
        covariance = self.products / self.count - torch.outer(mean, mean)
        values = torch.linalg.eigvalsh(covariance).clamp_min(0).flip(0).cpu().double().numpy()
        left = values.sum() - np.concatenate([[0.0], np.cumsum(values)])
        if self.groups > 1:
            # Their branch starts from the weight; nothing is taken out of the activations.
            left = np.full_like(left, left[0])
        left = np.maximum.accumulate(np.clip(left, 0, None)[::-1])[::-1]
        ranks = np.minimum(np.arange(MOST_RANKS + 1), len(values))
        return (left[ranks] / self.channels * self.energy * self.squares).astype(np.float32)

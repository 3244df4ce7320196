"""Watching the layers of a model while it runs in full precision."""

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping

from torch import Tensor, nn

from quantvsr.quant.layers import DualBranchLayer, Mode


@contextlib.contextmanager
def forward_hooks(
    layers: Mapping[str, nn.Module], function: Callable[[str, nn.Module, Tensor, Tensor], None]
) -> Iterator[None]:
    """Call `function(name, layer, input, output)` after every call of a layer, while the context lasts."""

    def hook(name: str, module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        function(name, module, args[0], output)

    handles = [m.register_forward_hook(functools.partial(hook, name)) for name, m in layers.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextlib.contextmanager
def full_precision(layers: Mapping[str, nn.Module]) -> Iterator[None]:
    """Dual-branch layers among `layers` compute in full precision while the context lasts."""
    found: list[tuple[DualBranchLayer, Mode]] = [
        (layer, layer.mode) for layer in layers.values() if isinstance(layer, DualBranchLayer)
    ]
    for layer, _ in found:
        layer.mode = "fp"
    try:
        yield
    finally:
        for layer, mode in found:
            layer.mode = mode

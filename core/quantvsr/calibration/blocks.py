"""Blocks of a network: what learned rounding reconstructs at once, and what goes in and out of them."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from quantvsr.calibration.observe import forward_hooks
from quantvsr.calibration.samples import Sample
from quantvsr.quant.layers import DualBranchLayer

_LARGEST = 16
Layers = Mapping[str, DualBranchLayer]


@dataclass(frozen=True)
class Block:
    """A module and the quantized layers in it.

    Attributes:
        name: Dotted name of the module.
        layers: Names of its quantized layers.
    """

    name: str
    layers: tuple[str, ...]


def find_blocks(model: nn.Module, layers: Layers, sample: Sample, device: torch.device | str) -> list[Block]:
    """Cut a network into blocks, in the order in which they are executed.

    A layer's block is the smallest module around it that holds at least two quantized layers (a residual
    block, an attention), unless that is the whole network, a list of modules, or holds more than 16; such a
    layer is a block of its own. Layers that are never called are left out.

    Args:
        model: The network.
        layers: Its quantized layers.
        sample: An input, to see the order of execution.
        device: Where the sample is sent.
    """
    order: list[str] = []
    with torch.no_grad(), forward_hooks(layers, lambda name, layer, x, y: order.append(name)):
        model(**sample.to(device).inputs)
    called = list(dict.fromkeys(order))
    own = {name: _module_of(model, name, called) for name in called}
    found: dict[str, list[str]] = {}
    for name in called:
        # Modules inside a larger block belong to it.
        around = [block for block in own.values() if name.startswith(f"{block}.")]
        found.setdefault(min(around, key=len, default=name), []).append(name)
    return [Block(name, tuple(members)) for name, members in found.items()]


def _module_of(model: nn.Module, name: str, names: Sequence[str]) -> str:
    parent = name.rpartition(".")[0]
    while parent:
        inside = sum(other.startswith(f"{parent}.") for other in names)
        callable_ = not isinstance(model.get_submodule(parent), nn.ModuleList | nn.ModuleDict)
        if inside > _LARGEST:
            break
        if inside > 1 and callable_:
            return parent
        parent = parent.rpartition(".")[0]
    return name


@dataclass(frozen=True)
class Call:
    """One call of a block.

    Attributes:
        args: Positional arguments.
        kwargs: Named arguments.
        output: What it returned.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    output: Tensor


def record_calls(
    model: nn.Module, block: Block, samples: Sequence[Sample], device: torch.device | str
) -> list[Call]:
    """Run samples through a network and keep what goes in and out of a block."""
    calls: list[Call] = []

    def keep(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        calls.append(Call(args, kwargs, output[0] if isinstance(output, tuple) else output))

    handle = model.get_submodule(block.name).register_forward_hook(keep, with_kwargs=True)
    try:
        with torch.no_grad():
            for sample in samples:
                model(**sample.to(device).inputs)
    finally:
        handle.remove()
    return calls


@contextlib.contextmanager
def modes(layers: Layers, frozen: Sequence[str]) -> Iterator[None]:
    """Layers named are in mode "frozen" and all others in "fp", while the context lasts; "fp" after it."""
    for name, layer in layers.items():
        layer.mode = "frozen" if name in frozen else "fp"
    try:
        yield
    finally:
        for layer in layers.values():
            layer.mode = "fp"

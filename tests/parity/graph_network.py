"""A network that runs the JSON `graph` of a golden end-to-end file (specification, 12.6).

Layers are ordinary modules below their dotted names, so that surgery, statistics and refinement work on it as
on any model. Operations are registered by the name of the step.
"""

import re
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LAYER_TYPES = {"linear": nn.Linear, "conv1d": nn.Conv1d, "conv2d": nn.Conv2d, "conv3d": nn.Conv3d}
Operation = Callable[["GraphNetwork", dict[str, Any], list[Tensor]], Tensor]
OPERATIONS: dict[str, Operation] = {}


def operation(function: Operation) -> Operation:
    OPERATIONS[function.__name__] = function
    return function


class GraphNetwork(nn.Module):
    """Runs a graph on named inputs.

    Args:
        info: The JSON of the golden file.
        tensors: Its tensors; `fp/NAME` are the parameters.
    """

    def __init__(self, info: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        super().__init__()
        self.graph = info["graph"]
        self.output = info["output"]
        self.inputs = info["inputs"]
        plain = {key[3:]: tensor for key, tensor in tensors.items() if key.startswith("fp/")}
        for name, arguments in info["modules"].items():
            kind = LAYER_TYPES[arguments["type"]]
            layer = kind(
                **{
                    key: tuple(v) if isinstance(v, list) else v
                    for key, v in arguments.items()
                    if key != "type"
                }
            )
            layer.load_state_dict({"weight": plain.pop(f"{name}.weight")} | _bias(plain, name, layer))
            self._place(name, layer.requires_grad_(False))
        # Norms and blending factors: the names hold dots, which buffers must not.
        self.other = plain

    def _place(self, name: str, layer: nn.Module) -> None:
        *path, last = name.split(".")
        here: nn.Module = self
        for part in path:
            if part not in here._modules:
                here.add_module(part, nn.Module())
            here = here._modules[part]
        here.add_module(last, layer)

    def forward(self, **inputs: Tensor) -> Tensor:
        values = dict(inputs)
        for step in self.graph:
            values[step["out"]] = OPERATIONS[step["op"]](self, step, [values[name] for name in step["in"]])
        return values[self.output]


def _bias(plain: dict[str, Tensor], name: str, layer: nn.Module) -> dict[str, Tensor]:
    return {} if layer.bias is None else {"bias": plain.pop(f"{name}.bias")}


def rearrange(tensor: Tensor, pattern: str, **sizes: int) -> Tensor:
    """Permute and regroup axes, `t c y x -> t (y x) c`; sizes inside a group on the left must be given."""
    left, right = (re.findall(r"\([^)]*\)|\S+", side) for side in pattern.split("->"))
    assert len(left) == tensor.ndim, pattern
    known = dict(sizes)
    shape: list[int] = []
    names: list[str] = []
    for group, size in zip(left, tensor.shape, strict=True):
        axes = group.strip("()").split()
        if len(axes) == 1:
            known.setdefault(axes[0], size)
        names += [axis for axis in axes if axis != "1"]
        shape += [known[axis] for axis in axes if axis != "1"]
    order = [names.index(axis) for group in right for axis in group.strip("()").split() if axis != "1"]
    tensor = tensor.reshape(shape).permute(order)
    final = []
    for group in right:
        size = 1
        for axis in group.strip("()").split():
            size *= 1 if axis == "1" else known[axis]
        final.append(size)
    return tensor.reshape(final)


@operation
def layer(net: GraphNetwork, step: dict[str, Any], x: list[Tensor]) -> Tensor:
    return net.get_submodule(step["name"])(x[0])


@operation
def silu(net: GraphNetwork, step: dict[str, Any], x: list[Tensor]) -> Tensor:
    return F.silu(x[0])


@operation
def group_norm(net: GraphNetwork, step: dict[str, Any], x: list[Tensor]) -> Tensor:
    weight, bias = (net.other[f"{step['name']}.{part}"] for part in ("weight", "bias"))
    return F.group_norm(x[0], step["groups"], weight, bias, step["eps"])


@operation
def layer_norm(net: GraphNetwork, step: dict[str, Any], x: list[Tensor]) -> Tensor:
    weight, bias = (net.other[f"{step['name']}.{part}"] for part in ("weight", "bias"))
    return F.layer_norm(x[0], x[0].shape[-1:], weight, bias, step["eps"])


@operation
def add(net: GraphNetwork, step: dict[str, Any], x: list[Tensor]) -> Tensor:
    return x[0] + x[1]


@operation
def add_per_channel(net: GraphNetwork, step: dict[str, Any], x: list[Tensor]) -> Tensor:
    return x[0] + x[1][:, :, None, None]


@operation
def repeat_frames(net: GraphNetwork, step: dict[str, Any], x: list[Tensor]) -> Tensor:
    return x[0].repeat(x[1].shape[0], 1, 1)


@operation
def attention(net: GraphNetwork, step: dict[str, Any], x: list[Tensor]) -> Tensor:
    query, key, value = x
    return torch.softmax(query @ key.transpose(-1, -2) * step["scale"], dim=-1) @ value


@operation
def blend(net: GraphNetwork, step: dict[str, Any], x: list[Tensor]) -> Tensor:
    alpha = net.other[step["alpha"]]
    return alpha * x[0] + (1 - alpha) * x[1]


@operation
def nearest_resize_like(net: GraphNetwork, step: dict[str, Any], x: list[Tensor]) -> Tensor:
    return F.interpolate(x[0], size=x[1].shape[2:], mode="nearest")


@operation
def concat_channels(net: GraphNetwork, step: dict[str, Any], x: list[Tensor]) -> Tensor:
    return torch.cat(x, dim=1)


@operation
def rearrange_like(net: GraphNetwork, step: dict[str, Any], x: list[Tensor]) -> Tensor:
    height, width = x[1].shape[-2:]
    return rearrange(x[0], step["pattern"], y=height, x=width)


OPERATIONS["rearrange"] = lambda net, step, x: rearrange(x[0], step["pattern"])

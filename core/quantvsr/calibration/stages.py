"""The parts of a refinement stage: trained parameters, loss, optimizer and its state."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from quantvsr.calibration.refine_config import RefineConfig
from quantvsr.calibration.samples import Sample
from quantvsr.quant.layers import DualBranchLayer

Layers = Mapping[str, DualBranchLayer]
Parameters = dict[str, nn.Parameter]


@dataclass(frozen=True)
class Stage:
    """One stage: what is trained, for how long, against what.

    Attributes:
        name: See `StageResult`.
        updates: Optimizer updates.
        groups: Kind of parameter ("main", "direction", "range", "clip") -> parameters by name.
        rate: Learning rate of the main group.
        objective: Runs one sample with a factor on the loss, adds to the gradients, returns the plain loss.
        evaluated: Whether held-out samples decide which state is kept.
    """

    name: str
    updates: int
    groups: Mapping[str, Parameters]
    rate: float
    objective: Callable[[Sample, float], float]
    evaluated: bool = True

    @property
    def parameters(self) -> Parameters:
        """All trained parameters by name."""
        return {name: p for group in self.groups.values() for name, p in group.items()}


def named(layers: Layers, pick: Callable[[DualBranchLayer], Sequence[nn.Parameter]]) -> Parameters:
    """Picked parameters of all layers as `layer.parameter` -> parameter."""
    found: Parameters = {}
    for layer_name, layer in layers.items():
        own = {id(p): name for name, p in layer.named_parameters()}
        found |= {f"{layer_name}.{own[id(p)]}": p for p in pick(layer)}
    return found


def trainable(layer: DualBranchLayer) -> list[nn.Parameter]:
    """All parameters a stage may change: everything but the plain weight and bias."""
    return [p for name, p in layer.named_parameters() if name not in ("weight", "bias")]


def make_optimizer(stage: Stage, config: RefineConfig) -> torch.optim.AdamW:
    """AdamW with a group per kind of parameter; `base` of a group is its rate before the schedule."""
    groups: list[dict[str, Any]] = []
    for kind, parameters in stage.groups.items():
        if kind == "range":
            # Relative to their size: residual weights of different layers differ by orders of magnitude.
            for p in parameters.values():
                size = float(p.detach().abs().mean()) or 1.0
                groups.append({"params": [p], "base": config.range_learning_rate * size, "weight_decay": 0.0})
        elif parameters:
            rates = {"clip": config.clip_learning_rate, "direction": config.direction_learning_rate}
            base = rates.get(kind) or stage.rate
            decay = config.weight_decay if kind in ("main", "direction") else 0.0
            groups.append({"params": list(parameters.values()), "base": base, "weight_decay": decay})
    for group in groups:
        group["lr"] = group["base"]
    return torch.optim.AdamW(groups, betas=config.betas, eps=config.eps)


def set_rates(optimizer: torch.optim.Optimizer, factor: float) -> float:
    """Multiply every group's base rate by the schedule's factor; returns the first group's rate."""
    for group in optimizer.param_groups:
        group["lr"] = group["base"] * factor
    return float(optimizer.param_groups[0]["lr"])


def sample_loss(model: nn.Module, sample: Sample, autocast: bool = False) -> Tensor:
    """Mean squared error between the model's output and the recorded one, over all elements."""
    with torch.autocast(sample.output.device.type, torch.bfloat16, enabled=autocast):
        output = model(**sample.inputs)
        return F.mse_loss(output.float(), sample.output.float())


_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


def moments(optimizer: torch.optim.AdamW, parameters: Parameters) -> dict[str, Tensor]:
    """The optimizer's state for a snapshot, by kind and parameter name."""
    return {
        f"{key}/{name}": torch.as_tensor(optimizer.state[p][key])
        for name, p in parameters.items()
        if p in optimizer.state
        for key in _MOMENTS
    }


def load_moments(optimizer: torch.optim.AdamW, parameters: Parameters, tensors: Mapping[str, Tensor]) -> None:
    """Give an optimizer the state that `moments` took."""
    for name, p in parameters.items():
        if f"step/{name}" in tensors:
            # The step counter stays on the CPU, as the optimizer keeps it.
            optimizer.state[p] = {
                key: tensors[f"{key}/{name}"].clone().to("cpu" if key == "step" else p.device)
                for key in _MOMENTS
            }

"""How a layer's channels are cut into parts, and which of them are rotated.

Kept apart from the layer because the cases outside the ordinary (groups, few channels, sizes without a
Hadamard matrix) are all decided here, and each departure from the configuration is put into words.
"""

from dataclasses import dataclass

from quantvsr.quant.config import Basis, LayerQuantConfig
from quantvsr.quant.geometry import Geometry
from quantvsr.quant.hadamard import has_rotation


@dataclass(frozen=True)
class PartPlan:
    """Parts of one layer.

    Attributes:
        weight: Input channels (of one group) of each part of the weight.
        activation: Channels of each part of the activation.
        rotation: Kind of rotation, which may differ from the configured one.
        rotated: Whether each part is rotated at all.
        basis: Of the low-rank branch, which may differ from the configured one.
        balanced: Whether channels are balanced.
        notes: Departures from the configuration, in words.
    """

    weight: tuple[int, ...]
    activation: tuple[int, ...]
    rotation: str
    rotated: tuple[bool, ...]
    basis: Basis
    balanced: bool
    notes: tuple[str, ...]


def plan_parts(geometry: Geometry, config: LayerQuantConfig) -> PartPlan:
    """Decide the parts of a layer."""
    channels, groups = geometry.in_channels, geometry.groups
    per_group = channels // groups
    rotation, parts, notes = str(config.rotation), int(config.parts), []
    if groups > 1 and rotation == "reference":
        rotation = "none"
        notes.append("not rotated: the reference rotation is not defined for grouped convolutions")
    if parts == 2 and groups > 1 and (rotation == "block" or per_group == 1):
        parts = 1
        notes.append("one part: the channels of a group cannot be cut in halves here")
    if parts == 2 and channels < 2:
        parts = 1
        notes.append("one part: only one input channel")
    if rotation == "block" and per_group == 1:
        rotation = "none"
        notes.append("not rotated: one input channel per group")
    if config.split_at:
        if groups > 1 or not 0 < config.split_at < channels:
            notes.append(f"not split at {config.split_at}: the layer has no such channel, or groups")
        else:
            parts = 2
    # With groups the reference cuts the weight's channels (of one group) and the activation's (of all
    # groups), which then no longer correspond; as each element keeps its own scale, the result is still
    # right.
    weight = _two(per_group, config.split_at) if parts == 2 else (per_group,)
    activation = _two(channels, config.split_at) if parts == 2 else (channels,)
    rotated = tuple(has_rotation(rotation, size, config.rotation_block) for size in weight)
    if rotation == "reference":
        notes += [
            f"part of {size} channels not rotated: no Hadamard matrix of that size"
            for size, done in zip(weight, rotated, strict=True)
            if not done
        ]
    basis = config.low_rank_basis
    if groups > 1 and basis == "activation":
        basis = "weight"
        notes.append("low-rank branch from the weight: groups do not share directions of their channels")
    balanced = config.activation_balance and groups == 1
    if config.activation_balance and groups > 1:
        notes.append("channels not balanced: a grouped convolution")
    return PartPlan(weight, activation, rotation, rotated, basis, balanced, tuple(notes))


def _two(n: int, split_at: int) -> tuple[int, ...]:
    first = split_at if 0 < split_at < n else n - n // 2
    return (first, n - first)

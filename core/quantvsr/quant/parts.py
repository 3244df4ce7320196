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
        notes: Departures from the configuration, in words.
    """

    weight: tuple[int, ...]
    activation: tuple[int, ...]
    rotation: str
    rotated: tuple[bool, ...]
    basis: Basis
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
    # With groups the reference cuts the weight's channels (of one group) and the activation's (of all
    # groups), which then no longer correspond; as each element keeps its own scale, the result is still
    # right.
    weight = _halves(per_group) if parts == 2 else (per_group,)
    activation = _halves(channels) if parts == 2 else (channels,)
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
    return PartPlan(weight, activation, rotation, rotated, basis, tuple(notes))


def _halves(n: int) -> tuple[int, ...]:
    return (n - n // 2, n // 2)

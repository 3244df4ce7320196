"""`ranks.json`: an allocation, the bits of all layers, and the sizes it was made for. NumPy only.

The job `analyze` writes one, the desktop app writes one when a person changes something, `quantize --ranks`
reads it.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from quantvsr.calibration.allocation import Allocation
from quantvsr.calibration.cost import Cost, LayerShape
from quantvsr.errors import BadInput
from quantvsr.files import atomic_json, read_json

LayerBits = Mapping[str, tuple[int, int]]


@dataclass(frozen=True)
class RanksFile:
    """What the file holds.

    Attributes:
        allocation: Ranks and how they came about.
        bits: Weight and activation bits of single layers that differ from the others.
        shapes: Sizes of the layers; empty in files of other makers.
        other: Everything else that is in the file.
    """

    allocation: Allocation
    bits: LayerBits = field(default_factory=dict)
    shapes: tuple[LayerShape, ...] = ()
    other: Mapping[str, Any] = field(default_factory=dict)


def write_ranks(
    path: str | os.PathLike[str],
    allocation: Allocation,
    shapes: Sequence[LayerShape],
    cost: Cost,
    *,
    bits: str,
    model: str,
    layer_bits: LayerBits | None = None,
) -> None:
    """Write the file, whole or not at all.

    Args:
        path: Where.
        allocation: The ranks.
        shapes: Sizes of all layers.
        cost: What they cost at these ranks.
        bits: Bits of all layers, such as `W4A4`.
        model: Hash of the model.
        layer_bits: Weight and activation bits of single layers that differ.
    """
    own = {name: list(pair) for name, pair in (layer_bits or {}).items()}
    content = {
        **allocation.to_json(),
        "bits": bits,
        "model": model,
        "shapes": [shape.to_json() for shape in shapes],
        "cost": cost.summary(),
        **({"layer_bits": own} if own else {}),
    }
    atomic_json(path, content)


def read_ranks(path: str | os.PathLike[str]) -> RanksFile:
    """Read the file.

    Raises:
        BadInput: It is missing, damaged or something else.
    """
    value = read_json(path)
    if not isinstance(value, dict):
        raise BadInput(f"{path} is no saved rank allocation; run 'quantvsr analyze' again.")
    try:
        allocation = Allocation.from_json(value)
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from error
    try:
        bits = {str(name): _pair(pair) for name, pair in value.get("layer_bits", {}).items()}
        shapes = tuple(LayerShape.from_json(shape) for shape in value.get("shapes", ()))
    except (TypeError, ValueError, AttributeError) as error:
        text = f"{path} holds bits or sizes that cannot be read ({error}); run 'quantvsr analyze' again."
        raise BadInput(text) from error
    other = {name: value[name] for name in ("bits", "model", "cost") if name in value}
    return RanksFile(allocation, bits, shapes, other)


def _pair(value: Sequence[int]) -> tuple[int, int]:
    weights, activations = (int(bits) for bits in value)
    if not (2 <= weights <= 8 and 2 <= activations <= 8):
        raise ValueError(f"{weights} and {activations} bits are not possible")
    return weights, activations

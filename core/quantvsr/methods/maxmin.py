"""Plain quantization: ranges from the smallest to the largest value, nothing else.

Source: the uniform affine quantizer of Jacob et al., "Quantization and Training of Neural Networks for
Efficient Integer-Arithmetic-Only Inference", CVPR 2018; the row "MaxMin" of the paper's tables.
"""

from dataclasses import dataclass
from typing import ClassVar

from quantvsr.methods.registry import Method, Recipe, register
from quantvsr.quant.config import LayerQuantConfig


@dataclass(frozen=True)
class MaxMin(Recipe):
    """Nothing can be set."""

    uses_samples: ClassVar[bool] = False

    def layer(self, weight_bits: int, activation_bits: int) -> LayerQuantConfig:
        """A range per output channel for weights, one per tensor, found at each call, for activations."""
        return plain(weight_bits, activation_bits)


def plain(weight_bits: int, activation_bits: int, **changes: object) -> LayerQuantConfig:
    """Settings with everything off; the starting point of the methods that add one thing to it.

    Args:
        weight_bits: 2..8.
        activation_bits: 2..8.
        changes: Fields of `LayerQuantConfig` with other values.
    """
    return LayerQuantConfig(
        weight_bits,
        activation_bits,
        activation_granularity="tensor",
        parts=1,
        rotation="none",
        low_rank=False,
        bias_alignment=False,
        weight_range="frozen",
        weight_clip_search=False,
        activation_clip="none",
        activation_shift=False,
        profile="maxmin",
    ).replace(**changes)


register(
    Method(
        name="maxmin",
        title="MaxMin",
        summary="Ranges from the smallest to the largest value; nothing rotated, split or trained.",
        source="Jacob et al., CVPR 2018",
        simplified="",
        recipe=MaxMin(),
    )
)

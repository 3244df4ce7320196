"""QuaRot: Hadamard rotations of weights and activations, nothing else.

Source: Ashkboos et al., "QuaRot: Outlier-Free 4-Bit Inference in Rotated LLMs", NeurIPS 2024.
"""

from dataclasses import dataclass

from quantvsr.methods.maxmin import plain
from quantvsr.methods.registry import Method, Recipe, register
from quantvsr.quant.config import LayerQuantConfig


@dataclass(frozen=True)
class QuaRot(Recipe):
    """Rotation over all channels; activation bounds times 0.9, as in the paper."""

    clip: float | None = 0.9

    def layer(self, weight_bits: int, activation_bits: int) -> LayerQuantConfig:
        """Dynamic ranges per token, weight ranges with the least squared error, rotated over all channels."""
        return plain(
            weight_bits,
            activation_bits,
            activation_granularity="token",
            rotation="block",
            rotation_block=1024,
            weight_clip_search=True,
            activation_clip="learned",
            profile="quarot",
        )


register(
    Method(
        name="quarot",
        title="QuaRot",
        summary=(
            "Weights and activations rotated by Hadamard matrices; dynamic ranges per token; no training."
        ),
        source="Ashkboos et al., NeurIPS 2024",
        simplified=(
            "Weights are rounded to nearest (the paper's RTN variant, not GPTQ). Each layer rotates "
            "its own input, where the paper folds rotations into neighbouring weights: the same "
            "numbers, since activation functions and normalisation lie between the layers here. "
            "Ranges are asymmetric, which activations after SiLU need. Convolutions have one range "
            "per frame, since a sum over positions needs one scale."
        ),
        recipe=QuaRot(),
    )
)

"""ViDiT-Q: channels balanced by static factors, then rotated; dynamic ranges per token.

Source: Zhao et al., "ViDiT-Q: Efficient and Accurate Quantization of Diffusion Transformers for Image and
Video Generation", ICLR 2025.
"""

from dataclasses import dataclass

from quantvsr.methods.maxmin import plain
from quantvsr.methods.registry import Balance, Method, Recipe, register
from quantvsr.quant.config import LayerQuantConfig


@dataclass(frozen=True)
class ViDiTQ(Recipe):
    """Static-dynamic channel balancing."""

    balance: Balance | None = Balance((0.25, 0.5, 0.75))  # noqa: RUF009  (frozen)

    def layer(self, weight_bits: int, activation_bits: int) -> LayerQuantConfig:
        """Balanced, rotated over all channels, dynamic ranges per token from minimum to maximum."""
        return plain(
            weight_bits,
            activation_bits,
            activation_granularity="token",
            rotation="block",
            rotation_block=1024,
            activation_balance=True,
            profile="vidit-q",
        )


register(
    Method(
        name="vidit-q",
        title="ViDiT-Q",
        summary=(
            "Channels balanced by factors from calibration, then rotated; dynamic ranges per token; "
            "no training."
        ),
        source="Zhao et al., ICLR 2025",
        simplified=(
            "The exponent of the balance is searched per layer. Mixed precision is left out: all "
            "methods have the same bits everywhere. Convolutions have one range per frame, since a "
            "sum over positions needs one scale."
        ),
        recipe=ViDiTQ(),
    )
)

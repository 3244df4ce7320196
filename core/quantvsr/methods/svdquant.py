"""SVDQuant: outliers moved from activations to weights, and taken up there by a low-rank branch.

Source: Li et al., "SVDQuant: Absorbing Outliers by Low-Rank Components for 4-Bit Diffusion Models", ICLR
2025.
"""

from dataclasses import dataclass

from quantvsr.methods.maxmin import plain
from quantvsr.methods.registry import Balance, Method, Recipe, register
from quantvsr.quant.config import LayerQuantConfig


@dataclass(frozen=True)
class SVDQuant(Recipe):
    """Smoothing and a branch of one rank.

    Attributes:
        rank: Of all layers, up to min(O, n).
    """

    balance: Balance | None = Balance((0.0, 0.25, 0.5, 0.75, 1.0))  # noqa: RUF009  (frozen)
    rank: int = 32

    @property
    def uniform_rank(self) -> int | None:
        """The paper's rank, whatever it costs."""
        return self.rank

    def layer(self, weight_bits: int, activation_bits: int) -> LayerQuantConfig:
        """Balanced, leading singular vectors in full precision, dynamic ranges per token."""
        return plain(
            weight_bits,
            activation_bits,
            activation_granularity="token",
            activation_balance=True,
            low_rank=True,
            low_rank_basis="weight",
            profile="svdquant",
        )


register(
    Method(
        name="svdquant",
        title="SVDQuant",
        summary=(
            "Smoothing, then a low-rank branch of rank 32 from the smoothed weight; dynamic ranges per token."
        ),
        source="Li et al., ICLR 2025",
        simplified=(
            "One range per token and per output channel instead of groups of 64 channels, as all "
            "methods here. The residual is rounded to nearest (GPTQ, optional in the paper, is left "
            "out). Of the exponents of the smoothing the best is taken per layer by the error of its "
            "output. Convolutions have one range per frame, since a sum over positions needs one "
            "scale."
        ),
        recipe=SVDQuant(),
    )
)

"""Q-Diffusion: calibration over all timesteps, split shortcut quantization, learned rounding block by block.

Source: Li et al., "Q-Diffusion: Quantizing Diffusion Models", ICCV 2023.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from quantvsr.calibration.rounding_config import Rounding
from quantvsr.methods.maxmin import plain
from quantvsr.methods.registry import Method, Recipe, Switch, register
from quantvsr.quant.config import LayerQuantConfig


@dataclass(frozen=True)
class QDiffusion(Recipe):
    """Static activation ranges, weights rounded by gradient, joined inputs split."""

    rounding: Rounding | None = Rounding()  # noqa: RUF009  (frozen)
    split_shortcuts: bool = True

    def layer(self, weight_bits: int, activation_bits: int) -> LayerQuantConfig:
        """Ranges per output channel with the least error, and one static range per activation tensor."""
        return plain(
            weight_bits,
            activation_bits,
            weight_clip_search=True,
            activation_range="static",
            activation_clip="learned",
            profile="q-diffusion",
        )

    def switches(self) -> Mapping[str, Switch]:
        """Its two ideas can be left out."""

        def turn(title: str, **changes: Any) -> Switch:
            return Switch(title, lambda recipe: replace(recipe, **changes))

        return {
            "no-rounding": turn("rounded to nearest", rounding=None),
            "no-split": turn("shortcuts not split", split_shortcuts=False),
        }


register(
    Method(
        name="q-diffusion",
        title="Q-Diffusion",
        summary=(
            "Static ranges over all timesteps, joined inputs split, weights rounded by gradient, "
            "block by block."
        ),
        source="Li et al., ICCV 2023",
        simplified=(
            "Blocks are the modules that hold at least two layers. Activations are quantized while "
            "the rounding is learned (the paper quantizes them after), and their ranges come from a "
            "search for the least error of each layer instead of training. As many updates per block "
            "as the other methods have in all (the paper: 20,000). Softmax stays in full precision, "
            "as in all methods here."
        ),
        recipe=QDiffusion(),
    )
)

"""QuantVSR, as we do it and as it was published, with a switch for each of its parts.

Source: "QuantVSR: Low-Bit Post-Training Quantization for Real-World Video Super-Resolution", AAAI 2026. What
our profile changes, and why: docs/method.md.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, cast

from quantvsr.calibration.refine_config import RefineConfig
from quantvsr.methods.registry import Method, Recipe, Switch, register
from quantvsr.quant.config import PROFILES, LayerQuantConfig

if TYPE_CHECKING:
    from quantvsr.calibration.ranks import RankSettings

# What it means to take an improvement back.
_PUBLISHED = {
    "activation_granularity": "one activation range per tensor",
    "parts": "channels in two halves",
    "rotation": "rotation only where a Hadamard matrix is known",
    "low_rank_basis": "branch from the weight",
    "range_holds_zero": "ranges need not hold zero",
    "scale_floor": "absolute floor of scales",
    "weight_range": "weight ranges frozen at the start",
    "weight_clip_search": "weight ranges from minimum to maximum",
    "activation_clip": "activation ranges from minimum to maximum",
    "activation_shift": "no activation shift",
    "at_rest": "stored in single precision",
}
# Where the profiles differ without an effect on the picture of a model whose layers all fit.
_NO_EFFECT = ("profile", "exclude_by_prefix", "keep_dtype", "cap_rank", "honour_padding")


@dataclass(frozen=True)
class QuantVSR(Recipe):
    """A profile and what is turned about it.

    Attributes:
        profile: "default" or "reference".
        branch: The low-rank branch: none, the same rank everywhere (`fixed`), the same rank everywhere within
            the budget of bytes (`even`), or allocated by complexity.
        rank: Of the branch "fixed".
        refined: Whether L1, L2 and activation clips are trained.
        bias: Whether a bias per output channel is trained.
        rotation: Whether weights and activations are rotated.
        published: Settings of the layer that are set back to the reference's value.
        published_ranks: Allocate with the published rule and limits.
        published_training: Train with the published loop.
    """

    profile: Literal["default", "reference"] = "default"
    branch: Literal["none", "fixed", "even", "allocated"] = "allocated"
    rank: int = 32
    refined: bool = True
    bias: bool = True
    rotation: bool = True
    published: tuple[str, ...] = ()
    published_ranks: bool = False
    published_training: bool = False

    @property
    def statistics(self) -> str:  # type: ignore[override]
        """The published statistics go with the published rank rule."""
        return "reference by layout" if self._as_published else "default"

    @property
    def _as_published(self) -> bool:
        return self.profile == "reference" or self.published_ranks

    @property
    def uniform_rank(self) -> int | None:
        """Only with the branch "none" or "fixed"."""
        return {"none": 0, "fixed": self.rank}.get(self.branch)

    def layer(self, weight_bits: int, activation_bits: int) -> LayerQuantConfig:
        """The profile's settings with what is turned."""
        config = PROFILES[self.profile](weight_bits, activation_bits)
        model = PROFILES["reference"](weight_bits, activation_bits)
        config = config.replace(**{name: getattr(model, name) for name in self.published})
        if self.branch == "none":
            config = config.replace(low_rank=False)
        if not self.bias:
            config = config.replace(bias_alignment=False)
        if not self.rotation:
            config = config.replace(rotation="none")
        return config

    def ranks(self, given: Mapping[str, float]) -> "RankSettings":
        """The profile's rule, or the same rank everywhere."""
        from quantvsr.calibration.ranks import RankSettings

        if self.uniform_rank is not None:
            return super().ranks(given)
        numbers = cast("dict[str, Any]", dict(given))
        if self.branch == "even":
            return RankSettings(rule="even", **numbers)
        if self._as_published:
            numbers.pop("extra_bits", None)
            return RankSettings.reference(**numbers)
        return RankSettings(**numbers)

    def training(self, budget: RefineConfig) -> RefineConfig:
        """The budget; without the bias its updates go to the stage before, so that their number stays."""
        if self.profile == "reference" or self.published_training:
            # The published loop has as many updates of the bias as of the branch: the same number in all.
            each = (budget.updates + budget.bias_updates) // 2
            published = RefineConfig.reference(each, budget.accumulation)
            budget = replace(published, snapshot_every=budget.snapshot_every, seed=budget.seed)
        updates, bias_updates = budget.updates, budget.bias_updates
        if not self.bias:
            updates, bias_updates = updates + bias_updates, 0
        return replace(budget, updates=updates if self.refined else 0, bias_updates=bias_updates)

    def switches(self) -> Mapping[str, Switch]:
        """Parts that can be left out, and each improvement set back to what was published."""

        def turn(title: str, **changes: Any) -> Switch:
            return Switch(title, lambda recipe: replace(recipe, **changes))

        found = {
            "no-branch": turn("no low-rank branch", branch="none"),
            "rank-32": turn("rank 32 everywhere", branch="fixed"),
            "even-rank": turn("same rank everywhere, same bytes", branch="even"),
            "no-refine": turn("branch not trained", refined=False),
            "no-bias": turn("no bias alignment", bias=False),
            "no-rotation": turn("no rotation", rotation=False),
        }
        if self.profile == "reference":
            return found
        found["published-ranks"] = turn("published rank rule", published_ranks=True)
        found["published-training"] = turn("published training", published_training=True)
        for name in improvements():
            found[f"published-{name.replace('_', '-')}"] = Switch(
                _PUBLISHED.get(name, f"published {name.replace('_', ' ')}"),
                lambda recipe, name=name: _set_back(recipe, name),
            )
        return found


def _set_back(recipe: Recipe, name: str) -> Recipe:
    assert isinstance(recipe, QuantVSR)
    return replace(recipe, published=(*recipe.published, name))


def improvements() -> tuple[str, ...]:
    """Settings of the layer in which our profile differs from the published one, with an effect."""
    ours, theirs = PROFILES["default"](4, 4), PROFILES["reference"](4, 4)
    return tuple(
        field.name
        for field in dataclasses.fields(LayerQuantConfig)
        if field.name not in _NO_EFFECT and getattr(ours, field.name) != getattr(theirs, field.name)
    )


register(
    Method(
        name="quantvsr-reference",
        title="QuantVSR as published",
        summary="Low-rank branch by complexity, rotation, refinement and bias alignment, quirks included.",
        source="QuantVSR, AAAI 2026",
        simplified="None known: the numbers agree with the reference implementation's.",
        recipe=QuantVSR(profile="reference"),
    )
)
register(
    Method(
        name="quantvsr",
        title="QuantVSR",
        summary="The published method with finer ranges, learned clips, ranks by budget and better training.",
        source="QuantVSR, AAAI 2026; changes in docs/method.md",
        simplified="",
        recipe=QuantVSR(),
    )
)

"""Values of the rank allocation: settings, result, and the registry of rules. NumPy only."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from quantvsr.calibration.cost import CostModel
from quantvsr.calibration.table import ComplexityTable
from quantvsr.errors import BadInput


@dataclass(frozen=True)
class RankSettings:
    """What a person can set about ranks.

    Attributes:
        rule: Name of the rule: "default" or "reference".
        percentile: p, 0..0.5: the lower thresholds are the quantiles p, the upper ones 1 - p.
        min_rank: Lowest rank of any layer (never above min(O, n)).
        max_rank: Highest rank of any layer.
        multiple: Ranks are multiples of this where the limits allow it.
        min_share: Lowest rank as a share of min(O, n), default rule only.
        max_share: Highest rank as a share of min(O, n), default rule only.
        extra_bits: Budget, default rule only: all that is stored besides the codes, in bits a weight,
            averaged over the network. With 4-bit weights 0.99 means 4.99 effective bits, 84.4 % smaller than
            FP32. None: no budget, every layer gets its wish.
        overrides: Ranks set by hand; they hold whatever the rule says, up to min(O, n).
    """

    rule: str = "default"
    percentile: float = 0.25
    min_rank: int = 4
    max_rank: int = 128
    multiple: int = 4
    min_share: float = 0.0
    max_share: float = 0.25
    extra_bits: float | None = 0.99
    overrides: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        problems = (
            (self.rule in RULES, f"rule must be one of {sorted(RULES)}"),
            (0 <= self.percentile <= 0.5, "percentile must lie in 0..0.5"),
            (0 <= self.min_rank <= self.max_rank, "min_rank and max_rank must satisfy 0 <= min <= max"),
            (self.multiple >= 1, "multiple must be at least 1"),
            (0 <= self.min_share <= self.max_share <= 1, "shares must satisfy 0 <= min <= max <= 1"),
            (self.extra_bits is None or self.extra_bits >= 0, "extra_bits must not be negative"),
            (all(rank >= 0 for rank in self.overrides.values()), "ranks set by hand must not be negative"),
        )
        for fine, text in problems:
            if not fine:
                raise BadInput(f"These rank settings cannot be used: {text}.")

    @classmethod
    def reference(cls, min_rank: int = 16, max_rank: int = 64, percentile: float = 0.25) -> "RankSettings":
        """The published settings."""
        return cls("reference", percentile, min_rank, max_rank, 8, 0.0, 1.0, None)

    def to_json(self) -> dict[str, object]:
        """A JSON-able dictionary."""
        return {**asdict(self), "overrides": dict(self.overrides)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "RankSettings":
        """Read what `to_json` wrote; unknown keys are ignored, missing ones take their defaults."""
        return cls(**{item.name: value[item.name] for item in fields(cls) if item.name in value})


@dataclass(frozen=True)
class Thresholds:
    """The four thresholds; NaN where there was nothing to take them from."""

    spatial_low: float
    spatial_high: float
    temporal_low: float
    temporal_high: float


@dataclass(frozen=True)
class Allocation:
    """Ranks and how they came about. Per-layer values are keyed by layer name, in network order.

    Attributes:
        ranks: The final rank of each layer.
        settings: The settings that gave them.
        thresholds: The thresholds over all layers.
        raw: The raw score: reference rule, the rank before clipping; default rule, -1..1; None if not
            observed.
        wish: What the layer would get without rounding and budget; reference rule, the rank after clipping.
        high: Share of samples above both upper thresholds (None if not observed).
        low: Share of samples below both lower thresholds (None if not observed).
        limits: Lowest and highest rank that the rule allows each layer.
        effective_bits: Estimated effective bits of all layers; None without shapes.
        within_budget: False where even the lowest ranks exceed the budget.
    """

    ranks: dict[str, int]
    settings: RankSettings
    thresholds: Thresholds
    raw: dict[str, float | None]
    wish: dict[str, float]
    high: dict[str, float | None]
    low: dict[str, float | None]
    limits: dict[str, tuple[int, int]]
    effective_bits: float | None = None
    within_budget: bool = True

    def to_json(self) -> dict[str, object]:
        """A JSON-able dictionary, the content of `ranks.json`."""
        points = {name: None if math.isnan(v) else v for name, v in asdict(self.thresholds).items()}
        return {
            "version": 1,
            "settings": self.settings.to_json(),
            "thresholds": points,
            "effective_bits": self.effective_bits,
            "within_budget": self.within_budget,
            "layers": {
                name: {
                    "rank": rank,
                    "raw": self.raw[name],
                    "wish": self.wish[name],
                    "high": self.high[name],
                    "low": self.low[name],
                    "limits": list(self.limits[name]),
                }
                for name, rank in self.ranks.items()
            },
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Allocation":
        """Read what `to_json` wrote.

        Raises:
            BadInput: It is not such a dictionary.
        """
        try:
            layers = value["layers"]
            points = {name: math.nan if v is None else float(v) for name, v in value["thresholds"].items()}
            return cls(
                ranks={name: int(layer["rank"]) for name, layer in layers.items()},
                settings=RankSettings.from_json(value["settings"]),
                thresholds=Thresholds(**points),
                limits={name: (int(v["limits"][0]), int(v["limits"][1])) for name, v in layers.items()},
                effective_bits=value["effective_bits"],
                within_budget=value["within_budget"],
                raw={name: v["raw"] for name, v in layers.items()},
                wish={name: v["wish"] for name, v in layers.items()},
                high={name: v["high"] for name, v in layers.items()},
                low={name: v["low"] for name, v in layers.items()},
            )
        except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
            text = f"This is no saved rank allocation ({error}); allocate the ranks again."
            raise BadInput(text) from error


Rule = Callable[[ComplexityTable, RankSettings, Sequence[str], CostModel | None], Allocation]
RULES: dict[str, Rule] = {}


def rule(name: str) -> Callable[[Rule], Rule]:
    """Register an allocation rule under a name that `RankSettings.rule` can then use."""

    def register(function: Rule) -> Rule:
        RULES[name] = function
        return function

    return register


def rule_names() -> tuple[str, ...]:
    """Names of all rules."""
    return tuple(RULES)

"""What a method is, and the list of them. Imports neither torch nor NumPy: the app shows this list.

A method is a *recipe*: settings of the quantized layer, a rank rule, and what is done with the calibration
samples. All recipes use the same layer, the same samples, the same excluded layers and the same budget of
updates. A recipe whose settings allow it has *switches*, each of which changes one thing about it:
`quantvsr+no-bias+rank-32` is the method `quantvsr` with two switches.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Literal

from quantvsr.calibration.refine_config import RefineConfig
from quantvsr.calibration.rounding_config import Rounding
from quantvsr.errors import BadInput
from quantvsr.quant.config import LayerQuantConfig

if TYPE_CHECKING:
    from quantvsr.calibration.ranks import RankSettings

Family = Literal["method", "ablation"]


@dataclass(frozen=True)
class Balance:
    """Channel balancing: activations are divided, weights multiplied by a factor per input channel.

    The factor is `max|x_c| ** alpha / max|w_c| ** (1 - alpha)` (SmoothQuant, Xiao et al., ICML 2023), scaled
    so that a layer's factors have the geometric mean 1.

    Attributes:
        alphas: Exponents tried; of several the one with the least output error of the layer is taken, layer
            by layer.
    """

    alphas: tuple[float, ...] = (0.5,)


@dataclass(frozen=True)
class Recipe:
    """Settings of a method: the base class of one frozen dataclass per method.

    Class attributes:
        uses_samples: Whether calibration samples are needed at all.
        statistics: Name of the complexity statistics, see `calibration.complexity`.

    Attributes:
        balance: Channel balancing before quantization; None for none.
        rounding: Learned rounding after everything else; None for none.
        clip: The factor on all dynamic activation bounds; None leaves the layer's own search.
        split_shortcuts: Quantize the two sources of concatenated inputs apart.
    """

    uses_samples: ClassVar[bool] = True
    statistics: ClassVar[str] = "default"

    balance: Balance | None = None
    rounding: Rounding | None = None
    clip: float | None = None
    split_shortcuts: bool = False

    @property
    def uniform_rank(self) -> int | None:
        """The rank of all layers (up to min(O, n)); None where ranks are allocated."""
        return 0

    def layer(self, weight_bits: int, activation_bits: int) -> LayerQuantConfig:
        """Settings of the quantized layers."""
        raise NotImplementedError

    def ranks(self, given: Mapping[str, float]) -> "RankSettings":
        """The rank rule.

        Args:
            given: What the user set about ranks (`min_rank`, `max_rank`, `percentile`, `extra_bits`); of no
                effect where a method has no ranks to allocate, the last also where its ranks share no budget.
        """
        # Not from `allocation`: only this module knows all rules.
        from quantvsr.calibration.ranks import RankSettings

        rank = self.uniform_rank or 0
        return RankSettings(
            min_rank=rank, max_rank=rank, multiple=1, min_share=0.0, max_share=1.0, extra_bits=None
        )

    def training(self, budget: RefineConfig) -> RefineConfig:
        """What is trained within a budget of updates; nothing by default."""
        return replace(budget, updates=0, bias_updates=0, layer_updates=0)

    def switches(self) -> Mapping[str, "Switch"]:
        """What can be changed about it, by name."""
        return {}

    def to_json(self) -> dict[str, object]:
        """All settings, for hashes: what is not in here, in `layer` or in `training` has no effect."""
        return {"recipe": type(self).__name__, **asdict(self)}


@dataclass(frozen=True)
class Switch:
    """One thing that can be changed about a recipe.

    Attributes:
        title: For a person, to be read after the method's title.
        change: Makes the changed recipe.
    """

    title: str
    change: Callable[[Recipe], Recipe]


@dataclass(frozen=True)
class Method:
    """A method and what a person should know about it.

    Attributes:
        name: As given on the command line.
        title: Name for a person.
        summary: One sentence: what it does.
        source: Where it was published.
        simplified: What differs from the publication, in words; empty where nothing does.
        recipe: Its settings.
        family: "ablation" where switches were turned.
    """

    name: str
    title: str
    summary: str
    source: str
    simplified: str
    recipe: Recipe = field(repr=False)
    family: Family = "method"

    def to_json(self) -> dict[str, str]:
        """Everything but the recipe."""
        return {
            "title": self.title,
            "summary": self.summary,
            "source": self.source,
            "simplified": self.simplified,
            "family": self.family,
        }


_METHODS: dict[str, Method] = {}


def register(method: Method) -> Method:
    """Put a method on the list."""
    if method.name in _METHODS or "+" in method.name:
        raise ValueError(f"two methods are called {method.name!r}, or its name holds a +")
    _METHODS[method.name] = method
    return method


def methods() -> dict[str, Method]:
    """All methods by name, without switches, in the order of tables: weakest first."""
    import quantvsr.methods  # noqa: F401  (importing the package registers them)

    return dict(_METHODS)


def get_method(name: str) -> Method:
    """The method of that name, with the switches that the name may hold.

    Raises:
        BadInput: There is no such method or switch; the message lists what there is.
    """
    base, *turned = name.split("+")
    known = methods()
    if base not in known:
        raise BadInput(f"There is no method '{base}'; choose one of {', '.join(known)}.")
    method = known[base]
    if not turned:
        return method
    recipe, titles = method.recipe, []
    available = recipe.switches()
    for switch in turned:
        if switch not in available:
            choice = f"choose from {', '.join(available)}" if available else "it has none"
            raise BadInput(f"The method '{base}' has no switch '{switch}'; {choice}.")
        if turned.count(switch) > 1:
            raise BadInput(f"The switch '{switch}' is given twice in '{name}'; give it once.")
        recipe = available[switch].change(recipe)
        titles.append(available[switch].title)
    return replace(
        method,
        name=name,
        title=f"{method.title}, {', '.join(titles)}",
        recipe=recipe,
        family="ablation",
    )

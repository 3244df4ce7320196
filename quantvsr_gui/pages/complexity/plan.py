"""Ranks, sizes and work of all layers for some settings: what moves while a slider is dragged. NumPy only."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from quantvsr.calibration.allocation import Allocation, RankSettings
from quantvsr.calibration.cost import Cost, CostModel
from quantvsr.calibration.ranks import allocate
from quantvsr.jobs.options import Bits
from quantvsr.jobs.settings import RANK_NUMBERS
from quantvsr.methods import get_method
from quantvsr.project import Settings
from quantvsr.quant.config import LayerQuantConfig
from quantvsr_gui.pages.complexity.data import Measured


@dataclass(frozen=True)
class Choice:
    """What decides ranks and sizes.

    Attributes:
        layer: Settings of a quantized layer for some bits.
        bits: Bits of all layers.
        ranks: The rank rule, without ranks set by hand.
        by_hand: Ranks set by hand.
        bits_by_hand: Bits set by hand.
    """

    layer: Callable[[int, int], LayerQuantConfig]
    bits: Bits
    ranks: RankSettings
    by_hand: Mapping[str, int]
    bits_by_hand: Mapping[str, Bits]


def choice_of(settings: Settings) -> Choice:
    """What a project's settings decide.

    Raises:
        BadInput: They do not go together.
    """
    recipe = get_method(settings.method).recipe
    given = {name: getattr(settings, name) for name in RANK_NUMBERS}
    ranks = recipe.ranks({name: value for name, value in given.items() if value is not None})
    return Choice(recipe.layer, settings.bits, ranks, settings.rank_overrides, settings.bit_overrides)


@dataclass(frozen=True)
class Plan:
    """The outcome; arrays are (L,) in network order.

    Attributes:
        measured: What it is for.
        choice: What decided it.
        allocation: Ranks and how they came about.
        cost: Bytes and work.
        model: Estimates costs of other ranks.
        weight_bits, activation_bits: Of each layer.
        by_hand: Whether rank or bits of a layer were set by hand.
    """

    measured: Measured
    choice: Choice
    allocation: Allocation
    cost: Cost
    model: CostModel
    weight_bits: NDArray[np.int64]
    activation_bits: NDArray[np.int64]
    by_hand: NDArray[np.bool_]

    @property
    def ranks(self) -> NDArray[np.int64]:
        """Rank of each layer."""
        return self.cost.ranks


class Planner:
    """Makes plans for one analysis; keeps what does not change between two positions of a slider."""

    def __init__(self, measured: Measured) -> None:
        self.measured = measured
        self._model: tuple[object, CostModel] | None = None

    def plan(self, choice: Choice) -> Plan:
        """Allocate and count.

        Raises:
            BadInput: The settings do not go together.
        """
        measured = self.measured
        # Layers that were excluded or are of another model keep their override for the day they come back.
        own_bits = {n: b for n, b in choice.bits_by_hand.items() if n in measured.index}
        own_ranks = {n: r for n, r in choice.by_hand.items() if n in measured.index}
        model = self._cost_model(choice, own_bits)
        allocation = allocate(measured.table, replace(choice.ranks, overrides=own_ranks), cost=model)
        bits = [own_bits.get(name, choice.bits) for name in measured.names]
        return Plan(
            measured,
            choice,
            allocation,
            model.estimate(allocation.ranks),
            model,
            np.array([pair.weights for pair in bits], np.int64),
            np.array([pair.activations for pair in bits], np.int64),
            np.array([name in own_ranks or name in own_bits for name in measured.names], bool),
        )

    def _cost_model(self, choice: Choice, own: Mapping[str, Bits]) -> CostModel:
        key = (choice.layer, choice.bits, tuple(sorted((n, str(b)) for n, b in own.items())))
        if self._model is None or self._model[0] != key:
            config = choice.layer(choice.bits.weights, choice.bits.activations)
            overrides = {name: choice.layer(bits.weights, bits.activations) for name, bits in own.items()}
            self._model = key, CostModel(self.measured.shapes, config, overrides)
        return self._model[1]

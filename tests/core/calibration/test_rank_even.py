import numpy as np
import pytest

from quantvsr.calibration.cost import CostModel, LayerShape
from quantvsr.calibration.ranks import RankSettings, allocate
from quantvsr.calibration.table import ComplexityTable
from quantvsr.quant.config import default

SHAPES = [
    LayerShape("a", "conv2d", 64, 32, (3, 3)),
    LayerShape("b", "linear", 48, 16),
    LayerShape("c", "linear", 96, 96),
]
TABLE = ComplexityTable.from_layers({shape.name: (np.ones(3), np.ones(3)) for shape in SHAPES})
COST = CostModel(SHAPES, default())


@pytest.mark.parametrize("extra", [0.6, 1.0, 2.0, 8.0])
def test_one_rank_for_all_as_large_as_the_budget_allows(extra):
    settings = RankSettings(rule="even", extra_bits=extra, max_rank=64)
    found = allocate(TABLE, settings, cost=COST)
    rank = max(found.ranks.values())
    assert found.ranks == {"a": min(rank, 32), "b": min(rank, 16), "c": rank}
    assert found.effective_bits == COST.estimate(found.ranks).effective_bits
    if found.within_budget:
        assert found.effective_bits <= 4 + extra
        more = COST.estimate(dict.fromkeys("abc", rank + settings.multiple))
        assert rank + settings.multiple > 64 or more.effective_bits > 4 + extra


def test_without_a_branch_or_a_budget():
    none = CostModel(SHAPES, default().replace(low_rank=False))
    assert set(allocate(TABLE, RankSettings(rule="even"), cost=none).ranks.values()) == {0}
    whole = allocate(TABLE, RankSettings(rule="even", extra_bits=None, max_rank=24), cost=COST)
    assert whole.ranks == {"a": 24, "b": 16, "c": 24}
    by_hand = allocate(TABLE, RankSettings(rule="even", overrides={"b": 3}), cost=COST)
    assert by_hand.ranks["b"] == 3

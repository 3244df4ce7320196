"""The same rank in every layer, as large as the budget allows: what allocation has to beat. NumPy only."""

import math
from collections.abc import Sequence

import numpy as np

from quantvsr.calibration.allocation import Allocation, RankSettings, Thresholds, rule
from quantvsr.calibration.cost import CostModel
from quantvsr.calibration.table import ComplexityTable


@rule("even")
def _even(
    table: ComplexityTable, settings: RankSettings, order: Sequence[str], cost: CostModel | None
) -> Allocation:
    """Complexity is not looked at; `max_rank` is the only limit besides min(O, n) and the budget."""
    if cost is None or cost.names != tuple(order):
        raise ValueError("the even rule needs the shapes of exactly the layers it allocates")
    limit = cost.sizes * int(cost.config.low_rank)
    budget = math.inf
    if settings.extra_bits is not None:
        budget = (cost.weight_bits + settings.extra_bits) * float(cost.weights.sum()) / 8
    rank = 0
    total = float(cost.fixed_bytes.sum())
    for wanted in range(settings.multiple, settings.max_rank + 1, settings.multiple):
        total = float((cost.fixed_bytes + cost.bytes_per_rank * np.minimum(wanted, limit)).sum())
        if total > budget:
            break
        rank = wanted
    ranks = dict(zip(order, np.minimum(rank, limit).tolist(), strict=True)) | dict(settings.overrides)
    nothing = dict.fromkeys(order)
    return Allocation(
        ranks=ranks,
        settings=settings,
        thresholds=Thresholds(math.nan, math.nan, math.nan, math.nan),
        raw=nothing,
        wish={name: float(rank) for name in order},
        high=nothing,
        low=nothing,
        limits={name: (0, int(top)) for name, top in zip(order, limit.tolist(), strict=True)},
        effective_bits=cost.estimate(ranks).effective_bits,
        within_budget=float(cost.fixed_bytes.sum()) <= budget,
    )

"""The published rank rule, exactly (specification section 9). NumPy only."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantvsr.calibration.allocation import Allocation, RankSettings, Thresholds, rule
from quantvsr.calibration.cost import CostModel
from quantvsr.calibration.table import ComplexityTable


def linear_quantile(values: NDArray[np.float32], q: float) -> np.float32:
    """Quantile with linear interpolation between order statistics, all arithmetic in float32.

    NaN if a value is NaN or none is given (the reference's behaviour: one NaN spoils the pool).
    """
    if not len(values) or np.isnan(values).any():
        return np.float32(np.nan)
    position = np.float32(q) * np.float32(len(values) - 1)
    below = np.floor(position)
    weight = np.float32(position - below)
    i = int(below)
    j = min(i + 1, len(values) - 1)
    ordered = np.partition(values.astype(np.float32, copy=False), (i, j))
    start, end = ordered[i], ordered[j]
    # Two forms, so that both ends are met exactly.
    step = np.float32(end - start)
    return np.float32(start + weight * step if weight < 0.5 else end - step * (np.float32(1) - weight))


@rule("reference")
def _reference(
    table: ComplexityTable, settings: RankSettings, order: Sequence[str], cost: CostModel | None
) -> Allocation:
    p = settings.percentile
    spatial_low, spatial_high = linear_quantile(table.spatial, p), linear_quantile(table.spatial, 1 - p)
    temporal_low, temporal_high = linear_quantile(table.temporal, p), linear_quantile(table.temporal, 1 - p)
    low = (table.spatial <= spatial_low) & (table.temporal <= temporal_low)
    high = (table.spatial >= spatial_high) & (table.temporal >= temporal_high) & ~low
    size = len(table.names)
    lows = np.bincount(table.owner[low], minlength=size)
    highs = np.bincount(table.owner[high], minlength=size)
    raw = dict(zip(table.names, (settings.min_rank + highs - lows).tolist(), strict=True))
    half, multiple = settings.multiple // 2, settings.multiple
    ranks: dict[str, int] = {}
    wish: dict[str, float] = {}
    for name in order:
        start = raw.get(name, settings.min_rank)
        clipped = min(max(start, settings.min_rank), settings.max_rank)
        wish[name] = float(clipped)
        # Layers without statistics keep the minimum as it is; rounding comes after the clip (SPEC 9).
        ranks[name] = (clipped + half) // multiple * multiple if name in raw else settings.min_rank
    ranks.update(settings.overrides)
    limits = (settings.min_rank, settings.max_rank)
    return Allocation(
        ranks=ranks,
        settings=settings,
        thresholds=Thresholds(
            float(spatial_low), float(spatial_high), float(temporal_low), float(temporal_high)
        ),
        raw={name: raw.get(name) for name in order},
        wish=wish,
        high=_shares(table, highs, order),
        low=_shares(table, lows, order),
        limits=dict.fromkeys(order, limits),
        effective_bits=cost.estimate(ranks).effective_bits if cost is not None else None,
    )


def _shares(table: ComplexityTable, counts: NDArray[Any], order: Sequence[str]) -> dict[str, float | None]:
    total = table.counts
    share = np.divide(counts, total, out=np.zeros(len(total)), where=total > 0)
    found = dict(zip(table.names, share.tolist(), strict=True))
    return {name: found.get(name) for name in order}

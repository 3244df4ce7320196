"""Our rank rule: counts normalised, ranks scaled to the layer's size and to a budget. NumPy only."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantvsr.calibration.allocation import Allocation, RankSettings, Thresholds, rule
from quantvsr.calibration.cost import CostModel
from quantvsr.calibration.table import ComplexityTable

_TIE = 1e-9  # keeps p * N on the right side of a whole number in floating point


def step_quantile(values: NDArray[np.float32], weights: NDArray[np.float64] | None, q: float) -> float:
    """The smallest value at or below which lies at least the share q of the weight.

    Unlike an interpolated quantile it does not change when every sample is taken twice.
    """
    if not len(values):
        return math.nan
    if weights is None:
        index = max(math.ceil(q * len(values) - _TIE) - 1, 0)
        return float(np.partition(values, index)[index])
    order = np.argsort(values, kind="stable")
    total = np.cumsum(weights[order])
    index = int(np.searchsorted(total, (q - _TIE) * total[-1]))
    return float(values[order[min(index, len(values) - 1)]])


def _score(
    table: ComplexityTable, percentile: float
) -> tuple[Thresholds, NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Thresholds, shares of high and of low samples per observed layer, and which layers have any."""
    good = np.isfinite(table.spatial) & np.isfinite(table.temporal)
    owner, spatial, temporal = table.owner[good], table.spatial[good], table.temporal[good]
    size = len(table.names)
    count = np.bincount(owner, minlength=size)
    # Every layer counts the same, however many samples it has.
    used = count[count > 0]
    weights = None if not len(used) or (used == used[0]).all() else 1.0 / count[owner]
    points = Thresholds(
        step_quantile(spatial, weights, percentile),
        -step_quantile(-spatial, weights, percentile),
        step_quantile(temporal, weights, percentile),
        -step_quantile(-temporal, weights, percentile),
    )
    low, high = np.ones(len(owner), bool), np.ones(len(owner), bool)
    for values, below, above in (
        (spatial, points.spatial_low, points.spatial_high),
        (temporal, points.temporal_low, points.temporal_high),
    ):
        # A statistic that is the same everywhere (still images have no temporal one) says nothing: left out.
        if len(values) and values.min() < values.max():
            low &= values <= below
            high &= values >= above
    if len(owner) and spatial.min() == spatial.max() and temporal.min() == temporal.max():
        low[:] = high[:] = False
    either = np.maximum(count, 1)
    highs = np.bincount(owner[high], minlength=size) / either
    lows = np.bincount(owner[low], minlength=size) / either
    return points, highs, lows, count > 0


def rank_limits(
    size: NDArray[np.int64], settings: RankSettings
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Lowest and highest rank of layers with these largest ranks, after rounding to the multiple.

    The lowest is rounded up and the highest down, so that rounding never leaves the interval. Where no
    multiple lies inside, the unrounded lowest rank is the only choice.
    """
    step = settings.multiple
    low = np.maximum(settings.min_rank, np.ceil(settings.min_share * size - _TIE).astype(np.int64))
    low = np.minimum(low, np.minimum(size, settings.max_rank))
    high = np.minimum(settings.max_rank, np.floor(settings.max_share * size + _TIE).astype(np.int64))
    high = np.maximum(np.minimum(high, size), low)
    low_step, high_step = -(-low // step) * step, high // step * step
    fits = low_step <= high_step
    return np.where(fits, low_step, low), np.where(fits, high_step, low)


@rule("default")
def _default(
    table: ComplexityTable, settings: RankSettings, order: Sequence[str], cost: CostModel | None
) -> Allocation:
    if cost is None or cost.names != tuple(order):
        raise ValueError("the default rule needs the shapes of exactly the layers it allocates")
    points, highs, lows, seen = _score(table, settings.percentile)
    place = {name: i for i, name in enumerate(table.names)}
    where = np.array([place.get(name, -1) for name in order], np.int64)
    observed = (where >= 0) & (seen[where] if len(seen) else False)
    score = np.where(observed, (highs - lows)[where] if len(seen) else 0.0, 0.0)

    # Without a low-rank branch there is nothing to allocate.
    low, high = rank_limits(cost.sizes * int(cost.config.low_rank), settings)
    fixed = np.array([name in settings.overrides for name in order], bool)
    by_hand = np.array([settings.overrides.get(name, 0) for name in order], np.int64)
    base = np.where(fixed, np.minimum(by_hand, cost.sizes), low)
    top = np.where(fixed, base, high)
    # A layer without statistics is treated as an average one.
    wish = np.where(fixed, base, low + (high - low) * (score + 1) / 2)

    budget = None
    if settings.extra_bits is not None:
        bits = cost.weight_bits + settings.extra_bits
        budget = math.floor(bits * float(cost.weights.sum()) / 8)
    errors = _errors(table, where, observed)
    if errors is not None and budget is not None:
        # A layer complex in both respects counts twice, a simple one half.
        ranks = _spend(base, top, errors * 2.0 ** score[:, None], settings.multiple, cost, budget)
    else:
        ranks = _hand_out(base, top, wish, settings.multiple, cost, budget)
    total = int((cost.fixed_bytes + cost.bytes_per_rank * ranks).sum())
    weights = int(cost.weights.sum())

    def named(values: NDArray[Any]) -> dict[str, Any]:
        return dict(zip(order, values.tolist(), strict=True))

    def seen_only(values: NDArray[np.float64]) -> dict[str, float | None]:
        picked = values[where] if len(values) else np.zeros(len(order))
        return {n: v if o else None for n, v, o in zip(order, picked.tolist(), observed, strict=True)}

    return Allocation(
        ranks=named(ranks),
        settings=settings,
        thresholds=points,
        raw=seen_only(highs - lows),
        wish=named(wish.astype(np.float64)),
        high=seen_only(highs),
        low=seen_only(lows),
        limits=dict(zip(order, zip(low.tolist(), high.tolist(), strict=True), strict=True)),
        effective_bits=total * 8 / weights if weights else 0.0,
        within_budget=budget is None or total <= budget,
    )


def _errors(
    table: ComplexityTable, where: NDArray[np.int64], observed: NDArray[np.bool_]
) -> NDArray[np.float64] | None:
    """Expected errors by rank in the order wanted, 0 for layers that were not measured; None without any."""
    if not len(table.names) or not table.errors.shape[1]:
        return None
    errors = np.where(observed[:, None], table.errors[where], 0.0).astype(np.float64)
    return np.nan_to_num(errors, nan=0.0)


def _spend(
    base: NDArray[np.int64],
    top: NDArray[np.int64],
    errors: NDArray[np.float64],
    step: int,
    cost: CostModel,
    budget: int,
) -> NDArray[np.int64]:
    """Raise ranks from `base` towards `top` in steps, always the one that saves most error per byte.

    A step is never worth more than the one before it, so that what is granted is a prefix of one list and no
    layer loses anything when the budget grows.
    """
    owner, before, after = _steps(base, top, step)
    gain = after - before
    last = errors.shape[1] - 1
    saved = errors[owner, np.minimum(before, last)] - errors[owner, np.minimum(after, last)]
    price = np.maximum(gain * cost.bytes_per_rank[owner], 1)
    worth = saved / price
    for mine in np.split(worth, np.flatnonzero(np.diff(owner)) + 1):
        np.minimum.accumulate(mine, out=mine)
    turn = np.lexsort((before, owner, -worth))
    turn = turn[worth[turn] > 0]
    spent = int((cost.fixed_bytes + cost.bytes_per_rank * base).sum())
    spent_after = spent + np.cumsum(gain[turn] * cost.bytes_per_rank[owner[turn]])
    granted = turn[: int(np.searchsorted(spent_after, budget, side="right"))]
    return base + np.bincount(owner[granted], weights=gain[granted], minlength=len(base)).astype(np.int64)


def _steps(
    base: NDArray[np.int64], top: NDArray[np.int64], step: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """All steps from `base` to `top`: their layers, and the ranks before and after each."""
    steps = (top - base + step - 1) // step
    owner = np.repeat(np.arange(len(base)), steps)
    number = np.arange(len(owner)) - np.repeat(np.cumsum(steps) - steps, steps)
    # A rank that is no multiple (a limit, an odd size) is left by a shorter step to the next multiple.
    before = np.where(number == 0, base[owner], (base[owner] // step + number) * step)
    after = np.minimum((base[owner] // step + number + 1) * step, top[owner])
    return owner, before, np.maximum(after, before)


def _hand_out(
    base: NDArray[np.int64],
    top: NDArray[np.int64],
    wish: NDArray[np.float64],
    step: int,
    cost: CostModel,
    budget: int | None,
) -> NDArray[np.int64]:
    """Raise ranks from `base` towards `top` in steps, the layer furthest behind its wish first.

    The steps of all layers form one list in the order in which they are due; what is granted is a prefix of
    it. So no layer loses anything when the budget grows.
    """
    owner, before, after = _steps(base, top, step)
    gain = after - before
    # The step is due when the wish, scaled by this factor, is nearer to the rank after it than to the one
    # before.
    with np.errstate(divide="ignore"):
        due = (before + gain / 2) / wish[owner]
    if budget is None:
        granted = due <= 1
        return base + np.bincount(owner[granted], weights=gain[granted], minlength=len(base)).astype(np.int64)
    turn = np.lexsort((owner, -wish[owner], due))
    spent = int((cost.fixed_bytes + cost.bytes_per_rank * base).sum())
    spent_after = spent + np.cumsum(gain[turn] * cost.bytes_per_rank[owner[turn]])
    granted = turn[: int(np.searchsorted(spent_after, budget, side="right"))]
    return base + np.bincount(owner[granted], weights=gain[granted], minlength=len(base)).astype(np.int64)

"""Which calibration sample comes when, and how much it counts. Imports no torch."""

import functools
import random
from collections.abc import Mapping, Sequence
from typing import Any


def order_of(indices: Sequence[int], seed: int, stage: str, number: int) -> int:
    """Which sample comes as number `number` (from 0): a new order for every pass, from the seed alone."""
    turn, place = divmod(number, len(indices))
    return _permutation(tuple(indices), f"{seed}/{stage}/{turn}")[place]


@functools.lru_cache(maxsize=4)
def _permutation(indices: tuple[int, ...], key: str) -> tuple[int, ...]:
    order = list(indices)
    random.Random(key).shuffle(order)
    return tuple(order)


def sample_weights(infos: Sequence[Mapping[str, Any]], emphasis: float) -> list[float]:
    """Weights of samples, mean 1; see `RefineConfig.emphasis`. Samples without a step count as last ones."""
    raw = [
        ((info.get("step", 0) + 1) / info.get("steps", info.get("step", 0) + 1)) ** emphasis for info in infos
    ]
    mean = sum(raw) / len(raw) if raw else 1.0
    return [value / mean for value in raw]

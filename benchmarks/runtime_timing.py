"""Measuring by turns, and the rates of the machine."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

Run = Callable[[], object]
Times = dict[str, list[float]]


class Clock:
    """What time is read from; `processor` counts one thread's own time."""

    read: Callable[[], float] = staticmethod(time.perf_counter)

    @classmethod
    def processor(cls) -> None:
        """Count processor time of one thread from now on."""
        cls.read = staticmethod(time.thread_time)


def by_turns(contenders: Mapping[str, Run], rounds: int, *, twice: bool = False) -> Times:
    """Seconds of each contender in each round, after one round that does not count.

    With `twice` each runs two times per turn, of which the second counts: what ran before it is then itself,
    as in use, and not another one, whose memory is elsewhere.
    """
    times: Times = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, run in contenders.items():
            if twice and number:
                run()
            began = Clock.read()
            run()
            if number:
                times[name].append(Clock.read() - began)
    return times


def ratio(times: Times, name: str, base: str) -> float:
    """How many times as fast as `base`: median over rounds."""
    return statistics.median(b / t for b, t in zip(times[base], times[name], strict=True))


def total(found: Sequence[tuple[Times, int]]) -> Times:
    """The sum of several measurements with their counts, round by round."""
    names = found[0][0]
    rounds = range(min(len(times[next(iter(names))]) for times, _ in found))
    return {name: [sum(times[name][i] * count for times, count in found) for i in rounds] for name in names}


_COLUMNS = {"median_ms": 1, "least_ms": 1, "times": 2}


def show(title: str, times: Times, operations: float, limit: float | None) -> dict[str, Any]:
    """Print one table row per contender; returns them as JSON values."""
    base = next(iter(times))
    rows = {}
    for name, found in times.items():
        median, best = statistics.median(found), min(found)
        row: dict[str, Any] = {
            "median_ms": 1e3 * median,
            "least_ms": 1e3 * best,
            "times": ratio(times, name, base),
        }
        share = ""
        if limit and "integer" in name:
            row["share_of_int8_limit"] = operations / median / limit
            share = f"{row['share_of_int8_limit']:.0%} of the int8 rate"
        cells = (title, name, *(f"{row[key]:.{digits}f}" for key, digits in _COLUMNS.items()), share)
        print(f"| {' | '.join(cells)} |", flush=True)
        rows[name] = row
    return rows


def limits(rounds: int) -> dict[str, float]:
    """Operations a second of large products, and bytes a second of a copy."""
    n, count = 2048, 64 * 2**20
    a, b = torch.randn(n, n), torch.randn(n, n)
    a16, b16 = a.bfloat16(), b.bfloat16()
    codes = torch.randint(0, 16, (n, n), dtype=torch.uint8)
    packed = torch.ops.onednn.qlinear_prepack(torch.randint(-8, 8, (n, n), dtype=torch.int8), None)
    ones, zeros = torch.ones(n), torch.zeros(n, dtype=torch.int32)
    source, target = torch.ones(count), torch.ones(count)
    times = by_turns(
        {
            "fp32": lambda: torch.mm(a, b),
            "bf16": lambda: torch.mm(a16, b16),
            "int8": lambda: torch.ops.onednn.qlinear_pointwise(
                codes, 1.0, 0, packed, ones, zeros, None, 1.0, 0, torch.float32, "none", [], ""
            ),
            "memory": lambda: target.copy_(source),
        },
        rounds,
    )
    work = {"fp32": 2 * n**3, "bf16": 2 * n**3, "int8": 2 * n**3, "memory": 8 * count}
    # A limit is what was reached at best.
    found = {name: work[name] / min(times[name]) for name in times}
    for name, rate in found.items():
        print(f"| limit | {name} | {rate / 1e9:.0f} {'GB/s' if name == 'memory' else 'GOP/s'} |")
    return found

"""How the product of a layer is cut into programs: measured choices, kept as data."""

import functools
import json
import math
from dataclasses import dataclass
from pathlib import Path

_FILE = Path(__file__).with_name("tiles.json")


@dataclass(frozen=True)
class Tile:
    """Sizes of one program.

    Attributes:
        m: Positions.
        n: Output channels.
        k: Input channels in one step, 64 or 128.
        warps: Warps of 32 threads.
        stages: Steps loaded ahead.
        swap: Compute channels by positions instead of positions by channels.
        split: Programs that share one sum.
        nibbles: Unpack 4-bit weights inside the product instead of before it.
    """

    m: int
    n: int
    k: int = 64
    warps: int = 8
    stages: int = 4
    swap: bool = False
    split: int = 1
    nibbles: bool = False


SMALLEST = Tile(64, 64, 64, 4, 2)
"""Fits every GPU that has the instructions."""


@dataclass(frozen=True)
class Shape:
    """A product: positions by outputs, sums over `taps` times `channels` terms."""

    positions: int
    outputs: int
    channels: int
    taps: int = 1


@functools.cache
def measured() -> tuple[tuple[Shape, Tile], ...]:
    """Shapes and the fastest tile of each (on an H200, by `benchmarks/tune_tiles.py`)."""
    entries = json.loads(_FILE.read_text(encoding="utf-8"))["tiles"]
    return tuple((Shape(**entry["shape"]), Tile(**entry["tile"])) for entry in entries)


def _distance(a: Shape, b: Shape) -> float:
    """Zero for equal shapes; a factor of two in the positions counts 1."""

    def octaves(x: int, y: int) -> float:
        return abs(math.log2(x / y))

    return (
        octaves(a.positions, b.positions)
        + octaves(a.outputs, b.outputs)
        + octaves(a.channels, b.channels) / 2
        + octaves(a.taps, b.taps) / 2
    )


@functools.lru_cache(maxsize=1024)
def best_tile(shape: Shape) -> Tile:
    """The tile that was fastest for the most similar shape measured."""
    return min(measured(), key=lambda entry: _distance(entry[0], shape))[1]

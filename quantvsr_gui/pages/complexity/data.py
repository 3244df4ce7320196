"""What an analysis measured, as the Complexity page shows it. NumPy only, no Qt."""

import fnmatch
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantvsr.calibration.cost import LayerShape
from quantvsr.calibration.table import ComplexityTable
from quantvsr.errors import BadInput
from quantvsr.files import read_json

KINDS = (
    "Convolution",
    "Temporal",
    "Attention",
    "Feed-forward",
    "Resampling",
    "Shortcut",
    "Embedding",
    "Other",
)
"""Types of blocks in the order of their colours."""

_PER_VALUE = ("spatial", "temporal", "sample", "scale", "low", "high")

# The first pattern that fits a dotted name tells the type.
_PATTERNS = (
    ("Temporal", r"tempor"),
    ("Feed-forward", r"(^|[._])(ff|mlp|fc)\d*([._]|$)"),
    ("Attention", r"(attn|attention|to_[qkv]|to_out|qkv|transformer)"),
    ("Resampling", r"((down|up)sampl|\.op$)"),
    ("Shortcut", r"(skip|shortcut)"),
    ("Embedding", r"(emb|time)"),
)


def kind_of(shape: LayerShape) -> str:
    """The type of block a layer belongs to, one of `KINDS`, told by its name and its operation."""
    for kind, pattern in _PATTERNS:
        if re.search(pattern, shape.name):
            return kind
    return "Convolution" if shape.kind.startswith("conv") else "Other"


def group_of(name: str) -> str:
    """The part of the network a layer lies in: the first word of its dotted name."""
    return name.partition(".")[0]


@dataclass(frozen=True)
class Measured:
    """Complexity and sizes of all layers that can be quantized.

    Attributes:
        shapes: All layers in network order.
        table: Statistics per layer and sample; layers without positions are not in it.
    """

    shapes: tuple[LayerShape, ...]
    table: ComplexityTable

    @classmethod
    def load(cls, folder: Path) -> "Measured":
        """Read what the job `analyze` wrote.

        Raises:
            BadInput: There is no analysis, or it is damaged.
        """
        path = folder / "ranks.json"
        value: Any = read_json(path)
        try:
            shapes = tuple(LayerShape.from_json(shape) for shape in value["shapes"])
        except (KeyError, TypeError, AttributeError) as error:
            raise BadInput(
                f"{path} does not tell the sizes of the layers ({error}); analyse again."
            ) from error
        table = ComplexityTable.load(folder / "complexity.npz")
        if not set(table.names) <= {shape.name for shape in shapes}:
            raise BadInput(
                f"complexity.npz and ranks.json in {folder} do not belong together; analyse again."
            )
        return cls(shapes, table)

    def without(self, excluded: Sequence[str]) -> "Measured":
        """The same without some layers, given by names or patterns."""
        gone = {
            shape.name
            for shape in self.shapes
            if any(fnmatch.fnmatchcase(shape.name, pattern) for pattern in excluded)
        }
        if not gone:
            return self
        kept = [i for i, name in enumerate(self.table.names) if name not in gone]
        return Measured(
            tuple(shape for shape in self.shapes if shape.name not in gone),
            subset(self.table, kept),
        )

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All layers in network order."""
        return tuple(shape.name for shape in self.shapes)

    @cached_property
    def index(self) -> dict[str, int]:
        """Place of each layer in network order."""
        return {name: i for i, name in enumerate(self.names)}

    @cached_property
    def kinds(self) -> NDArray[np.int64]:
        """Number of each layer's type in `KINDS`, (L,)."""
        return np.array([KINDS.index(kind_of(shape)) for shape in self.shapes], np.int64)

    @cached_property
    def groups(self) -> list[tuple[str, int, int]]:
        """(name, first layer, layer after the last) of neighbours in the same part of the network."""
        found: list[tuple[str, int, int]] = []
        for i, name in enumerate(self.names):
            part = group_of(name)
            if found and found[-1][0] == part:
                found[-1] = (part, found[-1][1], i + 1)
            else:
                found.append((part, i, i + 1))
        return found

    @cached_property
    def place(self) -> NDArray[np.int64]:
        """Place in network order of each layer of the table."""
        return np.array([self.index[name] for name in self.table.names], np.int64)

    @cached_property
    def spatial(self) -> NDArray[np.float64]:
        """Mean C_s of each layer in network order, (L,); NaN where not observed."""
        return self._spread(self.table.means()[0])

    @cached_property
    def temporal(self) -> NDArray[np.float64]:
        """Mean C_t of each layer in network order, (L,); NaN where not observed."""
        return self._spread(self.table.means()[1])

    def _spread(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        found = np.full(len(self.shapes), np.nan)
        found[self.place] = values
        return found

    def errors(self, name: str) -> NDArray[np.float32] | None:
        """Expected error of a layer's output by rank, (R,); None where it was not measured."""
        if name not in self.table.names or not self.table.errors.shape[1]:
            return None
        return self.table.errors[self.table.names.index(name)]

    @cached_property
    def steps(self) -> NDArray[np.float64]:
        """The timesteps that samples were taken at, rising, (S,)."""
        times = self.table.times
        return np.unique(times[np.isfinite(times)])

    def by_step(self, which: str) -> NDArray[np.float64]:
        """Mean of one statistic for each timestep and layer.

        Args:
            which: "spatial" or "temporal".

        Returns:
            (S, L) in the order of `steps` and of the network; NaN where there is no value.
        """
        table, steps, count = self.table, self.steps, len(self.shapes)
        values = getattr(table, which).astype(np.float64)
        if not len(steps) or not len(values):
            return np.full((len(steps), count), np.nan)
        times = table.times[table.sample]
        good = np.isfinite(values) & np.isfinite(times)
        cell = np.searchsorted(steps, times[good]) * count + self.place[table.owner[good]]
        size = len(steps) * count
        number = np.bincount(cell, minlength=size)
        total = np.bincount(cell, weights=values[good], minlength=size)
        mean = np.divide(total, number, out=np.full(size, np.nan), where=number > 0)
        return mean.reshape(len(steps), count)


def subset(table: ComplexityTable, kept: Sequence[int]) -> ComplexityTable:
    """Some layers of a table, by number."""
    parts = [np.arange(table.offsets[i], table.offsets[i + 1]) for i in kept]
    values = np.concatenate(parts) if parts else np.zeros(0, np.int64)
    rows = np.array(kept, np.int64)
    changed: dict[str, Any] = {
        "names": tuple(table.names[i] for i in kept),
        "offsets": np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype(np.int64),
    }
    for item in fields(table):
        if item.name in _PER_VALUE:
            changed[item.name] = getattr(table, item.name)[values]
        elif item.name not in (*changed, "times"):
            changed[item.name] = getattr(table, item.name)[rows]
    return replace(table, **changed)


def share_at(table: ComplexityTable, which: str, value: float, *, above: bool) -> float:
    """The share of a statistic's values at or below (or above) a value, every layer counting the same.

    The inverse of the default rule's thresholds: a line dragged to a value gives its percentile.

    Args:
        table: Statistics.
        which: "spatial" or "temporal".
        value: Where the line is.
        above: Count values at or above instead.

    Returns:
        0..1; 0 without values.
    """
    good = np.isfinite(table.spatial) & np.isfinite(table.temporal)
    values, owner = getattr(table, which)[good], table.owner[good]
    if not len(values):
        return 0.0
    count = np.bincount(owner, minlength=len(table.names))
    weights = 1.0 / count[owner]
    inside = values >= value if above else values <= value
    return float(weights[inside].sum() / weights.sum())

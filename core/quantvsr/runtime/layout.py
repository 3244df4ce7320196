"""How the kernels see a layer: its window over three dimensions, what shares a range, what they cannot do."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

from quantvsr.quant.layers import DualBranchLayer

Triple = tuple[int, int, int]


@dataclass(frozen=True)
class Window:
    """A kernel over (Z, Y, X), and the borders it wants."""

    size: Triple
    stride: Triple
    dilation: Triple
    left: Triple
    right: Triple

    @property
    def taps(self) -> int:
        """Positions under the kernel."""
        return math.prod(self.size)

    @property
    def pads(self) -> bool:
        """Whether there are borders."""
        return any(self.left + self.right)

    def padded(self, sizes: Triple) -> Triple:
        """Sizes with borders."""
        return triple(n + a + b for n, a, b in zip(sizes, self.left, self.right, strict=True))

    def outputs(self, sizes: Triple) -> Triple:
        """Sizes of the output for an input without borders."""
        steps = zip(self.padded(sizes), self.size, self.stride, self.dilation, strict=True)
        return triple((n - dilation * (k - 1) - 1) // stride + 1 for n, k, stride, dilation in steps)


@dataclass(frozen=True)
class Sizes:
    """One call: `entries` inputs of (Z, Y, X) positions, with borders, and what comes out."""

    entries: int
    inside: Triple
    padded: Triple
    out: Triple

    @classmethod
    def of(cls, window: Window, entries: int, inside: Triple) -> "Sizes":
        """The sizes of a call for an input."""
        return cls(entries, inside, window.padded(inside), window.outputs(inside))

    @property
    def rows(self) -> int:
        """Input positions of one entry."""
        return math.prod(self.inside)

    @property
    def positions(self) -> int:
        """Output positions of all entries."""
        return self.entries * math.prod(self.out)


def triple(values: Iterable[int], fill: int = 1) -> Triple:
    """Up to three values, filled up in front."""
    found = tuple(values)
    return cast(Triple, (fill,) * (3 - len(found)) + found)


def window_of(layer: DualBranchLayer) -> Window:
    """The kernel of a layer; borders of modes other than zeros are added before and left out here."""
    g = layer.geometry
    explicit = g.explicit if g.padding_mode == "zeros" or not layer.config.honour_padding else ()
    left, right = triple(explicit[::2][::-1], 0), triple(explicit[1::2][::-1], 0)
    return Window(triple(g.kernel), triple(g.stride), triple(g.dilation), left, right)


def refused_block(layer: DualBranchLayer) -> str | None:
    """Why the rotation of a layer cannot be computed in the kernels; None when it can."""
    rotation = layer.rotation(0)
    matrix = None if rotation.is_identity else rotation.block_matrix()
    if not rotation.is_identity and (matrix is None or len(matrix) > 128):
        return "its rotation has no equal blocks of at most 128 channels"
    return None


def range_kind(layer: DualBranchLayer) -> str | None:
    """What shares a range: "position", "time" (all positions along Z), "frame" or "tensor"; None: else."""
    g, window = layer.geometry, window_of(layer)
    if layer.config.activation_granularity != "token":
        return layer.config.activation_granularity
    if not g.dims or (window.taps == 1 and not window.pads):
        return "position"
    if all(size > 1 for size in g.kernel):
        return "frame"
    pads = any(window.left[1:] + window.right[1:])
    return "time" if g.dims == 3 and window.size[1:] == (1, 1) and not pads else None

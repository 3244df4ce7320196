"""What a quantized layer costs: bytes at rest and multiply-accumulates. NumPy only.

Everything a quantized layer stores is counted: packed codes, scales, zero points, rotation signs, the
low-rank factors, the bias and learned activation clips. The counts agree to the byte with what a checkpoint
stores.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields

import numpy as np
from numpy.typing import NDArray

from quantvsr.quant.config import Basis, LayerQuantConfig

FP32_BITS = 32


@dataclass(frozen=True)
class LayerShape:
    """Size of one linear layer or convolution, as the cost needs it.

    Attributes:
        name: Dotted name in the network.
        kind: "linear", "conv1d", "conv2d" or "conv3d".
        out_features: O, output channels.
        in_features_per_group: Input channels of the weight, that is C / groups.
        kernel: Kernel size; () for linear layers.
        groups: Groups of the convolution.
        positions: Output positions (pixels or tokens, over all frames) of one window; 0 where unknown.
        bias: Whether the plain layer has a bias.
        input_positions: Input positions of one window; 0 means as many as output positions.
    """

    name: str
    kind: str
    out_features: int
    in_features_per_group: int
    kernel: tuple[int, ...] = ()
    groups: int = 1
    positions: int = 0
    bias: bool = True
    input_positions: int = 0

    @property
    def columns(self) -> int:
        """n, columns of the weight as a matrix (O, n)."""
        return self.in_features_per_group * math.prod(self.kernel)

    @property
    def in_features(self) -> int:
        """C, input channels of the layer."""
        return self.in_features_per_group * self.groups

    @property
    def weights(self) -> int:
        """Number of weights, O * n."""
        return self.out_features * self.columns

    @property
    def size(self) -> int:
        """min(O, n), the largest rank of the weight as a matrix."""
        return min(self.out_features, self.columns)

    def largest_rank(self, basis: Basis) -> int:
        """The largest rank that makes sense in this basis of the low-rank branch."""
        if basis == "weight":
            return self.size
        return min(self.out_features * math.prod(self.kernel), self.in_features_per_group)

    def to_json(self) -> dict[str, object]:
        """A JSON-able dictionary; `LayerShape.from_json` reads it."""
        return {**asdict(self), "kernel": list(self.kernel)}

    @classmethod
    def from_json(cls, value: Mapping[str, object]) -> "LayerShape":
        """Read what `to_json` wrote; unknown keys are ignored."""
        known = {field.name: value[field.name] for field in fields(cls) if field.name in value}
        kernel = known.get("kernel", ())
        known["kernel"] = tuple(kernel) if isinstance(kernel, list | tuple) else ()
        return cls(**known)  # type: ignore[arg-type]


PARTS = (
    "codes", "scales", "zero_points", "signs", "L1", "L2", "bias",
    "activation_clip", "activation_shift", "activation_range", "activation_balance",
)  # fmt: skip
"""What a layer stores, the names of `DualBranchLayer.bytes_at_rest`."""


@dataclass(frozen=True)
class Cost:
    """Costs of all layers; every array is (L,) in the order of `names`.

    Attributes:
        names: Layers.
        weights: Number of weights.
        ranks: Ranks, capped at the largest that makes sense.
        bytes: Bytes at rest for each of `PARTS`, int64.
        macs_low_bit: Integer multiply-accumulates of one window.
        macs_low_rank: Multiply-accumulates of the two thin operations of one window.
        macs_rotation: Multiply-accumulates of rotating one window's activations, by small dense factors as
            it is executed (a fast transform would need additions only).
        bias_fp32: Bytes of the plain layer's bias in FP32.
    """

    names: tuple[str, ...]
    weights: NDArray[np.int64]
    ranks: NDArray[np.int64]
    bytes: dict[str, NDArray[np.int64]]
    macs_low_bit: NDArray[np.int64]
    macs_low_rank: NDArray[np.int64]
    macs_rotation: NDArray[np.int64]
    bias_fp32: NDArray[np.int64]

    @property
    def layer_bytes(self) -> NDArray[np.int64]:
        """All bytes of each layer."""
        return np.stack(list(self.bytes.values())).sum(0)

    @property
    def total_bytes(self) -> int:
        """All bytes of all layers."""
        return int(self.layer_bytes.sum())

    @property
    def fp32_bytes(self) -> int:
        """What the same layers take in FP32: weights and biases, four bytes each."""
        return int(4 * self.weights.sum() + self.bias_fp32.sum())

    @property
    def effective_bits(self) -> float:
        """All bytes * 8 over the number of weights (0 for an empty network)."""
        count = int(self.weights.sum())
        return self.total_bytes * 8 / count if count else 0.0

    @property
    def layer_effective_bits(self) -> NDArray[np.float64]:
        """Effective bits of each layer."""
        return self.layer_bytes * 8 / self.weights

    @property
    def reduction(self) -> float:
        """Share of the FP32 bytes that is saved, 0..1 (0 for an empty network)."""
        return 1 - self.total_bytes / self.fp32_bytes if self.fp32_bytes else 0.0

    @property
    def macs(self) -> int:
        """Multiply-accumulates of both branches and the rotation, all layers, one window."""
        return int(self.macs_low_bit.sum() + self.macs_low_rank.sum() + self.macs_rotation.sum())

    def summary(self) -> dict[str, object]:
        """Totals as a JSON-able dictionary."""
        return {
            "layers": len(self.names),
            "weights": int(self.weights.sum()),
            "bytes": {part: int(values.sum()) for part, values in self.bytes.items()},
            "bytes_total": self.total_bytes,
            "bytes_fp32": self.fp32_bytes,
            "effective_bits": self.effective_bits,
            "reduction": self.reduction,
            "macs_low_bit": int(self.macs_low_bit.sum()),
            "macs_low_rank": int(self.macs_low_rank.sum()),
            "macs_rotation": int(self.macs_rotation.sum()),
        }


class CostModel:
    """Cost of a fixed list of layers for any ranks, computed in well under a millisecond for 500 layers.

    Args:
        shapes: The layers.
        config: How they are quantized and stored; the profile `default` if left out.
        overrides: What holds instead of `config` for single layers, by name: only bits may differ.

    Attributes:
        weight_bits: Bits of a weight's code, averaged over all weights.
    """

    def __init__(
        self,
        shapes: Sequence[LayerShape],
        config: LayerQuantConfig | None = None,
        overrides: Mapping[str, LayerQuantConfig] | None = None,
    ) -> None:
        self.shapes = tuple(shapes)
        self.config = how = config or LayerQuantConfig()
        self.names = tuple(shape.name for shape in shapes)
        own = [(overrides or {}).get(shape.name, how) for shape in shapes]
        bits = np.array([layer.weight_bits for layer in own], np.int64)
        parts = [_parts(shape, how) for shape in shapes]
        out, columns, groups, positions = (
            np.array([getattr(shape, name) for shape in shapes], np.int64)
            for name in ("out_features", "columns", "groups", "positions")
        )
        bias = np.array([shape.bias for shape in shapes], bool)
        real = 2 if how.at_rest == "float16" else 4
        self.weights = out * columns
        bases: list[Basis] = [_basis(shape, how) for shape in shapes]
        self.sizes = np.array(
            [shape.largest_rank(basis) for shape, basis in zip(shapes, bases, strict=True)], np.int64
        )
        total = int(self.weights.sum())
        self.weight_bits = int((bits * self.weights).sum()) / total if total else float(how.weight_bits)
        branch = int(how.low_rank)
        from_activations = np.array([basis == "activation" for basis in bases], bool)
        kernel = np.array([math.prod(shape.kernel) for shape in shapes], np.int64)
        incoming = np.array([shape.input_positions or shape.positions for shape in shapes], np.int64)
        columns_per_rank = np.where(from_activations, columns // kernel, columns)
        rows_per_rank = np.where(from_activations, out * kernel, out)
        self.bytes_per_rank = branch * real * (rows_per_rank + columns_per_rank)
        self._L1, self._L2 = branch * real * rows_per_rank, branch * real * columns_per_rank
        # With groups the same L2 is applied to the channels of every group. Directions of activations are
        # used twice: to find what lies in them, and to take it out.
        self._macs_per_rank = branch * np.where(
            from_activations,
            2 * columns_per_rank * incoming + rows_per_rank * positions,
            (groups * columns + out) * positions,
        )
        self._macs_low_bit = self.weights * positions
        self._macs_rotation = _each(shapes, parts, lambda shape, sizes: _rotation_macs(shape, sizes, how))
        self._bias_fp32 = np.where(bias, 4 * out, 0).astype(np.int64)
        per_channel = how.weight_granularity == "channel"
        rows = out if per_channel else np.ones_like(out)
        count = np.array([len(sizes) for sizes in parts], np.int64)
        channels = np.array([shape.groups * shape.in_features_per_group for shape in shapes], np.int64)
        clip = how.activation_clip != "none"
        self._fixed = {
            "codes": np.array(list(map(_code_bytes, shapes, parts, bits.tolist())), np.int64),
            "scales": real * rows * count,
            "zero_points": count * _zero_point_bytes(rows, how, bits),
            "signs": _each(shapes, parts, lambda shape, sizes: _sign_bytes(shape, sizes, how)),
            "bias": np.where(bias | how.bias_alignment | how.activation_shift, real * out, 0).astype(
                np.int64
            ),
            "activation_clip": 8 * count * int(clip),
            "activation_shift": real * int(how.activation_shift) * channels,
            "activation_range": 8 * count * int(how.activation_range == "static"),
            "activation_balance": real * int(how.activation_balance) * channels * (groups == 1),
        }
        self.fixed_bytes = np.stack(list(self._fixed.values())).sum(0)

    def estimate(self, ranks: Mapping[str, int]) -> Cost:
        """Cost for these ranks.

        Layers that are absent have rank 0, ranks above the largest that makes sense count as that.
        """
        rank = np.minimum(np.array([ranks.get(name, 0) for name in self.names], np.int64), self.sizes)
        stored = self._fixed | {"L1": self._L1 * rank, "L2": self._L2 * rank}
        return Cost(
            names=self.names,
            weights=self.weights,
            ranks=rank,
            bytes={part: stored[part] for part in PARTS},
            macs_low_bit=self._macs_low_bit,
            macs_low_rank=rank * self._macs_per_rank,
            macs_rotation=self._macs_rotation,
            bias_fp32=self._bias_fp32,
        )


def estimate(
    shapes: Sequence[LayerShape], ranks: Mapping[str, int], config: LayerQuantConfig | None = None
) -> Cost:
    """Estimate what quantized layers cost; see `CostModel` for repeated estimates of the same layers."""
    return CostModel(shapes, config).estimate(ranks)


Sizes = tuple[int, ...]


def _basis(shape: LayerShape, how: LayerQuantConfig) -> Basis:
    return "weight" if shape.groups > 1 else how.low_rank_basis


def _each(
    shapes: Sequence[LayerShape], parts: Sequence[Sizes], count: Callable[[LayerShape, Sizes], int]
) -> NDArray[np.int64]:
    return np.array([count(shape, sizes) for shape, sizes in zip(shapes, parts, strict=True)], np.int64)


def _parts(shape: LayerShape, how: LayerQuantConfig) -> Sizes:
    """Input channels (of one group) in each part; the cases that cannot be split are those of the layer."""
    per_group, groups = shape.in_features_per_group, shape.groups
    whole = groups > 1 and (how.rotation == "block" or per_group == 1)
    if how.split_at and groups == 1 and how.split_at < per_group:
        return (how.split_at, per_group - how.split_at)
    if how.parts == 1 or whole or shape.in_features < 2:
        return (per_group,)
    return (per_group - per_group // 2, per_group // 2)


def _packed(count: int, bits: int) -> int:
    return -(-count * bits // 8)


def _code_bytes(shape: LayerShape, sizes: Sizes, bits: int) -> int:
    return sum(_packed(shape.out_features * size * math.prod(shape.kernel), bits) for size in sizes)


def _zero_point_bytes(
    rows: NDArray[np.int64], how: LayerQuantConfig, bits: NDArray[np.int64]
) -> NDArray[np.int64]:
    if how.weight_symmetric:
        return np.zeros_like(rows)
    # Where ranges hold zero the zero point is a code; else any whole number is possible, stored in four
    # bytes.
    return -(-rows * bits // 8) if how.range_holds_zero else 4 * rows


def _rotated(shape: LayerShape, sizes: Sizes, how: LayerQuantConfig) -> Sizes:
    """Sizes of the parts that are rotated."""
    if how.rotation == "none" or (shape.groups > 1 and (how.rotation == "reference" or sizes == (1,))):
        return ()
    return tuple(size for size in sizes if _has_rotation(size, how.rotation))


def _has_rotation(size: int, kind: str) -> bool:
    if kind == "block":
        return size >= 2
    return any(size % core == 0 and (size // core) & (size // core - 1) == 0 for core in (60, 20, 1))


def _sign_bytes(shape: LayerShape, sizes: Sizes, how: LayerQuantConfig) -> int:
    return sum(_packed(size, 1) for size in _rotated(shape, sizes, how))


def _rotation_macs(shape: LayerShape, sizes: Sizes, how: LayerQuantConfig) -> int:
    each = 0
    for size in _rotated(shape, sizes, how):
        if how.rotation == "block":
            width = -(-size // -(-size // how.rotation_block))
        else:
            # One dense factor up to 128, else two (see `quant.hadamard`).
            width = size if size <= 128 else 64 + size // 64
        each += size * width
    return each * shape.groups * (shape.input_positions or shape.positions)

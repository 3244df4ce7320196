"""What a quantized layer costs: bytes at rest and multiply-accumulates. NumPy only.

Everything a quantized layer stores is counted: packed codes, scales, zero points, rotation signs, the
low-rank factors, the bias and learned activation clips. The counts agree to the byte with what a checkpoint
stores.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields

import numpy as np
from numpy.typing import NDArray

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
        """min(O, n), the largest rank that makes sense."""
        return min(self.out_features, self.columns)

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


@dataclass(frozen=True)
class CostSettings:
    """How the parts of a layer are stored.

    Attributes:
        weight_bits: Bits of a weight code.
        activation_bits: Bits of an activation code (enters the bit operations only).
        parts: 1, or 2 with the channel split: each part has its own scales and zero points.
        rotation: Whether rotation signs are stored, one bit per input channel.
        bias_alignment: Whether a learned bias exists; it is stored merged with the layer's own.
        activation_clip: Whether learned clip factors are stored, two per part.
        weight_symmetric: Symmetric weight codes store no zero point.
        scale_bytes: Bytes of one scale.
        zero_point_bits: Bits of one zero point; None means as many as a weight code, packed.
        factor_bytes: Bytes of one element of L1 and L2.
        bias_bytes: Bytes of one bias element.
        clip_bytes: Bytes of one clip factor.
    """

    weight_bits: int = 4
    activation_bits: int = 4
    parts: int = 1
    rotation: bool = True
    bias_alignment: bool = True
    activation_clip: bool = True
    weight_symmetric: bool = False
    scale_bytes: int = 2
    zero_point_bits: int | None = 8
    factor_bytes: int = 2
    bias_bytes: int = 2
    clip_bytes: int = 4


PARTS = ("codes", "scales", "zero_points", "signs", "L1", "L2", "bias", "clips")


@dataclass(frozen=True)
class Cost:
    """Costs of all layers; every array is (L,) in the order of `names`.

    Attributes:
        names: Layers.
        weights: Number of weights.
        ranks: Ranks, capped by min(O, n).
        bytes: Bytes at rest for each of `PARTS`, int64.
        macs_low_bit: Integer multiply-accumulates of one window.
        macs_low_rank: Half-precision multiply-accumulates of the two thin operations of one window.
        rotation_adds: Additions of the fast rotation of one window's activations (not multiplications).
        bias_fp32: Bytes of the plain layer's bias in FP32.
    """

    names: tuple[str, ...]
    weights: NDArray[np.int64]
    ranks: NDArray[np.int64]
    bytes: dict[str, NDArray[np.int64]]
    macs_low_bit: NDArray[np.int64]
    macs_low_rank: NDArray[np.int64]
    rotation_adds: NDArray[np.int64]
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
        """Multiply-accumulates of both branches, all layers, one window."""
        return int(self.macs_low_bit.sum() + self.macs_low_rank.sum())

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
            "rotation_adds": int(self.rotation_adds.sum()),
        }


class CostModel:
    """Cost of a fixed list of layers for any ranks, computed in well under a millisecond for 500 layers.

    Args:
        shapes: The layers.
        settings: How parts are stored; the default profile's storage if left out.
    """

    def __init__(self, shapes: Sequence[LayerShape], settings: CostSettings | None = None) -> None:
        self.shapes = tuple(shapes)
        self.settings = how = settings or CostSettings()
        self.names = tuple(shape.name for shape in shapes)
        out, columns, channels, per_group, groups, positions, inputs = (
            np.array([getattr(shape, name) for shape in shapes], np.int64)
            for name in (
                "out_features", "columns", "in_features", "in_features_per_group", "groups", "positions",
                "input_positions",
            )
        )  # fmt: skip
        bias = np.array([shape.bias for shape in shapes], bool)
        self.weights = out * columns
        self.sizes = np.minimum(out, columns)
        self.bytes_per_rank = how.factor_bytes * (out + columns)
        self._L1, self._L2 = how.factor_bytes * out, how.factor_bytes * columns
        # With groups the same L2 is applied to the channels of every group.
        self._macs_per_rank = (groups * columns + out) * positions
        self._macs_low_bit = self.weights * positions
        inputs = np.where(inputs > 0, inputs, positions)
        block = np.log2(np.maximum(channels & -channels, 1)).astype(np.int64)
        self._adds = channels * block * inputs * int(how.rotation)
        self._bias_fp32 = np.where(bias, 4 * out, 0).astype(np.int64)
        # A single input channel cannot be split.
        parts = np.where(per_group >= how.parts, how.parts, 1)
        zero_bits = how.weight_bits if how.zero_point_bits is None else how.zero_point_bits
        nothing = np.zeros_like(out)
        self._fixed = {
            "codes": _code_bytes(self.shapes, how.weight_bits, parts),
            "scales": how.scale_bytes * parts * out,
            "zero_points": nothing if how.weight_symmetric else parts * _whole_bytes(zero_bits * out),
            "signs": _sign_bytes(channels, parts) if how.rotation else nothing,
            "bias": np.where(bias | how.bias_alignment, how.bias_bytes * out, 0).astype(np.int64),
            "clips": 2 * how.clip_bytes * parts if how.activation_clip else nothing,
        }
        self.fixed_bytes = np.sum(list(self._fixed.values()), axis=0, dtype=np.int64)

    def estimate(self, ranks: Mapping[str, int]) -> Cost:
        """Cost for these ranks; layers that are absent have none (0), ranks above min(O, n) count as that."""
        rank = np.minimum(np.array([ranks.get(name, 0) for name in self.names], np.int64), self.sizes)
        stored = self._fixed | {"L1": self._L1 * rank, "L2": self._L2 * rank}
        return Cost(
            names=self.names,
            weights=self.weights,
            ranks=rank,
            bytes={part: stored[part] for part in PARTS},
            macs_low_bit=self._macs_low_bit,
            macs_low_rank=rank * self._macs_per_rank,
            rotation_adds=self._adds,
            bias_fp32=self._bias_fp32,
        )


def estimate(
    shapes: Sequence[LayerShape], ranks: Mapping[str, int], settings: CostSettings | None = None
) -> Cost:
    """Estimate what quantized layers cost; see `CostModel` for repeated estimates of the same layers."""
    return CostModel(shapes, settings).estimate(ranks)


def _whole_bytes(bits: NDArray[np.int64]) -> NDArray[np.int64]:
    return -(-bits // 8)


def _code_bytes(shapes: Sequence[LayerShape], bits: int, parts: NDArray[np.int64]) -> NDArray[np.int64]:
    found = []
    for shape, count in zip(shapes, parts, strict=True):
        width, each = shape.in_features_per_group, shape.out_features * math.prod(shape.kernel) * bits
        first = -(-width // int(count))
        found.append(-(-first * each // 8) + -(-(width - first) * each // 8))
    return np.array(found, np.int64)


def _sign_bytes(channels: NDArray[np.int64], parts: NDArray[np.int64]) -> NDArray[np.int64]:
    first = -(-channels // parts)
    return _whole_bytes(first) + _whole_bytes(channels - first)

"""The launches of one executable layer for one shape of input."""

import functools
import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from quantvsr.errors import BadInput
from quantvsr.quant.affine import ABSOLUTE_FLOOR, code_range
from quantvsr.runtime import triton_encode, triton_product
from quantvsr.runtime.bitplanes import RUN
from quantvsr.runtime.tiles import Shape, Tile, best_tile

if TYPE_CHECKING:
    from quantvsr.runtime.triton_layer import TritonLayer

# Triton's decorator has no types.
_encode: Any = triton_encode
_product: Any = triton_product

_ROWS, _STAGES = 64, 2
"""Positions that one program encodes, and blocks of channels it loads ahead."""

_SHARED = 0.75
"""Share of a multiprocessor's memory that the tiles of a loop may take."""

_LARGEST_SPAN = 256
"""Most pieces of a range, positions along time times shares of channels, that are read at once."""

_WANTED, _ENOUGH = 264, 528
"""Programs that a large GPU should have at least (two for each multiprocessor), and those that are enough."""

_LONG = 8
"""Blocks of channels that one program may take where there are just `_WANTED` programs."""

_PIECE = 64
"""Most features of the low-rank branch that a program holds at once."""

_RUNS = 64
"""Runs of weight codes that one program unpacks."""


def _power(n: int) -> int:
    return 1 << max(n - 1, 0).bit_length()


class Call:
    """Everything about the launches that the shape of the input decides.

    Args:
        layer: The executable layer.
        x: (entries, Z, Y, X, C), contiguous.

    Raises:
        BadInput: The input is smaller than the kernel.
    """

    def __init__(self, layer: "TritonLayer", x: Tensor) -> None:
        config, window = layer.config, layer.window
        entries, (sz, sy, sx) = x.shape[0], x.shape[1:4]
        pz, py, px = window.padded((sz, sy, sx))
        out = window.outputs((sz, sy, sx))
        if min(out) < 1:
            raise BadInput(f"Layer {layer.name} got an input smaller than its kernel; use larger frames.")
        self.positions, rows = entries * math.prod(out), sz * sy * sx
        self.code_shape = (entries * pz * py * px, layer.padded_channels)
        chunks, side = -(-layer.channels // layer.block), layer.block_side
        self.tile = _fitting(layer, layer.tile or self._tile(layer))
        time, self.tokens = layer.range_kind == "time", layer.range_kind in ("time", "position")
        self.groups = entries * (sy * sx if time else rows) if self.tokens else entries
        steps = sz if time else 1
        # Without loss: float32 as it is, half types as the sum of two.
        double = x.dtype != torch.float32
        most_rows, stages = _loop(layer, x, double)
        block_rows = most_rows
        while block_rows > 16 and -(-entries * rows // block_rows) * chunks < _WANTED:
            block_rows //= 2
        tiles, padded_tiles = -(-rows // block_rows), -(-pz * py * px // block_rows)
        # Shares of the channels, several blocks each where there are programs enough.
        shares = -(-chunks // max(1, tiles * entries * chunks // _ENOUGH))
        if self.tokens:
            shares = min(shares, max(1, _LARGEST_SPAN // steps))
        span = _power(shares * steps)
        feature_rows = 64
        while feature_rows > 16 and entries * rows // feature_rows < _WANTED // 2:
            feature_rows //= 2
        group = (1, 0, 0, 0)
        if self.tokens:
            group = (sy * sx, 0, sx, 1) if time else (rows, sy * sx, sx, 1)
        low, high = code_range(config.activation_bits, config.activation_symmetric)
        branch = dict(
            RANK=layer.rank, RP=min(_power(layer.rank), _PIECE), C=layer.channels, BLOCK=layer.block, BP=side,
            DOUBLE=double, ROTATE=layer.matrix is not None, SIGNS_FIRST=not layer.dims,
        )  # fmt: skip
        values = dict(
            CHUNKS=chunks, SHARES=shares, ROWS=block_rows, LEAVE=layer.leave, SHIFT=layer.moved is not None,
            EXACT=layer.exact, factor=layer.factor, **branch,
        )  # fmt: skip
        taps = dict(
            step_z=window.stride[0], step_y=window.stride[1], step_x=window.stride[2],
            KZ=window.size[0], KY=window.size[1], KX=window.size[2],
            DZ=window.dilation[0], DY=window.dilation[1], DX=window.dilation[2],
        )  # fmt: skip
        # One launch for all where rows are enough to keep a GPU busy by themselves.
        self.rows_at_once = most_rows
        while self.rows_at_once > 16 and rows * entries // self.rows_at_once < _ENOUGH:
            self.rows_at_once //= 2
        self.by_rows = (
            layer.range_kind == "position"
            and not window.pads
            and layer.rank <= _PIECE
            and -(-entries * rows // self.rows_at_once) * _LONG >= chunks * _WANTED
        )
        planes = (0, 0, 0) if self.tile.nibbles else layer.planes
        self.unpacks = any(planes)
        blocks = layer.outputs * layer.length // RUN
        pieces = -(-layer.rank // _PIECE) if not self.by_rows else 0
        programs = -(-entries * rows // feature_rows) * pieces
        turning = chunks if layer.leave else 0
        self.before_grid = (programs + turning + (-(-blocks // _RUNS) if self.unpacks else 0),)
        self.before: dict[str, Any] = dict(
            rows=entries * rows, blocks=blocks, blocks_per_row=layer.length // RUN,
            feature_programs=programs, direction_programs=turning, FEATURE_ROWS=feature_rows,
            WIDTH=128 if layer.channels % 128 == 0 else 64,
            HIGH=planes[0], MIDDLE=planes[1], LOW=planes[2], RUNS=_RUNS, **branch,
        )  # fmt: skip
        self.halves = 2 if double else 1
        self.found_shape = (self.halves, entries * rows, layer.rank)
        self.ranges_grid = (tiles * shares * entries,)
        self.partials = entries * rows * shares if self.tokens else tiles * shares * entries
        whole = rows % block_rows == 0 and layer.block == side and layer.channels % side == 0
        self.ranges: dict[str, Any] = dict(
            rows=rows, tiles=tiles, count=entries * rows, TOKENS=self.tokens, WHOLE=whole,
            num_stages=stages, **values,
        )  # fmt: skip
        # Features are read where they were found unless they need borders.
        self.copies = layer.rank > 0 and window.pads
        coding = dict(
            CP=layer.padded_channels, LOWEST=low, HIGHEST=high, SYMMETRIC=config.activation_symmetric,
            FLOOR=ABSOLUTE_FLOOR if config.scale_floor == "absolute" else 0.0, OFFSET=128,
            ACT_ZERO=layer.act_zero,
        )  # fmt: skip
        self.rows_grid = (-(-entries * rows // self.rows_at_once),)
        self.rows: dict[str, Any] = dict(
            rows=entries * rows, WIDTH=self.before["WIDTH"], num_stages=stages, **coding,
            **{k: v for k, v in values.items() if k != "SHARES"} | {"ROWS": self.rows_at_once},
        )  # fmt: skip
        self.encode_grid = (padded_tiles * shares * entries,)
        self.encode: dict[str, Any] = dict(
            parts=tiles * shares, sz=sz, sy=sy, sx=sx,
            left_z=window.left[0], left_y=window.left[1], left_x=window.left[2],
            pz=pz, py=py, px=px, tiles=padded_tiles, count=entries * rows, STEPS=steps, SPAN=span,
            SHARED=layer.range_kind == "tensor", COPY=self.copies, TOKENS=self.tokens,
            num_stages=stages, **coding, **values,
        )  # fmt: skip
        tile, column_tiles = self.tile, -(-layer.outputs // self.tile.n)
        self.multiply_grid = (-(-self.positions // tile.m) * column_tiles, tile.split)
        ends = dict(
            positions=self.positions, out_z=out[0], out_y=out[1], out_x=out[2],
            group_n=group[0], group_z=group[1], group_y=group[2], group_x=group[3], outputs=layer.outputs,
            pz=pz, py=py, px=px, RK=min(layer.rank & -layer.rank, 64) if layer.rank else 16, **taps,
            TERMS=window.taps * layer.channels, ACT_ZERO=layer.act_zero, BIAS=layer.bias is not None,
            RANK=layer.rank, SPLIT=tile.split,
        )  # fmt: skip
        self.multiply: dict[str, Any] = dict(
            CP=layer.padded_channels, LENGTH=layer.length,
            WEIGHT_ZERO=layer.weight_zero, NIBBLES=tile.nibbles, BM=tile.m, BN=tile.n, BK=tile.k,
            SWAP=tile.swap, num_warps=tile.warps, num_stages=tile.stages, **ends,
        )  # fmt: skip
        self.finish_grid = (-(-self.positions // 32) * -(-layer.outputs // 64),)
        self.finish: dict[str, Any] = dict(BM=32, BN=64, num_warps=4, **ends)

    def _tile(self, layer: "TritonLayer") -> Tile:
        return best_tile(Shape(self.positions, layer.outputs, layer.channels, layer.window.taps))

    def __call__(self, layer: "TritonLayer", x: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs (positions, O) and the scales of the activations.

        Args:
            layer: The one this was made for.
            x: Of the same shape.
        """
        prepared = self.prepare(layer, x)
        return self.product(layer, x, *prepared), prepared[1]

    def product(
        self,
        layer: "TritonLayer",
        x: Tensor,
        codes: Tensor,
        scales: Tensor,
        zeros: Tensor | None,
        features: Tensor | None,
        weights: Tensor,
    ) -> Tensor:
        """Outputs (positions, O), from what `prepare` gave."""
        kind = x.dtype if layer.config.keep_dtype else torch.float32
        y = torch.empty(self.positions, layer.outputs, dtype=kind, device=x.device)
        ends = (
            scales, _or(zeros, x), layer.weight_scales, layer.weight_zeros, _or(layer.weight_sums, x),
            _or(layer.bias, x), _or(features, x), _or(_as(layer.l1, x), x),
        )  # fmt: skip
        if self.tile.split == 1:
            _product.multiply[self.multiply_grid](codes, weights, y, y, *ends, **self.multiply)
            return y
        shape = (self.tile.split, self.positions, layer.outputs)
        sums = torch.empty(shape, dtype=torch.int32, device=x.device)
        _product.multiply[self.multiply_grid](codes, weights, y, sums, *ends, **self.multiply)
        _product.finish[self.finish_grid](sums, y, *ends, **self.finish)
        return y

    def prepare(
        self, layer: "TritonLayer", x: Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None, Tensor]:
        """Everything the product needs.

        Returns:
            Codes of activations (positions with borders, padded channels), int8; their scales and (8 bits)
            zero points less 128 for each group; features (positions with borders, rank) or None; weights.
        """
        device = x.device
        codes = torch.empty(self.code_shape, dtype=torch.int8, device=device)
        scales = torch.empty(self.groups, dtype=torch.float32, device=device)
        zeros = torch.empty(self.groups, dtype=torch.int32, device=device) if layer.act_zero else None
        found = features = turned = None
        if layer.rank:
            found = torch.empty(self.found_shape, dtype=x.dtype, device=device)
            features = found[0]
            turned = torch.empty(self.halves, layer.rank, layer.channels, dtype=x.dtype, device=device)
        if self.copies:
            features = torch.empty(self.code_shape[0], layer.rank, dtype=x.dtype, device=device)
        weights = layer.weights
        if self.unpacks:
            weights = torch.empty(layer.outputs * layer.length, dtype=torch.int8, device=device)
        found, turned, moved, signs = (_or(t, x) for t in (found, turned, layer.moved, layer.signs))
        matrix = _or(_as(layer.matrix, x) if layer.exact else layer.matrix, x)
        l2 = _or(self._l2(layer, x), x)
        if self.before_grid[0]:
            _encode.before[self.before_grid](
                x, l2, found, turned, matrix, signs, packed=layer.weights,
                weights=weights, weight_zeros=layer.weight_zeros, **self.before,
            )  # fmt: skip
        if self.by_rows:
            _encode.encode_rows[self.rows_grid](
                x,
                l2,
                codes,
                scales,
                _or(zeros, x),
                found,
                turned,
                moved,
                layer.clip,
                matrix,
                signs,
                **self.rows,
            )
            return codes, scales, zeros, features, weights
        partial = torch.empty(2 * self.partials, dtype=torch.float32, device=device)
        _encode.ranges[self.ranges_grid](
            x, found, turned, moved, matrix, signs, partial=partial, **self.ranges
        )
        _encode.encode[self.encode_grid](
            x, codes, scales, _or(zeros, x), found, _or(features, x), turned, moved, layer.clip, matrix,
            signs, partial=partial, border=layer.border, **self.encode,
        )  # fmt: skip
        return codes, scales, zeros, features, weights

    def _l2(self, layer: "TritonLayer", x: Tensor) -> Tensor | None:
        """The directions in the halves that the type of x wants."""
        held = layer.l2
        if held is None or (held.dtype == x.dtype and len(held) == self.halves):
            return held
        whole = held.float().sum(0, keepdim=True)
        upper = whole.to(x.dtype)
        return upper if self.halves == 1 else torch.cat([upper, (whole - upper.float()).to(x.dtype)])


def _loop(layer: "TritonLayer", x: Tensor, double: bool) -> tuple[int, int]:
    """Rows and blocks loaded ahead, so that the tiles fit into a multiprocessor's memory."""
    if layer.lean:
        return 16, 1
    side, size = layer.block_side, x.element_size()
    matrix = side * side * (size if layer.exact else 4)
    directions = min(_power(layer.rank), _PIECE) * side * size * (2 if double else 1) if layer.leave else 0
    room = _SHARED * _memory(x.device)
    for rows, stages in ((_ROWS, _STAGES), (_ROWS, 1), (_ROWS // 2, 1)):
        if stages * (rows * side * max(size, 4) + matrix + directions) <= room:
            return rows, stages
    return 16, 1


@functools.cache
def _memory(device: torch.device) -> int:
    """Bytes that the programs of a multiprocessor may share."""
    if device.type != "cuda":
        return 100 * 2**10
    return torch.cuda.get_device_properties(device).shared_memory_per_block_optin


def _or(value: Tensor | None, other: Tensor) -> Tensor:
    """A tensor for an argument that is not looked at."""
    return other if value is None else value


def _as(value: Tensor | None, x: Tensor) -> Tensor | None:
    return value if value is None or value.dtype == x.dtype else value.to(x.dtype)


def _fitting(layer: "TritonLayer", tile: Tile) -> Tile:
    """The tile without what this layer cannot do."""
    changes: dict[str, Any] = {}
    if layer.padded_channels % tile.k:
        changes["k"] = layer.step
    if tile.nibbles and layer.planes != (1, 0, 0):
        changes["nibbles"] = False
    elif tile.nibbles:
        changes["k"] = 64
    if layer.weight_zero:
        changes |= {"split": 1, "swap": False}
    return Tile(**{**tile.__dict__, **changes})

"""The launches before the product: features, ranges and codes of activations, unpacked weights."""

import functools
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from quantvsr.quant.affine import ABSOLUTE_FLOOR, code_range
from quantvsr.runtime import triton_encode
from quantvsr.runtime.bitplanes import RUN
from quantvsr.runtime.layout import Sizes
from quantvsr.runtime.triton_launch import launch

if TYPE_CHECKING:
    from quantvsr.runtime.triton_layer import TritonLayer

# Triton's decorator has no types.
_encode: Any = triton_encode

_ROWS, _STAGES = 64, 2
"""Positions that one program encodes, and blocks of channels it loads ahead."""

_SHARED = 0.75
"""Share of a multiprocessor's memory that the tiles of a loop may take."""

_FEW = 64
"""Programs that are enough to take whole rows."""

_LARGEST_SPAN = 256
"""Most pieces of a range, positions along time times shares of channels, that are read at once."""

_WANTED, _ENOUGH = 264, 528
"""Programs that a large GPU should have at least (two for each multiprocessor), and those that are enough."""

_MOST_SUMS = 4
"""Programs that share the sum of a feature at most: whoever reads it adds them."""

_PIECE = 64
"""Most features of the low-rank branch that a program holds at once."""

_RUNS = 64
"""Runs of weight codes that one program unpacks."""

Prepared = tuple[Tensor, Tensor, Tensor | None, Tensor | None, Tensor]
"""Codes of activations (positions with borders, padded channels), int8; their scales and (8 bits) zero points
less 128 for each group; features (positions with borders, rank) or None; weights."""


def power(n: int) -> int:
    """The power of two that is not less."""
    return 1 << max(n - 1, 0).bit_length()


class Coding:
    """Everything about these launches that the shape of the input decides.

    Args:
        layer: The executable layer.
        sizes: Of the call.
        x: (entries, Z, Y, X, C), contiguous.
        planes: Of the weights to unpack; none to take them as they are.
    """

    def __init__(self, layer: "TritonLayer", sizes: Sizes, x: Tensor, planes: tuple[int, int, int]) -> None:
        rows, side = sizes.rows, layer.block_side
        self.count = sizes.entries * rows
        self.chunks = -(-layer.channels // layer.block)
        self.time = layer.range_kind == "time"
        self.tokens = self.time or layer.range_kind == "position"
        self.steps = sizes.inside[0] if self.time else 1
        self.groups = (self.count // self.steps) if self.tokens else sizes.entries
        py, px = sizes.padded[1:]
        self.code_shape = (sizes.entries * sizes.padded[0] * py * px, layer.padded_channels)
        self.unpacks = any(planes)
        blocks = layer.outputs * layer.length // RUN
        self.unpack_programs = -(-blocks // _RUNS) if self.unpacks else 0
        self.unpack: dict[str, Any] = dict(
            blocks=blocks, blocks_per_row=layer.length // RUN,
            HIGH=planes[0], MIDDLE=planes[1], LOW=planes[2], RUNS=_RUNS,
        )  # fmt: skip
        self.blocks: dict[str, Any] = dict(
            RANK=layer.rank, RP=min(power(layer.rank), _PIECE), C=layer.channels, BLOCK=layer.block, BP=side,
            CHUNKS=self.chunks, ROTATE=layer.matrix is not None, SIGNS_FIRST=not layer.dims,
            EXACT=layer.exact, factor=layer.factor,
        )  # fmt: skip
        self.leave: dict[str, Any] = dict(LEAVE=layer.leave, SHIFT=layer.moved is not None)
        low, high = code_range(layer.config.activation_bits, layer.config.activation_symmetric)
        self.codes: dict[str, Any] = dict(
            CP=layer.padded_channels, LOWEST=low, HIGHEST=high, SYMMETRIC=layer.config.activation_symmetric,
            FLOOR=ABSOLUTE_FLOOR if layer.config.scale_floor == "absolute" else 0.0, OFFSET=128,
            ACT_ZERO=layer.act_zero,
        )  # fmt: skip
        held = _held_rows(layer, self.chunks * side, x.dtype)
        self.whole = held > 0 and -(-self.count // held) >= _FEW
        # No ranges to wait for: codes are made at once.
        self.by_rows = self.whole and layer.range_kind == "position" and not layer.window.pads
        self.sums = self.shares = 1
        if self.whole:
            self._plan_whole(sizes, held)
        else:
            self._plan_shares(layer, sizes, x)
        # Features are read where they were found unless they need borders or are in parts.
        self.copies = layer.rank > 0 and (layer.window.pads or self.sums > 1)
        if not self.by_rows:
            self._plan_encode(layer, sizes, x)

    def _plan_whole(self, sizes: Sizes, held: int) -> None:
        frames, rows = (1, self.count) if self.tokens else (sizes.entries, sizes.rows)
        tiles = -(-rows // held)
        self.row_programs = self.parts = tiles * frames
        self.first: dict[str, Any] = dict(
            rows=rows, tiles=tiles, row_programs=self.row_programs, TOKENS=self.tokens, CODES=self.by_rows,
            WHOLE=self._no_rest(rows, held), ROWS=held,
            **self.codes, **self.blocks, **self.leave, **self.unpack,
        )  # fmt: skip

    def _plan_shares(self, layer: "TritonLayer", sizes: Sizes, x: Tensor) -> None:
        """Few rows, or rows too long for registers: programs share channels."""
        block_rows, stages = self._block_rows(layer, x)
        tiles = -(-sizes.rows // block_rows)
        row_tiles = tiles * sizes.entries
        self.shares = -(-self.chunks // max(1, row_tiles * self.chunks // _ENOUGH))
        if self.tokens:
            self.shares = min(self.shares, max(1, _LARGEST_SPAN // self.steps))
        self.parts = row_tiles * self.shares
        feature_tiles = -(-self.count // block_rows)
        self.sums = min(self.chunks, _MOST_SUMS, max(1, _WANTED // feature_tiles))
        self.row_programs = feature_tiles * -(-layer.rank // _PIECE) * self.sums
        self.first = dict(
            rows=self.count, row_programs=self.row_programs, SUMS=self.sums, ROWS=block_rows,
            num_stages=stages, **self.blocks, **self.unpack,
        )  # fmt: skip
        self.ranges: dict[str, Any] = dict(
            rows=sizes.rows, tiles=tiles, count=self.count, TOKENS=self.tokens,
            WHOLE=self._no_rest(sizes.rows, block_rows), SHARES=self.shares, SUMS=self.sums, ROWS=block_rows,
            num_stages=stages, **self.blocks, **self.leave,
        )  # fmt: skip

    def _plan_encode(self, layer: "TritonLayer", sizes: Sizes, x: Tensor) -> None:
        (sz, sy, sx), (pz, py, px), left = sizes.inside, sizes.padded, layer.window.left
        block_rows, stages = self._block_rows(layer, x)
        tiles = -(-pz * py * px // block_rows)
        self.encode_grid = (tiles * self.shares * sizes.entries,)
        self.encode: dict[str, Any] = dict(
            parts=self.parts // sizes.entries, sz=sz, sy=sy, sx=sx,
            left_z=left[0], left_y=left[1], left_x=left[2], pz=pz, py=py, px=px, tiles=tiles,
            count=self.count, STEPS=self.steps, SPAN=power(self.shares * self.steps),
            SHARED=layer.range_kind == "tensor", COPY=self.copies, TOKENS=self.tokens, SHARES=self.shares,
            SUMS=self.sums, ROWS=block_rows, num_stages=stages, **self.codes, **self.blocks, **self.leave,
        )  # fmt: skip

    def _block_rows(self, layer: "TritonLayer", x: Tensor) -> tuple[int, int]:
        """Rows of one program where channels are shared, and blocks loaded ahead."""
        block_rows, stages = _loop(layer, x)
        while block_rows > 16 and -(-self.count // block_rows) * self.chunks < _WANTED:
            block_rows //= 2
        return block_rows, stages

    def _no_rest(self, rows: int, block_rows: int) -> bool:
        """Whether no tile has rows or channels that are not there."""
        block, side, channels = self.blocks["BLOCK"], self.blocks["BP"], self.blocks["C"]
        return rows % block_rows == 0 and block == side and channels % side == 0

    def __call__(self, layer: "TritonLayer", x: Tensor) -> Prepared:
        """Everything the product needs.

        Args:
            layer: The one this was made for.
            x: Of the same shape.
        """
        device, rank = x.device, layer.rank
        codes = torch.empty(self.code_shape, dtype=torch.int8, device=device)
        scales = torch.empty(self.groups, dtype=torch.float32, device=device)
        zeros = torch.empty(self.groups, dtype=torch.int32, device=device) if layer.act_zero else None
        found = features = None
        if rank:
            kind = x.dtype if self.sums == 1 else torch.float32
            found = features = torch.empty(self.sums, self.count, rank, dtype=kind, device=device)
        if self.copies:
            features = torch.empty(self.code_shape[0], rank, dtype=x.dtype, device=device)
        weights = layer.weights
        if self.unpacks:
            weights = torch.empty(layer.outputs * layer.length, dtype=torch.int8, device=device)
        found, moved, signs = (or_(t, x) for t in (found, layer.moved, layer.signs))
        directions = or_(as_(layer.directions, x), x)
        matrix = or_(as_(layer.matrix, x) if layer.exact else layer.matrix, x)
        unpacking = dict(packed=layer.weights, weights=weights, weight_zeros=layer.weight_zeros)
        grid = (self.row_programs + self.unpack_programs,)
        partial = scales
        if not self.by_rows:
            pairs = self.count * self.shares if self.tokens else self.parts
            partial = torch.empty(2 * pairs, dtype=torch.float32, device=device)
        if self.whole:
            launch(
                _encode.whole_rows, grid,
                x, directions, found, codes, scales, or_(zeros, x), moved, layer.clip, matrix, signs,
                partial=partial, **unpacking, **self.first,
            )  # fmt: skip
        else:
            if grid[0]:
                launch(
                    _encode.features, grid,
                    x, directions, found, matrix, signs, **unpacking, **self.first,
                )  # fmt: skip
            launch(
                _encode.ranges, (self.parts,),
                x, found, directions, moved, matrix, signs, partial=partial, **self.ranges,
            )  # fmt: skip
        if not self.by_rows:
            launch(
                _encode.encode, self.encode_grid,
                x, codes, scales, or_(zeros, x), found, or_(features, x), directions, moved, layer.clip,
                matrix, signs, partial=partial, border=layer.border, **self.encode,
            )  # fmt: skip
        return codes, scales, zeros, features, weights


def _held_rows(layer: "TritonLayer", width: int, kind: torch.dtype) -> int:
    """Whole rows that a program of four warps keeps in registers; 0 where none fit or it does not pay."""
    if layer.lean or layer.rank > _PIECE:
        return 0
    # Products of float32 are computed without tensor cores, in many more registers.
    width *= 4 if kind == torch.float32 else 1
    # 64 rows are what Hopper's products want; fewer pay only where all is done with them.
    at_once = layer.range_kind == "position" and not layer.window.pads
    return 64 if width <= 320 else 16 if width <= 640 and at_once else 0


def _loop(layer: "TritonLayer", x: Tensor) -> tuple[int, int]:
    """Rows and blocks loaded ahead, so that the tiles fit into a multiprocessor's memory."""
    if layer.lean:
        return 16, 1
    side, size = layer.block_side, x.element_size()
    matrix = side * side * (size if layer.exact else 4)
    directions = min(power(layer.rank), _PIECE) * side * size if layer.rank else 0
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


def or_(value: Tensor | None, other: Tensor) -> Tensor:
    """A tensor for an argument that is not looked at."""
    return other if value is None else value


def as_(value: Tensor | None, x: Tensor) -> Tensor | None:
    """The value in the type of x."""
    return value if value is None or value.dtype == x.dtype else value.to(x.dtype)

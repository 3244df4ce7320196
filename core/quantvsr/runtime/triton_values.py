"""Parts of the Triton kernels: what is quantized of activations, and the features of the low-rank branch.

Activations are rows of channels, taken a block of channels at a time. Entries of rotations are 1 and -1,
exact in any type; features are rounded to the type of the activations once, and that value is both taken out
and multiplied with L1, so that nothing is lost between the branches.
"""

import triton  # pyright: ignore[reportMissingImports]
import triton.language as tl  # pyright: ignore[reportMissingImports]


@triton.jit
def smaller(a, b):
    """The smaller one; NaN where there is one."""
    return tl.minimum(a, b, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def larger(a, b):
    """The larger one; NaN where there is one."""
    return tl.maximum(a, b, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def rotation_of(matrix, BP: tl.constexpr, ROTATE: tl.constexpr):
    """The matrix of one block, without signs; without a rotation anything."""
    column = tl.arange(0, BP)
    entries = column
    if ROTATE:
        entries = tl.load(matrix + column[:, None] * BP + column[None, :])
    return entries


@triton.jit
def rotated(
    x, row, inside, chunk, entries, signs, factor,
    C: tl.constexpr, BLOCK: tl.constexpr, BP: tl.constexpr,
    ROTATE: tl.constexpr, SIGNS_FIRST: tl.constexpr, EXACT: tl.constexpr,
):  # fmt: skip
    """One block of channels of some rows after the rotation, float32; zeros for what is not there."""
    column = tl.arange(0, BP)
    columns = chunk * BLOCK + column
    used = (column < BLOCK) & (columns < C)
    valid = inside[:, None] & used[None, :]
    tile = tl.load(x + (row * C)[:, None] + columns[None, :], mask=valid, other=0.0)
    if ROTATE:
        sign = tl.load(signs + columns, mask=used, other=0)
        if SIGNS_FIRST:
            tile = tile * sign.to(tile.dtype)[None, :]
        if EXACT:
            value = tl.dot(tile, entries, input_precision="ieee") * factor
        else:
            value = tl.dot(tile.to(tl.float32), entries, input_precision="ieee") * factor
        if not SIGNS_FIRST:
            value = value * sign.to(tl.float32)[None, :]
    else:
        value = tile.to(tl.float32)
    return value


@triton.jit
def _directions_of(
    directions, chunk, piece,
    RANK: tl.constexpr, RP: tl.constexpr, C: tl.constexpr, BLOCK: tl.constexpr, BP: tl.constexpr,
):  # fmt: skip
    """(RP, BP): rotated directions in one block of channels."""
    column = tl.arange(0, BP)
    columns = chunk * BLOCK + column
    r = piece * RP + tl.arange(0, RP)
    there = (r < RANK)[:, None] & ((column < BLOCK) & (columns < C))[None, :]
    return tl.load(directions + (r * C)[:, None] + columns[None, :], mask=there, other=0.0)


@triton.jit
def seen(
    total, value, directions, chunk, piece,
    RANK: tl.constexpr, RP: tl.constexpr, C: tl.constexpr, BLOCK: tl.constexpr, BP: tl.constexpr,
):  # fmt: skip
    """Features with what one block of channels adds to them."""
    seen_from = _directions_of(directions, chunk, piece, RANK, RP, C, BLOCK, BP)
    return tl.dot(value.to(seen_from.dtype), tl.trans(seen_from), total, input_precision="ieee")


@triton.jit
def features_at(
    found, row, inside, piece, count, RANK: tl.constexpr, RP: tl.constexpr, SUMS: tl.constexpr,
    KIND: tl.constexpr,
):  # fmt: skip
    """RP features of rows, whose sums are in SUMS parts of (count, RANK)."""
    r = piece * RP + tl.arange(0, RP)
    there = inside[:, None] & (r < RANK)[None, :]
    where = found + (row * RANK)[:, None] + r[None, :]
    total = tl.load(where, mask=there, other=0.0)
    for part in tl.static_range(1, SUMS):
        total += tl.load(where + tl.full((), part * RANK, tl.int64) * count, mask=there, other=0.0)
    return total.to(KIND)


@triton.jit
def left_over(
    value, features, directions, moved, chunk, found, row, inside, count,
    RANK: tl.constexpr, RP: tl.constexpr, C: tl.constexpr, BLOCK: tl.constexpr, BP: tl.constexpr,
    SUMS: tl.constexpr, LEAVE: tl.constexpr, SHIFT: tl.constexpr,
):  # fmt: skip
    """What is quantized of one block of channels: directions taken out, shifted.

    Rows of zeros become what a border holds: minus the shift. More than RP features are read from `found`;
    up to that many are given.
    """
    if LEAVE:
        for piece in tl.static_range((RANK + RP - 1) // RP):
            direction = _directions_of(directions, chunk, piece, RANK, RP, C, BLOCK, BP)
            if RANK > RP:
                features = features_at(found, row, inside, piece, count, RANK, RP, SUMS, direction.dtype)
            value = tl.dot(-features, direction, value, input_precision="ieee")
    if SHIFT:
        column = tl.arange(0, BP)
        columns = chunk * BLOCK + column
        used = (column < BLOCK) & (columns < C)
        value = value - tl.load(moved + columns, mask=used, other=0.0)[None, :]
    return value

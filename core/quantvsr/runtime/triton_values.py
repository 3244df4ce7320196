"""Parts of the Triton kernels: what is quantized of activations, ranges, scales.

Entries of rotations are 1 and -1, exact in any type, and directions are held in two halves whose sum has no
error: the values are those of float32 arithmetic, computed by tensor cores.
"""

import triton  # pyright: ignore[reportMissingImports]
import triton.language as tl  # pyright: ignore[reportMissingImports]


@triton.jit
def _halves(x, KIND: tl.constexpr):
    """Two values of a half type whose sum is nearly a float32."""
    upper = x.to(KIND)
    return upper, (x - upper.to(tl.float32)).to(KIND)


@triton.jit
def smaller(a, b):
    """The smaller one; NaN where there is one."""
    return tl.minimum(a, b, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def larger(a, b):
    """The larger one; NaN where there is one."""
    return tl.maximum(a, b, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def rotation_of(
    matrix, signs, columns, used,
    BP: tl.constexpr, ROTATE: tl.constexpr, SIGNS_FIRST: tl.constexpr,
):  # fmt: skip
    """The matrix of one block, with the signs where they come first; without a rotation anything."""
    column = tl.arange(0, BP)
    if ROTATE:
        # Entries are 1 and -1, exact in any type (or float32).
        entries = tl.load(matrix + column[:, None] * BP + column[None, :])
        if SIGNS_FIRST:
            entries = entries * tl.load(signs + columns, mask=used, other=0).to(entries.dtype)[:, None]
    else:
        entries = column
    return entries


@triton.jit
def features_of(
    row, inside, piece, x, l2, found, rows,
    RANK: tl.constexpr, RP: tl.constexpr, C: tl.constexpr, DOUBLE: tl.constexpr, ROWS: tl.constexpr,
    WIDTH: tl.constexpr,
):  # fmt: skip
    """RP features of ROWS rows, x with L2, stored and given; with DOUBLE all are the sums of two halves."""
    column = tl.arange(0, WIDTH)
    r = piece * RP + tl.arange(0, RP)
    a_tile = x + (row.to(tl.int64) * C)[:, None] + column[None, :]
    b_tile = l2 + (r * C)[:, None] + column[None, :]
    total = tl.zeros((ROWS, RP), tl.float32)
    for first in range(0, C, WIDTH):
        used = (first + column < C)[None, :]
        a = tl.load(a_tile + first, mask=inside[:, None] & used, other=0.0)
        b = tl.load(b_tile + first, mask=(r < RANK)[:, None] & used, other=0.0)
        if DOUBLE:
            lower = tl.load(b_tile + RANK * C + first, mask=(r < RANK)[:, None] & used, other=0.0)
            total = tl.dot(a, tl.trans(lower), total)
        total = tl.dot(a, tl.trans(b), total, input_precision="ieee")
    where = found + (row.to(tl.int64) * RANK)[:, None] + r[None, :]
    there = inside[:, None] & (r < RANK)[None, :]
    upper = total.to(x.dtype.element_ty)
    lower = upper
    if DOUBLE:
        upper, lower = _halves(total, x.dtype.element_ty)
        tl.store(where + tl.full((), RANK, tl.int64) * rows, lower, mask=there)
    tl.store(where, upper, mask=there)
    return upper, lower


@triton.jit
def turn_directions(
    chunk, l2, turned, matrix, signs,
    RANK: tl.constexpr, RP: tl.constexpr, C: tl.constexpr, BLOCK: tl.constexpr, BP: tl.constexpr,
    DOUBLE: tl.constexpr, ROTATE: tl.constexpr, SIGNS_FIRST: tl.constexpr,
):  # fmt: skip
    """L2, rotated as activations are, negative: what features are multiplied by to take them out."""
    column = tl.arange(0, BP)
    columns = chunk * BLOCK + column
    used = (column < BLOCK) & (columns < C)
    entries = rotation_of(matrix, signs, columns, used, BP, ROTATE, SIGNS_FIRST).to(tl.float32)
    for first in tl.static_range(0, RANK, RP):
        r = first + tl.arange(0, RP)
        there = (r < RANK)[:, None] & used[None, :]
        where = (r * C)[:, None] + columns[None, :]
        value = tl.load(l2 + where, mask=there, other=0.0).to(tl.float32)
        if DOUBLE:
            value += tl.load(l2 + RANK * C + where, mask=there, other=0.0).to(tl.float32)
        if ROTATE:
            value = tl.dot(value, entries, input_precision="ieee")
        value = -value
        if DOUBLE:
            upper, lower = _halves(value, turned.dtype.element_ty)
            tl.store(turned + where, upper, mask=there)
            tl.store(turned + RANK * C + where, lower, mask=there)
        else:
            tl.store(turned + where, value, mask=there)


@triton.jit
def values_of(
    tile, turned, moved, signs, entries, factor, upper, lower, columns, used, found, row, inside, count,
    RANK: tl.constexpr, RP: tl.constexpr, C: tl.constexpr, LEAVE: tl.constexpr, DOUBLE: tl.constexpr,
    ROTATE: tl.constexpr, SIGNS_FIRST: tl.constexpr, SHIFT: tl.constexpr, EXACT: tl.constexpr,
):  # fmt: skip
    """What is quantized of one block of channels of some rows: directions taken out, rotated, shifted.

    Rows of zeros become what a border holds: minus the shift. More than RP features are read from `found`;
    up to that many are given as `upper` and `lower`.
    """
    if ROTATE and EXACT:
        value = tl.dot(tile, entries, input_precision="ieee")
    elif ROTATE:
        value = tl.dot(tile.to(tl.float32), entries, input_precision="ieee")
    else:
        value = tile.to(tl.float32)
    if LEAVE:
        for piece in tl.static_range((RANK + RP - 1) // RP):
            r = piece * RP + tl.arange(0, RP)
            there = (r < RANK)[:, None] & used[None, :]
            where = turned + (r * C)[:, None] + columns[None, :]
            direction = tl.load(where, mask=there, other=0.0)
            if RANK > RP:
                more, less = features_at(found, row, inside, piece, count, RANK, RP, DOUBLE)
            else:
                more, less = upper, lower
            if DOUBLE:
                # Four halves make nearly a product of float32; that of the lower two is nothing.
                value = tl.dot(less, direction, value)
                value = tl.dot(more, tl.load(where + RANK * C, mask=there, other=0.0), value)
            value = tl.dot(more, direction, value, input_precision="ieee")
    if ROTATE:
        size = tl.zeros(columns.shape, tl.float32) + factor
        if not SIGNS_FIRST:
            size = size * tl.load(signs + columns, mask=used, other=0).to(tl.float32)
        value = value * size[None, :]
    if SHIFT:
        value = value - tl.load(moved + columns, mask=used, other=0.0)[None, :]
    return value


@triton.jit
def features_at(
    found, origin, inside, piece, count, RANK: tl.constexpr, RP: tl.constexpr, DOUBLE: tl.constexpr
):  # fmt: skip
    """RP features of rows, in two halves (the second one only with DOUBLE)."""
    r = piece * RP + tl.arange(0, RP)
    there = inside[:, None] & (r < RANK)[None, :]
    where = found + (origin * RANK)[:, None] + r[None, :]
    upper = tl.load(where, mask=there, other=0.0)
    lower = upper
    if DOUBLE:
        lower = tl.load(where + tl.full((), RANK, tl.int64) * count, mask=there, other=0.0)
    return upper, lower

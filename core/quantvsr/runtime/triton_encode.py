"""Triton kernels before the product: features, ranges and codes of activations, weights.

Activations are rows (positions) of channels, the last dimension contiguous. Codes are int8, less the zero
point (up to 7 bits) or less 128 (8 bits, `ACT_ZERO`), in buffers with borders, so that the product needs no
masks. Where there are many rows, `whole_rows` finds features and ranges at once, and codes too where every
row has a range of its own; else `features` and `ranges` share channels among programs. `encode` makes the
codes that are left. The first launch unpacks weights beside its own work.
"""

# ruff: noqa: SIM108 - the two branches may have different types

import triton  # pyright: ignore[reportMissingImports]
import triton.language as tl  # pyright: ignore[reportMissingImports]

from quantvsr.runtime.triton_values import (
    features_at,
    larger,
    left_over,
    rotated,
    rotation_of,
    seen,
    smaller,
)

_ROUND = tl.constexpr(12582912.0)
"""1.5 * 2^23: adding and subtracting it rounds half to even."""


@triton.jit
def _scale(low, high, clip, LOWEST, HIGHEST, SYMMETRIC, FLOOR):
    """Scale and zero point of bounds, as `quantvsr.quant.affine.scale_and_zero_point` finds them."""
    # What is not finite stays so: minima and maxima alone would drop it.
    poison = (high - low) * 0.0
    low = tl.minimum(low * tl.load(clip), 0.0)
    high = tl.maximum(high * tl.load(clip + 1), 0.0)
    if SYMMETRIC:
        scale = tl.div_rn(tl.maximum(-low, high), poison * 0.0 + HIGHEST)
    else:
        scale = tl.div_rn(high - low, poison * 0.0 + (HIGHEST - LOWEST))
    if FLOOR > 0:
        scale = tl.maximum(scale, FLOOR)
    else:
        scale = tl.where(scale < 1.17549435e-38, 1.0, scale)
    if SYMMETRIC:
        zero = low * 0.0
    else:
        zero = (tl.div_rn(-low, scale) + _ROUND) - _ROUND
        zero = tl.minimum(tl.maximum(zero, LOWEST), HIGHEST)
    return scale + poison, zero


@triton.jit
def _store_codes(
    codes, target, live, chunk, value, scale, zero,
    C: tl.constexpr, CP: tl.constexpr, BLOCK: tl.constexpr, BP: tl.constexpr, CHUNKS: tl.constexpr,
    ROWS: tl.constexpr, LOWEST: tl.constexpr, HIGHEST: tl.constexpr, OFFSET: tl.constexpr,
    ACT_ZERO: tl.constexpr,
):  # fmt: skip
    """Codes of one block of channels; with the last one zeros for the channels that are not there."""
    # The sum with _ROUND holds the rounded quotient in its last bits; bounds are moved alike.
    code = value * (1.0 / scale) + _ROUND
    code = tl.minimum(tl.maximum(code, (LOWEST - zero) + _ROUND), (HIGHEST - zero) + _ROUND)
    if ACT_ZERO:
        code = code + (zero - OFFSET)
    whole = code.to(tl.int32, bitcast=True).to(tl.int8)
    column = tl.arange(0, BP)
    columns = chunk * BLOCK + column
    used = (column < BLOCK) & (columns < C)
    tl.store(codes + target[:, None] + columns[None, :], whole, mask=live[:, None] & used[None, :])
    if CP > C:
        rest = C + tl.arange(0, 128)
        mask = (live & (chunk == CHUNKS - 1))[:, None] & (rest < CP)[None, :]
        tl.store(codes + target[:, None] + rest[None, :], tl.zeros((ROWS, 128), tl.int8), mask=mask)


@triton.jit
def _unpack(
    pid, packed, weights, zeros, blocks, blocks_per_row,
    HIGH: tl.constexpr, MIDDLE: tl.constexpr, LOW: tl.constexpr, RUNS: tl.constexpr,
):  # fmt: skip
    """Weights, code less zero point, of RUNS runs of 128 codes from planes of 4, 2 and 1 bits."""
    block = pid * RUNS + tl.arange(0, RUNS)
    live = block < blocks
    zero = tl.load(zeros + block // blocks_per_row, mask=live, other=0)
    SEGMENT: tl.constexpr = 16 if LOW else (32 if MIDDLE else 64)
    lane = tl.arange(0, SEGMENT)
    start = block.to(tl.int64)
    middle = packed + (tl.full((), 64, tl.int64) * blocks if HIGH else 0)
    low = middle + (tl.full((), 32, tl.int64) * blocks if MIDDLE else 0)
    for i in tl.static_range(128 // SEGMENT):
        first = i * SEGMENT
        code = tl.zeros((RUNS, SEGMENT), tl.uint8)
        mask = live[:, None] & (lane >= 0)[None, :]
        if HIGH:
            byte = tl.load(packed + (start * 64)[:, None] + (first % 64 + lane)[None, :], mask=mask, other=0)
            code = code | (((byte >> (first // 64 * 4)) & 15) << (2 * MIDDLE + LOW))
        if MIDDLE:
            byte = tl.load(middle + (start * 32)[:, None] + (first % 32 + lane)[None, :], mask=mask, other=0)
            code = code | (((byte >> (first // 32 * 2)) & 3) << LOW)
        if LOW:
            byte = tl.load(low + (start * 16)[:, None] + (first % 16 + lane)[None, :], mask=mask, other=0)
            code = code | ((byte >> (first // 16)) & 1)
        value = code.to(tl.int8) - zero[:, None]
        tl.store(weights + (start * 128)[:, None] + (first + lane)[None, :], value, mask=mask)


@triton.jit
def _least(value, inside, chunk, C: tl.constexpr, BLOCK: tl.constexpr, BP: tl.constexpr, WHOLE: tl.constexpr):
    """Lowest and highest value of each row in one block of channels."""
    if WHOLE:
        return tl.reduce(value, 1, smaller), tl.reduce(value, 1, larger)
    column = tl.arange(0, BP)
    valid = inside[:, None] & ((column < BLOCK) & (chunk * BLOCK + column < C))[None, :]
    low = tl.reduce(tl.where(valid, value, float("inf")), 1, smaller)
    return low, tl.reduce(tl.where(valid, value, float("-inf")), 1, larger)


@triton.jit
def whole_rows(
    x, directions, found, codes, scales, zeros, moved, clip, matrix, signs, factor, partial, rows, tiles,
    packed, weights, weight_zeros, blocks, blocks_per_row, row_programs,
    TOKENS: tl.constexpr, CODES: tl.constexpr, WHOLE: tl.constexpr,
    CP: tl.constexpr, LOWEST: tl.constexpr, HIGHEST: tl.constexpr, SYMMETRIC: tl.constexpr,
    FLOOR: tl.constexpr, OFFSET: tl.constexpr, ACT_ZERO: tl.constexpr,
    RANK: tl.constexpr, RP: tl.constexpr, C: tl.constexpr, BLOCK: tl.constexpr, BP: tl.constexpr,
    CHUNKS: tl.constexpr, ROWS: tl.constexpr, LEAVE: tl.constexpr,
    ROTATE: tl.constexpr, SIGNS_FIRST: tl.constexpr, SHIFT: tl.constexpr, EXACT: tl.constexpr,
    HIGH: tl.constexpr, MIDDLE: tl.constexpr, LOW: tl.constexpr, RUNS: tl.constexpr,
):  # fmt: skip
    """Features and ranges of ROWS rows of a frame of `rows` rows; with CODES also scales and codes.

    Rotated channels stay in registers. Ranges are stored as `ranges` does with one share. Programs after the
    first `row_programs` unpack weights.
    """
    pid = tl.program_id(0)
    if pid >= row_programs:
        if HIGH or MIDDLE or LOW:
            first = row_programs
            _unpack(
                pid - first, packed, weights, weight_zeros, blocks, blocks_per_row, HIGH, MIDDLE, LOW, RUNS
            )
    else:
        row = (pid % tiles) * ROWS + tl.arange(0, ROWS)
        inside = row < rows
        row = (pid // tiles).to(tl.int64) * rows + row
        entries = rotation_of(matrix, BP, ROTATE)
        total = tl.zeros((ROWS, RP), tl.float32)
        values = ()
        for chunk in tl.static_range(CHUNKS):
            value = rotated(
                x, row, inside, chunk, entries, signs, factor, C, BLOCK, BP, ROTATE, SIGNS_FIRST, EXACT
            )
            if RANK > 0:
                total = seen(total, value, directions, chunk, 0, RANK, RP, C, BLOCK, BP)
            values = values + (value,)  # noqa: RUF005 - as Triton takes it
        taken = total.to(x.dtype.element_ty)
        if RANK > 0:
            r = tl.arange(0, RP)
            mask = inside[:, None] & (r < RANK)[None, :]
            tl.store(found + (row * RANK)[:, None] + r[None, :], taken, mask=mask)
        low = tl.full((ROWS,), float("inf"), tl.float32)
        high = tl.full((ROWS,), float("-inf"), tl.float32)
        quantized = ()
        for chunk in tl.static_range(CHUNKS):
            value = left_over(
                values[chunk], taken, directions, moved, chunk, found, row, inside, rows,
                RANK, RP, C, BLOCK, BP, 1, LEAVE, SHIFT,
            )  # fmt: skip
            least, most = _least(value, inside, chunk, C, BLOCK, BP, WHOLE)
            low = smaller(low, least)
            high = larger(high, most)
            quantized = quantized + (value,)  # noqa: RUF005
        if CODES:
            scale, zero = _scale(low, high, clip, LOWEST, HIGHEST, SYMMETRIC, FLOOR)
            tl.store(scales + row, scale, mask=inside)
            if ACT_ZERO:
                tl.store(zeros + row, (zero - OFFSET).to(tl.int32), mask=inside)
            for chunk in tl.static_range(CHUNKS):
                _store_codes(
                    codes, row * CP, inside, chunk, quantized[chunk], scale[:, None], zero[:, None],
                    C, CP, BLOCK, BP, CHUNKS, ROWS, LOWEST, HIGHEST, OFFSET, ACT_ZERO,
                )  # fmt: skip
        elif TOKENS:
            tl.store(partial + 2 * row, low, mask=inside)
            tl.store(partial + 2 * row + 1, high, mask=inside)
        else:
            tl.store(partial + 2 * pid, tl.reduce(low, 0, smaller))
            tl.store(partial + 2 * pid + 1, tl.reduce(high, 0, larger))


@triton.jit
def features(
    x, directions, found, matrix, signs, factor, rows,
    packed, weights, weight_zeros, blocks, blocks_per_row, row_programs,
    RANK: tl.constexpr, RP: tl.constexpr, C: tl.constexpr, BLOCK: tl.constexpr, BP: tl.constexpr,
    CHUNKS: tl.constexpr, SUMS: tl.constexpr, ROWS: tl.constexpr,
    ROTATE: tl.constexpr, SIGNS_FIRST: tl.constexpr, EXACT: tl.constexpr,
    HIGH: tl.constexpr, MIDDLE: tl.constexpr, LOW: tl.constexpr, RUNS: tl.constexpr,
):  # fmt: skip
    """RP features of ROWS rows, of one of SUMS shares of the channels; later programs unpack weights."""
    pid = tl.program_id(0)
    if pid < row_programs:
        if RANK > 0:
            PIECES: tl.constexpr = (RANK + RP - 1) // RP
            piece = pid % PIECES
            share = (pid // PIECES) % SUMS
            row = pid // (PIECES * SUMS) * ROWS + tl.arange(0, ROWS)
            inside = row < rows
            row = row.to(tl.int64)
            entries = rotation_of(matrix, BP, ROTATE)
            total = tl.zeros((ROWS, RP), tl.float32)
            PER: tl.constexpr = (CHUNKS + SUMS - 1) // SUMS
            for chunk in range(share * PER, tl.minimum(share * PER + PER, CHUNKS)):
                value = rotated(
                    x, row, inside, chunk, entries, signs, factor, C, BLOCK, BP, ROTATE, SIGNS_FIRST, EXACT
                )
                total = seen(total, value, directions, chunk, piece, RANK, RP, C, BLOCK, BP)
            r = piece * RP + tl.arange(0, RP)
            where = found + ((share.to(tl.int64) * rows + row) * RANK)[:, None] + r[None, :]
            tl.store(where, total, mask=inside[:, None] & (r < RANK)[None, :])
    else:
        if HIGH or MIDDLE or LOW:
            first = row_programs
            _unpack(
                pid - first, packed, weights, weight_zeros, blocks, blocks_per_row, HIGH, MIDDLE, LOW, RUNS
            )


@triton.jit
def ranges(
    x, found, directions, moved, matrix, signs, factor, partial, rows, tiles, count,
    TOKENS: tl.constexpr, WHOLE: tl.constexpr,
    RANK: tl.constexpr, RP: tl.constexpr, C: tl.constexpr, BLOCK: tl.constexpr, BP: tl.constexpr,
    CHUNKS: tl.constexpr, SHARES: tl.constexpr, SUMS: tl.constexpr, ROWS: tl.constexpr, LEAVE: tl.constexpr,
    ROTATE: tl.constexpr, SIGNS_FIRST: tl.constexpr, SHIFT: tl.constexpr, EXACT: tl.constexpr,
):  # fmt: skip
    """Lowest and highest value of ROWS rows of a frame of `rows` rows, in one of SHARES shares of channels.

    With TOKENS of each row: (rows, SHARES, 2); else of the tile: (frames, tiles, SHARES, 2). With WHOLE no
    tile has rows or channels that are not there.
    """
    pid = tl.program_id(0)
    share = pid % SHARES
    tile_index = (pid // SHARES) % tiles
    frame = pid // (SHARES * tiles)
    row = tile_index * ROWS + tl.arange(0, ROWS)
    inside = row < rows
    row = frame.to(tl.int64) * rows + row
    taken = 0.0
    if LEAVE and RANK <= RP:
        taken = features_at(found, row, inside, 0, count, RANK, RP, SUMS, x.dtype.element_ty)
    entries = rotation_of(matrix, BP, ROTATE)
    low = tl.full((ROWS,), float("inf"), tl.float32)
    high = tl.full((ROWS,), float("-inf"), tl.float32)
    PER: tl.constexpr = (CHUNKS + SHARES - 1) // SHARES
    for chunk in range(share * PER, tl.minimum(share * PER + PER, CHUNKS)):
        value = rotated(
            x, row, inside, chunk, entries, signs, factor, C, BLOCK, BP, ROTATE, SIGNS_FIRST, EXACT
        )
        value = left_over(
            value, taken, directions, moved, chunk, found, row, inside, count,
            RANK, RP, C, BLOCK, BP, SUMS, LEAVE, SHIFT,
        )  # fmt: skip
        least, most = _least(value, inside, chunk, C, BLOCK, BP, WHOLE)
        low = smaller(low, least)
        high = larger(high, most)
    if TOKENS:
        where = partial + 2 * (row * SHARES + share)
        tl.store(where, low, mask=inside)
        tl.store(where + 1, high, mask=inside)
    else:
        tl.store(partial + 2 * pid, tl.reduce(low, 0, smaller))
        tl.store(partial + 2 * pid + 1, tl.reduce(high, 0, larger))


@triton.jit
def encode(
    x, codes, scales, zeros, found, kept, directions, moved, clip, matrix, signs, factor, partial, border,
    parts, sz, sy, sx, left_z, left_y, left_x, pz, py, px, tiles, count,
    TOKENS: tl.constexpr, STEPS: tl.constexpr, SPAN: tl.constexpr, SHARED: tl.constexpr, COPY: tl.constexpr,
    CP: tl.constexpr, LOWEST: tl.constexpr, HIGHEST: tl.constexpr, SYMMETRIC: tl.constexpr,
    FLOOR: tl.constexpr, OFFSET: tl.constexpr, ACT_ZERO: tl.constexpr,
    RANK: tl.constexpr, RP: tl.constexpr, C: tl.constexpr, BLOCK: tl.constexpr, BP: tl.constexpr,
    CHUNKS: tl.constexpr, SHARES: tl.constexpr, SUMS: tl.constexpr, ROWS: tl.constexpr, LEAVE: tl.constexpr,
    ROTATE: tl.constexpr, SIGNS_FIRST: tl.constexpr, SHIFT: tl.constexpr, EXACT: tl.constexpr,
):  # fmt: skip
    """Codes of ROWS positions with borders in one of SHARES shares of channels.

    With TOKENS a range belongs to a position (STEPS 1) or to all STEPS positions along Z, and SPAN >= STEPS
    times SHARES. Else it belongs to a frame with `parts` partial ranges, or with SHARED to all frames.
    """
    pid = tl.program_id(0)
    share = pid % SHARES
    tile_index = (pid // SHARES) % tiles
    frame = pid // (SHARES * tiles)
    row = tile_index * ROWS + tl.arange(0, ROWS)
    live = row < pz * py * px
    ix = row % px - left_x
    iy = (row // px) % py - left_y
    iz = row // (px * py) - left_z
    inside = live & (ix >= 0) & (ix < sx) & (iy >= 0) & (iy < sy) & (iz >= 0) & (iz < sz)
    origin = ((frame.to(tl.int64) * sz + iz) * sy + iy) * sx + ix
    target = frame.to(tl.int64) * (pz * py * px) + row
    low = tl.load(border)
    high = tl.load(border + 1)
    if TOKENS:
        lane = tl.arange(0, SPAN)
        first = origin
        there = (lane < SHARES * STEPS)[None, :] & inside[:, None]
        ahead = 0
        if STEPS > 1:
            first = (frame.to(tl.int64) * sz * sy + iy) * sx + ix
            there = (lane < SHARES * STEPS)[None, :] & live[:, None]
            ahead = lane // SHARES * (sy * sx) * SHARES
        where = partial + 2 * ((first * SHARES)[:, None] + (ahead + lane % SHARES)[None, :])
        bound = tl.load(where, mask=there, other=float("inf"))
        low = smaller(low, tl.reduce(bound, 1, smaller))
        bound = tl.load(where + 1, mask=there, other=float("-inf"))
        high = larger(high, tl.reduce(bound, 1, larger))
        scale, zero = _scale(low, high, clip, LOWEST, HIGHEST, SYMMETRIC, FLOOR)
        if share == 0:
            group = origin
            own = inside
            if STEPS > 1:
                group = (frame.to(tl.int64) * sy + iy) * sx + ix
                own = inside & (iz == 0)
            tl.store(scales + group, scale, mask=own)
            if ACT_ZERO:
                tl.store(zeros + group, (zero - OFFSET).to(tl.int32), mask=own)
        scale = scale[:, None]
        zero = zero[:, None]
    else:
        first = 0 if SHARED else frame * parts
        pieces = parts * (tl.num_programs(0) // (SHARES * tiles)) if SHARED else parts
        lane = tl.arange(0, 256)
        for i in range(0, pieces, 256):
            there = i + lane < pieces
            bound = tl.load(partial + 2 * (first + i + lane), mask=there, other=float("inf"))
            low = smaller(low, tl.reduce(bound, 0, smaller))
            bound = tl.load(partial + 2 * (first + i + lane) + 1, mask=there, other=float("-inf"))
            high = larger(high, tl.reduce(bound, 0, larger))
        scale, zero = _scale(low, high, clip, LOWEST, HIGHEST, SYMMETRIC, FLOOR)
        if share + tile_index == 0:
            tl.store(scales + frame, scale)
            if ACT_ZERO:
                tl.store(zeros + frame, (zero - OFFSET).to(tl.int32))
    taken = 0.0
    if LEAVE and RANK <= RP:
        taken = features_at(found, origin, inside, 0, count, RANK, RP, SUMS, x.dtype.element_ty)
    if COPY and share == 0:
        for piece in tl.static_range((RANK + RP - 1) // RP):
            copied = features_at(found, origin, inside, piece, count, RANK, RP, SUMS, x.dtype.element_ty)
            r = piece * RP + tl.arange(0, RP)
            place = kept + (target * RANK)[:, None] + r[None, :]
            tl.store(place, copied, mask=live[:, None] & (r < RANK)[None, :])
    entries = rotation_of(matrix, BP, ROTATE)
    PER: tl.constexpr = (CHUNKS + SHARES - 1) // SHARES
    for chunk in range(share * PER, tl.minimum(share * PER + PER, CHUNKS)):
        value = rotated(
            x, origin, inside, chunk, entries, signs, factor, C, BLOCK, BP, ROTATE, SIGNS_FIRST, EXACT
        )
        value = left_over(
            value, taken, directions, moved, chunk, found, origin, inside, count,
            RANK, RP, C, BLOCK, BP, SUMS, LEAVE, SHIFT,
        )  # fmt: skip
        _store_codes(
            codes, target * CP, live, chunk, value, scale, zero,
            C, CP, BLOCK, BP, CHUNKS, ROWS, LOWEST, HIGHEST, OFFSET, ACT_ZERO,
        )  # fmt: skip

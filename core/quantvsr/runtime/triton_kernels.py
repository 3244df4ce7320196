"""Triton kernels of the integer backend for GPUs: ranges and codes of activations, weights, products.

Activations are rows (positions) of channels, the last dimension contiguous. A layer takes four launches:
`before` finds features of the low-rank branch and unpacks weights, `ranges` and `encode` make codes, and
`multiply` sums products of int8 and adds bias and low-rank branch. With `SPLIT` several programs share one
sum and `finish` adds their parts.

Codes of activations are stored as int8, less the zero point (up to 7 bits) or less 128 (8 bits, `ACT_ZERO`),
and features beside them, in buffers with borders, so that `multiply` needs no masks.
"""

# ruff: noqa: SIM108 - the two branches may have different types
import triton
import triton.language as tl

_ROUND = tl.constexpr(12582912.0)
"""1.5 * 2^23: adding and subtracting it rounds half to even."""


@triton.jit
def _halves(x, KIND: tl.constexpr):
    """Two values of a half type whose sum is nearly a float32."""
    upper = x.to(KIND)
    return upper, (x - upper.to(tl.float32)).to(KIND)


@triton.jit
def _dot(a, b, total, HALF: tl.constexpr):
    """Sum of total and a b for float32, in full precision; through tensor cores (bfloat16 three times) with HALF."""
    if HALF:
        a_upper, a_lower = _halves(a, tl.bfloat16)
        b_upper, b_lower = _halves(b, tl.bfloat16)
        total = tl.dot(a_lower, b_upper, total)
        total = tl.dot(a_upper, b_lower, total)
        total = tl.dot(a_upper, b_upper, total)
    else:
        total = tl.dot(a, b, total, input_precision="ieee")
    return total


@triton.jit
def _features(
    pid, x, l2, found, rows,
    RANK: tl.constexpr, RP: tl.constexpr, C: tl.constexpr, HALF: tl.constexpr, ROWS: tl.constexpr,
    WIDTH: tl.constexpr,
):  # fmt: skip
    """Features of ROWS rows, x with L2, in float32."""
    row = pid * ROWS + tl.arange(0, ROWS)
    inside = row < rows
    column = tl.arange(0, WIDTH)
    r = tl.arange(0, RP)
    a_tile = x + (row.to(tl.int64) * C)[:, None] + column[None, :]
    b_tile = l2 + (r * C)[:, None] + column[None, :]
    total = tl.zeros((ROWS, RP), tl.float32)
    for first in range(0, C, WIDTH):
        used = (first + column < C)[None, :]
        a = tl.load(a_tile + first, mask=inside[:, None] & used, other=0.0)
        b = tl.trans(tl.load(b_tile + first, mask=(r < RANK)[:, None] & used, other=0.0))
        if HALF:
            # The input is exact in its own type, L2 in two parts of it.
            upper, lower = _halves(b.to(tl.float32), a.dtype)
            total = tl.dot(a, lower, total)
            total = tl.dot(a, upper, total)
        else:
            total = tl.dot(a, b.to(tl.float32), total, input_precision="ieee")
    where = found + (row.to(tl.int64) * RANK)[:, None] + r[None, :]
    tl.store(where, total, mask=inside[:, None] & (r < RANK)[None, :])


@triton.jit
def _values(
    x, l2, moved, signs, hadamard, factor, features, source, inside, columns, used,
    RANK: tl.constexpr, RP: tl.constexpr, C: tl.constexpr, LEAVE: tl.constexpr, ROTATE: tl.constexpr,
    SIGNS_FIRST: tl.constexpr, SHIFT: tl.constexpr, EXACT: tl.constexpr, HALF: tl.constexpr,
):  # fmt: skip
    """What is quantized, of one block of channels of some rows: directions taken out, rotated, shifted.

    Rows that are not inside hold what a border does: minus the shift.
    """
    tile = tl.load(x + source[:, None] + columns[None, :], mask=inside[:, None] & used[None, :], other=0.0)
    if LEAVE:
        r = tl.arange(0, RP)
        there = (r < RANK)[:, None] & used[None, :]
        direction = tl.load(l2 + (r * C)[:, None] + columns[None, :], mask=there, other=0.0)
        # The sign is on the small side.
        left = _dot(features, -direction.to(tl.float32), tile.to(tl.float32), HALF)
    else:
        left = tile
    if ROTATE:
        sign = tl.load(signs + columns, mask=used, other=0)
        if SIGNS_FIRST:
            left = left * sign.to(left.dtype)[None, :]
        # Entries of the matrix are 1 and -1 (EXACT): products are exact in any type.
        if HALF and EXACT:
            if LEAVE:
                upper, lower = _halves(left, tile.dtype)
                value = tl.dot(lower, hadamard)
                value = tl.dot(upper, hadamard, value) * factor
            else:
                value = tl.dot(left, hadamard) * factor
        else:
            value = tl.dot(left.to(tl.float32), hadamard.to(tl.float32), input_precision="ieee") * factor
        if not SIGNS_FIRST:
            value = value * sign.to(tl.float32)[None, :]
    else:
        value = left.to(tl.float32)
    if SHIFT:
        value = value - tl.load(moved + columns, mask=used, other=0.0)[None, :]
    return value


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
def _matrix(matrix, BP: tl.constexpr, ROTATE: tl.constexpr):
    """The rotation of one block; without one anything."""
    column = tl.arange(0, BP)
    if ROTATE:
        entries = tl.load(matrix + column[:, None] * BP + column[None, :])
    else:
        entries = column
    return entries


@triton.jit
def _store_codes(
    codes, target, live, columns, used, value, scale, zero, last,
    C: tl.constexpr, CP: tl.constexpr, ROWS: tl.constexpr,
    LOWEST: tl.constexpr, HIGHEST: tl.constexpr, OFFSET: tl.constexpr, ACT_ZERO: tl.constexpr,
):  # fmt: skip
    """Codes of one block of channels; with the last one zeros for the channels that are not there."""
    code = (tl.div_rn(value, tl.broadcast_to(scale, value.shape)) + _ROUND) - _ROUND
    code = tl.minimum(tl.maximum(code + zero, LOWEST), HIGHEST)
    if ACT_ZERO:
        code = code - OFFSET
    else:
        code = code - zero
    where = codes + target[:, None] + columns[None, :]
    tl.store(where, code.to(tl.int8), mask=live[:, None] & used[None, :])
    if CP > C:
        rest = C + tl.arange(0, 64)
        mask = (live & last)[:, None] & (rest < CP)[None, :]
        tl.store(codes + target[:, None] + rest[None, :], tl.zeros((ROWS, 64), tl.int8), mask=mask)


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
def before(
    x, l2, found, rows, packed, weights, weight_zeros, blocks, blocks_per_row, programs,
    RANK: tl.constexpr, RP: tl.constexpr, C: tl.constexpr, HALF: tl.constexpr, FEATURE_ROWS: tl.constexpr,
    WIDTH: tl.constexpr, HIGH: tl.constexpr, MIDDLE: tl.constexpr, LOW: tl.constexpr, RUNS: tl.constexpr,
):  # fmt: skip
    """The first `programs` find features, the others unpack weights (HIGH, MIDDLE, LOW: which planes)."""
    pid = tl.program_id(0)
    if pid < programs:
        if RANK > 0:
            _features(pid, x, l2, found, rows, RANK, RP, C, HALF, FEATURE_ROWS, WIDTH)
    else:
        if HIGH or MIDDLE or LOW:
            _unpack(
                pid - programs, packed, weights, weight_zeros, blocks, blocks_per_row, HIGH, MIDDLE, LOW, RUNS
            )


@triton.jit
def ranges(
    x, found, l2, moved, matrix, signs, factor, partial, rows, tiles,
    TOKENS: tl.constexpr,
    RANK: tl.constexpr, RP: tl.constexpr, C: tl.constexpr, BLOCK: tl.constexpr, BP: tl.constexpr,
    CHUNKS: tl.constexpr, ROWS: tl.constexpr, LEAVE: tl.constexpr, ROTATE: tl.constexpr,
    SIGNS_FIRST: tl.constexpr, SHIFT: tl.constexpr, EXACT: tl.constexpr, HALF: tl.constexpr,
):  # fmt: skip
    """Lowest and highest value of ROWS rows of a frame of `rows` rows, in one block of channels.

    With TOKENS of each row: (rows, CHUNKS, 2); else of the tile: (frames, tiles, CHUNKS, 2).
    """
    pid = tl.program_id(0)
    chunk = pid % CHUNKS
    tile_index = (pid // CHUNKS) % tiles
    frame = pid // (CHUNKS * tiles)
    row = tile_index * ROWS + tl.arange(0, ROWS)
    inside = row < rows
    row = frame.to(tl.int64) * rows + row
    features = 0.0
    if LEAVE:
        r = tl.arange(0, RP)
        where = found + (row * RANK)[:, None] + r[None, :]
        features = tl.load(where, mask=inside[:, None] & (r < RANK)[None, :], other=0.0)
    column = tl.arange(0, BP)
    columns = chunk * BLOCK + column
    used = (column < BLOCK) & (columns < C)
    value = _values(
        x, l2, moved, signs, _matrix(matrix, BP, ROTATE), factor, features, row * C, inside, columns, used,
        RANK, RP, C, LEAVE, ROTATE, SIGNS_FIRST, SHIFT, EXACT, HALF,
    )  # fmt: skip
    valid = inside[:, None] & used[None, :]
    low = tl.min(tl.where(valid, value, float("inf")), axis=1)
    high = tl.max(tl.where(valid, value, float("-inf")), axis=1)
    # A range with NaN or infinity in it is NaN, as minima and maxima alone would not be.
    high += tl.sum(tl.where(valid, value, 0.0) * 0.0, axis=1)
    if TOKENS:
        where = partial + 2 * (row * CHUNKS + chunk)
        tl.store(where, low, mask=inside)
        tl.store(where + 1, high, mask=inside)
    else:
        poison = tl.sum(tl.where(inside, high, 0.0) * 0.0, axis=0)
        tl.store(partial + 2 * pid, tl.min(low, axis=0))
        tl.store(partial + 2 * pid + 1, tl.max(high, axis=0) + poison)


@triton.jit
def encode(
    x, codes, scales, zeros, found, kept, l2, moved, clip, matrix, signs, factor, partial, border, parts,
    sz, sy, sx, left_z, left_y, left_x, pz, py, px, tiles,
    TOKENS: tl.constexpr, STEPS: tl.constexpr, SPAN: tl.constexpr, SHARED: tl.constexpr, COPY: tl.constexpr,
    CP: tl.constexpr, LOWEST: tl.constexpr, HIGHEST: tl.constexpr, SYMMETRIC: tl.constexpr,
    FLOOR: tl.constexpr, OFFSET: tl.constexpr, ACT_ZERO: tl.constexpr,
    RANK: tl.constexpr, RP: tl.constexpr, C: tl.constexpr, BLOCK: tl.constexpr, BP: tl.constexpr,
    CHUNKS: tl.constexpr, ROWS: tl.constexpr, LEAVE: tl.constexpr, ROTATE: tl.constexpr,
    SIGNS_FIRST: tl.constexpr, SHIFT: tl.constexpr, EXACT: tl.constexpr, HALF: tl.constexpr,
):  # fmt: skip
    """Codes of ROWS positions with borders in one block of channels, from what `before` and `ranges` found.

    With TOKENS a range belongs to a position (STEPS 1) or to all STEPS positions along Z, and SPAN >= STEPS
    times CHUNKS. Else it belongs to a frame with `parts` partial ranges, or with SHARED to all frames.
    """
    pid = tl.program_id(0)
    chunk = pid % CHUNKS
    tile_index = (pid // CHUNKS) % tiles
    frame = pid // (CHUNKS * tiles)
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
        there = (lane < CHUNKS * STEPS)[None, :] & inside[:, None]
        ahead = 0
        if STEPS > 1:
            first = (frame.to(tl.int64) * sz * sy + iy) * sx + ix
            there = (lane < CHUNKS * STEPS)[None, :] & live[:, None]
            ahead = lane // CHUNKS * (sy * sx) * CHUNKS
        where = partial + 2 * ((first * CHUNKS)[:, None] + (ahead + lane % CHUNKS)[None, :])
        bound = tl.load(where, mask=there, other=float("inf"))
        low = tl.minimum(low, tl.min(bound, axis=1))
        bound = tl.load(where + 1, mask=there, other=float("-inf"))
        high = tl.maximum(high, tl.max(bound, axis=1)) + tl.sum(tl.where(there, bound, 0.0) * 0.0, axis=1)
        scale, zero = _scale(low, high, clip, LOWEST, HIGHEST, SYMMETRIC, FLOOR)
        if chunk == 0:
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
        poison = 0.0
        first = 0 if SHARED else frame * parts
        count = parts * (tl.num_programs(0) // (CHUNKS * tiles)) if SHARED else parts
        lane = tl.arange(0, 256)
        for i in range(0, count, 256):
            there = i + lane < count
            bound = tl.load(partial + 2 * (first + i + lane), mask=there, other=float("inf"))
            low = tl.minimum(low, tl.min(bound, axis=0))
            bound = tl.load(partial + 2 * (first + i + lane) + 1, mask=there, other=float("-inf"))
            high = tl.maximum(high, tl.max(bound, axis=0))
            poison += tl.sum(tl.where(there, bound, 0.0) * 0.0, axis=0)
        scale, zero = _scale(low, high + poison, clip, LOWEST, HIGHEST, SYMMETRIC, FLOOR)
        if chunk + tile_index == 0:
            tl.store(scales + frame, scale)
            if ACT_ZERO:
                tl.store(zeros + frame, (zero - OFFSET).to(tl.int32))
    features = 0.0
    if LEAVE or COPY:
        r = tl.arange(0, RP)
        ranks = (r < RANK)[None, :]
        features = tl.load(
            found + (origin * RANK)[:, None] + r[None, :], mask=inside[:, None] & ranks, other=0.0
        )
        if COPY and chunk == 0:
            place = (target * RANK)[:, None] + r[None, :]
            tl.store(kept + place, features.to(kept.dtype.element_ty), mask=live[:, None] & ranks)
    column = tl.arange(0, BP)
    columns = chunk * BLOCK + column
    used = (column < BLOCK) & (columns < C)
    value = _values(
        x, l2, moved, signs, _matrix(matrix, BP, ROTATE), factor, features, origin * C, inside, columns, used,
        RANK, RP, C, LEAVE, ROTATE, SIGNS_FIRST, SHIFT, EXACT, HALF,
    )  # fmt: skip
    _store_codes(
        codes, target * CP, live, columns, used, value, scale, zero, chunk == CHUNKS - 1,
        C, CP, ROWS, LOWEST, HIGHEST, OFFSET, ACT_ZERO,
    )  # fmt: skip


@triton.jit
def _scaled(
    total, row_sums, m, n, group, positions, scales, zeros, weight_scales, weight_zeros, weight_sums, bias,
    outputs: tl.constexpr, TERMS: tl.constexpr, ACT_ZERO: tl.constexpr, WEIGHT_ZERO: tl.constexpr,
    BIAS: tl.constexpr, SWAP: tl.constexpr,
):  # fmt: skip
    """Sums to outputs of the low-bit branch: corrections for zero points, scales, bias."""
    n_safe = tl.minimum(n, outputs - 1)
    R: tl.constexpr = 0 if SWAP else 1
    N: tl.constexpr = 1 if SWAP else 0
    if WEIGHT_ZERO:
        weight_zero = tl.expand_dims(tl.load(weight_zeros + n_safe).to(tl.int32), N)
        total = total - tl.expand_dims(row_sums, R) * weight_zero
    if ACT_ZERO:
        zero = tl.expand_dims(tl.load(zeros + group), R)
        total = total - zero * tl.expand_dims(tl.load(weight_sums + n_safe), N)
        if WEIGHT_ZERO:
            total = total + zero * weight_zero * TERMS
    scale = tl.expand_dims(tl.load(scales + group), R)
    y = total.to(tl.float32) * (scale * tl.expand_dims(tl.load(weight_scales + n_safe), N))
    if BIAS:
        y = y + tl.expand_dims(tl.load(bias + n_safe), N)
    return y


@triton.jit
def _skip(
    y, features, l1, row, n, py, px, outputs: tl.constexpr,
    KZ: tl.constexpr, KY: tl.constexpr, KX: tl.constexpr,
    DZ: tl.constexpr, DY: tl.constexpr, DX: tl.constexpr,
    RANK: tl.constexpr, RK: tl.constexpr, SWAP: tl.constexpr,
):  # fmt: skip
    """What the low-rank branch adds: features under the kernel with L1, RK of RANK features at a time."""
    r = tl.arange(0, RK)
    f_tile = features + (row * RANK)[:, None] + r[None, :]
    l_tile = l1 + (tl.minimum(n, outputs - 1) * (KZ * KY * KX * RANK))[:, None] + r[None, :]
    PIECES: tl.constexpr = RANK // RK
    for item in range(KZ * KY * KX * PIECES):
        tap = item // PIECES
        shift = ((tap // (KX * KY) * DZ) * py + (tap // KX) % KY * DY) * px + tap % KX * DX
        f = tl.load(f_tile + (shift * RANK + (item % PIECES) * RK))
        l = tl.load(l_tile + item * RK)  # noqa: E741
        if SWAP:
            y = tl.dot(l, tl.trans(f), y, input_precision="ieee")
        else:
            y = tl.dot(f, tl.trans(l), y, input_precision="ieee")
    return y


@triton.jit
def _store(y, out, m, n, positions, outputs: tl.constexpr, SWAP: tl.constexpr):
    R: tl.constexpr = 0 if SWAP else 1
    N: tl.constexpr = 1 if SWAP else 0
    where = tl.expand_dims(m.to(tl.int64) * outputs, R) + tl.expand_dims(n, N)
    there = tl.expand_dims(m < positions, R) & tl.expand_dims(n < outputs, N)
    tl.store(out + where, y.to(out.dtype.element_ty), mask=there)


@triton.jit
def multiply(
    codes, weights, out, sums, scales, zeros, weight_scales, weight_zeros, weight_sums, bias, features, l1,
    positions, out_z, out_y, out_x, pz, py, px, group_n, group_z, group_y, group_x,
    outputs: tl.constexpr, step_z: tl.constexpr, step_y: tl.constexpr, step_x: tl.constexpr,
    KZ: tl.constexpr, KY: tl.constexpr, KX: tl.constexpr,
    DZ: tl.constexpr, DY: tl.constexpr, DX: tl.constexpr, CP: tl.constexpr, LENGTH: tl.constexpr,
    TERMS: tl.constexpr, ACT_ZERO: tl.constexpr, WEIGHT_ZERO: tl.constexpr, BIAS: tl.constexpr,
    RANK: tl.constexpr, RK: tl.constexpr, NIBBLES: tl.constexpr,
    BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, SWAP: tl.constexpr, SPLIT: tl.constexpr,
):  # fmt: skip
    """Sums of products over the taps of a kernel and the channels, BM positions by BN output channels.

    A row of weights holds LENGTH values: taps by CP channels, then zeros. With NIBBLES it is packed (the one
    plane of 4-bit codes) and unpacked here.
    """
    pid = tl.program_id(0)
    column_tiles: tl.constexpr = (outputs + BN - 1) // BN
    m = (pid // column_tiles) * BM + tl.arange(0, BM)
    n = (pid % column_tiles) * BN + tl.arange(0, BN)
    m_safe = tl.minimum(m, positions - 1)
    n_safe = tl.minimum(n, outputs - 1)
    ox = m_safe % out_x
    oy = (m_safe // out_x) % out_y
    oz = (m_safe // (out_x * out_y)) % out_z
    entry = m_safe // (out_x * out_y * out_z)
    ix, iy, iz = ox * step_x, oy * step_y, oz * step_z
    row = ((entry * pz + iz).to(tl.int64) * py + iy) * px + ix
    k = tl.arange(0, BK)
    a_tile = codes + row[:, None] * CP + k[None, :]
    CHUNKS: tl.constexpr = CP // BK
    ITEMS: tl.constexpr = KZ * KY * KX * CHUNKS
    if SWAP:
        total = tl.zeros((BN, BM), tl.int32)
    else:
        total = tl.zeros((BM, BN), tl.int32)
    row_sums = tl.zeros((BM, 16), tl.int32)
    # One small step of the low-rank branch: loaded here, so that nobody waits for it at the end.
    EARLY: tl.constexpr = RANK > 0 and KZ * KY * KX == 1 and RANK == RK and SPLIT == 1
    if EARLY:
        r = tl.arange(0, RK)
        f_early = tl.load(features + (row * RANK)[:, None] + r[None, :])
        l_early = tl.load(l1 + (n_safe * RANK)[:, None] + r[None, :])
    if NIBBLES:
        # Two runs of 64 channels at once: they share bytes.
        w_tile = weights + n_safe.to(tl.int64)[:, None] * (LENGTH // 2) + k[None, :]
        zero = tl.load(weight_zeros + n_safe)[:, None]
        PAIRS: tl.constexpr = LENGTH // 128
        STEPS: tl.constexpr = (PAIRS + SPLIT - 1) // SPLIT
        begin = tl.program_id(1) * STEPS
        for i in range(begin, tl.minimum(begin + STEPS, PAIRS)):
            byte = tl.load(w_tile + i * 64)
            for half in tl.static_range(2):
                item = tl.minimum(2 * i + half, ITEMS - 1)
                tap = item // CHUNKS
                shift = ((tap // (KX * KY) * DZ) * py + (tap // KX) % KY * DY) * px + tap % KX * DX
                a = tl.load(a_tile + (shift * CP + (item % CHUNKS) * BK))
                w = ((byte >> (4 * half)) & 15).to(tl.int8) - zero
                if SWAP:
                    total = tl.dot(w, tl.trans(a), total, out_dtype=tl.int32)
                else:
                    total = tl.dot(a, tl.trans(w), total, out_dtype=tl.int32)
    else:
        w_tile = weights + n_safe.to(tl.int64)[:, None] * LENGTH + k[None, :]
        STEPS: tl.constexpr = (ITEMS + SPLIT - 1) // SPLIT
        begin = tl.program_id(1) * STEPS
        for item in range(begin, tl.minimum(begin + STEPS, ITEMS)):
            tap = item // CHUNKS
            shift = ((tap // (KX * KY) * DZ) * py + (tap // KX) % KY * DY) * px + tap % KX * DX
            a = tl.load(a_tile + (shift * CP + (item % CHUNKS) * BK))
            w = tl.load(w_tile + item * BK)
            if SWAP:
                total = tl.dot(w, tl.trans(a), total, out_dtype=tl.int32)
            else:
                total = tl.dot(a, tl.trans(w), total, out_dtype=tl.int32)
            if WEIGHT_ZERO:
                ones = tl.full((BK, 16), 1, tl.int8)
                row_sums = tl.dot(a, ones, row_sums, out_dtype=tl.int32)
    if SPLIT > 1:
        part = tl.program_id(1).to(tl.int64) * positions
        R: tl.constexpr = 0 if SWAP else 1
        N: tl.constexpr = 1 if SWAP else 0
        where = tl.expand_dims((part + m) * outputs, R) + tl.expand_dims(n, N)
        there = tl.expand_dims(m < positions, R) & tl.expand_dims(n < outputs, N)
        tl.store(sums + where, total, mask=there)
    else:
        group = entry * group_n + iz * group_z + iy * group_y + ix * group_x
        y = _scaled(
            total, tl.max(row_sums, axis=1), m, n, group, positions, scales, zeros, weight_scales,
            weight_zeros, weight_sums, bias, outputs, TERMS, ACT_ZERO, WEIGHT_ZERO, BIAS, SWAP,
        )  # fmt: skip
        if EARLY:
            if SWAP:
                y = tl.dot(l_early, tl.trans(f_early), y, input_precision="ieee")
            else:
                y = tl.dot(f_early, tl.trans(l_early), y, input_precision="ieee")
        elif RANK > 0:
            y = _skip(y, features, l1, row, n, py, px, outputs, KZ, KY, KX, DZ, DY, DX, RANK, RK, SWAP)
        _store(y, out, m, n, positions, outputs, SWAP)


@triton.jit
def finish(
    sums, out, scales, zeros, weight_scales, weight_zeros, weight_sums, bias, features, l1,
    positions, out_z, out_y, out_x, pz, py, px, group_n, group_z, group_y, group_x,
    outputs: tl.constexpr, step_z: tl.constexpr, step_y: tl.constexpr, step_x: tl.constexpr,
    KZ: tl.constexpr, KY: tl.constexpr, KX: tl.constexpr,
    DZ: tl.constexpr, DY: tl.constexpr, DX: tl.constexpr,
    TERMS: tl.constexpr, ACT_ZERO: tl.constexpr, BIAS: tl.constexpr,
    RANK: tl.constexpr, RK: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, SPLIT: tl.constexpr,
):  # fmt: skip
    """Add the parts of sums that several programs shared, and store outputs."""
    pid = tl.program_id(0)
    column_tiles: tl.constexpr = (outputs + BN - 1) // BN
    m = (pid // column_tiles) * BM + tl.arange(0, BM)
    n = (pid % column_tiles) * BN + tl.arange(0, BN)
    there = (m < positions)[:, None] & (n < outputs)[None, :]
    where = m.to(tl.int64)[:, None] * outputs + n[None, :]
    total = tl.zeros((BM, BN), tl.int32)
    for part in tl.static_range(SPLIT):
        skipped = tl.full((), part, tl.int64) * positions * outputs
        total += tl.load(sums + skipped + where, mask=there, other=0)
    m_safe = tl.minimum(m, positions - 1)
    ix = m_safe % out_x * step_x
    iy = (m_safe // out_x) % out_y * step_y
    iz = (m_safe // (out_x * out_y)) % out_z * step_z
    entry = m_safe // (out_x * out_y * out_z)
    row = ((entry * pz + iz).to(tl.int64) * py + iy) * px + ix
    group = entry * group_n + iz * group_z + iy * group_y + ix * group_x
    y = _scaled(
        total, m, m, n, group, positions, scales, zeros, weight_scales, weight_zeros, weight_sums, bias,
        outputs, TERMS, ACT_ZERO, False, BIAS, False,
    )  # fmt: skip
    if RANK > 0:
        y = _skip(y, features, l1, row, n, py, px, outputs, KZ, KY, KX, DZ, DY, DX, RANK, RK, False)
    _store(y, out, m, n, positions, outputs, False)

"""Triton kernels of the product: sums of int8 products, scales, bias and low-rank branch.

With `SPLIT` several programs of `multiply` share one sum, and `finish` adds their parts.
"""

# ruff: noqa: SIM108 - the two branches may have different types

import triton  # pyright: ignore[reportMissingImports]
import triton.language as tl  # pyright: ignore[reportMissingImports]


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
        SHARE: tl.constexpr = (ITEMS + SPLIT - 1) // SPLIT
        begin = tl.program_id(1) * SHARE
        for item in range(begin, tl.minimum(begin + SHARE, ITEMS)):
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

"""Ranges and codes of activations, and what follows an integer product."""

# numba's decorators change what functions take: the type checker cannot follow.
# pyright: reportCallIssue=false, reportAttributeAccessIssue=false, reportPrivateImportUsage=false
# pyright: reportReturnType=false, reportArgumentType=false

import numpy as np
from numba import carray, njit

from quantvsr.runtime.kernels.basis import F32, I64, U8, U16, at, key, load, store, unkey


@njit(error_model="numpy")
def _steps(lo, hi, low, high, symmetric, holds_zero, relative):
    """`affine.scale_and_zero_point`, the zero point counted from the lowest code."""
    # Comparisons that let through what is no number.
    if holds_zero:
        lo, hi = F32(0) if lo > F32(0) else lo, F32(0) if hi < F32(0) else hi
    scale = max(abs(lo), abs(hi)) / F32(high) if symmetric else (hi - lo) / F32(high - low)
    if not relative:
        scale = F32(1e-4) if scale < F32(1e-4) else scale
    else:
        if not holds_zero and not symmetric:
            least = max(abs(lo), abs(hi)) * F32(2.0**-20)
            scale = least if scale < least else scale
        if scale < F32(1.1754943508222875e-38):
            scale = F32(1)
    if symmetric:
        return scale, F32(-low)
    zero = np.rint(-lo / scale)
    if holds_zero:
        zero = F32(low) if zero < F32(low) else zero
        zero = F32(high) if zero > F32(high) else zero
    return scale, zero - F32(low)


@njit(error_model="numpy")
def _bounds(lo, hi, sums):
    """Smallest and largest value; no numbers where a sum is none."""
    least, most, sound = lo[0], hi[0], F32(0)
    for k in range(len(lo)):
        least, most, sound = min(least, lo[k]), max(most, hi[k]), sound + sums[k]
    return (least, most) if sound == F32(0) else (F32(np.nan), F32(np.nan))


@njit(error_model="numpy")
def _ranges(p, piece, kind):
    """Range of each group of rows, as this piece sees it.

    Arguments: -, pieces, groups, rows of a group, channels, channels of a row, address of the rows, after,
    offset, found (pieces, groups, 2), scratch (pieces, 3 channels).
    """
    a = carray(p, (16,), I64)
    pieces, groups, rows, channels, width = a[1], a[2], a[3], a[4], a[5]
    values = carray(at(a[6]), (groups * rows, width), kind)
    after, offset = carray(at(a[7]), (channels,), F32), carray(at(a[8]), (channels,), F32)
    found = carray(at(a[9]), (pieces, groups, 2), F32)
    first, last = groups * rows * piece // pieces, groups * rows * (piece + 1) // pieces
    scratch = carray(at(a[10]), (pieces, 3, channels), F32)
    lo, hi, sums = scratch[piece, 0], scratch[piece, 1], scratch[piece, 2]
    for group in range(groups):
        lo[:], hi[:], sums[:] = F32(np.inf), F32(-np.inf), F32(0)
        for i in range(max(first, group * rows), min(last, (group + 1) * rows)):
            for k in range(channels):
                value = load(values[i, k]) * after[k] + offset[k]
                lo[k] = value if value < lo[k] else lo[k]
                hi[k] = value if value > hi[k] else hi[k]
                sums[k] += value - value  # stays zero as long as all are finite
        found[piece, group, 0], found[piece, group, 1] = _bounds(lo, hi, sums)


@njit(error_model="numpy")
def _step_of(lo, hi, limits, flags):
    """Scale and zero point of a range; limits: clip factors, range of the border."""
    if flags[0]:
        lo, hi = limits[2] if lo > limits[2] else lo, limits[3] if hi < limits[3] else hi
    return _steps(lo * limits[0], hi * limits[1], flags[1], flags[2], flags[3], flags[4], flags[5])


@njit(error_model="numpy")
def _encode(values, after, offset, scale, zero, top, codes):
    """Codes of rows (n, channels), of which `values` may have more."""
    for i in range(len(codes)):
        for k in range(len(after)):
            value = load(values[i, k]) * after[k] + offset[k]
            code = np.rint(value / scale) + zero
            codes[i, k] = U8(np.int32(min(max(code, F32(0)), top)))


@njit(error_model="numpy")
def _line(values, scale, zero, top, more, codes):
    """Codes of a row, `more` added to each."""
    for k in range(len(values)):
        code = np.rint(values[k] / scale) + zero
        codes[k] = U8(np.int32(min(max(code, F32(0)), top) + more))


@njit(error_model="numpy")
def _frames(p, piece, kind):
    """Codes of images with their borders; images share a range in one group, or have one each.

    Arguments: -, pieces, images, groups, sizes Z Y X, borders Z Y X, channels, channels of a row, addresses
    of the rows, after, offset, border, limits, flags, ranges (shares, groups, 2), their number, codes, steps
    (2, groups), scratch (pieces, channels) of bytes.
    """
    a = carray(p, (24,), I64)
    pieces, images, groups, zs, ys, xs, pz, py, px, channels, width = a[1:12]
    values = carray(at(a[12]), (images, zs, ys, xs, width), kind)
    after, offset = carray(at(a[13]), (channels,), F32), carray(at(a[14]), (channels,), F32)
    border, limits = carray(at(a[15]), (channels,), F32), carray(at(a[16]), (4,), F32)
    flags = carray(at(a[17]), (8,), I64)
    ranges = carray(at(a[18]), (a[19], groups, 2), F32)
    high, wide = ys + 2 * py, xs + 2 * px
    codes = carray(at(a[20]), (images, zs + 2 * pz, high, wide, channels), U8)
    steps = carray(at(a[21]), (2, groups), F32)
    top = F32(flags[2] - flags[1])
    line = carray(at(a[22]), (pieces, channels), U8)[piece]
    lines = images * (zs + 2 * pz) * high
    first, last = lines * piece // pieces, lines * (piece + 1) // pieces
    before, scale, zero = I64(-1), F32(1), F32(0)
    for number in range(first, last):
        image, rest = divmod(number, (zs + 2 * pz) * high)
        z, y = divmod(rest, high)
        group = image * groups // images
        if group != before:
            before = group
            lo, hi = F32(np.inf), F32(-np.inf)
            for share in range(a[19]):
                one, other = ranges[share, group, 0], ranges[share, group, 1]
                lo, hi = (lo if lo < one else one), (hi if hi > other else other)
                if one != one:
                    break
            scale, zero = _step_of(lo, hi, limits, flags)
            _line(border, scale, zero, top, F32(0), line)
            steps[0, group], steps[1, group] = scale, zero
        here = codes[image, z, y]
        if not (pz <= z < pz + zs and py <= y < py + ys):
            for x in range(wide):
                here[x] = line
            continue
        for x in range(px):
            here[x], here[wide - 1 - x] = line, line
        _encode(values[image, z - pz, y - py], after, offset, scale, zero, top, here[px : px + xs])


# Ranges of positions --------------------------------------------------------------------------------------


@njit(error_model="numpy")
def _values(row, after, offset, out):
    for k in range(len(after)):
        out[k] = load(row[k]) * after[k] + offset[k]


@njit(error_model="numpy")
def _extremes(values):
    """Smallest and largest value; no numbers where one is not finite."""
    # Whole numbers in the same order: their minimum is vectorised, that of floating point is not.
    least, most = key(values[0]), key(values[0])
    for k in range(len(values)):
        rank = key(values[k])
        least = rank if rank < least else least
        most = rank if rank > most else most
    lo, hi = unkey(least), unkey(most)
    return (lo, hi) if np.isfinite(lo) and np.isfinite(hi) else (F32(np.nan), F32(np.nan))


@njit(error_model="numpy")
def _columns(p, piece, kind):
    """Ranges and codes where all rows of a column (n, :, w) share a range.

    With the seventh flag codes are moved, so that the largest code is the zero point of all.

    Arguments: -, pieces, sizes N T W, border T, channels, channels of a row, addresses of the rows (N, T, W),
    after, offset, border, limits, flags, codes (N, T + borders, W), steps (2, N, W), scratch (pieces, T,
    channels).
    """
    a = carray(p, (24,), I64)
    pieces, ns, ts, ws, pt, channels, width = a[1:8]
    values = carray(at(a[8]), (ns, ts, ws, width), kind)
    after, offset = carray(at(a[9]), (channels,), F32), carray(at(a[10]), (channels,), F32)
    border, limits = carray(at(a[11]), (channels,), F32), carray(at(a[12]), (4,), F32)
    flags = carray(at(a[13]), (8,), I64)
    codes = carray(at(a[14]), (ns, ts + 2 * pt, ws, channels), U8)
    steps = carray(at(a[15]), (2, ns * ws), F32)
    top = F32(flags[2] - flags[1])
    flat = carray(at(a[16]), (pieces, ts * channels), F32)[piece]
    held = carray(at(a[16]), (pieces, ts, channels), F32)[piece]
    for number in range(ns * ws * piece // pieces, ns * ws * (piece + 1) // pieces):
        n, w = divmod(number, ws)
        for t in range(ts):
            _values(values[n, t, w], after, offset, held[t])
        lo, hi = _extremes(flat)
        scale, zero = _step_of(lo, hi, limits, flags)
        more = top - zero if flags[6] else F32(0)
        steps[0, number], steps[1, number] = scale, zero + more
        for t in range(pt):
            _line(border, scale, zero, top, more, codes[n, t, w])
            _line(border, scale, zero, top, more, codes[n, ts + 2 * pt - 1 - t, w])
        for t in range(ts):
            _line(held[t], scale, zero, top, more, codes[n, t + pt, w])


@njit(error_model="numpy")
def _combine(p, piece, product_kind, kind):
    """Write or add `(product - zero * sums) * scale + bias`; rows (n, :, w) share scale and zero point.

    Arguments: -, pieces, sizes N T W, channels, whether to add, addresses of product, steps (2, N, W), sums,
    bias, result.
    """
    a = carray(p, (16,), I64)
    pieces, ns, ts, ws, channels, add = a[1:7]
    product = carray(at(a[7]), (ns * ts * ws, channels), product_kind)
    steps = carray(at(a[8]), (2, ns, ws), F32)
    sums, bias = carray(at(a[9]), (channels,), F32), carray(at(a[10]), (channels,), F32)
    result = carray(at(a[11]), (ns * ts * ws, channels), kind)
    for i in range(ns * ts * ws * piece // pieces, ns * ts * ws * (piece + 1) // pieces):
        n, w = i // (ts * ws), i % ws
        scale, zero = steps[0, n, w], steps[1, n, w]
        row, out = product[i], result[i]
        if add:
            for k in range(channels):
                store(out, k, (load(row[k]) - zero * sums[k]) * scale + bias[k] + load(out[k]))
        else:
            for k in range(channels):
                store(out, k, (load(row[k]) - zero * sums[k]) * scale + bias[k])


# Entries: a kernel for a type of the rows -------------------------------------------------------------------


def ranges_bfloat16(p, piece):
    """See `_ranges`."""
    _ranges(p, piece, U16)


def ranges_float32(p, piece):
    """See `_ranges`."""
    _ranges(p, piece, F32)


def frames_bfloat16(p, piece):
    """See `_frames`."""
    _frames(p, piece, U16)


def frames_float32(p, piece):
    """See `_frames`."""
    _frames(p, piece, F32)


def columns_bfloat16(p, piece):
    """See `_columns`."""
    _columns(p, piece, U16)


def columns_float32(p, piece):
    """See `_columns`."""
    _columns(p, piece, F32)


def combine_bfloat16_bfloat16(p, piece):
    """See `_combine`."""
    _combine(p, piece, U16, U16)


def combine_float32_bfloat16(p, piece):
    """See `_combine`."""
    _combine(p, piece, F32, U16)


def combine_float32_float32(p, piece):
    """See `_combine`."""
    _combine(p, piece, F32, F32)

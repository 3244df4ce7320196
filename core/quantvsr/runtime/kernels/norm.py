"""Norms and activations between layers."""

# numba's decorators change what functions take: the type checker cannot follow.
# pyright: reportCallIssue=false, reportAttributeAccessIssue=false, reportPrivateImportUsage=false
# pyright: reportReturnType=false, reportArgumentType=false

import numpy as np
from numba import carray, njit

from quantvsr.runtime.kernels.basis import F32, I64, U16, at, exp, load, store


@njit(error_model="numpy", fastmath={"reassoc", "contract"})
def _moments(row):
    """Mean, and mean squared distance from it."""
    mean, variance = F32(0), F32(0)
    for k in range(len(row)):
        mean += row[k]
    mean /= F32(len(row))
    for k in range(len(row)):
        variance += (row[k] - mean) * (row[k] - mean)
    return mean, variance / F32(len(row))


@njit(error_model="numpy")
def _copy(row, out):
    for k in range(len(row)):
        out[k] = row[k]


@njit(error_model="numpy")
def _widen(row, out):
    for k in range(len(row)):
        out[k] = load(row[k])


@njit(error_model="numpy", fastmath={"contract"})
def _norm_silu_row(row, mean, factor, weight, bias, out):
    for k in range(len(row)):
        value = (row[k] - mean) * factor * weight[k] + bias[k]
        store(out, k, value / (F32(1) + exp(-value)))


@njit(error_model="numpy")
def _norm_silu(p, piece, kind):
    """SiLU of a layer norm over channels, the first and last of some frames repeated.

    Arguments: -, pieces, clips, frames, positions, channels, repeats at each end, addresses of rows, weight,
    bias, epsilon, result (clips, frames + repeats, positions, channels), scratch (pieces, channels).
    """
    a = carray(p, (16,), I64)
    pieces, clips, frames, positions, channels, repeats = a[1:7]
    rows = carray(at(a[7]), (clips * frames * positions, channels), kind)
    weight, bias = carray(at(a[8]), (channels,), F32), carray(at(a[9]), (channels,), F32)
    epsilon = carray(at(a[10]), (1,), F32)[0]
    result = carray(at(a[11]), (clips, frames + 2 * repeats, positions, channels), kind)
    held = carray(at(a[12]), (pieces, channels), F32)[piece]
    for i in range(len(rows) * piece // pieces, len(rows) * (piece + 1) // pieces):
        frame, place = divmod(i, positions)
        clip, frame = divmod(frame, frames)
        row = rows[i]
        _widen(row, held)
        mean, variance = _moments(held)
        out = result[clip, frame + repeats, place]
        _norm_silu_row(held, mean, F32(1) / np.sqrt(variance + epsilon), weight, bias, out)
        for r in range(repeats):
            if frame == 0:
                _copy(out, result[clip, r, place])
            if frame == frames - 1:
                _copy(out, result[clip, frame + repeats + 1 + r, place])


def norm_silu_bfloat16(p, piece):
    """See `_norm_silu`."""
    _norm_silu(p, piece, U16)


def norm_silu_float32(p, piece):
    """See `_norm_silu`."""
    _norm_silu(p, piece, F32)

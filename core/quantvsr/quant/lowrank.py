"""The full-precision low-rank branch: factors of a weight, and their execution as two thin operations.

Specification, section 4, is the basis "weight": `vec(weight)`, (O, n), is approximated by L1 (O, r) times
L2 (r, n), executed as k x k to r channels, then 1 x 1.

The basis "activation" is ours: L2 (r, C) holds orthonormal directions of the input channels, L1 (O, r * K)
the weight seen from these directions, for K kernel positions; executed as 1 x 1 to r channels, then k x k.
What lies in these directions passes in full precision, so it can be taken out of the activations before they
are quantized: the rest has a smaller range. Activations of a trained network are strongly correlated over
channels, weights are not.
"""

import torch
from torch import Tensor

from quantvsr.quant.config import Basis


def svd_factors(weight: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Best rank-`rank` approximation `L1 L2` of vec(weight), all singular weight in L1.

    Args:
        weight: (O, I, k...); used as the matrix (O, n), n = I * k..., in float32.
        rank: Columns wanted; at most min(O, n) come back.

    Returns:
        L1 (O, r) and L2 (r, n), float32. Unique up to the sign of each column and row pair.
    """
    matrix = weight.detach().float().flatten(1)
    wide = matrix.shape[1] > matrix.shape[0]
    # The decomposition of a tall matrix is three times as fast as that of its transpose.
    u, s, vh = torch.linalg.svd(matrix.T.contiguous() if wide else matrix, full_matrices=False)
    if wide:
        u, vh = vh.T, u.T
    r = min(rank, len(s))
    return (u[:, :r] * s[:r]).contiguous(), vh[:r].contiguous()


def leading_directions(moment: Tensor, rank: int) -> Tensor:
    """Eigenvectors of the largest eigenvalues.

    Args:
        moment: (C, C), symmetric: a covariance of channels.
        rank: How many, at most C.

    Returns:
        (rank, C), orthonormal rows, float32, largest first; each row's largest entry is positive.
    """
    wide = len(moment) > _WHOLE and 4 * (rank + _SPARE) < len(moment)
    vectors = (_leading_subspace if wide else _whole)(moment.double(), rank).float().T
    # The sign of an eigenvector is arbitrary: fixed, so that it does not depend on the library.
    place = vectors.abs().argmax(1, keepdim=True)
    return (vectors * vectors.gather(1, place).sign()).contiguous()


# Above this many channels the whole decomposition takes longer than all else that is done with a layer.
_WHOLE = 512
_SPARE, _ROUNDS = 16, 12


def _whole(moment: Tensor, rank: int) -> Tensor:
    """(C, rank) leading eigenvectors by a whole decomposition.

    In double precision: single fails to converge for inputs that are the same everywhere (one sampling step).
    """
    return torch.linalg.eigh(moment).eigenvectors.flip(1)[:, :rank]


def _leading_subspace(moment: Tensor, rank: int) -> Tensor:
    """(C, rank) leading eigenvectors by subspace iteration (Halko, Martinsson, Tropp, 2011)."""
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(len(moment), rank + _SPARE, generator=generator, dtype=moment.dtype)
    basis = torch.linalg.qr(moment @ start.to(moment.device)).Q
    for _ in range(_ROUNDS):
        basis = torch.linalg.qr(moment @ basis).Q
    return basis @ _whole(basis.T @ moment @ basis, rank)


def weight_moment(weight: Tensor) -> Tensor:
    """Second moment of a weight's input channels, (C, C): a stand-in for calibration inputs."""
    rows = weight.detach().float().movedim(1, -1).reshape(-1, weight.shape[1])
    return rows.T @ rows


def seen_from(weight: Tensor, directions: Tensor) -> Tensor:
    """A weight seen from directions of its input channels.

    Args:
        weight: (O, C, k...).
        directions: (r, C).

    Returns:
        (O, r * K), float32: L1 of the basis "activation".
    """
    return torch.einsum("oc...,rc->or...", weight.detach().float(), directions).flatten(1).contiguous()


def factor_shapes(shape: torch.Size, rank: int, basis: Basis) -> tuple[tuple[int, int], tuple[int, int]]:
    """Shapes of L1 and L2 for a weight of this shape."""
    out, channels, kernel = shape[0], shape[1], shape[2:].numel()
    if basis == "weight":
        return (out, rank), (rank, channels * kernel)
    return (out, rank * kernel), (rank, channels)


def largest_rank(shape: torch.Size, basis: Basis) -> int:
    """The largest rank that makes sense: that of the weight as the matrix that the factors split."""
    out, channels, kernel = shape[0], shape[1], shape[2:].numel()
    return min(out, channels * kernel) if basis == "weight" else min(out * kernel, channels)


def skip_weight(l1: Tensor, l2: Tensor, shape: torch.Size, basis: Basis = "weight") -> Tensor:
    """`L1 L2` in the shape of the weight: what the low-bit branch has to leave out."""
    if basis == "weight":
        return (l1 @ l2).reshape(shape)
    return torch.einsum("or...,rc->oc...", l1.reshape(shape[0], len(l2), *shape[2:]), l2)


def thin_weights(
    l1: Tensor, l2: Tensor, shape: torch.Size, groups: int, basis: Basis = "weight"
) -> tuple[Tensor, Tensor]:
    """Weights of the two operations that equal one with `L1 L2`.

    With groups each group needs the r features of its own input channels, so the first operation has
    groups * r outputs and both are grouped.

    Args:
        l1: Shaped as `factor_shapes` says.
        l2: Likewise.
        shape: Shape of the weight, (O, I, k...).
        groups: Groups of the convolution; 1 in the basis "activation".
        basis: Which of the two is k x k: the first in the basis "weight", else the second.

    Returns:
        (groups * r, I, k...) and (O, r, 1...) in the basis "weight"; else (r, I, 1...) and (O, r, k...).
    """
    ones = [1] * (len(shape) - 2)
    if basis == "activation":
        return l2.reshape(*l2.shape, *ones), l1.reshape(shape[0], len(l2), *shape[2:])
    first = l2.reshape(-1, *shape[1:])
    if groups > 1:
        first = first.repeat(groups, *[1] * (len(shape) - 1))
    return first, l1.reshape(*l1.shape, *ones)

"""The full-precision low-rank branch: factors of a weight, and their execution as two thin operations.

Specification, section 4.
"""

import torch
from torch import Tensor


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


def skip_weight(l1: Tensor, l2: Tensor, shape: torch.Size) -> Tensor:
    """`L1 L2` in the shape of the weight: what the low-bit branch has to leave out."""
    return (l1 @ l2).reshape(shape)


def thin_weights(l1: Tensor, l2: Tensor, shape: torch.Size, groups: int) -> tuple[Tensor, Tensor]:
    """Weights of the two operations that equal one with `L1 L2`: k x k to r channels, then 1 x 1.

    With groups each group needs the r features of its own input channels, so the first operation has
    groups * r outputs and both are grouped.

    Args:
        l1: (O, r).
        l2: (r, n).
        shape: Shape of the weight, (O, I, k...).
        groups: Groups of the convolution.

    Returns:
        (groups * r, I, k...) and (O, r, 1...).
    """
    first = l2.reshape(-1, *shape[1:])
    if groups > 1:
        first = first.repeat(groups, *[1] * (len(shape) - 1))
    return first, l1.reshape(*l1.shape, *[1] * (len(shape) - 2))

"""Convolutions as two-dimensional ones over channels-last memory, where that is only another view.

A (3, 1, 1) convolution over frames is a (3, 1) convolution over frames x positions, a (1, 3, 3) one treats
frames as a batch, and a one-dimensional one has a height of 1. The libraries' two-dimensional code is their
best.
"""

from dataclasses import dataclass

from torch import Tensor

from quantvsr.quant.geometry import Geometry


@dataclass(frozen=True)
class Planar:
    """A convolution as a two-dimensional one, or as a three-dimensional one that cannot be folded.

    Attributes:
        dims: 2 or 3: position dimensions after folding.
        frames_in_batch: (1, k, k): frames join the batch dimension.
        kernel, stride, padding, dilation: Of the folded convolution, one per dimension; padding is the same
            on both sides.
    """

    dims: int
    frames_in_batch: bool
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]

    def fold(self, x: Tensor) -> Tensor:
        """(N, C, positions...) to (N', positions'..., C), contiguous; a copy only where memory is not so."""
        rows = x.movedim(1, -1).contiguous()
        if rows.ndim == 3:
            return rows[:, None]
        if rows.ndim == 4 or self.dims == 3:
            return rows
        return rows.flatten(0, 1) if self.frames_in_batch else rows.flatten(2, 3)

    def unfold(self, rows: Tensor, like: Tensor) -> Tensor:
        """(N', positions'..., O) to (N, O, positions...), a view; `like` is the convolution's input."""
        if like.ndim == 3:
            rows = rows[:, 0]
        elif like.ndim == 5 and self.dims == 2:
            dim = 0 if self.frames_in_batch else 2
            rows = rows.unflatten(dim, (len(like), -1) if self.frames_in_batch else tuple(like.shape[3:]))
        return rows.movedim(-1, 1)

    def weight(self, weight: Tensor) -> Tensor:
        """(O, C, kernel...) to (O, C, kernel'...)."""
        if weight.ndim == 3:
            return weight[:, :, None]
        if weight.ndim == 5 and self.dims == 2:
            return weight[:, :, 0] if self.frames_in_batch else weight[..., 0]
        return weight


def is_pointwise(geometry: Geometry) -> bool:
    """Whether a layer maps each position by itself: linear, or a plain 1 x 1 convolution."""
    return geometry.groups == 1 and not geometry.pads and set((*geometry.kernel, *geometry.stride)) <= {1}


def planar(geometry: Geometry, *, join_frames: bool = True) -> Planar | None:
    """Fold a convolution; None where it pads unevenly or is a linear layer.

    Args:
        geometry: Of the layer.
        join_frames: Whether frames may join the batch dimension.
    """
    if not geometry.dims:
        return None
    left, right = geometry.explicit[::2], geometry.explicit[1::2]
    if left != right:
        return None
    kernel, stride, dilation = geometry.kernel, geometry.stride, geometry.dilation
    padding = tuple(reversed(left)) or (0,) * geometry.dims
    plain = [k == s == 1 and p == 0 for k, s, p in zip(kernel, stride, padding, strict=True)]
    if geometry.dims == 1:
        return Planar(2, False, (1, *kernel), (1, *stride), (0, *padding), (1, *dilation))
    if geometry.dims == 3 and plain[1] and plain[2]:
        return Planar(2, False, (kernel[0], 1), (stride[0], 1), (padding[0], 0), (dilation[0], 1))
    if geometry.dims == 3 and plain[0] and join_frames:
        return Planar(2, True, kernel[1:], stride[1:], padding[1:], dilation[1:])
    return Planar(geometry.dims, False, kernel, stride, padding, dilation)

"""Optical flow on the grid of latents: warping, resizing, occlusion (sections "Conventions" and 6)."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Motion:
    """Flow and occlusion between the neighbouring frames of one clip of T frames; latent pixels.

    Attributes:
        forward: From frame i to i+1, on frame i's grid, (T-1, 2, h, w); horizontal first.
        backward: From frame i+1 to i, on frame i+1's grid.
        forward_occluded: 1 where frame i shows what frame i+1 hides, (T-1, 1, h, w).
        backward_occluded: 1 where frame i+1 shows what frame i hides.
    """

    forward: Tensor
    backward: Tensor
    forward_occluded: Tensor
    backward_occluded: Tensor

    @classmethod
    def of(cls, forward: Tensor, backward: Tensor) -> "Motion":
        """Find the occlusions of two flows."""
        return cls(forward, backward, occluded(forward, backward), occluded(backward, forward))

    def crop(self, y: int, x: int, height: int, width: int) -> "Motion":
        """A part of the grid."""
        window = (..., slice(y, y + height), slice(x, x + width))
        return Motion(*(value[window] for value in vars(self).values()))

    def to(self, device: torch.device) -> "Motion":
        """The same on another device."""
        return Motion(*(value.to(device) for value in vars(self).values()))


def warp(image: Tensor, flow: Tensor) -> Tensor:
    """Sample an image where the flow leads: bilinear, zero outside.

    Args:
        image: (N, C, h, w).
        flow: (N, 2, h, w), pixels, horizontal first.
    """
    _, _, height, width = flow.shape
    y, x = torch.meshgrid(
        torch.arange(height, dtype=flow.dtype, device=flow.device),
        torch.arange(width, dtype=flow.dtype, device=flow.device),
        indexing="ij",
    )
    across = 2 * (x + flow[:, 0]) / max(width - 1, 1) - 1
    down = 2 * (y + flow[:, 1]) / max(height - 1, 1) - 1
    grid = torch.stack([across, down], dim=3)
    return F.grid_sample(image, grid, mode="bilinear", padding_mode="zeros", align_corners=True)


def resize_flow(flow: Tensor, height: int, width: int) -> Tensor:
    """A flow (N, 2, h, w) on another grid: vectors scaled by the size ratios, then bilinear."""
    ratio = flow.new_tensor([width / flow.shape[3], height / flow.shape[2]]).reshape(1, 2, 1, 1)
    return F.interpolate(flow * ratio, (height, width), mode="bilinear", align_corners=False)


def occluded(flow: Tensor, back: Tensor) -> Tensor:
    """Where going along a flow and back again does not lead home: (N, 1, h, w) of 0 and 1.

    The tolerance is 0.01 (|flow| + |back|) + 0.5, with both taken at the same pixel.
    """
    gap = torch.linalg.vector_norm(flow + warp(back, flow), dim=1, keepdim=True)
    lengths = [torch.linalg.vector_norm(f, dim=1, keepdim=True) for f in (flow, back)]
    return (gap > 0.01 * (lengths[0] + lengths[1]) + 0.5).to(flow.dtype)

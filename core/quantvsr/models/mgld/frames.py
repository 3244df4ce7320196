"""Frames going in and coming out (section 8): enlarging, chunks of frames, padding, bytes."""

import torch
from torch import Tensor
from torch.nn import functional as F

from quantvsr.models.mgld.tiles import padded_size


def enlarge(frames: Tensor, factor: float) -> Tensor:
    """Bicubic enlargement of (T, 3, h, w) in -1..1, clamped to -1..1; no antialiasing."""
    size = (round(frames.shape[2] * factor), round(frames.shape[3] * factor))
    return F.interpolate(frames, size, mode="bicubic", align_corners=False).clamp(-1, 1)


def whole_chunks(frames: Tensor, length: int) -> Tensor:
    """Repeat the last frame until the number of frames is a multiple of `length`."""
    missing = -len(frames) % length
    return torch.cat([frames, frames[-1:].expand(missing, -1, -1, -1)]) if missing else frames


def pad(frames: Tensor) -> Tensor:
    """Reflect at the bottom and the right until both sides are multiples of 32 (`padded_size`)."""
    height, width = padded_size(*frames.shape[2:])
    return F.pad(frames, (0, width - frames.shape[3], 0, height - frames.shape[2]), mode="reflect")


def to_bytes(frames: Tensor) -> Tensor:
    """(T, 3, H, W) in -1..1 -> (T, H, W, 3) uint8, cut off, not rounded."""
    levels = ((frames + 1) / 2).clamp(0, 1) * 255
    return levels.permute(0, 2, 3, 1).to(torch.uint8)

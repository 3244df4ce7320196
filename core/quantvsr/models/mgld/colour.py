"""Colour fix (section 7): the result takes its colours from the low-quality frames."""

import torch
from torch import Tensor
from torch.nn import functional as F

_EPSILON = 1e-5
_PASSES = 5


def statistics(frames: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation over the pixels of each frame and channel: two of (N, C, 1, 1).

    The variance has the divisor N - 1, and 1e-5 is added to it.
    """
    flat = frames.flatten(2)
    shape = (*frames.shape[:2], 1, 1)
    return flat.mean(2).reshape(shape), (flat.var(2) + _EPSILON).sqrt().reshape(shape)


def adain(content: Tensor, style: Tensor) -> Tensor:
    """Give each frame and channel the mean and the deviation of the style (Huang and Belongie, ICCV 2017).

    Args:
        content: (N, C, H, W), about -1..1.
        style: (N, C, h, w) in the same range.
    """
    mean, deviation = statistics(content)
    style_mean, style_deviation = statistics(style)
    return (content - mean) / deviation * style_deviation + style_mean


def wavelet(content: Tensor, style: Tensor) -> Tensor:
    """Fine detail of the content over the coarse colours of the style; both (N, C, H, W)."""
    return _split(content)[0] + _split(style)[1]


def _split(image: Tensor) -> tuple[Tensor, Tensor]:
    """High and low frequencies: five passes of a 3x3 blur with dilation 1, 2, 4, 8, 16."""
    channels = image.shape[1]
    row = torch.tensor([1.0, 2.0, 1.0], dtype=image.dtype, device=image.device) / 4
    kernel = torch.outer(row, row).expand(channels, 1, 3, 3)
    high = torch.zeros_like(image)
    for index in range(_PASSES):
        radius = 2**index
        padded = F.pad(image, (radius,) * 4, mode="replicate")
        low = F.conv2d(padded, kernel, groups=channels, dilation=radius)
        high = high + (image - low)
        image = low
    return high, image

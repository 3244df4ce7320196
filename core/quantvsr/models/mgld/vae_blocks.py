"""Building blocks that both halves of the autoencoders share (section 3)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from quantvsr.models.mgld.blocks import conv3


def frame_by_frame(layer: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """Run a layer that treats frames alike on one after the other: the same result in less memory.

    At full size the autoencoders' inner maps take gigabytes where the frames take megabytes.

    Args:
        layer: From tensors of one frame, (1, ...), to one tensor (1, ...).
        inputs: (N, ...) each.

    Returns:
        (N, ...).
    """
    first = layer(*(value[:1] for value in inputs))
    rows = len(inputs[0])
    if rows == 1:
        return first
    out = first.new_empty(rows, *first.shape[1:])
    out[:1] = first
    for row in range(1, rows):
        out[row : row + 1] = layer(*(value[row : row + 1] for value in inputs))
    return out


def norm(channels: int) -> nn.GroupNorm:
    """The autoencoders' normalisation: 32 groups, epsilon 1e-6."""
    return nn.GroupNorm(32, channels, eps=1e-6)


class VaeResidual(nn.Module):
    """Two convolutions and a shortcut.

    Args:
        in_channels: Width of the input.
        out_channels: Width of the output.
        shortcut: Key name of the 1x1 convolution where the width changes.
    """

    def __init__(self, in_channels: int, out_channels: int, shortcut: str = "nin_shortcut") -> None:
        super().__init__()
        self.norm1 = norm(in_channels)
        self.conv1 = conv3(in_channels, out_channels)
        self.norm2 = norm(out_channels)
        self.conv2 = conv3(out_channels, out_channels)
        self._shortcut = shortcut if in_channels != out_channels else None
        if self._shortcut is not None:
            self.add_module(self._shortcut, nn.Conv2d(in_channels, out_channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, h, w) -> (N, out, h, w)."""
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h)))
        return (x if self._shortcut is None else self.get_submodule(self._shortcut)(x)) + h


class VaeAttention(nn.Module):
    """Single-headed attention over all pixels of a frame."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = norm(channels)
        self.q = nn.Conv2d(channels, channels, 1)
        self.k = nn.Conv2d(channels, channels, 1)
        self.v = nn.Conv2d(channels, channels, 1)
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) -> the same."""
        h = self.norm(x)
        q, k, v = (layer(h).flatten(2).transpose(1, 2)[:, None] for layer in (self.q, self.k, self.v))
        mixed = F.scaled_dot_product_attention(q, k, v)[:, 0]
        return x + self.proj_out(mixed.transpose(1, 2).unflatten(2, x.shape[2:]))


class DenseBlock(nn.Module):
    """A residual dense block: five convolutions, each fed by all before it (Wang et al., ESRGAN, 2018)."""

    def __init__(self, channels: int, growth: int = 32) -> None:
        super().__init__()
        for index in range(5):
            out = channels if index == 4 else growth
            self.add_module(f"conv{index + 1}", conv3(channels + index * growth, out))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) -> the same."""
        features = [x]
        for index in range(4):
            convolution = self.get_submodule(f"conv{index + 1}")
            features.append(F.leaky_relu(convolution(torch.cat(features, dim=1)), 0.2))
        return x + 0.2 * self.get_submodule("conv5")(torch.cat(features, dim=1))

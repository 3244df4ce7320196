"""The encoder of both autoencoders (section 3.1)."""

from dataclasses import dataclass

import torch
from diffusers.models.downsampling import Downsample2D
from torch import Tensor, nn
from torch.nn import functional as F

from quantvsr.models.mgld.blocks import conv3
from quantvsr.models.mgld.config import VaeConfig
from quantvsr.models.mgld.vae_blocks import VaeAttention, VaeResidual, norm


@dataclass(frozen=True)
class Posterior:
    """A normal distribution of latents, before scaling; float32.

    Attributes:
        mean: (N, C, h, w).
        logvar: The same shape, -30..20.
    """

    mean: Tensor
    logvar: Tensor

    @classmethod
    def of(cls, moments: Tensor) -> "Posterior":
        """First half of the channels: mean; second half: log variance, clamped to [-30, 20]."""
        mean, logvar = moments.float().chunk(2, dim=1)
        return cls(mean, logvar.clamp(-30.0, 20.0))

    def sample(self, noise: Tensor) -> Tensor:
        """Mean + deviation * noise."""
        return self.mean + torch.exp(0.5 * self.logvar) * noise


class Middle(nn.Module):
    """Residual block, attention, residual block, at the smallest size."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block_1 = VaeResidual(channels, channels)
        self.attn_1 = VaeAttention(channels)
        self.block_2 = VaeResidual(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) -> the same."""
        return self.block_2(self.attn_1(self.block_1(x)))


class DownLevel(nn.Module):
    """The residual blocks of one size, and the step to the next."""

    def __init__(self, in_channels: int, out_channels: int, blocks: int, last: bool) -> None:
        super().__init__()
        self.block = nn.ModuleList(
            VaeResidual(out_channels if index else in_channels, out_channels) for index in range(blocks)
        )
        # With padding 0 diffusers pads one zero row and column at the far sides, as here; any name but "conv"
        # keeps it from listing the convolution twice.
        self.downsample = None if last else Downsample2D(out_channels, use_conv=True, padding=0, name="op")

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features of this size, and the input of the next level (the same for the last)."""
        for block in self.block:
            x = block(x)
        return x, x if self.downsample is None else self.downsample(x)


class Encoder(nn.Module):
    """Frames to moments of latents, with the features that the video decoder fuses."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        self.conv_in = conv3(config.in_channels, config.ch)
        self.down = nn.ModuleList()
        channels = config.ch
        for level, multiple in enumerate(config.ch_mult):
            last = level == len(config.ch_mult) - 1
            self.down.append(DownLevel(channels, multiple * config.ch, config.num_res_blocks, last))
            channels = multiple * config.ch
        self.mid = Middle(channels)
        self.norm_out = norm(channels)
        self.conv_out = conv3(channels, 2 * config.z_channels)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Encode.

        Args:
            x: Frames, (N, 3, H, W), -1..1; H and W multiples of 2^(levels - 1).

        Returns:
            Raw moments, (N, 2 z, h, w), and the features of every level but the first and the last.
        """
        x = self.conv_in(x)
        features = []
        for level in self.down:
            tap, x = level(x)
            features.append(tap)
        x = self.conv_out(F.silu(self.norm_out(self.mid(x))))
        return x, features[1:-1]

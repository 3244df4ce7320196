"""Residual blocks, time embedding and down-sampling of both diffusion networks (sections 1.1 to 1.6, 2)."""

import torch
from diffusers.models.embeddings import get_timestep_embedding
from torch import Tensor, nn

from quantvsr.models.mgld.conditions import ConditionedModule, Conditions
from quantvsr.models.mgld.spade import Spade


def group_norm(channels: int, eps: float = 1e-5) -> nn.GroupNorm:
    """Group normalisation with 32 groups; one group per channel where 32 does not divide the width."""
    return nn.GroupNorm(32 if channels % 32 == 0 else channels, channels, eps=eps)


def conv3(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    """A 3x3 convolution with padding 1."""
    return nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1)


def time_embedding(width: int) -> nn.Sequential:
    """The two linear layers behind the sinusoid: width -> 4 width -> 4 width."""
    return nn.Sequential(nn.Linear(width, 4 * width), nn.SiLU(), nn.Linear(4 * width, 4 * width))


def sinusoid(timesteps: Tensor, width: int, dtype: torch.dtype) -> Tensor:
    """Cosines, then sines, of the time steps (rows,) -> (rows, width); frequencies 10000^(-j / (width/2))."""
    waves = get_timestep_embedding(
        timesteps.reshape(-1).float(), width, flip_sin_to_cos=True, downscale_freq_shift=0
    )
    return waves.to(dtype)


class ResidualBlock(ConditionedModule):
    """Two convolutions with the time embedding between them, and SPADE behind them where maps are given.

    Args:
        in_channels: Width of the input.
        out_channels: Width of the output.
        embedding: Width of the time embedding.
        map_channels: Channels of the structural maps; None for a block without SPADE.
    """

    def __init__(
        self, in_channels: int, out_channels: int, embedding: int, map_channels: int | None = None
    ) -> None:
        super().__init__()
        self.in_layers = nn.Sequential(group_norm(in_channels), nn.SiLU(), conv3(in_channels, out_channels))
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(embedding, out_channels))
        # The official list has a dropout at 2, which does nothing here.
        self.out_layers = nn.Sequential(
            group_norm(out_channels), nn.SiLU(), nn.Identity(), conv3(out_channels, out_channels)
        )
        self.spade = None if map_channels is None else Spade(out_channels, map_channels)
        self.skip_connection = (
            nn.Identity() if in_channels == out_channels else nn.Conv2d(in_channels, out_channels, 1)
        )

    def forward(self, x: Tensor, conditions: Conditions) -> Tensor:
        """(N, in, h, w) -> (N, out, h, w)."""
        h = self.in_layers(x)
        h = h + self.emb_layers(conditions.embedding)[:, :, None, None]
        h = self.out_layers(h)
        if self.spade is not None:
            h = self.spade(h, conditions.maps)
        return self.skip_connection(x) + h


class Downsample(nn.Module):
    """Half the size by a 3x3 convolution with stride 2."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.op = conv3(channels, channels, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, C, ceil(h/2), ceil(w/2))."""
        return self.op(x)

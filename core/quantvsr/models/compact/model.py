"""The bundled denoiser: a compact video UNet that works at low resolution.

It sees the noisy high-resolution residual (what bicubic enlargement lacks) folded by `pixel_unshuffle` into
48 channels, beside the low-resolution frames and the folded bicubic frames. Inside, frames ride in the batch
dimension, (B*T, C, h, w) in channels-last memory, so that a (3,1,1) convolution over time is another view.

Two choices keep tiles and windows free of seams: normalisation is per pixel (over channels), so that nothing
depends on the tile's statistics, and the temporal convolutions repeat the first and last frame, so that a
static clip gives identical frames.
"""

import math

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from quantvsr.runtime.norms import NormSilu

# Below this time the division in `velocity = (x_t - x_0) / t` would only amplify rounding.
MIN_TIME = 0.02


class ChannelNorm(nn.Module):
    """Layer normalisation over the channels of every pixel of (N, C, h, w)."""

    def __init__(self, channels: int, affine: bool = True) -> None:
        super().__init__()
        self.channels = channels
        self.weight = nn.Parameter(torch.ones(channels)) if affine else None
        self.bias = nn.Parameter(torch.zeros(channels)) if affine else None

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (N, C, h, w)."""
        x = x.movedim(1, -1)
        return F.layer_norm(x, (self.channels,), self.weight, self.bias, 1e-5).movedim(-1, 1)


class TemporalConv(nn.Module):
    """Residual (3,1,1) convolution over the frames of each clip; the first and last frame are repeated."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm, self.norm_silu = ChannelNorm(channels), NormSilu()
        self.conv = nn.Conv3d(channels, channels, (3, 1, 1))
        nn.init.zeros_(self.conv.weight)
        nn.init.zeros_(self.conv.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, frames: int) -> Tensor:
        """Mix the frames of (B*T, C, h, w)."""
        # Channels stay last: the padding copies long runs, and the convolution gets the layout it likes.
        h = self.norm_silu(x.movedim(1, -1), self.norm.weight, self.norm.bias, frames).movedim(-1, 1)
        return x + self.conv(h).movedim(1, -1).flatten(0, 1).movedim(-1, 1)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with the time embedding as scale and shift, then a temporal convolution."""

    def __init__(self, in_channels: int, channels: int, time_channels: int) -> None:
        super().__init__()
        self.norm1, self.norm_silu = ChannelNorm(in_channels), NormSilu()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, padding=1)
        self.time_proj = nn.Linear(time_channels, 2 * channels)
        self.norm2 = ChannelNorm(channels, affine=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.skip = nn.Conv2d(in_channels, channels, 1) if in_channels != channels else nn.Identity()
        self.temporal = TemporalConv(channels)
        for layer in (self.time_proj, self.conv2):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, embedding: Tensor, frames: int) -> Tensor:
        """From (B*T, in_channels, h, w) and embedding (B, time_channels) to (B*T, channels, h, w)."""
        h = self.norm_silu(x.movedim(1, -1), self.norm1.weight, self.norm1.bias).movedim(-1, 1)
        h = self.conv1(h)
        scale, shift = self.time_proj(embedding).chunk(2, 1)
        if len(embedding) == 1 and not torch.is_grad_enabled():
            # One clip: scale and shift are the same for all frames, so that the norm can apply them.
            h = self.norm_silu(h.movedim(1, -1), 1 + scale[0], shift[0]).movedim(-1, 1)
        else:
            scale, shift = (each.repeat_interleave(frames, 0)[:, :, None, None] for each in (scale, shift))
            h = F.silu(self.norm2(h) * (1 + scale) + shift)
        h = self.conv2(h)
        return self.temporal(self.skip(x) + h, frames)


class TransformerBlock(nn.Module):
    """Self-attention over the positions of each frame, then a feed-forward network."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(channels)
        self.to_qkv = nn.Linear(channels, 3 * channels)
        self.to_out = nn.Linear(channels, channels)
        self.norm2 = nn.LayerNorm(channels)
        self.ff_in = nn.Linear(channels, 4 * channels)
        self.ff_out = nn.Linear(4 * channels, channels)
        for layer in (self.to_out, self.ff_out):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Attend within each frame of (N, C, h, w)."""
        n, c, height, width = x.shape
        tokens = x.movedim(1, -1).reshape(n, height * width, c)
        qkv = self.to_qkv(self.norm1(tokens)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(qkv[0], qkv[1], qkv[2]).transpose(1, 2).flatten(2)
        tokens = tokens + self.to_out(attended)
        tokens = tokens + self.ff_out(F.gelu(self.ff_in(self.norm2(tokens))))
        return tokens.reshape(n, height, width, c).movedim(-1, 1)


class TimeEmbedding(nn.Module):
    """Sines and cosines of the flow time (0 clean .. 1 noise), then two linear layers."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.linear1 = nn.Linear(channels, channels)
        self.linear2 = nn.Linear(channels, channels)

    def forward(self, time: Tensor) -> Tensor:
        """From times (B,) to (B, channels)."""
        half = self.channels // 2
        steps = torch.arange(half, device=time.device, dtype=torch.float32)
        angles = time.float()[:, None] * 1000 * torch.exp(-math.log(10000) * steps / half)
        waves = torch.cat([angles.cos(), angles.sin()], 1).to(self.linear1.weight.dtype)
        return F.silu(self.linear2(F.silu(self.linear1(waves))))


class CompactVSRDenoiser(ModelMixin, ConfigMixin):
    """Velocity network of the bundled x4 model.

    Rectified flow (Liu et al., ICLR 2023): `x_t = (1 - t) x_0 + t noise`, velocity `noise - x_0`. The network
    itself predicts x_0, which keeps flat areas free of grain, and returns `(x_t - x_0) / t`.

    Args:
        channels: Channels of the three levels (full, half, quarter low resolution).
        encoder_blocks: Residual blocks of the two upper levels on the way down.
        middle_blocks: Residual blocks at the coarsest level; a transformer block follows every second one.
        decoder_blocks: Residual blocks of the two upper levels on the way up (half level first).
        time_channels: Width of the time embedding.
        heads: Attention heads.
        scale: Enlargement; the residual has 3 * scale**2 channels.
        residual_scale: Standard deviation of the residual in image units (0..1); x_0 is the residual over
            this.
    """

    @register_to_config
    def __init__(
        self,
        channels: tuple[int, int, int] = (96, 128, 256),
        encoder_blocks: tuple[int, int] = (2, 2),
        middle_blocks: int = 4,
        decoder_blocks: tuple[int, int] = (2, 3),
        time_channels: int = 128,
        heads: int = 4,
        scale: int = 4,
        residual_scale: float = 0.05,
    ) -> None:
        super().__init__()
        c0, c1, c2 = channels
        folded = 3 * scale * scale
        self.scale, self.residual_scale = scale, residual_scale

        def blocks(count: int, first: int, width: int) -> nn.ModuleList:
            return nn.ModuleList(
                ResidualBlock(first if i == 0 else width, width, time_channels) for i in range(count)
            )

        self.time_embed = TimeEmbedding(time_channels)
        self.conv_in = nn.Conv2d(2 * folded + 3, c0, 3, padding=1)
        self.down0 = blocks(encoder_blocks[0], c0, c0)
        self.downsample0 = nn.Conv2d(c0, c1, 3, stride=2, padding=1)
        self.down1 = blocks(encoder_blocks[1], c1, c1)
        self.downsample1 = nn.Conv2d(c1, c2, 3, stride=2, padding=1)
        self.middle = blocks(middle_blocks, c2, c2)
        self.attention = nn.ModuleList(TransformerBlock(c2, heads) for _ in range(middle_blocks // 2))
        self.upsample1 = nn.Conv2d(c2, c1, 3, padding=1)
        self.up1 = blocks(decoder_blocks[0], 2 * c1, c1)
        self.upsample0 = nn.Conv2d(c1, c0, 3, padding=1)
        self.up0 = blocks(decoder_blocks[1], 2 * c0, c0)
        self.norm_out = ChannelNorm(c0)
        self.conv_out = nn.Conv2d(c0, folded, 3, padding=1)
        nn.init.zeros_(self.conv_out.weight)
        nn.init.zeros_(self.conv_out.bias)  # type: ignore[arg-type]

    def predict_clean(self, sample: Tensor, time: Tensor, condition: Tensor) -> Tensor:
        """Estimate x_0.

        Args:
            sample: Noisy folded residual x_t, (B, T, 48, h, w); h and w multiples of 4.
            time: Flow time of each clip, (B,), 0..1.
            condition: `fold_condition` of the low-resolution frames, (B, T, 51, h, w).

        Returns:
            x_0, (B, T, 48, h, w).
        """
        frames = sample.shape[1]
        x = torch.cat([sample, condition], 2).flatten(0, 1).contiguous(memory_format=torch.channels_last)
        embedding = self.time_embed(time)

        x = self.conv_in(x)
        for block in self.down0:
            x = block(x, embedding, frames)
        skip0 = x
        x = self.downsample0(x)
        for block in self.down1:
            x = block(x, embedding, frames)
        skip1 = x
        x = self.downsample1(x)
        for index, block in enumerate(self.middle):
            x = block(x, embedding, frames)
            if index % 2 == 1:
                x = self.attention[index // 2](x)
        x = torch.cat([self.upsample1(F.interpolate(x, scale_factor=2.0)), skip1], 1)
        for block in self.up1:
            x = block(x, embedding, frames)
        x = torch.cat([self.upsample0(F.interpolate(x, scale_factor=2.0)), skip0], 1)
        for block in self.up0:
            x = block(x, embedding, frames)
        return self.conv_out(F.silu(self.norm_out(x))).unflatten(0, (-1, frames))

    def forward(self, sample: Tensor, time: Tensor, condition: Tensor) -> Tensor:
        """Velocity at x_t; arguments and shapes as `predict_clean`."""
        clean = self.predict_clean(sample, time, condition)
        return (sample - clean) / time.clamp_min(MIN_TIME)[:, None, None, None, None]


def enlarge(lq: Tensor, scale: int) -> Tensor:
    """Bicubic enlargement (no antialiasing, pixel corners not aligned) of (B, T, 3, h, w)."""
    return F.interpolate(lq.flatten(0, 1), scale_factor=float(scale), mode="bicubic").unflatten(
        0, (-1, lq.shape[1])
    )


def fold_condition(lq: Tensor, enlarged: Tensor, scale: int) -> Tensor:
    """What the denoiser is told about the clip.

    Args:
        lq: Low-resolution frames, (B, T, 3, h, w), 0..1.
        enlarged: Their bicubic enlargement, (B, T, 3, scale*h, scale*w).
        scale: Enlargement factor.

    Returns:
        (B, T, 3 + 3*scale**2, h, w): the frames in -1..1, then the folded enlargement as its difference from
        the frames (times 4, which brings it to about unit size).
    """
    detail = F.pixel_unshuffle(enlarged, scale) - lq.repeat_interleave(scale * scale, 2)
    return torch.cat([2 * lq - 1, 4 * detail], 2)

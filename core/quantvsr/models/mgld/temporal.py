"""Layers that mix the frames of a clip (section 1.5)."""

import torch
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn

from quantvsr.models.mgld.conditions import ConditionedModule, Conditions


def clips_of(rows: int, frames: int) -> int:
    """How many clips a batch of frames holds: rows / frames, rounded down as in the reference.

    Raises:
        ValueError: Fewer rows than frames.
    """
    if rows < frames:
        raise ValueError(f"{rows} frames are fewer than the {frames} of a clip")
    return rows // frames


class TemporalConv(nn.Module):
    """A convolution over three frames, mixed with its input by one learned scalar (used without sigmoid)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.temporal_conv = nn.Conv3d(channels, channels, (3, 1, 1), padding=(1, 0, 0))
        self.temporal_alpha = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor, frames: int) -> Tensor:
        """(clips * frames, C, h, w) -> the same."""
        volume = x.unflatten(0, (clips_of(x.shape[0], frames), -1)).transpose(1, 2)
        mixed = self.temporal_conv(volume).transpose(1, 2).flatten(0, 1)
        # alpha * mixed + (1 - alpha) * x, with one large map less in memory.
        return torch.lerp(x, mixed.to(x.dtype), self.temporal_alpha.to(x.dtype))


class ConditionedTemporalConv(TemporalConv, ConditionedModule):
    """The same inside the denoiser, where the clip length comes with the conditions."""

    def forward(self, x: Tensor, conditions: Conditions) -> Tensor:  # type: ignore[override]
        """(clips * frames, C, h, w) -> the same."""
        return super().forward(x, conditions.frames)


class TemporalAttention(ConditionedModule):
    """Self attention of every pixel over the frames of its clip; no positions, no mask."""

    def __init__(self, channels: int, head_channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.temporal_attn = Attention(channels, heads=channels // head_channels, dim_head=head_channels)
        self.temporal_alpha = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor, conditions: Conditions) -> Tensor:
        """(clips * frames, C, h, w) -> the same."""
        rows, channels, height, width = x.shape
        clips = clips_of(rows, conditions.frames)
        tokens = x.reshape(clips, -1, channels, height * width).permute(0, 3, 1, 2).flatten(0, 1)
        mixed = self.temporal_attn(self.norm(tokens))
        mixed = mixed.unflatten(0, (clips, -1)).permute(0, 2, 3, 1).reshape(x.shape)
        return self.temporal_alpha * mixed + (1 - self.temporal_alpha) * x

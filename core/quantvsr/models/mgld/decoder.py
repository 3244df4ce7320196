"""The decoder of both autoencoders; the video one mixes frames and fuses encoder features (section 3.2)."""

from collections.abc import Sequence

import torch
from diffusers.models.upsampling import Upsample2D
from torch import Tensor, nn
from torch.nn import functional as F

from quantvsr.models.mgld.blocks import conv3
from quantvsr.models.mgld.config import VaeConfig
from quantvsr.models.mgld.encoder import Middle
from quantvsr.models.mgld.temporal import TemporalConv
from quantvsr.models.mgld.vae_blocks import DenseBlock, VaeResidual, frame_by_frame, norm


class Fusion(nn.Module):
    """Adds to decoder features what encoder features of the same width suggest."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.encode_enc_1 = VaeResidual(2 * channels, channels, shortcut="conv_out")
        self.encode_enc_2 = nn.Sequential(DenseBlock(channels), DenseBlock(channels))
        self.encode_enc_3 = VaeResidual(channels, channels)

    def forward(self, encoded: Tensor, decoded: Tensor, weight: float) -> Tensor:
        """Two of (N, C, h, w) -> the second plus `weight` times the term, same shape."""
        term = self.encode_enc_1(torch.cat([encoded, decoded], dim=1))
        return decoded + weight * self.encode_enc_3(self.encode_enc_2(term))


class UpLevel(nn.Module):
    """The residual blocks of one size; in the video decoder each is followed by a mix of the frames."""

    def __init__(self, in_channels: int, out_channels: int, blocks: int, last: bool, video: bool) -> None:
        super().__init__()
        self.block = nn.ModuleList(
            VaeResidual(out_channels if index else in_channels, out_channels) for index in range(blocks)
        )
        self.temporal_mixing = nn.ModuleList(
            TemporalConv(out_channels) for _ in range(blocks if video else 0)
        )
        self.upsample = None if last else Upsample2D(out_channels, use_conv=True)

    def forward(self, x: Tensor, frames: int) -> Tensor:
        """(N, in, h, w) -> (N, out, h, w), before the step to the next size."""
        for index, block in enumerate(self.block):
            x = frame_by_frame(block, x)
            if self.temporal_mixing:
                x = self.temporal_mixing[index](x, frames)
        return x


class Decoder(nn.Module):
    """Latents to frames.

    Args:
        config: Widths.
        video: Build the temporal mixing and the fusion layers.
    """

    def __init__(self, config: VaeConfig, video: bool) -> None:
        super().__init__()
        top = len(config.ch_mult) - 1
        channels = config.ch_mult[top] * config.ch
        self.conv_in = conv3(config.z_channels, channels)
        self.mid = Middle(channels)
        self.temporal_mixing = TemporalConv(channels) if video else None
        self.up = nn.ModuleList()
        levels = []
        for level in range(top, -1, -1):
            width = config.ch_mult[level] * config.ch
            levels.append(UpLevel(channels, width, config.num_res_blocks + 1, level == 0, video))
            if video and 0 < level < top:
                self.add_module(f"fusion_layer_{level}", Fusion(width))
            channels = width
        self.up.extend(reversed(levels))
        self.norm_out = norm(channels)
        self.conv_out = conv3(channels, config.out_ch)

    def forward(
        self, z: Tensor, features: Sequence[Tensor] = (), fusion_weight: float = 1.0, frames: int = 1
    ) -> Tensor:
        """Decode.

        Args:
            z: Unscaled latents, (clips * frames, z, h, w).
            features: Of the encoder for the same frames, as it returned them; only for the video decoder.
            fusion_weight: How much of what the fusion layers say is added.
            frames: Frames per clip.

        Returns:
            Frames, about -1..1, (clips * frames, 3, H, W).
        """
        x = self.mid.block_1(self.conv_in(z))
        if self.temporal_mixing is not None:
            x = self.temporal_mixing(x, frames)
        x = self.mid.block_2(self.mid.attn_1(x))
        for number in range(len(self.up) - 1, -1, -1):
            level = self.up[number]
            assert isinstance(level, UpLevel)
            x = level(x, frames)
            if self.temporal_mixing is not None and 0 < number < len(self.up) - 1:
                fusion = self.get_submodule(f"fusion_layer_{number}")
                x = frame_by_frame(
                    lambda encoded, decoded, fuse=fusion: fuse(encoded, decoded, fusion_weight),
                    features[number - 1],
                    x,
                )
            if level.upsample is not None:
                x = frame_by_frame(level.upsample, x)
        return frame_by_frame(lambda frame: self.conv_out(F.silu(self.norm_out(frame))), x)

"""The denoising UNet (section 1): the network that is quantized."""

from collections.abc import Mapping

import torch
from diffusers.models.upsampling import Upsample2D
from torch import Tensor, nn

from quantvsr.models.mgld.blocks import Downsample, ResidualBlock, conv3, sinusoid, time_embedding
from quantvsr.models.mgld.conditions import Conditions, Stage
from quantvsr.models.mgld.config import UNetConfig
from quantvsr.models.mgld.temporal import ConditionedTemporalConv, TemporalAttention
from quantvsr.models.mgld.transformer import SpatialTransformer


class DenoisingUNet(nn.Module):
    """Predicts the noise in the latents of a clip, steered by text context and structural maps."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        base = config.model_channels
        embedding = 4 * base
        self.time_embed = time_embedding(base)

        def residual(in_channels: int, out_channels: int) -> ResidualBlock:
            return ResidualBlock(in_channels, out_channels, embedding, config.semb_channels)

        def transformer(channels: int) -> SpatialTransformer:
            return SpatialTransformer(
                channels, config.num_head_channels, config.context_dim, config.transformer_depth
            )

        self.input_blocks = nn.ModuleList([Stage(conv3(config.in_channels, base))])
        widths = [base]
        channels, factor = base, 1
        for level, multiple in enumerate(config.channel_mult):
            if level:
                self.input_blocks.append(Stage(Downsample(channels)))
                widths.append(channels)
                factor *= 2
            for _ in range(config.num_res_blocks):
                blocks: list[nn.Module] = [residual(channels, multiple * base)]
                channels = multiple * base
                if factor in config.attention_resolutions:
                    blocks.append(transformer(channels))
                self.input_blocks.append(Stage(*blocks))
                widths.append(channels)

        self.middle_block = Stage(
            residual(channels, channels),
            ConditionedTemporalConv(channels),
            transformer(channels),
            TemporalAttention(channels, config.num_head_channels),
            residual(channels, channels),
            ConditionedTemporalConv(channels),
        )

        self.output_blocks = nn.ModuleList()
        # By block: channels that come from below; the others were left by the way down.
        self.from_below: list[int] = []
        for level, multiple in reversed(list(enumerate(config.channel_mult))):
            for index in range(config.num_res_blocks + 1):
                self.from_below.append(channels)
                blocks = [residual(channels + widths.pop(), multiple * base)]
                channels = multiple * base
                if factor in config.attention_resolutions:
                    blocks.append(transformer(channels))
                if level and index == config.num_res_blocks:
                    blocks.append(Upsample2D(channels, use_conv=True))
                    factor //= 2
                self.output_blocks.append(Stage(*blocks))

        self.out = nn.Sequential(
            nn.GroupNorm(32, channels, eps=1e-5), nn.SiLU(), conv3(channels, config.out_channels)
        )

    def forward(
        self,
        x: Tensor,
        timesteps: Tensor,
        context: Tensor,
        struct_cond: Mapping[str, Tensor],
        c_crossattn: object = None,
    ) -> Tensor:
        """Predict the noise.

        Args:
            x: Noisy latents, (clips * frames, C, h, w); h and w multiples of 2^(levels - 1).
            timesteps: Original step numbers, one for all rows or one per row.
            context: Text context, (1 or clips or rows, tokens, context_dim).
            struct_cond: Structural maps by width as text, (rows, semb_channels, h', w').
            c_crossattn: The context once more in records of the reference; ignored.

        Returns:
            The noise, shaped as `x`.

        Raises:
            ValueError: Fewer rows than the frames of a clip, or time steps for another number of rows.
        """
        rows = x.shape[0]
        if timesteps.numel() not in (1, rows):
            raise ValueError(f"{timesteps.numel()} time steps for {rows} frames; give one, or one per frame")
        conditions = Conditions(
            embedding=self.time_embed(sinusoid(timesteps, self.config.model_channels, x.dtype)),
            frames=self.config.num_frames,
            context=context.to(x.dtype),
            maps={width: value.to(x.dtype) for width, value in struct_cond.items()},
        )
        stack = []
        for stage in self.input_blocks:
            x = stage(x, conditions)
            stack.append(x)
        x = self.middle_block(x, conditions)
        for stage in self.output_blocks:
            x = stage(torch.cat([x, stack.pop()], dim=1), conditions)
        return self.out(x)

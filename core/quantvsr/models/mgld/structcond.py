"""The structural-condition encoder (section 2): maps for SPADE from the low-quality latents."""

from torch import Tensor, nn
from torch.nn import functional as F

from quantvsr.models.mgld.blocks import Downsample, ResidualBlock, conv3, sinusoid, time_embedding
from quantvsr.models.mgld.conditions import Conditions, Stage
from quantvsr.models.mgld.config import StructuralConfig


class PixelAttention(nn.Module):
    """Self attention over the pixels of a frame; q, k and v come head by head from one convolution."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(32, channels, eps=1e-5)
        self.qkv = nn.Conv1d(channels, 3 * channels, 1)
        self.proj_out = nn.Conv1d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) -> the same."""
        flat = self.qkv(self.norm(x).flatten(2))
        # (N, heads * 3 * c, pixels) -> three of (N, heads, pixels, c)
        q, k, v = flat.unflatten(1, (self.heads, 3, -1)).transpose(-1, -2).unbind(2)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(-1, -2).flatten(1, 2)
        return x + self.proj_out(mixed).unflatten(2, x.shape[2:])


class StructuralEncoder(nn.Module):
    """Latents of low-quality frames and a time step -> one map per resolution, keyed by its width."""

    def __init__(self, config: StructuralConfig) -> None:
        super().__init__()
        self.config = config
        base = config.model_channels
        embedding = 4 * base
        self.time_embed = time_embedding(base)

        def attention(channels: int) -> PixelAttention:
            by_width = config.num_head_channels > 0
            return PixelAttention(
                channels, channels // config.num_head_channels if by_width else config.num_heads
            )

        self.input_blocks = nn.ModuleList([Stage(conv3(config.in_channels, base))])
        taps = []
        # Stages whose input is tapped: the down-samplings.
        self._tapped: set[int] = set()
        channels, factor = base, 1
        for level, multiple in enumerate(config.channel_mult):
            if level:
                taps.append(channels)
                self._tapped.add(len(self.input_blocks))
                self.input_blocks.append(Stage(Downsample(channels)))
                factor *= 2
            for _ in range(config.num_res_blocks):
                blocks: list[nn.Module] = [ResidualBlock(channels, multiple * base, embedding)]
                channels = multiple * base
                if factor in config.attention_resolutions:
                    blocks.append(attention(channels))
                self.input_blocks.append(Stage(*blocks))
        self.middle_block = Stage(
            ResidualBlock(channels, channels, embedding),
            attention(channels),
            ResidualBlock(channels, channels, embedding),
        )
        self.fea_tran = nn.ModuleList(
            ResidualBlock(width, config.out_channels, embedding) for width in [*taps, channels]
        )

    def forward(self, x: Tensor, timesteps: Tensor) -> dict[str, Tensor]:
        """Structural maps of one step.

        Args:
            x: Scaled latents of the low-quality frames, (N, C, h, w).
            timesteps: Original step numbers, one for all rows or one per row.

        Returns:
            Width as text -> (N, out_channels, h', w'), widest first.
        """
        embedding = self.time_embed(sinusoid(timesteps, self.config.model_channels, x.dtype))
        conditions = Conditions(embedding)
        taps = []
        for index, stage in enumerate(self.input_blocks):
            if index in self._tapped:
                taps.append(x)
            x = stage(x, conditions)
        taps.append(self.middle_block(x, conditions))
        maps = [block(tap, conditions) for block, tap in zip(self.fea_tran, taps, strict=True)]
        return {str(value.shape[-1]): value for value in maps}

"""The spatial transformer (section 1.4), around diffusers' transformer block."""

from diffusers.models.attention import BasicTransformerBlock
from torch import Tensor, nn

from quantvsr.models.mgld.conditions import ConditionedModule, Conditions


class SpatialTransformer(ConditionedModule):
    """Self attention, cross attention to the text context and a gated feed-forward, per frame.

    Args:
        channels: Width.
        head_channels: Channels per head.
        context_channels: Channels of the text context.
        depth: Transformer blocks.
    """

    def __init__(self, channels: int, head_channels: int, context_channels: int, depth: int = 1) -> None:
        super().__init__()
        # Not the 1e-5 of the residual blocks.
        self.norm = nn.GroupNorm(32, channels, eps=1e-6)
        self.proj_in = nn.Linear(channels, channels)
        self.transformer_blocks = nn.ModuleList(
            BasicTransformerBlock(
                channels, channels // head_channels, head_channels, cross_attention_dim=context_channels
            )
            for _ in range(depth)
        )
        self.proj_out = nn.Linear(channels, channels)

    def forward(self, x: Tensor, conditions: Conditions) -> Tensor:
        """(N, C, h, w) -> the same; context rows serve N / rows frames each."""
        rows, _, height, width = x.shape
        context = conditions.context
        if context is None:
            raise ValueError("the transformer needs a text context")
        context = context.repeat_interleave(rows // context.shape[0], dim=0)
        tokens = self.proj_in(self.norm(x).flatten(2).transpose(1, 2))
        for block in self.transformer_blocks:
            tokens = block(tokens, encoder_hidden_states=context)
        tokens = self.proj_out(tokens)
        return x + tokens.transpose(1, 2).unflatten(2, (height, width))

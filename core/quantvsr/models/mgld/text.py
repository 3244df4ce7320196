"""The text condition (section 4): one constant, made once from the OpenCLIP ViT-H-14 text tower."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

START, END, PADDING = 49406, 49407, 0


@dataclass(frozen=True)
class TextConfig:
    """Sizes of the tower; the defaults are ViT-H-14's."""

    width: int = 1024
    heads: int = 16
    layers: int = 24
    hidden: int = 4096
    tokens: int = 77
    vocabulary: int = 49408


class _Mlp(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.c_fc = nn.Linear(width, hidden)
        self.c_proj = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.c_proj(nn.functional.gelu(self.c_fc(x)))


class _Block(nn.Module):
    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.width)
        self.attn = nn.MultiheadAttention(config.width, config.heads, batch_first=True)
        self.ln_2 = nn.LayerNorm(config.width)
        self.mlp = _Mlp(config.width, config.hidden)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        h = self.ln_1(x)
        x = x + self.attn(h, h, h, need_weights=False, attn_mask=mask)[0]
        return x + self.mlp(self.ln_2(x))


class _Transformer(nn.Module):
    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(_Block(config) for _ in range(config.layers))


class TextTower(nn.Module):
    """The whole tower under its official names; its last block and its projection are not used."""

    def __init__(self, config: TextConfig | None = None) -> None:
        super().__init__()
        config = config or TextConfig()
        self.config = config
        self.token_embedding = nn.Embedding(config.vocabulary, config.width)
        self.positional_embedding = nn.Parameter(torch.zeros(config.tokens, config.width))
        self.transformer = _Transformer(config)
        self.ln_final = nn.LayerNorm(config.width)
        self.text_projection = nn.Parameter(torch.zeros(config.width, config.width))
        self.logit_scale = nn.Parameter(torch.zeros(()))

    @torch.no_grad()
    def forward(self, tokens: Tensor) -> Tensor:
        """Context of token rows (N, tokens): (N, tokens, width), from the last block but one."""
        x = self.token_embedding(tokens) + self.positional_embedding
        ahead = torch.full((x.shape[1],) * 2, float("-inf"), dtype=x.dtype, device=x.device).triu(1)
        for block in list(self.transformer.resblocks)[:-1]:
            x = block(x, ahead)
        return self.ln_final(x)

    def empty_prompt(self) -> Tensor:
        """Context of the empty prompt, (1, tokens, width)."""
        row = [START, END] + [PADDING] * (self.config.tokens - 2)
        return self(torch.tensor([row], device=self.positional_embedding.device))

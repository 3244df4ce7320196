"""What the denoiser's blocks are told besides their input, and how it reaches them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn


@dataclass(frozen=True)
class Conditions:
    """Everything that steers one evaluation.

    Attributes:
        embedding: Embedded time steps, (1 or N, D).
        frames: Frames per clip; rows are laid out clip by clip.
        context: Text context, (rows, tokens, C) with rows dividing N; None where there is no transformer.
        maps: Structural maps by width as text, (N, S, h, w).
    """

    embedding: Tensor
    frames: int = 1
    context: Tensor | None = None
    maps: Mapping[str, Tensor] = field(default_factory=dict)


class ConditionedModule(nn.Module):
    """A block whose forward takes (x, conditions)."""


class Stage(nn.Sequential):
    """Blocks in order; the conditions go to those that take them."""

    def forward(self, input: Tensor, conditions: Conditions) -> Tensor:
        """(N, C, h, w) through all blocks."""
        for block in self:
            input = block(input, conditions) if isinstance(block, ConditionedModule) else block(input)
        return input

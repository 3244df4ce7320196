"""Random numbers for the scene generator: one explicit torch generator, never the global one."""

import math

import torch
from torch import Tensor


class Rng:
    """Draws tensors from one `torch.Generator`, on that generator's device.

    Nothing here waits for the device: every result stays a tensor.
    """

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator
        self.device = generator.device

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Uniform numbers in low..high."""
        return torch.rand(shape, generator=self.generator, device=self.device) * (high - low) + low

    def normal(self, *shape: int, scale: float = 1.0) -> Tensor:
        """Normal numbers with mean 0."""
        return torch.randn(shape, generator=self.generator, device=self.device) * scale

    def log_uniform(self, *shape: int, low: float, high: float) -> Tensor:
        """Numbers whose logarithm is uniform between log(low) and log(high)."""
        return self.uniform(*shape, low=math.log(low), high=math.log(high)).exp()

    def integers(self, *shape: int, low: int = 0, high: int) -> Tensor:
        """Whole numbers low..high-1 (int64)."""
        return torch.randint(low, high, shape, generator=self.generator, device=self.device)

    def chance(self, *shape: int, p: float | Tensor) -> Tensor:
        """Booleans that are true with probability p (a number or a tensor that broadcasts)."""
        return torch.rand(shape, generator=self.generator, device=self.device) < p

    def signs(self, *shape: int) -> Tensor:
        """-1 or 1 with equal probability."""
        return self.integers(*shape, high=2).float() * 2 - 1

    def order(self, count: int) -> Tensor:
        """A random permutation of 0..count-1."""
        return self.uniform(count).argsort()

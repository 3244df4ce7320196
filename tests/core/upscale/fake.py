"""A stand-in for a model: exact bicubic enlargement plus a function of the noise, and what can go wrong."""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from quantvsr.models.adapter import VSRAdapter


class FakeAdapter(VSRAdapter):
    """Enlarges by bicubic and adds `grain` times the noise, folded out to the large grid.

    `reach` > 0 blurs with a box of that radius that sees zeros outside the tile, as a convolutional network
    does: the result near a tile's edge is wrong unless it is blended away.
    """

    name, scale, window, size_multiple, noise_channels = "fake", 4, 5, 4, 48
    default_steps, default_exclude, source = 2, (), Path("fake")
    device = torch.device("cpu")

    def __init__(self, grain: float = 0.05, reach: int = 0, largest: int | None = None, error=None) -> None:
        self.denoiser = nn.Identity()
        self.grain, self.reach, self.largest = grain, reach, largest
        self.error = error or torch.OutOfMemoryError("CUDA out of memory.")
        self.calls: list[tuple[int, ...]] = []
        self.steps: list[int] = []

    def layout(self, layer_name):
        return "image"

    def record_window(self, lq, noise, steps):
        return []

    def upscale_window(self, lq: Tensor, noise: Tensor, steps, before_step=None) -> Tensor:
        assert lq.shape[0] == self.window and lq.dtype == noise.dtype == torch.float32
        assert lq.shape[2] % self.size_multiple == lq.shape[3] % self.size_multiple == 0
        assert noise.shape == (self.noise_channels, *lq.shape[2:])
        assert not torch.is_grad_enabled()
        self.calls.append(tuple(lq.shape))
        self.steps.append(steps)
        for _ in range(steps):
            if before_step is not None:
                before_step()
        if self.largest is not None and max(lq.shape[2:]) > self.largest:
            raise self.error
        if self.reach:
            side = 2 * self.reach + 1
            lq = F.avg_pool2d(lq, side, 1, self.reach, count_include_pad=False)
        large = F.interpolate(lq, scale_factor=4, mode="bicubic", align_corners=False)
        return (large + self.grain * F.pixel_shuffle(noise, 4)).clamp(0, 1)

"""Endless procedural training clips: a slowly refilled bank of still scenes, seen by moving cameras.

No footage of anybody enters here. Seeds below `SHOWCASE_SEEDS` are for training; `render_clip` draws from
the seeds at and above it, so that bundled clips and tests are never training data.
"""

import random

import torch
from torch import Tensor

from .motion import Journey, sample_clips, view
from .rng import Rng
from .shading import render_scenes
from .textures import TextureAtlas

SHOWCASE_SEEDS = 1 << 31
"""Training seeds lie below this number; `render_clip(seed)` uses this number plus `seed`."""

__all__ = ["SHOWCASE_SEEDS", "SceneBank", "render_clip", "sample_clips"]


class SceneBank:
    """A ring of still scenes on one device.

    Args:
        count: number of scenes kept.
        generator: source of randomness, on `device`.
        device: where scenes live and are drawn.
        size: side of a scene in pixels.
        texture_size: side of a texture in texels.
        batch: scenes rendered at once while the bank is filled.
        texture_share: scales the number of textures.

    Attributes:
        images: (count, 4, size + 2, size + 2) float16: gamma-encoded RGB in 0..1 and the coverage of the
            shapes in front, with one pixel of periodic border around it, so that bilinear sampling wraps
            without a seam.
    """

    def __init__(
        self,
        count: int,
        *,
        generator: torch.Generator,
        device: torch.device | str | None = None,
        size: int = 768,
        texture_size: int = 512,
        batch: int = 8,
        texture_share: float = 1.0,
    ) -> None:
        self.rng = Rng(generator)
        self.device = torch.device(device) if device is not None else generator.device
        if self.device.type != generator.device.type:
            raise ValueError(f"the generator lives on {generator.device}, the bank on {self.device}")
        self.size = size
        self._host = random.Random(generator.initial_seed())
        self._next = 0
        self.atlas = TextureAtlas(self.rng, texture_size, generator.initial_seed() % (1 << 31), texture_share)
        self.images = torch.zeros(count, 4, size + 2, size + 2, dtype=torch.float16, device=self.device)
        for start in range(0, count, batch):
            self.refresh(min(batch, count - start))

    def __len__(self) -> int:
        return self.images.shape[0]

    @torch.no_grad()
    def refresh(self, count: int) -> None:
        """Put `count` new scenes, drawn in one batch, in place of the oldest; renew one texture family."""
        count = min(count, len(self))
        self.atlas.refresh(self.rng, self._host.choice(list(self.atlas.rows)))
        angle, reach = self._host.uniform(0, 6.283), self._host.uniform(4, 40) * self.size / 768
        fresh = render_scenes(self.rng, self.atlas, count, self.size, angle, reach)
        fresh = torch.nn.functional.pad(fresh, (1, 1, 1, 1), mode="circular").half()
        first = min(count, len(self) - self._next)
        self.images[self._next : self._next + first] = fresh[:first]
        self.images[: count - first] = fresh[first:]
        self._next = (self._next + count) % len(self)


@torch.no_grad()
def render_clip(seed: int, frames: int, height: int, width: int, *, scene_size: int = 768) -> Tensor:
    """One longer clip with calm, smooth motion, drawn on the CPU; the same seed gives the same clip.

    Args:
        seed: 0 or more; never a training seed (see `SHOWCASE_SEEDS`).
        frames: number of frames T.
        height: pixels.
        width: pixels.
        scene_size: side of the scenes behind it; larger shows less repetition and takes longer.

    Returns:
        (T, 3, height, width) float32 in 0..1.
    """
    generator = torch.Generator().manual_seed(SHOWCASE_SEEDS + seed % SHOWCASE_SEEDS)
    share = min(1.0, scene_size / 768)
    bank = SceneBank(
        3, generator=generator, size=scene_size, texture_size=max(48, round(512 * share)), batch=1
    )
    journey = Journey.random(bank.rng, 1, frames, (height, width), len(bank), calm=True)
    parts = [
        view(bank.images, journey, slice(start, min(start + 4, frames))) for start in range(0, frames, 4)
    ]
    return torch.cat(parts, 1)[0]

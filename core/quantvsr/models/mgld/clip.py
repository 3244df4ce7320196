"""Whole clips as the published program runs them (section 8): its chunks, padding, tiles and noise.

Our own engine (`quantvsr.upscale`) overlaps and blends windows, stops at cuts, and finds motion per tile.
This is for comparing with published results.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from quantvsr.models.mgld.adapter import MGLDAdapter
from quantvsr.models.mgld.flow import estimate_motion
from quantvsr.models.mgld.frames import enlarge, pad, to_bytes, whole_chunks
from quantvsr.models.mgld.pipeline import Noise
from quantvsr.models.mgld.tiles import PUBLISHED, SpatialTiling, average_tiles

PUBLISHED_SEED = 42
# Frame pixels per latent pixel.
_FOLD = 8


@dataclass(frozen=True)
class PublishedRun:
    """How the published program runs a clip.

    Attributes:
        adapter: The model, in any precision.
        seed: Of all random numbers of the run.
        steps: Sampling steps.
        tiling: Spatial tiles.
    """

    adapter: MGLDAdapter
    seed: int = PUBLISHED_SEED
    steps: int = 50
    tiling: SpatialTiling = PUBLISHED

    @torch.no_grad()
    def __call__(
        self, frames: Iterable[Tensor], before_step: Callable[[], None] | None = None
    ) -> Iterator[Tensor]:
        """Enlarge a clip, chunk by chunk; frames of a chunk know nothing of the others.

        Args:
            frames: (3, h, w), 0..1, all of one size.
            before_step: Called before every step; may raise to stop.

        Yields:
            As many pictures, (4 h, 4 w, 3) uint8, cut off and not rounded.
        """
        generator = torch.Generator().manual_seed(self.seed)
        chunk: list[Tensor] = []
        for frame in frames:
            chunk.append(frame)
            if len(chunk) == self.adapter.window:
                yield from self._chunk(torch.stack(chunk), generator, before_step)
                chunk = []
        if chunk:
            yield from self._chunk(torch.stack(chunk), generator, before_step)

    def _chunk(
        self, frames: Tensor, generator: torch.Generator, before_step: Callable[[], None] | None
    ) -> Tensor:
        adapter, pipeline = self.adapter, self.adapter.pipeline
        height, width = (side * adapter.scale for side in frames.shape[2:])
        # Neither side may be smaller than a canvas tile; what is larger than asked for is shrunk at the end.
        factor = max(adapter.scale, pipeline.config.tile * _FOLD / min(frames.shape[2:]))
        complete = whole_chunks(frames.to(adapter.device), adapter.window) * 2 - 1
        enlarged = enlarge(complete, factor)
        size = enlarged.shape[2:]
        enlarged = pad(enlarged)
        motion = estimate_motion(enlarged, adapter.flow)
        tiles = []
        for place in self.tiling.places(*enlarged.shape[2:]):
            part = enlarged[..., place.y : place.y + place.height, place.x : place.x + place.width]
            noise = self._noise(place.height // _FOLD, place.width // _FOLD, generator)
            grid = (place.flow_y, place.flow_x, place.height // _FOLD, place.width // _FOLD)
            out = pipeline(
                part, noise, motion.crop(*grid), None if before_step is None else lambda _: before_step()
            )
            tiles.append((place.y, place.x, out))
        result = average_tiles(tiles, *enlarged.shape[2:])[: len(frames), :, : size[0], : size[1]]
        if tuple(size) != (height, width):
            result = F.interpolate(result, (height, width), mode="bicubic", align_corners=False)
        return to_bytes(result)

    def _noise(self, height: int, width: int, generator: torch.Generator) -> Noise:
        shape = (self.adapter.window, self.adapter.pipeline.config.vae.embed_dim, height, width)

        def draw() -> Tensor:
            return torch.randn(shape, generator=generator).to(self.adapter.device)

        return Noise(draw(), draw(), [draw() for _ in range(self.steps)])

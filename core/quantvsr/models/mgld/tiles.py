"""Canvas tiles of the denoiser, and spatial tiles of the whole model (sections 5.4 and 8)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

PAD_MULTIPLE = 32
_SPREAD = 0.01


def canvas_origins(length: int, tile: int, overlap: int) -> list[int]:
    """Where tiles start along an axis; the last one ends with the axis.

    Raises:
        ValueError: The axis is shorter than a tile, or the overlap is no smaller than a tile.
    """
    if not 0 <= overlap < tile <= length:
        raise ValueError(f"no tiles of {tile} with overlap {overlap} on {length} latent pixels")
    count = math.ceil((length - tile) / (tile - overlap)) + 1
    return [min(index * (tile - overlap), length - tile) for index in range(count)]


def tile_weight(tile: int) -> Tensor:
    """Weight of every pixel of a tile in the blend, (tile, tile) float64.

    The vertical and the horizontal centre differ by half a pixel, as in the reference.
    """
    position = torch.arange(tile, dtype=torch.float64)
    across, down = (
        torch.exp(-((position - centre) ** 2) / tile**2 / (2 * _SPREAD)) / math.sqrt(2 * math.pi * _SPREAD)
        for centre in ((tile - 1) / 2, tile / 2)
    )
    return torch.outer(down, across)


def spatial_starts(length: int, tile: int, stride: int) -> list[int]:
    """Where tiles of the whole model start along an axis; one that would overrun ends with the axis."""
    if length <= tile:
        return [0]
    return sorted({min(start, length - tile) for start in range(0, length, stride)})


@dataclass(frozen=True)
class SpatialPlace:
    """A tile of the whole model: frame pixels, and where its flow starts on the grid of latents."""

    y: int
    x: int
    height: int
    width: int
    flow_y: int
    flow_x: int


@dataclass(frozen=True)
class SpatialTiling:
    """How the published program cuts frames.

    Attributes:
        tile: Side of a tile, frame pixels.
        stride: From one tile to the next.
        flow_tile: The same on the grid of latents, for the flow.
        flow_stride: Not an eighth of `stride`: the flow of inner tiles lies up to a pixel off.
    """

    tile: int = 960
    stride: int = 750
    flow_tile: int = 120
    flow_stride: int = 93

    def starts(self, length: int) -> list[int]:
        """Where tiles start along an axis of frame pixels."""
        return spatial_starts(length, self.tile, self.stride)

    def flow_starts(self, length: int) -> list[int]:
        """Where the flow of each tile starts, on the grid of latents; `length` in frame pixels.

        By the reference's own rule where it gives as many tiles; elsewhere exactly under the frame's tiles,
        which the reference would pair wrongly.
        """
        frame = self.starts(length)
        own = spatial_starts(length // 8, self.flow_tile, self.flow_stride)
        return own if len(own) == len(frame) else [start // 8 for start in frame]

    def places(self, height: int, width: int) -> list[SpatialPlace]:
        """All tiles of a frame, in the reference's order: down, then across."""
        rows = list(zip(self.starts(height), self.flow_starts(height), strict=True))
        columns = list(zip(self.starts(width), self.flow_starts(width), strict=True))
        size = (min(self.tile, height), min(self.tile, width))
        return [SpatialPlace(y, x, *size, flow_y, flow_x) for x, flow_x in columns for y, flow_y in rows]


PUBLISHED = SpatialTiling()


def padded_size(height: int, width: int) -> tuple[int, int]:
    """Size after padding: unchanged when both are multiples of 32, else *both* grow to the next multiple."""
    if height % PAD_MULTIPLE == 0 and width % PAD_MULTIPLE == 0:
        return height, width
    return (height // PAD_MULTIPLE + 1) * PAD_MULTIPLE, (width // PAD_MULTIPLE + 1) * PAD_MULTIPLE


def average_tiles(tiles: Sequence[tuple[int, int, Tensor]], height: int, width: int) -> Tensor:
    """Put tiles (y, x, (N, C, h, w)) on one canvas; where they overlap, their plain mean counts."""
    _, _, first = tiles[0]
    total = first.new_zeros(*first.shape[:2], height, width)
    count = first.new_zeros(1, 1, height, width)
    for y, x, tile in tiles:
        rows, columns = slice(y, y + tile.shape[2]), slice(x, x + tile.shape[3])
        total[:, :, rows, columns] += tile
        count[:, :, rows, columns] += 1
    return total / count

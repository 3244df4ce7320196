"""How a frame is cut into tiles that a model accepts, and how their results are put together."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantvsr.media.tiles import Tile, blend_weight, plan_tiles


@dataclass(frozen=True)
class TilePlan:
    """Tiles over one frame, in LQ pixels; places and sizes are multiples of what the model asks for.

    Attributes:
        height: Of the padded frame, a multiple.
        width: Of the padded frame, a multiple.
        multiple: The model's size multiple.
        tiles: All of one size, row by row; they cover the padded frame.
    """

    height: int
    width: int
    multiple: int
    tiles: tuple[Tile, ...]

    @property
    def tile_size(self) -> tuple[int, int]:
        """Height and width of every tile."""
        return self.tiles[0].height, self.tiles[0].width

    def weights(self, tile: Tile, scale: int) -> NDArray[np.float32]:
        """Share of each pixel of a tile's result, (scale*height, scale*width); all shares add up to 1."""
        return blend_weight(tile, self.tiles, scale)


def _axis(size: int, tile: int, overlap: int) -> list[tuple[int, int]]:
    """(start, length) of the tiles along one axis, in units of the multiple."""
    if size <= tile:
        return [(0, size)]
    # As few tiles as needed, then as small as they may be: 128 pixels with tiles of at most 96 and an overlap
    # of 16 are two tiles of 72, not two of 96.
    count = -(-(size - overlap) // (tile - overlap))
    tile = -(-(size + (count - 1) * overlap) // count)
    return [(part.y, part.height) for part in plan_tiles(size, 1, tile, overlap)]


def make_plan(height: int, width: int, tile: int, overlap: int, multiple: int) -> TilePlan:
    """Plan tiles for frames of one size.

    Args:
        height: Of the frame, LQ pixels, at least 1.
        width: Of the frame.
        tile: Largest side of a tile; rounded down to a multiple, at least one multiple.
        overlap: Least overlap of neighbours; rounded up to a multiple, but at most half a tile.
        multiple: Places and sizes must be multiples of this.
    """
    rows, columns = -(-height // multiple), -(-width // multiple)
    side = max(1, tile // multiple)
    shared = min(-(-overlap // multiple), side // 2)
    tiles = tuple(
        Tile(y * multiple, x * multiple, h * multiple, w * multiple)
        for y, h in _axis(rows, side, shared)
        for x, w in _axis(columns, side, shared)
    )
    return TilePlan(rows * multiple, columns * multiple, multiple, tiles)


def pad(pictures: NDArray, plan: TilePlan) -> NDArray:
    """Pictures (..., H, W, 3) grown to the plan's size by mirroring at the right and bottom edge."""
    height, width = pictures.shape[-3:-1]
    missing = ((0, plan.height - height), (0, plan.width - width))
    if missing == ((0, 0), (0, 0)):
        return pictures
    return np.pad(pictures, ((0, 0),) * (pictures.ndim - 3) + missing + ((0, 0),), mode="symmetric")

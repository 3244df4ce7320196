"""Overlapping tiles of a picture, and weights that blend their results without seams."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Tile:
    """A rectangle of the low-quality picture, in its pixels."""

    y: int
    x: int
    height: int
    width: int

    def slices(self, scale: int = 1) -> tuple[slice, slice]:
        """Row and column slices of this tile in a picture enlarged by `scale`."""
        return (
            slice(self.y * scale, (self.y + self.height) * scale),
            slice(self.x * scale, (self.x + self.width) * scale),
        )


def _starts(size: int, tile: int, overlap: int) -> list[int]:
    if size <= tile:
        return [0]
    count = -(-(size - overlap) // (tile - overlap))
    # Evenly spread instead of one odd tile at the end.
    return [round(i * (size - tile) / (count - 1)) for i in range(count)]


def plan_tiles(height: int, width: int, tile: int, overlap: int) -> list[Tile]:
    """Cover a picture with tiles of one size, evenly spread, row by row.

    Args:
        height: Of the picture, pixels, at least 1.
        width: Of the picture, pixels, at least 1.
        tile: Side of a tile; a smaller picture side makes the tile smaller.
        overlap: Least overlap of neighbours in pixels, 0 <= overlap < tile.

    Raises:
        ValueError: A number is out of range.
    """
    if height < 1 or width < 1:
        raise ValueError(f"a picture of {width}x{height} pixels cannot be tiled")
    if not 0 <= overlap < tile:
        raise ValueError(f"overlap {overlap} must be at least 0 and less than the tile's side {tile}")
    rows, columns = _starts(height, tile, overlap), _starts(width, tile, overlap)
    tile_height, tile_width = min(tile, height), min(tile, width)
    return [Tile(y, x, tile_height, tile_width) for y in rows for x in columns]


def _ramp(size: int, fade: int) -> np.ndarray:
    """1 in the middle, a raised cosine falling towards both ends over `fade` samples, never 0."""
    position = np.arange(size) + 0.5
    distance = np.minimum(position, size - position)
    return np.sin(np.pi / 2 * np.minimum(distance / fade, 1.0)) ** 2


def _axis_weight(start: int, spans: Iterable[tuple[int, int]], scale: int) -> np.ndarray:
    """Weight along one axis of the span at `start`, where the weights of all spans add up to one."""
    spans = sorted(set(spans))
    size = dict(spans)[start]
    total = np.zeros(size * scale)
    for other, length in spans:
        begin, end = max(start, other), min(start + size, other + length)
        if begin < end:
            weight = _span_ramp(other, length, spans, scale)
            inside = weight[(begin - other) * scale : (end - other) * scale]
            total[(begin - start) * scale : (end - start) * scale] += inside
    return _span_ramp(start, size, spans, scale) / total


def _span_ramp(start: int, length: int, spans: Sequence[tuple[int, int]], scale: int) -> np.ndarray:
    """The ramp of one span, which fades over its largest overlap with another one."""
    overlaps = [
        min(start + length, other + size) - max(start, other) for other, size in spans if other != start
    ]
    return _ramp(length * scale, max([1, *overlaps]) * scale)


def blend_weight(tile: Tile, tiles: Sequence[Tile], scale: int = 1) -> np.ndarray:
    """The weight of each pixel of a tile's result; over all tiles the weights add up to one everywhere.

    Args:
        tile: One of `tiles`.
        tiles: The whole plan, as `plan_tiles` made it.
        scale: How many times the results are larger than the tiles.

    Returns:
        float32 (tile.height * scale, tile.width * scale), above 0, falling smoothly over each overlap.
    """
    rows = _axis_weight(tile.y, ((t.y, t.height) for t in tiles), scale)
    columns = _axis_weight(tile.x, ((t.x, t.width) for t in tiles), scale)
    return np.outer(rows, columns).astype(np.float32)

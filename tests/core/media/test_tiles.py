"""Tiles cover every picture, and their weights add up to one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantvsr.media import Tile, blend_weight, plan_tiles


@st.composite
def plans(draw: st.DrawFn) -> tuple[int, int, int, int]:
    tile = draw(st.integers(1, 40))
    overlap = draw(st.integers(0, tile - 1))
    # Many tiles overlap each other when the step is small, so that the picture stays small too.
    most = min(90, 6 * (tile - overlap) + tile)
    return draw(st.integers(1, most)), draw(st.integers(1, most)), tile, overlap


@given(plans(), st.sampled_from([1, 2, 4]))
def test_weights_add_up_to_one(plan: tuple[int, int, int, int], scale: int) -> None:
    height, width, tile, overlap = plan
    tiles = plan_tiles(height, width, tile, overlap)
    total = np.zeros((height * scale, width * scale))
    for one in tiles:
        weight = blend_weight(one, tiles, scale)
        assert weight.shape == (one.height * scale, one.width * scale)
        assert weight.min() > 0
        total[one.slices(scale)] += weight
    np.testing.assert_allclose(total, 1, atol=1e-5)


@given(plans())
def test_tiles_are_inside_alike_and_overlap_enough(plan: tuple[int, int, int, int]) -> None:
    height, width, tile, overlap = plan
    tiles = plan_tiles(height, width, tile, overlap)
    assert {(t.height, t.width) for t in tiles} == {(min(tile, height), min(tile, width))}
    assert all(t.y >= 0 and t.x >= 0 for t in tiles)
    assert all(t.y + t.height <= height and t.x + t.width <= width for t in tiles)
    assert len(set(tiles)) == len(tiles)
    for starts in (sorted({t.y for t in tiles}), sorted({t.x for t in tiles})):
        steps = np.diff(starts)
        assert (steps <= tile - overlap).all()


def test_small_picture_is_one_tile_with_weight_one() -> None:
    tiles = plan_tiles(3, 5, 64, 16)
    assert tiles == [Tile(0, 0, 3, 5)]
    np.testing.assert_array_equal(blend_weight(tiles[0], tiles, 4), np.ones((12, 20), np.float32))


def test_weights_change_smoothly() -> None:
    tiles = plan_tiles(64, 112, 64, 16)
    weight = blend_weight(tiles[0], tiles, 4)[100]
    assert len(tiles) == 2
    assert (weight[: 48 * 4] == 1).all()
    assert np.abs(np.diff(weight)).max() < 0.03
    assert weight[-1] < 0.01


@pytest.mark.parametrize(("size", "tile", "overlap"), [((0, 5), 8, 2), ((5, 5), 8, 8), ((5, 5), 8, -1)])
def test_senseless_plans_are_refused(size: tuple[int, int], tile: int, overlap: int) -> None:
    with pytest.raises(ValueError):
        plan_tiles(*size, tile, overlap)

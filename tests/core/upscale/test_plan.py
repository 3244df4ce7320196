"""Tile plans: aligned, covering, no larger than allowed, weights that add up to one."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from quantvsr.upscale.plan import make_plan, pad


@given(
    height=st.integers(1, 300),
    width=st.integers(1, 300),
    tile=st.integers(1, 128),
    overlap=st.integers(0, 40),
    multiple=st.sampled_from([1, 4, 8]),
)
def test_plans_cover_the_frame_on_the_models_grid(height, width, tile, overlap, multiple):
    plan = make_plan(height, width, tile, min(overlap, tile - 1), multiple)
    assert height <= plan.height < height + multiple and width <= plan.width < width + multiple
    covered = np.zeros((plan.height, plan.width), int)
    for part in plan.tiles:
        assert not any(value % multiple for value in (part.y, part.x, part.height, part.width))
        assert max(part.height, part.width) <= max(tile, multiple)
        assert part.y + part.height <= plan.height and part.x + part.width <= plan.width
        assert (part.height, part.width) == plan.tile_size
        covered[part.slices()] += 1
    assert covered.min() >= 1


@given(
    height=st.integers(1, 60), width=st.integers(1, 60), tile=st.integers(8, 32), overlap=st.integers(0, 16)
)
def test_shares_add_up_to_one(height, width, tile, overlap):
    plan = make_plan(height, width, tile, min(overlap, tile - 1), 4)
    total = np.zeros((plan.height * 2, plan.width * 2))
    for part in plan.tiles:
        total[part.slices(2)] += plan.weights(part, 2)
    np.testing.assert_allclose(total, 1.0, atol=1e-5)


def test_tiles_are_as_small_as_their_number_allows():
    plan = make_plan(128, 128, 96, 16, 4)
    assert plan.tile_size == (72, 72) and len(plan.tiles) == 4
    assert make_plan(96, 40, 96, 16, 4).tiles[0].slices() == (slice(0, 96), slice(0, 40))
    assert len(make_plan(100, 40, 96, 16, 4).tiles) == 2


def test_overlap_is_kept_where_half_a_tile_allows_it():
    for part, following in zip(
        sorted({t.y for t in make_plan(500, 8, 96, 16, 4).tiles}),
        sorted({t.y for t in make_plan(500, 8, 96, 16, 4).tiles})[1:],
        strict=False,
    ):
        assert part + make_plan(500, 8, 96, 16, 4).tile_size[0] - following >= 16


def test_padding_mirrors_down_to_a_single_pixel():
    row = np.arange(5, dtype=np.float32).reshape(1, 1, 5, 1).repeat(3, -1)
    padded = pad(row, make_plan(1, 5, 96, 16, 4))
    assert padded.shape == (1, 4, 8, 3)
    assert padded[0, 3, :, 0].tolist() == [0, 1, 2, 3, 4, 4, 3, 2]
    one = pad(np.full((2, 1, 1, 3), 0.3), make_plan(1, 1, 96, 16, 4))
    assert one.shape == (2, 4, 4, 3) and (one == 0.3).all()
    same = np.zeros((8, 8, 3))
    assert pad(same, make_plan(8, 8, 96, 16, 4)) is same

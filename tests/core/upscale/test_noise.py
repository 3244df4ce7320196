"""The noise field: a function of seed and place, and normally distributed."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantvsr.errors import BadInput
from quantvsr.upscale.noise import BLOCK, NoiseField

WHOLE = NoiseField(7, 3).crop(0, 0, 200, 260)


@given(y=st.integers(0, 199), x=st.integers(0, 259), height=st.integers(1, 200), width=st.integers(1, 260))
def test_every_crop_is_a_cut_of_the_same_field(y, x, height, width):
    height, width = min(height, 200 - y), min(width, 260 - x)
    crop = NoiseField(7, 3).crop(y, x, height, width)
    np.testing.assert_array_equal(crop, WHOLE[:, y : y + height, x : x + width])


def test_order_of_asking_and_number_of_channels_do_not_matter():
    field = NoiseField(7, 5)
    field.crop(500, 900, 30, 30)
    np.testing.assert_array_equal(field.crop(0, 0, 200, 260)[:3], WHOLE)


def test_values_are_fixed_for_all_time():
    # Frozen: a file written with a seed must be reproducible by later versions.
    corner = NoiseField(42, 2).crop(63, 63, 2, 2)
    expected = [
        [[0.12539637, 0.22268425], [-0.10440711, -0.12279370]],
        [[0.75779700, 0.62274802], [2.50145030, 0.91896629]],
    ]
    np.testing.assert_allclose(corner, expected, atol=1e-6)


def test_blocks_channels_and_seeds_differ():
    assert not np.array_equal(WHOLE[0, :BLOCK, :BLOCK], WHOLE[0, BLOCK : 2 * BLOCK, :BLOCK])
    assert not np.array_equal(WHOLE[0, :BLOCK, :BLOCK], WHOLE[0, :BLOCK, BLOCK : 2 * BLOCK])
    assert not np.array_equal(WHOLE[0], WHOLE[1])
    assert not np.array_equal(NoiseField(8, 3).crop(0, 0, 200, 260), WHOLE)


def test_it_is_standard_normal_and_white_across_block_edges():
    field = NoiseField(0, 4).crop(0, 0, 512, 512).astype(np.float64)
    count = field.size
    assert abs(field.mean()) < 4 / np.sqrt(count)
    assert abs(field.var() - 1) < 4 * np.sqrt(2 / count)
    assert abs((field**4).mean() - 3) < 0.05
    assert (np.abs(field) > 3).mean() == pytest.approx(0.0027, rel=0.15)
    assert np.abs(field).max() < 7
    for shifted in (field[:, 1:] * field[:, :-1], field[..., 1:] * field[..., :-1], field[1:] * field[:-1]):
        assert abs(shifted.mean()) < 4 / np.sqrt(shifted.size)
    # Next to each other in two blocks.
    edge = field[..., BLOCK - 1 :: BLOCK][..., :7] * field[..., BLOCK::BLOCK]
    assert abs(edge.mean()) < 4 / np.sqrt(edge.size)


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_seeds_out_of_range_are_refused(seed):
    with pytest.raises(BadInput, match=r"0 to 2\*\*64"):
        NoiseField(seed, 1)


def test_large_seeds_work():
    assert np.isfinite(NoiseField(2**64 - 1, 1).crop(0, 0, 4, 4)).all()


def test_memory_is_bounded():
    field = NoiseField(1, 4)
    tracemalloc.start()
    for i in range(80):
        field.crop(0, i * BLOCK, BLOCK, BLOCK)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    block = 4 * BLOCK * BLOCK * 4
    assert peak < 50 * block

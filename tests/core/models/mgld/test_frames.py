"""Frames in and out, schedule and tiles, for any size."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from quantvsr.models.mgld.frames import enlarge, pad, to_bytes, whole_chunks
from quantvsr.models.mgld.schedule import respaced_schedule, respaced_steps
from quantvsr.models.mgld.tiles import PUBLISHED, average_tiles, canvas_origins


@given(frames=st.integers(1, 12), length=st.integers(1, 6))
def test_chunks_are_filled_with_the_last_frame(frames: int, length: int) -> None:
    clip = torch.arange(float(frames)).reshape(-1, 1, 1, 1)
    filled = whole_chunks(clip, length)
    assert len(filled) % length == 0
    assert len(filled) - frames < length
    assert torch.equal(filled[:frames], clip)
    assert (filled[frames:] == frames - 1).all()


def test_padding_reflects_at_the_bottom_and_the_right() -> None:
    frames = torch.rand(1, 3, 64, 50)
    padded = pad(frames)
    assert padded.shape == (1, 3, 96, 64)
    assert torch.equal(padded[..., :64, :50], frames)
    assert torch.equal(padded[..., 64, :50], frames[..., 62, :])


def test_bytes_are_cut_off_not_rounded() -> None:
    levels = torch.tensor([-2.0, -1.0, 0.999, 1.0, 3.0]).reshape(1, 1, 1, 5).expand(1, 3, 1, 5)
    assert to_bytes(levels)[0, 0, :, 0].tolist() == [0, 0, 254, 255, 255]


def test_enlarging_stays_in_range() -> None:
    frames = torch.where(torch.rand(1, 3, 8, 8) > 0.5, 1.0, -1.0)
    large = enlarge(frames, 4)
    assert large.shape == (1, 3, 32, 32)
    assert large.min() == -1
    assert large.max() == 1


@given(steps=st.integers(2, 1000))
def test_steps_are_distinct_and_reach_both_ends(steps: int) -> None:
    taken = respaced_steps(steps)
    assert (taken[0], taken[-1]) == (0, 999)
    assert len(set(taken)) == steps


@pytest.mark.parametrize("steps", [1, 4, 50])
def test_every_schedule_ends_at_the_same_noise(steps: int) -> None:
    schedule = respaced_schedule(steps)
    assert len(schedule) == steps
    assert float(schedule.alphas_cumprod[-1]) == pytest.approx(0.0046603, rel=1e-3)
    assert all(value.isfinite().all() for value in vars(schedule).values())


@pytest.mark.parametrize("steps", [0, 1001])
def test_impossible_numbers_of_steps_are_refused(steps: int) -> None:
    with pytest.raises(ValueError, match="choose 1 to 1000"):
        respaced_schedule(steps)


@given(tile=st.integers(1, 40), extra=st.integers(0, 90), share=st.floats(0, 0.99))
def test_canvas_tiles_cover_the_axis_without_gaps(tile: int, extra: int, share: float) -> None:
    overlap = int(tile * share)
    origins = canvas_origins(tile + extra, tile, overlap)
    assert origins[0] == 0
    assert origins[-1] == extra
    assert all(0 < b - a <= tile - overlap for a, b in itertools.pairwise(origins))


@given(length=st.integers(1, 6000))
def test_spatial_tiles_cover_the_axis(length: int) -> None:
    starts = PUBLISHED.starts(length)
    assert starts[0] == 0
    assert starts[-1] + 960 == max(length, 960)
    assert all(0 < b - a <= 750 for a, b in itertools.pairwise(starts))


def test_overlapping_tiles_are_averaged() -> None:
    tiles = [(0, 0, torch.zeros(1, 1, 2, 3)), (0, 2, torch.ones(1, 1, 2, 3))]
    assert average_tiles(tiles, 2, 5)[0, 0].tolist() == [[0, 0, 0.5, 1, 1]] * 2

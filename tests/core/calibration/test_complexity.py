import math

import pytest
import torch

from quantvsr.calibration.complexity import (
    default_statistics,
    reference_spatial,
    reference_statistics,
    statistics,
)


def images(clips=2, frames=5, channels=4, height=6, width=6, seed=0):
    return torch.randn(clips, frames, channels, height, width, generator=torch.Generator().manual_seed(seed))


def as_layouts(x: torch.Tensor) -> dict[str, torch.Tensor]:
    """The same values (B, T, C, H, W) in every layout."""
    t, c = x.shape[1:3]
    return {
        "image": x.flatten(0, 1),
        "tokens": x.flatten(0, 1).flatten(2).transpose(1, 2),
        "temporal": x.transpose(1, 2),
        "temporal_tokens": x.permute(0, 3, 4, 1, 2).reshape(-1, t, c),
    }


def read(x: torch.Tensor, layout: str, frames: int = 5):
    found = default_statistics(x, "layer", layout, frames)
    assert found is not None
    return found


@pytest.mark.parametrize("layout", ["tokens", "temporal", "temporal_tokens"])
def test_all_layouts_read_the_same_values(layout):
    forms = as_layouts(images(clips=1))
    wanted, found = read(forms["image"], "image"), read(forms[layout], layout)
    assert found.spatial == pytest.approx(wanted.spatial, rel=1e-5)
    assert found.temporal == pytest.approx(wanted.temporal, rel=1e-5)
    assert found.scale == pytest.approx(wanted.scale, rel=1e-5)


@pytest.mark.parametrize("layout", ["image", "tokens", "temporal", "temporal_tokens"])
def test_the_unit_of_a_layer_does_not_matter(layout):
    x = as_layouts(images())[layout]
    plain, louder = read(x, layout), read(x * 37, layout)
    assert louder.spatial == pytest.approx(plain.spatial, rel=1e-5)
    assert louder.temporal == pytest.approx(plain.temporal, rel=1e-5)
    assert louder.scale == pytest.approx(37 * plain.scale, rel=1e-5)


@pytest.mark.parametrize("layout", ["image", "tokens", "temporal"])
def test_clips_in_one_batch_are_not_neighbours(layout):
    still = images(clips=3, frames=1).expand(-1, 5, -1, -1, -1)
    assert read(as_layouts(still)[layout], layout).temporal == 0


def test_moving_and_flat_inputs():
    flat = torch.ones(5, 4, 6, 6)
    assert read(flat, "image").spatial == read(flat, "image").temporal == 0
    flicker = torch.arange(5.0)[:, None, None, None].expand(5, 4, 6, 6)
    assert read(flicker, "image").spatial == 0
    assert read(flicker, "image").temporal == pytest.approx(1 / math.sqrt(6))


def test_tokens_spread_over_positions_and_not_over_channels():
    per_channel = torch.arange(8.0).expand(5, 9, 8)
    assert read(per_channel, "tokens").spatial == 0
    assert reference_spatial(per_channel) > 1


@pytest.mark.parametrize("layout", ["image", "tokens", "temporal", "temporal_tokens"])
def test_one_frame_or_one_position_is_defined(layout):
    one = images(clips=1, frames=1, height=1, width=1)
    found = read(as_layouts(one)[layout], layout, frames=1)
    assert found.spatial == found.temporal == 0
    nothing = read(torch.zeros_like(as_layouts(one)[layout]), layout, frames=1)
    assert (nothing.spatial, nothing.temporal, nothing.scale) == (0, 0, 0)


def test_a_batch_that_is_no_whole_number_of_clips_counts_as_single_frames():
    assert read(images(clips=1, frames=4)[0], "image", frames=5).temporal == 0


def test_half_precision_inputs_are_read_in_single():
    x = images()[0] * 300
    assert read(x.half(), "image").spatial == pytest.approx(read(x, "image").spatial, rel=1e-3)


def test_vectors_and_the_time_path_are_not_observed():
    assert default_statistics(torch.randn(2, 8), "time", "vector", 5) is None
    assert reference_statistics(torch.randn(5, 8), "model.time_embed.2") is None
    with pytest.raises(ValueError, match="layout"):
        default_statistics(torch.randn(2, 8), "layer", "nosuch", 5)


def test_statistics_are_found_by_name():
    assert statistics("default") is default_statistics
    assert statistics("reference") is reference_statistics

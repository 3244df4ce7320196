"""Schedule and tile places of MGLD-VSR against the tables of the specification."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from quantvsr.models.mgld import tiles
from quantvsr.models.mgld.schedule import Schedule, full_schedule, respaced_schedule


def test_schedule_to_the_last_bit(golden_mgld_folder: Path) -> None:
    path = golden_mgld_folder / "schedule.safetensors"
    if not path.exists():
        pytest.skip(f"{golden_mgld_folder} has no schedule")
    table = load_file(path)
    count = len(table["respaced.timesteps"])
    schedules: dict[str, Schedule] = {"full": full_schedule(), "respaced": respaced_schedule(count)}
    for name, expected in table.items():
        which, _, entry = name.partition(".")
        actual = getattr(schedules[which], entry)
        assert actual.dtype == expected.dtype
        assert torch.equal(actual, expected), f"{name}: {(actual - expected).abs().max()}"


def test_places_of_tiles(golden_mgld_folder: Path) -> None:
    path = golden_mgld_folder / "tiles.json"
    if not path.exists():
        pytest.skip(f"{golden_mgld_folder} has no tiles")
    listed = json.loads(path.read_text(encoding="utf-8"))
    published = tiles.PUBLISHED
    flow_tiles = (published.flow_tile, published.flow_stride)
    for tile, overlap in ((64, 32), (16, 8)):
        for length, origins in listed[f"canvas_origins_tile{tile}_overlap{overlap}"].items():
            assert tiles.canvas_origins(int(length), tile, overlap) == origins
    for length, starts in listed["spatial_starts_960_750"].items():
        assert published.starts(int(length)) == starts
    own = listed["flow_starts_120_93_on_the_eighth_grid"]
    for length, starts in own.items():
        assert tiles.spatial_starts(int(length) // 8, *flow_tiles) == starts
    differing = listed["lengths_up_to_8192_where_the_two_lists_differ_in_number"]
    for length in range(512, 8193, 32):
        whole, flow = published.starts(length), published.flow_starts(length)
        assert len(whole) == len(flow)
        by_rule = tiles.spatial_starts(length // 8, *flow_tiles)
        assert (flow == by_rule) == (length not in differing)
    for size, padded in listed["padding"].items():
        height, width = (int(side) for side in size.split("x"))
        assert list(tiles.padded_size(height, width)) == padded


def test_a_canvas_smaller_than_a_tile_is_refused() -> None:
    with pytest.raises(ValueError, match="63 latent pixels"):
        tiles.canvas_origins(63, 64, 32)

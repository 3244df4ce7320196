"""The reference rank rule against the golden vectors (specification 9 and 12.4)."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from quantvsr.calibration.ranks import RankSettings, allocate
from quantvsr.calibration.table import ComplexityTable


def load(folder: Path):
    if not (folder / "ranks.json").exists():
        pytest.skip("this folder has no rank vectors")
    return json.loads((folder / "ranks.json").read_text()), load_file(folder / "ranks.safetensors")


def table_for(tensors: dict[str, np.ndarray], prefix: str, order: list[str]) -> ComplexityTable:
    return ComplexityTable.from_layers(
        {
            name: (tensors[f"{prefix}{name}/c_spatial"], tensors[f"{prefix}{name}/c_temporal"])
            for name in order
            if f"{prefix}{name}/c_spatial" in tensors
        }
    )


def test_ranks_are_exact(golden_folder):
    info, tensors = load(golden_folder)
    assert info["settings"]
    for entry in info["settings"]:
        table = table_for(tensors, entry["stats_prefix"], info["layer_order"])
        layers = [name for name in info["layer_order"] if name in entry["layers"]]
        settings = RankSettings.reference(entry["min_rank"], entry["max_rank"], entry["percentile"])
        found = allocate(table, settings, layers=layers)
        assert set(layers) == set(entry["layers"])
        for name, wanted in entry["layers"].items():
            assert found.ranks[name] == wanted["final"], (entry, name)
            assert found.raw[name] == wanted["raw"], (entry, name)
            if wanted["clipped"] is not None:
                assert found.wish[name] == wanted["clipped"], (entry, name)


def test_thresholds(golden_folder):
    info, tensors = load(golden_folder)
    for entry in info["settings"]:
        table = table_for(tensors, entry["stats_prefix"], info["layer_order"])
        settings = RankSettings.reference(entry["min_rank"], entry["max_rank"], entry["percentile"])
        points = allocate(table, settings, layers=info["layer_order"]).thresholds
        found = [points.spatial_low, points.spatial_high, points.temporal_low, points.temporal_high]
        wanted = tensors[entry["thresholds_key"]]
        np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=0)
        for key, value in entry["thresholds"].items():
            assert getattr(points, key) == pytest.approx(value, rel=1e-6)

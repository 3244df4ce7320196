"""Reference statistics against the golden vectors (specification 8 and 12.3)."""

import json
import math
from pathlib import Path

import pytest
from safetensors.torch import load_file

from quantvsr.calibration.complexity import reference_spatial, reference_statistics, reference_temporal


def load(folder: Path):
    if not (folder / "complexity.json").exists():
        pytest.skip("this folder has no complexity vectors")
    cases = json.loads((folder / "complexity.json").read_text())["cases"]
    return cases, load_file(folder / "complexity.safetensors")


def agree(value: float, wanted: float, is_nan: bool) -> bool:
    return math.isnan(value) if is_nan else value == pytest.approx(wanted, rel=1e-5, abs=1e-12)


def test_statistics_of_named_layers(golden_folder):
    cases, tensors = load(golden_folder)
    named = [case for case in cases if case["layer_name"] is not None]
    assert named
    for case in named:
        x = tensors[f"{case['id']}/x"]
        assert list(x.shape) == case["input_shape"]
        if case["observed"] is None:
            with pytest.raises(ValueError, match="at least two frames"):
                reference_statistics(x, case["layer_name"])
            continue
        found = reference_statistics(x, case["layer_name"])
        assert (found is not None) == case["observed"], case["id"]
        if found is None:
            continue
        for key, value in (("c_spatial", found.spatial), ("c_temporal", found.temporal)):
            wanted = tensors[f"{case['id']}/{key}"].item()
            assert agree(value, wanted, key in case["nan"]), (case["id"], key, value, wanted)


def test_bare_functions(golden_folder):
    cases, tensors = load(golden_folder)
    direct = [case for case in cases if case["layer_name"] is None]
    for case in direct:
        x = tensors[f"{case['id']}/x"]
        assert agree(float(reference_spatial(x)), tensors[f"{case['id']}/c_spatial"].item(), False)
        assert agree(float(reference_temporal(x)), tensors[f"{case['id']}/c_temporal"].item(), False)

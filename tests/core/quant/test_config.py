import dataclasses
import json

import pytest

from quantvsr.errors import BadInput
from quantvsr.quant.config import PROFILES, LayerQuantConfig, default, reference


@pytest.mark.parametrize("profile", PROFILES)
def test_json_round_trip(profile: str) -> None:
    config = PROFILES[profile](3, 6)
    assert (config.weight_bits, config.activation_bits, config.profile) == (3, 6, profile)
    assert LayerQuantConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


@pytest.mark.parametrize("bits", [1, 9, 0, -4, 4.0, True, "4"])
def test_bits_outside_2_to_8_are_refused(bits: object) -> None:
    with pytest.raises(BadInput, match="choose 2 to 8 bits"):
        LayerQuantConfig(weight_bits=bits)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="activation_bits"):
        LayerQuantConfig(activation_bits=bits)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value"),
    [("parts", 3), ("rotation", "dense"), ("weight_range", ""), ("low_rank", 1), ("rotation_block", 1)],
)
def test_other_values_are_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(BadInput, match=name):
        default().replace(**{name: value})


def test_unknown_names_are_refused() -> None:
    with pytest.raises(BadInput, match="'weight_bit'"):
        LayerQuantConfig.from_json({"weight_bit": 4})


def test_profiles_differ_in_switches_only() -> None:
    theirs = reference().to_json()
    assert {f.name for f in dataclasses.fields(LayerQuantConfig)} == set(theirs)
    assert reference() == LayerQuantConfig.from_json(theirs)
    assert default() == LayerQuantConfig()

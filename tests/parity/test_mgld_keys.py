"""The full-size skeleton against complete lists of the official keys and shapes."""

import json
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from quantvsr.errors import BadModel
from quantvsr.models.mgld.checkpoint import (
    FIRST_STAGE,
    STRUCTURAL,
    UNET,
    Part,
    check_keys,
    expected_keys,
    on_meta,
)
from quantvsr.models.mgld.config import StructuralConfig, UNetConfig, VaeConfig
from quantvsr.models.mgld.structcond import StructuralEncoder
from quantvsr.models.mgld.unet import DenoisingUNet
from quantvsr.models.mgld.vae import Autoencoder


def read(folder: Path, name: str) -> dict[str, Any]:
    path = folder / name
    if not path.exists():
        pytest.skip(f"{folder} has no {name}")
    return json.loads(path.read_text(encoding="utf-8"))


def compare(listed: dict[str, Any], prefix: str, module: nn.Module) -> None:
    keys = {key: tuple(shape) for key, (shape, _) in listed["keys"].items()}
    assert len(keys) == listed["n_keys"]
    check_keys(keys, expected_keys([Part(prefix, module)]), "the list")
    assert sum(value.numel() for value in module.state_dict().values()) == listed["total_parameters"]


def test_unet(golden_mgld_folder: Path) -> None:
    compare(read(golden_mgld_folder, "keys_unet.json"), UNET, on_meta(DenoisingUNet, UNetConfig()))


def test_structural_encoder(golden_mgld_folder: Path) -> None:
    listed = read(golden_mgld_folder, "keys_structcond.json")
    compare(listed, STRUCTURAL, on_meta(StructuralEncoder, StructuralConfig()))


def test_autoencoders(golden_mgld_folder: Path) -> None:
    listed = read(golden_mgld_folder, "keys_vae.json")
    compare(listed["first_stage_model"], FIRST_STAGE, on_meta(Autoencoder, VaeConfig(), False))
    compare(listed["video_vae"], "", on_meta(Autoencoder, VaeConfig(), True))


def test_layers_that_are_quantized(golden_mgld_folder: Path) -> None:
    quantised = read(golden_mgld_folder, "full_size_cost.json")["quantised"]
    skipped = tuple(quantised["skipped"])
    unet = on_meta(DenoisingUNet, UNetConfig())
    found = {
        name: (type(layer).__name__, list(layer.weight.shape), layer.bias is not None)
        for name, layer in unet.named_modules()
        if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d) and not name.startswith(skipped)
    }
    listed = quantised["layer_list"]
    assert found == {name: (e["class"], e["weight"], e["bias"]) for name, e in listed.items()}
    assert len(found) == quantised["layers"]


def test_missing_left_over_and_misshapen_keys_are_named() -> None:
    expected = {"a.weight": (2, 3), "b.weight": (4,)}
    check_keys(dict(expected), expected, "x.ckpt")
    with pytest.raises(BadModel, match=r"x\.ckpt.*lacks b\.weight"):
        check_keys({"a.weight": (2, 3)}, expected, "x.ckpt")
    with pytest.raises(BadModel, match=r"has c\.weight, which this model does not know"):
        check_keys({**expected, "c.weight": (1,)}, expected, "x.ckpt")
    with pytest.raises(BadModel, match=r"b\.weight \[5\] instead of \[4\]"):
        check_keys({**expected, "b.weight": (5,)}, expected, "x.ckpt")

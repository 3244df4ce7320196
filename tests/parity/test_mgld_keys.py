"""The full-size skeleton against complete lists of the official keys and shapes."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from quantvsr.errors import BadModel
from quantvsr.models.mgld.checkpoint import Part, check_keys, load_parts, on_meta
from quantvsr.models.mgld.config import MGLDConfig, UNetConfig
from quantvsr.models.mgld.networks import Networks
from quantvsr.models.mgld.unet import DenoisingUNet

Listed = dict[str, Any]


@pytest.fixture(scope="module")
def skeleton() -> Networks:
    return Networks.skeleton(MGLDConfig())


def read(folder: Path, name: str) -> Listed:
    path = folder / name
    if not path.exists():
        pytest.skip(f"{folder} has no {name}")
    return json.loads(path.read_text(encoding="utf-8"))


def shapes_of(listed: Listed) -> dict[str, tuple[int, ...]]:
    return {key: tuple(shape) for key, (shape, _) in listed["keys"].items()}


def compare(listed: Listed, part: Part) -> None:
    """Every key is a parameter and every parameter is a key, of the same shape."""
    assert part.shapes() == shapes_of(listed)
    assert len(part.shapes()) == listed["n_keys"]
    assert sum(value.numel() for value in part.module.parameters()) == listed["total_parameters"]


def main_list(folder: Path) -> dict[str, Listed]:
    """The parts of `mgldvsr_unet.ckpt` by prefix, without the schedule."""
    lists = [read(folder, f"keys_{name}.json") for name in ("unet", "structcond", "flownet")]
    lists += [read(folder, "keys_vae.json")["first_stage_model"]]
    lists += [read(folder, "keys_text_and_schedule.json")["text"]]
    return {listed["prefix"]: listed for listed in lists}


def test_every_part_of_the_main_file(golden_mgld_folder: Path, skeleton: Networks) -> None:
    lists = main_list(golden_mgld_folder)
    parts = skeleton.main_parts()
    assert {part.prefix for part in parts} == set(lists)
    for part in parts:
        compare(lists[part.prefix], part)


def test_video_autoencoder(golden_mgld_folder: Path, skeleton: Networks) -> None:
    listed = read(golden_mgld_folder, "keys_vae.json")["video_vae"]
    (part,) = skeleton.video_parts()
    compare(listed, part)
    extra = {key.replace("*", "x"): (1,) for key in listed["extra_keys_expected_in_the_file_and_not_needed"]}
    assert check_keys(shapes_of(listed) | extra, [part], "video") == [part]


def test_a_complete_main_file(golden_mgld_folder: Path, skeleton: Networks) -> None:
    listed = read(golden_mgld_folder, "keys_text_and_schedule.json")
    found: dict[str, tuple[int, ...]] = {}
    for part in main_list(golden_mgld_folder).values():
        found |= shapes_of(part)
    found |= {key: tuple(shape) for key, (shape, _) in listed["schedule_buffers"].items()}
    assert len(found) == listed["expected_total_of_a_complete_mgldvsr_unet_state_dict"]
    parts = skeleton.main_parts()
    assert check_keys(found, parts, "main") == parts
    without_text = {key: shape for key, shape in found.items() if not key.startswith("cond_stage_model.")}
    assert len(check_keys(without_text, parts, "main")) == len(parts) - 1


def test_each_missing_key_of_the_main_file_is_named(golden_mgld_folder: Path, skeleton: Networks) -> None:
    listed = main_list(golden_mgld_folder)
    found: dict[str, tuple[int, ...]] = {}
    for part in listed.values():
        found |= shapes_of(part)
    for part in skeleton.main_parts():
        key = next(key for key in reversed(part.shapes()) if part.uses(key))
        with pytest.raises(BadModel, match=rf"main\.ckpt.*lacks {key};"):
            check_keys({k: v for k, v in found.items() if k != key}, skeleton.main_parts(), "main.ckpt")


def test_the_wrong_file_of_the_pair_is_an_error(golden_mgld_folder: Path, skeleton: Networks) -> None:
    video = shapes_of(read(golden_mgld_folder, "keys_vae.json")["video_vae"])
    with pytest.raises(BadModel, match=r"lacks .* and .* more and has encoder"):
        check_keys(video, skeleton.main_parts(), "video_vae_cfw.ckpt")


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


def small_part() -> Part:
    network = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    return Part("net.", network)


def test_missing_left_over_and_misshapen_keys_are_named() -> None:
    good = small_part().shapes()
    assert len(check_keys(good, [small_part()], "x.ckpt")) == 1
    with pytest.raises(BadModel, match=r"x\.ckpt.*lacks net\.1\.bias;"):
        check_keys({k: v for k, v in good.items() if k != "net.1.bias"}, [small_part()], "x.ckpt")
    with pytest.raises(BadModel, match=r"has net\.2\.weight, which this model does not know"):
        check_keys({**good, "net.2.weight": (1,)}, [small_part()], "x.ckpt")
    with pytest.raises(BadModel, match=r"net\.1\.bias \[5\] instead of \[1\]"):
        check_keys({**good, "net.1.bias": (5,)}, [small_part()], "x.ckpt")


def test_what_is_not_used_is_taken_out_and_nothing_stays_unset() -> None:
    with torch.device("meta"):
        part = small_part()
    part = Part("net.", part.module, needed=("0.",))
    tensors = {"net.0.weight": torch.ones(2, 3, dtype=torch.float16), "net.0.bias": torch.ones(2)}
    load_parts(tensors, [part], "x")
    assert {n: (v.device.type, v.dtype) for n, v in part.module.state_dict().items()} == {
        "0.weight": ("cpu", torch.float32),
        "0.bias": ("cpu", torch.float32),
    }


def test_another_noise_schedule_is_an_error() -> None:
    part = small_part()
    tensors = {"net." + name: value for name, value in part.module.state_dict().items()}
    with pytest.raises(BadModel, match="another noise schedule"):
        load_parts({**tensors, "alphas_cumprod": torch.linspace(1, 0, 1000)}, [part], "x")

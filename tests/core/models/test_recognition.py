"""What a path is, and why; nothing that a file contains is ever run."""

import json
import os
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from quantvsr.errors import BadModel
from quantvsr.models import registry
from quantvsr.models.registry import model_files, model_hash, open_model, recognise
from quantvsr.models.safe_load import data_name, load_pickle
from quantvsr.models.weights import read_shapes, read_tensors
from tiny_mgld import main_tensors, write_tiny_mgld

MAIN = "main.safetensors"


def tensors(*names: str, **shaped: tuple[int, ...]) -> dict[str, Tensor]:
    return {name: torch.zeros(1) for name in names} | {n: torch.zeros(s) for n, s in shaped.items()}


CROSS = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
FILES: dict[str, tuple[dict[str, Tensor], str]] = {
    "LoRA": (tensors("lora_unet_down_blocks_0.lora_down.weight"), "a LoRA"),
    "SD 1": (tensors("x") | {CROSS: torch.zeros(2, 768)}, r"Stable Diffusion 1\.x"),
    "SD 2": (tensors("x") | {CROSS: torch.zeros(2, 1024)}, r"Stable Diffusion 2\.x.*text encoder"),
    "SD XL": (tensors("conditioner.embedders.0.x"), "Stable Diffusion XL"),
    "VAE": (tensors("encoder.conv_in.weight", "decoder.conv_in.weight"), "an image autoencoder"),
    "RAFT": (tensors("module.fnet.conv1.weight"), "RAFT"),
    "ControlNet": (tensors("controlnet_down_blocks.0.weight"), "a ControlNet"),
    "UNet": (tensors("conv_in.weight", "down_blocks.0.x", "up_blocks.0.x"), "without its pipeline"),
    "text": (tensors("text_model.embeddings.token_embedding.weight"), "a text encoder"),
    "anything": (tensors("a.b.c"), r"no model known here.*1 tensors begin with a\.b\.c"),
}


@pytest.mark.parametrize("kind", sorted(FILES))
@pytest.mark.parametrize("ending", ["safetensors", "ckpt"])
def test_other_files_are_named_for_what_they_are(tmp_path: Path, kind: str, ending: str) -> None:
    held, message = FILES[kind]
    file = tmp_path / f"file.{ending}"
    if ending == "ckpt":
        torch.save({"state_dict": held}, file)
    else:
        save_file(held, file)
    for path in (file, tmp_path):
        with pytest.raises(BadModel, match=message) as caught:
            recognise(path)
        assert str(file) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_folders_and_files_that_are_no_weights(tmp_path: Path) -> None:
    def refused(message: str, path: Path = tmp_path) -> None:
        with pytest.raises(BadModel, match=message):
            recognise(path)

    refused("holds no weight files")
    (tmp_path / "notes.txt").write_text("x")
    refused("no weight file by its name", tmp_path / "notes.txt")
    refused("no model at", tmp_path / "none")
    (tmp_path / "config.json").write_text(json.dumps({"_class_name": "UNet2DConditionModel"}))
    refused("a single part, UNet2DConditionModel")
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "FluxPipeline"}))
    refused("class FluxPipeline, which is not supported")


def test_a_parameter_file_and_a_checkpoint_are_told_what_they_are_for(tmp_path: Path) -> None:
    entry = OrderedDict({"wq.x_min": torch.zeros(1), "rot.rot_mat": torch.zeros(0, 0)})
    torch.save({"model.a": entry}, tmp_path / "w4a4.pth")
    with pytest.raises(BadModel, match="import-qparams"):
        recognise(tmp_path / "w4a4.pth")
    save_file({"a.codes0": torch.zeros(1)}, tmp_path / "c.safetensors", {"quantvsr": "{}"})
    with pytest.raises(BadModel, match="--checkpoint"):
        recognise(tmp_path / "c.safetensors")


class _Call:
    def __init__(self, function: Any, *args: Any) -> None:
        self.call = function, args

    def __reduce__(self) -> Any:
        return self.call


def hostile(folder: Path) -> dict[str, str]:
    """Files that want to run something, or are broken; what is said of each."""
    marker = str(folder / "ran")
    run = {"state_dict": {"a": torch.ones(1)}, "hook": _Call(os.mkdir, marker)}
    torch.save(run, folder / "zip.ckpt")
    torch.save(run, folder / "legacy.pt", _use_new_zipfile_serialization=False)
    (folder / "plain.bin").write_bytes(pickle.dumps(_Call(os.mkdir, marker)))
    torch.save({"a": torch.ones(1000)}, folder / "cut.pth")
    (folder / "cut.pth").write_bytes((folder / "cut.pth").read_bytes()[:-400])
    save_file({"a": torch.ones(1000)}, folder / "cut.safetensors")
    (folder / "cut.safetensors").write_bytes((folder / "cut.safetensors").read_bytes()[:-400])
    (folder / "page.ckpt").write_bytes(b"<html>404</html>" * 10)
    (folder / "empty.ckpt").touch()
    (folder / "x.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../secret.bin"}}))
    (folder / "y.bin.index.json").write_text("[]")
    (folder / "z.bin.index.json").write_text(json.dumps({"weight_map": {"a": "z.bin.index.json"}}))
    return {
        "zip.ckpt": r"asks to run (posix|nt)\.mkdir",
        "legacy.pt": r"asks to run (posix|nt)\.mkdir",
        "plain.bin": r"asks to run (posix|nt)\.mkdir",
        "cut.pth": "not a complete weight file",
        "cut.safetensors": "not a complete safetensors file",
        "page.ckpt": "not a complete weight file",
        "empty.ckpt": "not a complete weight file",
        "x.safetensors.index.json": r"lacks the shard \.\./secret\.bin",
        "y.bin.index.json": "not a list of shards",
        "z.bin.index.json": r"lacks the shard z\.bin\.index\.json",
    }


def test_hostile_and_broken_files_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path.parent / "secret.bin").touch()
    for name, message in hostile(tmp_path).items():
        folder = tmp_path / f"only-{name}"
        folder.mkdir()
        (tmp_path / name).rename(folder / name)
        for path in (folder / name, folder):
            for ask in (recognise, open_model):
                with pytest.raises(BadModel, match=message):
                    ask(path)
    assert not (tmp_path / "ran").exists()


def test_broken_files_beside_a_model_do_no_harm(tmp_path: Path) -> None:
    folder = write_tiny_mgld(tmp_path / "m")
    hostile(folder)
    for name in ("x.safetensors.index.json", "y.bin.index.json", "z.bin.index.json"):
        (folder / name).unlink()
    assert recognise(folder).family == "mgld"
    (folder / MAIN).unlink()
    with pytest.raises(BadModel, match=r"not a complete safetensors|not a complete weight|asks to run"):
        open_model(folder)


def test_what_lightning_leaves_is_ignored(tmp_path: Path) -> None:
    folder = write_tiny_mgld(tmp_path / "m")
    expected = load_file(folder / MAIN)
    (folder / MAIN).unlink()
    for zipped in (True, False):
        torch.save({"state_dict": expected, "callbacks": "MARK"}, folder / "main.ckpt",
                   _use_new_zipfile_serialization=zipped)  # fmt: skip
        # The name of a class that is not installed here, called with a setting, in the place of a text.
        path = folder / "main.ckpt"
        name = b"cpytorch_lightning.callbacks.model_checkpoint\nModelCheckpoint\n"
        data = replace_in_pickle(path, b"X\x04\x00\x00\x00MARK", name + b"(X\x01\x00\x00\x00atR}b", zipped)
        path.write_bytes(data)
        assert recognise(path).family == "mgld"
        found = read_tensors(path)
        assert found.keys() == expected.keys()
        assert all(torch.equal(value, expected[key]) for key, value in found.items())


def replace_in_pickle(path: Path, old: bytes, new: bytes, zipped: bool) -> bytes:
    if not zipped:
        data = path.read_bytes()
        assert data.count(old) == 1
        return data.replace(old, new)
    import io
    import zipfile

    out = io.BytesIO()
    with zipfile.ZipFile(path) as before, zipfile.ZipFile(out, "w") as after:
        for entry in before.infolist():
            data = before.read(entry)
            if entry.filename.endswith("data.pkl"):
                assert data.count(old) == 1
                data = data.replace(old, new)
            after.writestr(entry.filename, data)
    return out.getvalue()


@pytest.mark.parametrize("ending", ["safetensors", "bin"])
def test_sharded_weights(tmp_path: Path, ending: str) -> None:
    folder = write_tiny_mgld(tmp_path / "m")
    whole = load_file(folder / MAIN)
    first = open_model(folder)
    (folder / MAIN).unlink()
    keys = sorted(whole)
    halves = {f"main-0000{i + 1}-of-00002.{ending}": keys[i::2] for i in range(2)}
    for name, held in halves.items():
        part = {key: whole[key].half() for key in held}
        if ending == "bin":
            torch.save(part, folder / name)
        else:
            save_file(part, folder / name)
    index = folder / f"main.{ending}.index.json"
    index.write_text(json.dumps({"weight_map": {k: name for name, held in halves.items() for k in held}}))
    for path in (folder, index):
        assert recognise(path).family == "mgld"
        opened = open_model(path)
        state = first.denoiser.state_dict()
        assert all(torch.equal(v, state[k].half().float()) for k, v in opened.denoiser.state_dict().items())
    assert {file.name for file in model_files(folder)} >= {index.name, *halves}
    before = model_hash(folder)
    lost = folder / next(iter(halves))
    lost.rename(folder / "lost")
    with pytest.raises(BadModel, match=f"lacks the shard {lost.name}"):
        recognise(index)
    (folder / "lost").rename(lost)
    assert model_hash(folder) == before


def test_shapes_are_read_without_data(tmp_path: Path) -> None:
    held = main_tensors()
    expected = {key: tuple(value.shape) for key, value in held.items()}
    save_file(held, tmp_path / "a.safetensors")
    torch.save(held, tmp_path / "b.ckpt")
    torch.save(held, tmp_path / "c.ckpt", _use_new_zipfile_serialization=False)
    for name in ("a.safetensors", "b.ckpt", "c.ckpt"):
        assert read_shapes(tmp_path / name) == expected


@pytest.mark.parametrize("zipped", [True, False])
def test_what_is_not_wanted_is_not_read(tmp_path: Path, zipped: bool) -> None:
    shared = torch.arange(6.0)
    held = {"a": shared[:2], "ema.a": torch.ones(1000), "ema.shared": shared[2:], "b": torch.zeros(3)}
    file = tmp_path / "x.ckpt"
    torch.save({"state_dict": held}, file, _use_new_zipfile_serialization=zipped)
    outline = load_pickle(file, data=False)["state_dict"]
    assert data_name(outline["a"]) == data_name(outline["ema.shared"]) != data_name(outline["ema.a"])
    part = load_pickle(file, skip={data_name(outline["ema.a"])})["state_dict"]
    assert part["ema.a"].is_meta
    assert {name: value.tolist() for name, value in part.items() if not value.is_meta} == {
        "a": [0, 1],
        "ema.shared": [2, 3, 4, 5],
        "b": [0, 0, 0],
    }
    assert list(read_tensors(file, ("ema.",))) == ["a", "b"]
    save_file({name: value.clone() for name, value in held.items()}, tmp_path / "x.safetensors")
    assert sorted(read_tensors(tmp_path / "x.safetensors", ("ema.",))) == ["a", "b"]


def test_the_hash_of_a_model_follows_its_files_and_nothing_else(tmp_path: Path) -> None:
    folder = write_tiny_mgld(tmp_path / "m")
    before = model_hash(folder)
    (folder / "readme.txt").write_text("x")
    assert model_hash(folder) == before
    assert model_hash(folder / MAIN) == before
    config = json.loads((folder / "mgld.json").read_text())
    config["config"]["guidance_scale"] = -9.0
    (folder / "mgld.json").write_text(json.dumps(config))
    assert model_hash(folder) != before
    bundled = model_hash(registry.BUNDLED)
    assert len(bundled) == 64
    assert {file.suffix for file in model_files(registry.BUNDLED)} >= {".json", ".safetensors"}

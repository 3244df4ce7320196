import copy
import json
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from torch import nn

from core.quant.test_layers import CASES, configs, shift_randomly
from quantvsr.errors import BadInput, BadModel
from quantvsr.hashing import hash_json
from quantvsr.quant import checkpoint
from quantvsr.quant.checkpoint import load_checkpoint, read_checkpoint_info, save_checkpoint, source_hash
from quantvsr.quant.config import LayerQuantConfig, default, reference
from quantvsr.quant.surgery import quantize_model


def _model() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(12, 16, 3, padding=1), nn.GroupNorm(4, 16), nn.SiLU(), nn.Conv2d(16, 8, 1, bias=False)
    )


def _saved(path: Path, config: LayerQuantConfig | None = None) -> tuple[nn.Module, nn.Module]:
    """The source, and the low-bit model that was saved."""
    source = _model()
    low = copy.deepcopy(source)
    layers = quantize_model(low, config or default(), 3, seed=0)
    for layer in layers.values():
        layer.initialise()
        shift_randomly(layer)
        with torch.no_grad():
            for parameter in (*layer.branch_parameters(), *layer.bias_parameters()):
                parameter.add_(0.01)
    layers.set_mode("frozen")
    save_checkpoint(path, low, {"clips": ["abc"], "psnr": 31.5})
    return source, low


@pytest.mark.parametrize("config", [default(), default(6, 8), default(3, 3).replace(parts=2), reference()])
def test_loading_gives_bit_identical_outputs(tmp_path: Path, config: LayerQuantConfig) -> None:
    file = tmp_path / "low.safetensors"
    source, low = _saved(file, config)
    layers, info = load_checkpoint(file, source)
    assert list(layers) == ["0", "3"] and all(layer.mode == "frozen" for layer in layers.values())
    assert info.meta == {"clips": ["abc"], "psnr": 31.5}
    x = torch.randn(2, 12, 6, 6)
    with torch.no_grad():
        assert torch.equal(source(x), low(x))
    for name, layer in layers.items():
        twin = low.get_submodule(name)
        assert all(torch.equal(a, b) for a, b in zip(layer.codes(), twin.codes(), strict=True))
        assert layer.rank == 3 and layer.config == config


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(config=configs)
def test_every_combination_of_switches_survives(tmp_path: Path, config: LayerQuantConfig) -> None:
    case = sorted(CASES)[hash(config) % len(CASES)]
    plain, x = CASES[case]
    source = nn.ModuleDict({"layer": copy.deepcopy(plain)})
    low = copy.deepcopy(source)
    layers = quantize_model(low, config, 2, seed=0)
    shift_randomly(layers["layer"])
    layers.set_mode("frozen")
    info = save_checkpoint(tmp_path / "x.safetensors", low)
    load_checkpoint(tmp_path / "x.safetensors", source)
    with torch.no_grad():
        assert torch.equal(source["layer"](x), low["layer"](x)), case
    expected = {name: size for name, size in layers["layer"].bytes_at_rest().items() if size}
    assert info.layer_bytes["layer"] == expected


def test_bytes_are_those_on_disk(tmp_path: Path) -> None:
    file = tmp_path / "low.safetensors"
    _, low = _saved(file)
    info = read_checkpoint_info(file)
    assert info.bytes_file == file.stat().st_size
    counted = sum(sum(low.get_submodule(name).bytes_at_rest().values()) for name in info.layers)
    assert counted == info.bytes_data < info.bytes_file
    assert info.bytes_fp32 == 4 * (16 * 12 * 9 + 16 + 8 * 16)
    assert json.loads(json.dumps(info.to_json()))["saving"] == 1 - info.bytes_file / info.bytes_fp32


def test_only_quantized_layers_are_stored(tmp_path: Path) -> None:
    file = tmp_path / "low.safetensors"
    _saved(file)
    with file.open("rb") as stream:
        header = json.loads(stream.read(struct.unpack("<Q", stream.read(8))[0]))
    assert {name.split(".")[0] for name in header if name != "__metadata__"} == {"0", "3"}


def test_training_can_go_on_from_a_checkpoint(tmp_path: Path) -> None:
    file = tmp_path / "low.safetensors"
    source, _ = _saved(file)
    layers, _ = load_checkpoint(file, source)
    x = torch.randn(2, 12, 6, 6)
    with torch.no_grad():
        before = source(x)
        layers.set_mode("train")
        # Ranges are found anew, so single codes differ.
        change = torch.linalg.vector_norm(source(x) - before) / torch.linalg.vector_norm(before)
    assert float(change) < 0.2
    source(x).sum().backward()
    assert all(p.grad is not None for layer in layers.values() for p in layer.branch_parameters())


def test_aligned_bias_can_be_trained_on(tmp_path: Path) -> None:
    file = tmp_path / "low.safetensors"
    source, _ = _saved(file)
    layers, _ = load_checkpoint(file, source)
    lba = layers["3"].lba
    assert lba is not None
    x = torch.randn(2, 12, 6, 6)
    with torch.no_grad():
        before = source(x)
    torch.testing.assert_close(source(x).detach(), before, rtol=1e-3, atol=1e-3)
    source(x).sum().backward()
    assert lba.grad is not None and float(lba.grad.abs().max()) > 0


def test_source_hash_sees_values_not_types_nor_quantization() -> None:
    model = _model().half().float()
    expected = source_hash(model)
    assert source_hash(copy.deepcopy(model).half()) == expected
    low = copy.deepcopy(model)
    quantize_model(low, default(), 2, seed=0).set_mode("frozen")
    assert source_hash(low) == expected
    with torch.no_grad():
        model[1].bias[0] += 1
    assert source_hash(model) != expected


def test_layers_with_two_names_stay_one(tmp_path: Path) -> None:
    torch.manual_seed(0)
    source = nn.Sequential(nn.Linear(6, 6), nn.SiLU())
    source.append(source[0])
    low = copy.deepcopy(source)
    quantize_model(low, default(), 2, seed=0).set_mode("frozen")
    save_checkpoint(tmp_path / "x.safetensors", low)
    load_checkpoint(tmp_path / "x.safetensors", source)
    assert source[0] is source[2] and source[0] is not low[0]
    x = torch.randn(3, 6)
    with torch.no_grad():
        assert torch.equal(source(x), low(x))


def _edit(file: Path, change: Any, *, sign: bool = True) -> None:
    """Change the JSON header of a checkpoint."""
    data = file.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    outer = json.loads(data[8 : 8 + size])
    header = json.loads(outer["__metadata__"]["quantvsr"])
    change(header)
    outer["__metadata__"]["quantvsr"] = json.dumps(header)
    if sign:
        outer["__metadata__"]["quantvsr.sha256"] = hash_json(header)
    text = json.dumps(outer).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + size :])


def _truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-20])


def _flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-40] ^= 1
    file.write_bytes(data)


BROKEN: dict[str, tuple[Any, str]] = {
    "truncated": (_truncate, "not a complete"),
    "one bit": (_flip, "has changed since"),
    "text": (lambda f: f.write_text("hello"), "not a complete"),
    "empty": (lambda f: f.write_bytes(b""), "not a complete"),
    "missing": (lambda f: f.unlink(), "does not exist"),
    "folder": (lambda f: (f.unlink(), f.mkdir()), "not a complete"),
    "newer": (lambda f: _edit(f, lambda h: h.update(format=99)), "newer version"),
    "header": (lambda f: _edit(f, lambda h: h["meta"].update(psnr=99), sign=False), "damaged header"),
    "no layers": (lambda f: _edit(f, lambda h: h.pop("layers")), "damaged header"),
    "shape": (lambda f: _edit(f, lambda h: h["layers"]["0"].update(shape=[1, 2])), "does not fit"),
    "bits": (lambda f: _edit(f, lambda h: h["configs"][0].update(weight_bits=5)), "layer 0"),
    "other layer": (
        lambda f: _edit(f, lambda h: h["layers"].update({"9": h["layers"]["0"]})),
        "does not fit",
    ),
    "parts": (lambda f: _edit(f, lambda h: h["configs"][0].update(parts=2)), "layer 0"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_bad_files_are_refused_with_one_sentence_and_the_model_is_untouched(
    tmp_path: Path, kind: str
) -> None:
    file = tmp_path / "low.safetensors"
    source, _ = _saved(file)
    spoil, words = BROKEN[kind]
    spoil(file)
    with pytest.raises(BadModel, match=words) as caught:
        load_checkpoint(file, source)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [type(m) for m in source] == [nn.Conv2d, nn.GroupNorm, nn.SiLU, nn.Conv2d]


def test_another_model_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "low.safetensors"
    source, low = _saved(file)
    with torch.no_grad():
        source[1].weight[0] += 1  # not even a quantized layer
    with pytest.raises(BadModel, match="belongs to another model"):
        load_checkpoint(file, source)
    with pytest.raises(BadInput, match="quantized already"):
        load_checkpoint(file, low)


def test_other_safetensors_files_are_no_checkpoints(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(2)}, tmp_path / "x.safetensors")
    with pytest.raises(BadModel, match="no checkpoint"):
        read_checkpoint_info(tmp_path / "x.safetensors")


def test_a_plain_model_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no quantized layers"):
        save_checkpoint(tmp_path / "x.safetensors", _model())
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "low.safetensors"
    _, low = _saved(file)
    before = file.read_bytes()

    def fail(tensors: object, path: Path, metadata: object) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint.safetensors.torch, "save_file", fail)
    with pytest.raises(Exception, match="full"):
        save_checkpoint(file, low)
    assert file.read_bytes() == before and list(tmp_path.iterdir()) == [file]

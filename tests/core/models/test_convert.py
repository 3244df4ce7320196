"""Models written as folders of safetensors open as the same models."""

from pathlib import Path

import pytest
import torch
from diffusers.models import modeling_utils

from core.models.upscalers.folders import ldm_parts, text_encoder, write_pipeline, x4_parts
from quantvsr import cli
from quantvsr.errors import BadInput
from quantvsr.models.adapter import VSRAdapter
from quantvsr.models.convert import convert
from quantvsr.models.mgld.adapter import MGLDAdapter
from quantvsr.models.mgld.raft import Raft
from quantvsr.models.registry import model_files, open_model, recognise
from tiny_mgld import write_tiny_mgld


def make(kind: str, folder: Path) -> Path:
    if kind == "mgld":
        return write_tiny_mgld(folder)
    if kind == "ldm":
        return write_pipeline(folder, "LDMSuperResolutionPipeline", ldm_parts(), safe=False)
    write_pipeline(folder, "StableDiffusionUpscalePipeline", x4_parts(), safe=False)
    text_encoder(folder)
    return folder


def picture(adapter: VSRAdapter) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    lq = torch.rand(adapter.window, 3, 16, 16, generator=generator)
    return adapter.upscale_window(lq, torch.randn(adapter.noise_channels, 16, 16, generator=generator), 1)


@pytest.mark.parametrize("kind", ["mgld", "x4", "ldm"])
def test_the_folder_is_the_same_model(kind: str, tmp_path: Path) -> None:
    source = make(kind, tmp_path / "source")
    adapter = open_model(source)
    expected, notes = picture(adapter), adapter.notes
    convert(adapter, tmp_path / "new")
    assert {file.suffix for file in (tmp_path / "new").rglob("*") if file.is_file()} == {
        ".json",
        ".safetensors",
    }
    assert recognise(tmp_path / "new").family == recognise(source).family
    opened = open_model(tmp_path / "new")
    # Where in memory weights lie may decide the order of a sum.
    assert torch.allclose(picture(opened), expected, atol=1e-4)
    state = opened.denoiser.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in adapter.denoiser.state_dict().items())
    assert opened.notes == notes
    convert(opened, tmp_path / "half", torch.float16)
    sizes = [sum(f.stat().st_size for f in model_files(tmp_path / name)) for name in ("new", "half")]
    assert sizes[1] < 0.6 * sizes[0]
    assert (picture(open_model(tmp_path / "half")) - expected).abs().mean() < 0.02
    with pytest.raises(BadInput, match="is not empty"):
        convert(opened, tmp_path / "half")


def test_mgld_keeps_its_flow_network(tmp_path: Path) -> None:
    source = write_tiny_mgld(tmp_path / "source")
    torch.save(Raft().state_dict(), source / "raft.pth")
    adapter = open_model(source)
    convert(adapter, tmp_path / "new")
    opened = open_model(tmp_path / "new")
    assert opened.notes == adapter.notes
    assert "Motion comes from RAFT." in opened.notes
    assert isinstance(adapter, MGLDAdapter) and isinstance(opened, MGLDAdapter)
    state = opened.flow.network.state_dict()  # type: ignore[attr-defined]
    assert all(torch.equal(v, state[k]) for k, v in adapter.flow.network.state_dict().items())  # type: ignore[attr-defined]


def test_the_bundled_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remarks: list[str] = []
    monkeypatch.setattr(modeling_utils.logger, "warning", lambda text, *_: remarks.append(text))
    convert(open_model("bundled"), tmp_path / "new", torch.float16)
    assert remarks == []
    ours, theirs = open_model("bundled").denoiser, open_model(tmp_path / "new").denoiser
    state = theirs.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in ours.state_dict().items())


def test_as_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_tiny_mgld(tmp_path / "source")
    command = ["convert", str(source), "--out", str(tmp_path / "new"), "--half", "--compute", "bfloat16"]
    assert cli.main([*command, "--quiet"]) == 0
    adapter = open_model(tmp_path / "new")
    assert isinstance(adapter, MGLDAdapter)
    assert adapter.precision == torch.bfloat16
    assert cli.main([*command, "--quiet"]) == 2
    assert "new is not empty" in capsys.readouterr().err
    command[1], command[3] = "bundled", str(tmp_path / "other")
    assert cli.main([*command, "--quiet"]) == 2
    assert "always computes in float32" in capsys.readouterr().err
    capsys.readouterr()
    assert cli.main(["inspect", str(tmp_path / "new"), "--no-layers", "--hash", "--quiet"]) == 0
    shown = capsys.readouterr().out
    assert "MGLD-VSR" in shown
    assert "model_index.json names MGLDVSRPipeline" in shown
    assert "SHA-256" in shown
    assert "Parameters" not in shown
    assert cli.main(["inspect", str(tmp_path), "--no-layers", "--quiet"]) == 2
    assert "holds no weight files" in capsys.readouterr().err

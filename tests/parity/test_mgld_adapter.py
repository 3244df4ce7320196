"""MGLD-VSR as the engine drives it, opened from files of a small configuration."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from parity.mgld_golden import Golden, each_configuration, golden
from quantvsr.calibration.observe import observe
from quantvsr.calibration.store import Sample
from quantvsr.errors import BadInput, BadModel
from quantvsr.hashing import hash_path
from quantvsr.models.mgld.adapter import MGLDAdapter, open_path
from quantvsr.models.mgld.checkpoint import FLOW
from quantvsr.models.mgld.family import recognise
from quantvsr.models.mgld.files import CONTEXT_FILE
from quantvsr.models.mgld.flow import estimate_motion
from quantvsr.models.mgld.frames import enlarge
from quantvsr.models.mgld.raft import Raft
from quantvsr.quant.config import default
from quantvsr.quant.surgery import quantize_model

__all__ = ["golden"]

MAIN, VIDEO = "main.safetensors", "video.safetensors"
CPU = torch.device("cpu")


@pytest.fixture
def folder(golden: Golden, tmp_path: Path) -> Path:
    """A model as a user has it, with names of their own choice."""
    shutil.copy(golden.folder / "mgldvsr_unet_tiny.safetensors", tmp_path / MAIN)
    shutil.copy(golden.folder / "video_vae_cfw_tiny.safetensors", tmp_path / VIDEO)
    shutil.copy(golden.folder / "index.json", tmp_path / "index.json")
    save_file({"context": golden.load("pipeline_io")["context"]}, tmp_path / CONTEXT_FILE)
    return tmp_path


def smallest(adapter: MGLDAdapter, height: int, width: int) -> tuple[Tensor, Tensor]:
    """A window and its noise."""
    generator = torch.Generator().manual_seed(3)
    lq = torch.rand(adapter.window, 3, height, width, generator=generator)
    return lq, torch.randn(adapter.noise_channels, height, width, generator=generator)


@each_configuration
def test_recognised_by_keys_whatever_the_names(golden: Golden, folder: Path) -> None:
    for path in (folder, folder / MAIN, folder / VIDEO):
        found = recognise(path)
        assert found is not None
        assert found.family == "mgld"
    assert recognise(folder / CONTEXT_FILE) is None
    assert recognise(folder / "index.json") is None
    (folder / MAIN).write_bytes((folder / MAIN).read_bytes()[:1000])
    assert recognise(folder / MAIN) is None


@each_configuration
def test_a_window_is_the_pipeline_on_the_enlarged_frames(golden: Golden, folder: Path) -> None:
    adapter = open_path(folder, CPU)
    side = golden.config.tile * 2
    assert adapter.default_tile == side
    lq, noise = smallest(adapter, side, side)
    asked: list[None] = []
    out = adapter.upscale_window(lq, noise, 2, lambda: asked.append(None))
    assert len(asked) == 2
    assert out.shape == (adapter.window, 3, side * 4, side * 4)
    frames = enlarge(lq * 2 - 1, 4)
    expected = adapter.pipeline(frames, adapter._noise(noise, 2), estimate_motion(frames, adapter.flow))
    assert torch.equal(out, ((expected + 1) / 2).clamp(0, 1))


@each_configuration
def test_windows_smaller_than_a_tile_are_mirrored_beyond_their_edges(golden: Golden, folder: Path) -> None:
    adapter = open_path(folder, CPU)
    lq, noise = smallest(adapter, 8, 16)
    out = adapter.upscale_window(lq, noise, 1)
    assert out.shape == (adapter.window, 3, 32, 64)
    assert out.isfinite().all()
    with pytest.raises(BadInput, match="1 to 50"):
        adapter.upscale_window(lq, noise, 51)


@each_configuration
def test_every_frame_and_every_step_has_noise_of_its_own(golden: Golden, folder: Path) -> None:
    adapter = open_path(folder, CPU)
    _, field = smallest(adapter, 32, 32)
    noise = adapter._noise(field, 50)
    every = torch.stack([noise.posterior, noise.start, *noise.steps]).flatten(2).flatten(0, 1)
    assert len(every) == 52 * adapter.window
    assert float(torch.corrcoef(every).fill_diagonal_(0).abs().max()) < 0.25
    assert float(every.std()) == pytest.approx(1, abs=0.01)


@each_configuration
def test_records_replay_and_every_layer_is_laid_out(golden: Golden, folder: Path) -> None:
    adapter = open_path(folder, CPU)
    side = golden.config.tile * 2
    lq, noise = smallest(adapter, side, side + 8)
    records = adapter.record_window(lq, noise, 2)
    assert [int(inputs["timesteps"]) for inputs, _ in records] == [999, 0]
    for inputs, output in records:
        with torch.no_grad():
            assert torch.equal(adapter.denoiser(**inputs), output)

    layers = quantize_model(adapter.denoiser, default(4, 4), 4, adapter.default_exclude, seed=0)
    assert set(layers.skipped) == set(adapter.default_exclude)
    inputs, output = records[0]
    sample = Sample(inputs, output, {"step": 0, "steps": 2})
    seen = observe(adapter.denoiser, layers, [sample], adapter.layout, frames=adapter.window)
    assert len(seen.shapes) == len(layers)
    for layer in layers.values():
        layer.initialise()
    layers.set_mode("frozen")
    with torch.no_grad():
        low_bit = adapter.denoiser(**inputs)
    assert not torch.equal(low_bit, output)
    # Coarse, but clearly the same answer.
    together = torch.stack([low_bit.flatten(), output.flatten()])
    assert float(torch.corrcoef(together)[0, 1]) > 0.7


@each_configuration
def test_pickled_files_with_moving_averages_and_raft(golden: Golden, folder: Path) -> None:
    plain = open_path(folder, CPU)
    assert "non-commercial" in plain.notes[0]
    assert "DIS flow" in plain.notes[1]
    tensors = load_file(folder / MAIN)
    tensors |= {"model_ema.decay": torch.ones(1), "model_ema.diffusion_modelout2bias": torch.ones(4)}
    torch.save({"state_dict": tensors, "epoch": 3, "global_step": 7}, folder / "main.ckpt")
    (folder / MAIN).unlink()
    torch.manual_seed(0)
    torch.save({f"module.{k}": v for k, v in Raft().state_dict().items()}, folder / "raft.pth")
    assert recognise(folder / "main.ckpt") is not None
    pickled = open_path(folder / "main.ckpt", CPU)
    assert pickled.notes[1:] == ("Motion comes from RAFT.",)
    ours, theirs = plain.denoiser.state_dict(), pickled.denoiser.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    # RAFT may also be part of the main file.
    tensors |= {FLOW + k: v for k, v in Raft().state_dict().items()}
    (folder / "raft.pth").unlink()
    torch.save(tensors, folder / "main.ckpt")
    assert open_path(folder, CPU).notes[1:] == ("Motion comes from RAFT.",)


@each_configuration
def test_what_is_missing_is_said_before_any_weight_is_read(
    golden: Golden, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> dict[str, Tensor]:
        raise AssertionError(f"{path} was read")

    monkeypatch.setattr("quantvsr.models.mgld.opening.read_tensors", refuse)

    def fails(message: str) -> None:
        with pytest.raises(BadModel, match=message):
            open_path(folder, CPU)

    tensors = load_file(folder / MAIN)
    key = "model.diffusion_model.middle_block.3.temporal_alpha"
    save_file({k: v for k, v in tensors.items() if k != key}, folder / MAIN)
    fails(f"{MAIN}.*lacks {key};")
    save_file({**tensors, "lora_up.weight": torch.ones(1)}, folder / MAIN)
    fails(r"has lora_up\.weight, which this model does not know")
    save_file({**tensors, key: torch.ones(2)}, folder / MAIN)
    fails(r"\[2\] instead of \[1\]")
    save_file(tensors, folder / MAIN)
    (folder / CONTEXT_FILE).rename(folder.parent / CONTEXT_FILE)
    fails("no text encoder")
    (folder / VIDEO).rename(folder.parent / VIDEO)
    fails(r"lacks video_vae_cfw\.ckpt")
    (folder.parent / VIDEO).rename(folder / VIDEO)
    (folder / MAIN).unlink()
    fails(r"lacks mgldvsr_unet\.ckpt")
    (folder / "index.json").write_text(json.dumps({"config": {"unet": {}}}))
    save_file(tensors, folder / MAIN)
    (folder.parent / CONTEXT_FILE).rename(folder / CONTEXT_FILE)
    fails("lacks 'embed_dim'")


@each_configuration
def test_the_text_context_is_computed_once_and_stored(
    golden: Golden, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from quantvsr.models.mgld import networks
    from quantvsr.models.mgld.checkpoint import TEXT
    from quantvsr.models.mgld.text import TextConfig, TextTower

    width = golden.config.unet.context_dim
    sizes = TextConfig(width=width, heads=2, layers=2, hidden=8)
    monkeypatch.setattr(networks, "TextTower", lambda: TextTower(sizes))
    (folder / CONTEXT_FILE).unlink()
    torch.manual_seed(0)
    tower = TextTower(sizes)
    # As Stable Diffusion 2.1 has it, among keys of its own.
    others = {
        "model.diffusion_model.input_blocks.0.0.weight": torch.ones(1),
        "first_stage_model.x": torch.ones(1),
    }
    torch.save(
        {"state_dict": {TEXT + k: v for k, v in tower.state_dict().items()} | others}, folder / "sd.ckpt"
    )
    before = hash_path(folder)
    first = open_path(folder, CPU)
    assert torch.allclose(first.pipeline.context, tower.eval().empty_prompt())
    assert not (folder / CONTEXT_FILE).exists()
    assert hash_path(folder) == before
    (folder / "sd.ckpt").unlink()
    assert torch.equal(open_path(folder, CPU).pipeline.context, first.pipeline.context)

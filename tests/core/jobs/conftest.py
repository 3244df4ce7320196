"""A tiny model and tiny clips, so that whole jobs take seconds."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

from quantvsr.calibration.refine_config import RefineConfig
from quantvsr.jobs import QuantizeJob, presets, run
from quantvsr.jobs.quantize import QuantizeResult
from quantvsr.models import registry
from quantvsr.models.adapter import Recognition, VSRAdapter

NOISE_CHANNELS = 4


class TinyDenoiser(nn.Module):
    """Three quantizable layers between a first and a last convolution that stay as they are."""

    def __init__(self, width=8):
        super().__init__()
        self.conv_in = nn.Conv2d(3 + NOISE_CHANNELS, width, 3, padding=1)
        self.middle = nn.Conv2d(width, width, 3, padding=1)
        self.temporal = nn.Conv3d(width, width, (3, 1, 1), padding=(1, 0, 0))
        self.mlp = nn.Linear(width, width)
        self.conv_out = nn.Conv2d(width, 48, 3, padding=1)

    def forward(self, sample, time, condition):
        x = F.silu(self.conv_in(torch.cat([sample, condition], 1)) + time)
        x = x + F.silu(self.middle(x))
        x = x + self.temporal(x.movedim(0, 1)[None])[0].movedim(1, 0)
        tokens = x.flatten(2).movedim(1, 2)
        x = x + self.mlp(tokens).movedim(1, 2).reshape(x.shape)
        return self.conv_out(x)


class TinyAdapter(VSRAdapter):
    name = "tiny"
    scale = 4
    window = 5
    size_multiple = 2
    noise_channels = NOISE_CHANNELS
    default_steps = 2
    default_exclude = ("conv_in", "conv_out")

    def __init__(self, denoiser, source, device):
        self.denoiser, self.source, self.device = denoiser, source, device

    def layout(self, layer_name):
        return {"temporal": "temporal", "mlp": "tokens"}.get(layer_name, "image")

    def _run(self, lq, noise, steps, before_step, calls):
        detail = torch.zeros(len(lq), 48, *lq.shape[2:])
        for step in range(steps):
            if before_step is not None:
                before_step()
            inputs = {
                "sample": noise[None].expand(len(lq), -1, -1, -1) * (1 - step / steps),
                "time": torch.full((), step / steps),
                "condition": lq,
            }
            output = self.denoiser(**inputs)
            calls.append((inputs, output))
            detail = detail + output / steps
        enlarged = F.interpolate(lq, scale_factor=4, mode="bicubic")
        return (enlarged + 0.1 * F.pixel_shuffle(detail, 4)).clamp(0, 1)

    @torch.no_grad()
    def upscale_window(self, lq, noise, steps, before_step=None):
        return self._run(lq, noise, steps, before_step, [])

    @torch.no_grad()
    def record_window(self, lq, noise, steps):
        calls = []
        self._run(lq, noise, steps, None, calls)
        return calls


def recognise(path: Path):
    return Recognition("tiny", "tiny.json") if (path / "tiny.json").exists() else None


def open_tiny(path: Path, device: torch.device):
    denoiser = TinyDenoiser(**json.loads((path / "tiny.json").read_text()))
    denoiser.load_state_dict(load_file(path / "weights.safetensors"))
    return TinyAdapter(denoiser.to(device).eval().requires_grad_(False), path, device)


@pytest.fixture(scope="module", autouse=True)
def tiny_budget_and_family():
    """The tiny model can be opened, and the preset `quick` is a few updates on a few small windows."""
    refine = RefineConfig(updates=4, bias_updates=2, accumulation=1, holdout=1, snapshot_every=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "_families", dict(registry._families))
        registry.register_family(registry.ModelFamily("tiny", "Tiny model", recognise, open_tiny))
        patch.setattr(presets, "_presets", dict(presets._presets))
        presets.add(presets.Preset("quick", samples=6, keep_steps=None, crop=12, refine=refine))
        yield


def write_model(folder: Path, seed=0, width=8):
    """A tiny model's folder."""
    folder.mkdir()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        weights = TinyDenoiser(width).state_dict()
    save_file(weights, folder / "weights.safetensors")
    (folder / "tiny.json").write_text(json.dumps({"width": width}))
    return folder


@pytest.fixture
def make_model(tmp_path):
    """Write a tiny model folder: `make_model("name", seed=1)`."""
    return lambda name="model", **details: write_model(tmp_path / name, **details)


@pytest.fixture
def model(make_model):
    """A tiny model's folder."""
    return make_model()


def write_frames(folder: Path, count=6, height=16, width=16, seed=0):
    """A folder of pictures: a textured scene that moves by a pixel a frame."""
    folder.mkdir(parents=True)
    scene = np.random.default_rng(seed).random((height, width + count, 3))
    scene = (scene + np.roll(scene, 1, 0) + np.roll(scene, 1, 1)) / 3
    for index in range(count):
        picture = np.rint(scene[:, index : index + width] * 255).astype(np.uint8)
        Image.fromarray(picture).save(folder / f"{index:03d}.png")
    return folder


@pytest.fixture
def clip(tmp_path):
    """A folder with 6 pictures of 16x16."""
    return write_frames(tmp_path / "clip")


@pytest.fixture
def make_clip(tmp_path):
    """Write a folder of pictures: `make_clip("name", count=3)`."""
    return lambda name, **details: write_frames(tmp_path / name, **details)


@dataclass(frozen=True)
class Finished:
    """A finished quantization of the tiny model; not to be changed."""

    model: Path
    clip: Path
    folder: Path
    result: QuantizeResult

    @property
    def checkpoint(self) -> Path:
        return self.result.checkpoint


@pytest.fixture(scope="module")
def finished(tmp_path_factory, tiny_budget_and_family):
    """A finished quantization, made once for all tests of a file."""
    place = tmp_path_factory.mktemp("finished")
    model, clip, folder = write_model(place / "model"), write_frames(place / "clip"), place / "q"
    job = QuantizeJob(clips=(str(clip),), out=str(folder), model=str(model))
    result = run(job)
    assert isinstance(result, QuantizeResult)
    return Finished(model, clip, folder, result)

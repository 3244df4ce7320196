"""`quantvsr sensitivity` on a tiny model: figures are those of runs made by hand, nothing is done twice."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from quantvsr import cli
from quantvsr.errors import BadInput, BadModel, Cancelled
from quantvsr.jobs import SensitivityJob, job_from_json, run
from quantvsr.jobs.work.lowbit import open_lowbit
from quantvsr.media.reader import open_clip
from quantvsr.metrics.layer_snr import SNR_CAP
from quantvsr.progress import Progress
from quantvsr.upscale.layer_effects import LayerEffects, cut_excerpt
from quantvsr.upscale.noise import NoiseField

NAMES = {"middle", "temporal", "mlp"}


class Watch(Progress):
    """Counts layers, and stops after some."""

    def __init__(self, stop_after=None):
        super().__init__()
        self.layers, self.stop_after = [], stop_after

    def report(self, fraction, message="", **payload):
        if "layer" in payload:
            self.layers.append(payload["layer"])
            if len(self.layers) == self.stop_after:
                self.cancel()


@pytest.fixture
def job(finished, clip, tmp_path):
    def make(**changes):
        given = {
            "clip": str(clip), "checkpoint": str(finished.checkpoint), "model": str(finished.model),
            "out": str(tmp_path / "out"), "region": (8, 12, 32, 24),
        }  # fmt: skip
        return SensitivityJob(**{**given, **changes})

    return make


def by_hand(job, quantized):
    """Final frames of the first window, cut to the region, with some layers quantized."""
    found = open_lowbit(job, Path(job.checkpoint))
    with open_clip(job.clip, stop=5) as reader:
        lq = torch.from_numpy(np.stack([frame.rgb for frame in reader]).transpose(0, 3, 1, 2))
    noise = torch.from_numpy(NoiseField(job.seed, found.adapter.noise_channels).crop(0, 0, *lq.shape[2:]))
    for name, layer in found.layers.items():
        layer.mode = "frozen" if name in quantized else "fp"
    x, y, width, height = job.region
    return found.adapter.upscale_window(lq, noise, 2)[..., y : y + height, x : x + width]


def decibels(a, b):
    return float(-10 * torch.log10((a - b).double().square().mean()))


def test_figures_are_those_of_runs_by_hand(job):
    wanted = job()
    found = run(wanted).found
    assert {layer["name"] for layer in found["layers"]} == NAMES
    full, low = by_hand(wanted, set()), by_hand(wanted, NAMES)
    assert found["psnr"] == pytest.approx(decibels(low, full), abs=1e-3)
    for layer in found["layers"]:
        name = layer["name"]
        restored = decibels(by_hand(wanted, NAMES - {name}), full)
        assert layer["gain"] == pytest.approx(restored - decibels(low, full), abs=1e-3)
        assert layer["alone"] == pytest.approx(decibels(by_hand(wanted, {name}), full), abs=1e-3)
        assert 0 < layer["snr"] < SNR_CAP
        assert layer["quick"] > 0 and layer["share"] > 0
    gains = [layer["gain"] for layer in found["layers"]]
    assert gains == sorted(gains, reverse=True)


def test_what_is_written(job, tmp_path):
    result = run(job())
    saved = json.loads((tmp_path / "out" / "sensitivity.json").read_text())
    assert saved == result.found
    assert saved["format"] == "quantvsr-sensitivity"
    assert saved["measured"] == 3 and saved["bits"] == "W4A4" and saved["frames"] == 5
    assert saved["region"] == [12, 8, 24, 32]
    assert result.cost["runs"] == 6 and 0 <= result.cost["seconds"] < 600
    assert any("6 runs for 3 of 3 layers" in text for text in result.warnings)
    assert [label for label, _ in result.rows()][:3] == ["Cost", "All quantized", ""]


def test_the_layers_snr_is_that_of_its_own_error(job):
    wanted = job()
    found = open_lowbit(wanted, Path(wanted.checkpoint))
    with open_clip(wanted.clip, stop=5) as reader:
        frames = np.stack([frame.rgb for frame in reader])
    excerpt = cut_excerpt(frames, (0, 0, 16, 16), 4, 2)
    effects = LayerEffects(found.adapter, found.layers, [excerpt], seed=1, steps=2, progress=Progress())
    snr = effects.layer_snr()
    seen = {"signal": 0.0, "noise": 0.0}

    def look(module, given, y):
        module.mode = "frozen"
        q = module.forward(given[0])
        module.mode = "fp"
        seen["signal"] += float(y.square().sum())
        seen["noise"] += float((y - q).square().sum())

    handle = found.layers["mlp"].register_forward_hook(look)
    effects.error(lambda name: False)
    effects._full = []
    seen.update(signal=0.0, noise=0.0)
    effects._run(lambda name: False)
    handle.remove()
    assert snr["mlp"] == pytest.approx(10 * np.log10(seen["signal"] / seen["noise"]), abs=1e-3)
    assert all(layer.mode == "frozen" for layer in found.layers.values())


def test_only_the_cost(job, tmp_path):
    result = run(job(estimate=True))
    assert result.found is None and result.out is None
    assert result.cost["layers"] == 3
    assert not (tmp_path / "out").exists()


def test_only_the_worst_layers(job):
    every = {layer["name"]: layer for layer in run(job(out=job().out + "-all")).found["layers"]}
    few = run(job(layers=1)).found
    assert few["measured"] == 1
    first, *others = few["layers"]
    assert first["quick"] == max(layer["quick"] for layer in every.values())
    assert first["gain"] == every[first["name"]]["gain"]
    assert all(layer["gain"] is None and layer["alone"] is None for layer in others)
    assert [layer["quick"] for layer in others] == sorted((layer["quick"] for layer in others), reverse=True)


def test_a_stopped_run_goes_on(job, monkeypatch):
    with pytest.raises(Cancelled):
        run(job(), Watch(stop_after=1))
    runs = []
    kept = LayerEffects.restored
    monkeypatch.setattr(LayerEffects, "restored", lambda self, name: runs.append(name) or kept(self, name))
    found = run(job()).found
    assert len(runs) == 2
    fresh = run(job(out=job().out + "-fresh")).found
    assert [layer["gain"] for layer in found["layers"]] == [layer["gain"] for layer in fresh["layers"]]
    runs.clear()
    run(job())
    run(job(layers=2))
    assert runs == []
    run(job(seed=7))
    assert len(runs) == 3


def test_without_a_region_the_busiest_part_is_taken(job):
    found = run(job(region=(), layers=1)).found
    y, x, height, width = found["region"]
    assert (height, width) == (64, 64) and (y, x) == (0, 0)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"region": (0, 0, 65, 8)}, "does not lie in the enlarged frame of 64x64"),
        ({"region": (0, 0, 0, 8)}, "does not lie"),
        ({"start": 99}, "start before frame 6"),
    ],
)
def test_bad_regions_and_frames(job, changes, words):
    with pytest.raises(BadInput, match=words):
        run(job(**changes))


def test_bad_arguments(job, tmp_path):
    with pytest.raises(BadInput, match="four numbers"):
        job(region=(1, 2, 3))
    with pytest.raises(BadModel, match="nowhere"):
        run(job(checkpoint=str(tmp_path / "nowhere")))


def test_a_large_region_is_refused():
    frames = np.zeros((5, 128, 128, 3), np.float32)
    with pytest.raises(BadInput, match="384x384 at most"):
        cut_excerpt(frames, (0, 0, 388, 16), 4, 4)


@pytest.mark.parametrize("region", [(0, 0, 16, 16), (100, 200, 33, 47), (255, 300, 1, 2), (0, 0, 256, 320)])
def test_the_measured_part_of_an_excerpt_is_the_region(region):
    # Each LQ pixel knows its place, and the model enlarges by repeating.
    y, x = np.mgrid[:64, :80].astype(np.float32)
    frames = np.stack([y, x, y], axis=-1)[None].repeat(5, axis=0)
    excerpt = cut_excerpt(frames, region, 4, 4)
    shown = excerpt.lq.repeat(4, axis=1).repeat(4, axis=2)[(slice(None), *excerpt.inside)]
    expected = frames.repeat(4, axis=1).repeat(4, axis=2)
    top, left, height, width = region
    np.testing.assert_array_equal(shown, expected[:, top : top + height, left : left + width])
    assert excerpt.y % 4 == excerpt.x % 4 == 0
    assert (frames[0, excerpt.y, excerpt.x] == excerpt.lq[0, 0, 0]).all()


def test_the_command_line(job, capsys):
    wanted = job(layers=2)
    assert cli.main([wanted.name, *wanted.arguments()]) == 0
    shown = capsys.readouterr().out
    assert "dB to full precision" in shown and "restored" in shown
    assert job_from_json(json.loads(json.dumps(wanted.to_json()))) == wanted

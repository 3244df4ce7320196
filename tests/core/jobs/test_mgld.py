"""The whole main job on a tiny MGLD-VSR: analyse, allocate, quantize to 4 bits, refine, upscale, compare."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from quantvsr.errors import BadModel
from quantvsr.jobs import AnalyzeJob, CompareJob, ConvertJob, QuantizeJob, UpscaleJob, run
from quantvsr.jobs.published import PublishedJob
from quantvsr.jobs.work.analysis import read_ranks
from quantvsr.media import probe
from quantvsr.models.mgld.clip import PublishedRun
from quantvsr.models.registry import open_model
from quantvsr.quant.checkpoint import read_checkpoint_info
from tiny_mgld import write_tiny_mgld


@pytest.fixture
def mgld(tmp_path):
    return write_tiny_mgld(tmp_path / "mgld")


def test_from_clips_to_a_comparison(mgld, clip, tmp_path):
    common = {"model": str(mgld), "steps": 2, "device": "cpu"}
    found = run(AnalyzeJob(clips=(str(clip),), out=str(tmp_path / "analysis"), **common))
    assert found.layers == 73
    assert found.samples == 6
    assert sum(found.rank_counts.values()) == found.layers
    assert any("non-commercial" in text for text in found.warnings)
    assert sum("DIS flow" in text for text in found.warnings) == 1

    quantized = run(
        QuantizeJob(
            clips=(str(clip),),
            out=str(tmp_path / "q"),
            ranks=str(found.ranks),
            analysis=str(tmp_path / "analysis"),
            **common,
        )
    )
    assert quantized.layers == found.layers
    stages = json.loads((tmp_path / "q" / "refinement.json").read_text())["stages"]
    trained = [loss for stage in stages for loss in stage["losses"]]
    assert len(trained) >= 6
    assert all(0 < loss < 1 for loss in trained)
    assert quantized.effective_bits < 9
    info = read_checkpoint_info(quantized.checkpoint)
    assert {name: layer["rank"] for name, layer in info.layers.items()} == read_ranks(found.ranks).ranks

    out = tmp_path / "out.mp4"
    clip_settings = {**common, "clip": str(clip), "frames": 5, "checkpoint": str(quantized.checkpoint)}
    result = run(UpscaleJob(out=str(out), **clip_settings))
    assert (result.frames, result.width, result.height) == (5, 64, 64)
    assert result.precision == "W4A4"
    assert probe(out).frames == 5

    compared = run(CompareJob(out=str(tmp_path / "comparison"), **clip_settings))
    # Random weights and four bits: not good, but the same picture, and not merely a copy.
    assert 15 < compared.metrics["psnr_fp_lowbit"] < 60
    assert compared.video.exists()


def test_a_clip_as_the_published_program_runs_it(mgld, clip, tmp_path):
    settings = {"clip": str(clip), "model": str(mgld), "steps": 1, "device": "cpu"}
    result = run(PublishedJob(out=str(tmp_path / "out"), **settings))
    assert (result.frames, result.width, result.height) == (6, 64, 64)
    frames = [np.asarray(Image.open(path)) for path in sorted(clip.iterdir())]
    lq = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).float() / 255
    expected = torch.stack(list(PublishedRun(open_model(mgld), 42, 1)(lq)))
    written = [np.asarray(Image.open(path)) for path in sorted((tmp_path / "out").iterdir())]
    assert np.abs(np.stack(written).astype(int) - expected.numpy()).max() <= 1
    with pytest.raises(BadModel, match="is no MGLD-VSR"):
        run(PublishedJob(out=str(tmp_path / "no"), **{**settings, "model": "bundled"}))


def test_a_model_keeps_its_type_unless_another_is_asked_for(mgld, clip, tmp_path):
    run(ConvertJob(model=str(mgld), out=str(tmp_path / "half"), compute="bfloat16"))

    def once(name, compute=None):
        settings = {"model": str(tmp_path / "half"), "clip": str(clip), "frames": 1, "steps": 1}
        run(UpscaleJob(out=str(tmp_path / name), codec="png", device="cpu", compute=compute, **settings))
        return np.asarray(Image.open(next((tmp_path / name).glob("*.png"))))

    own = once("own")
    assert np.array_equal(own, once("half-again", "bfloat16"))
    assert not np.array_equal(own, once("single", "float32"))

import json

import numpy as np
import pytest
from PIL import Image

from quantvsr import cli
from quantvsr.errors import BadInput, Cancelled
from quantvsr.jobs import DemoJob, run
from quantvsr.jobs.work import clips as clips_module
from quantvsr.jobs.work import demo as demo_module
from quantvsr.jobs.work.demo import middle
from quantvsr.jobs.work.machine import execution_backends
from quantvsr.progress import Progress
from quantvsr.upscale.bicubic import make_lq

REQUIRED = {
    "psnr_gt_fp", "psnr_gt_lowbit", "psnr_gt_minmax", "psnr_fp_lowbit", "ssim_gt_fp", "ssim_gt_lowbit",
    "warp_error_fp", "warp_error_lowbit", "bytes_fp32", "bytes_lowbit", "execution", "seconds_total",
    "seconds",
}  # fmt: skip


@pytest.fixture
def bundled(make_clip, tmp_path, monkeypatch):
    """Two bundled clips, low quality and ground truth."""
    found = []
    for number, name in enumerate(("garden", "signs")):
        truth = make_clip(f"{name}_gt", height=64, width=64, seed=number)
        low = tmp_path / f"{name}_lq"
        low.mkdir()
        for file in truth.iterdir():
            Image.fromarray(make_lq(np.asarray(Image.open(file)))[0]).save(low / file.name)
        found.append(clips_module.BundledClip(name, low, truth))
    for module in (clips_module, demo_module):
        monkeypatch.setattr(module, "bundled_clips", lambda: tuple(found))
    return found


def demo(model, out, progress=None, **changes):
    return run(DemoJob(out=str(out), model=str(model), **changes), progress)


def test_everything_the_demo_promises_is_there(bundled, model, tmp_path):
    out = tmp_path / "out"
    result = demo(model, out)
    metrics = json.loads((out / "metrics.json").read_text())
    assert set(metrics) >= REQUIRED
    assert all(metrics[key] is not None for key in REQUIRED)
    assert metrics["execution"] == execution_backends()[0]
    assert metrics["frames"] == 6
    assert set(metrics["seconds"]) == {
        "prepare", "record", "observe", "allocate", "quantize", "upscale_fp", "upscale_lowbit",
        "upscale_minmax", "measure", "draw",
    }  # fmt: skip
    assert {path.name for path in (out / "frames").iterdir()} == {"lq", "gt", "fp", "lowbit", "minmax"}
    for name in ("compare.mp4", "compare.png", "complexity.png", "ranks.png", "loss.png", "quality.png"):
        assert (out / name).stat().st_size > 1000
    assert {path.name for path in result.charts} == {"complexity.png", "ranks.png", "loss.png", "quality.png"}
    assert (out / "checkpoint.safetensors").exists()


def test_the_shown_clip_is_not_learned_from(bundled, model, tmp_path):
    demo(model, tmp_path / "out")
    index = json.loads((tmp_path / "out" / "work" / "samples" / "index.json").read_text())
    assert [clip["name"] for clip in index["made_from"]["clips"]] == ["signs_lq"]


def test_a_second_run_reuses_everything(bundled, model, tmp_path):
    first = demo(model, tmp_path / "out")
    second = demo(model, tmp_path / "out")
    assert second.metrics["reused"] == list(first.metrics["seconds"])
    same = [key for key in first.metrics if key not in ("seconds_total", "reused", "peak_memory")]
    assert {key: second.metrics[key] for key in same} == {key: first.metrics[key] for key in same}


class StopAt(Progress):
    def __init__(self, stage):
        super().__init__()
        self.stage_name = stage

    def report(self, fraction, message="", **payload):
        if payload.get("stage") == self.stage_name:
            self.cancel()


@pytest.mark.parametrize(
    "stage", ["prepare", "record", "quantize", "low-rank", "upscale fp", "measure", "draw"]
)
def test_a_demo_stopped_anywhere_goes_on(bundled, model, tmp_path, stage):
    with pytest.raises(Cancelled):
        demo(model, tmp_path / "out", StopAt(stage))
    assert not [path for path in (tmp_path / "out").rglob("*") if ".part" in path.name]
    assert not (tmp_path / "out" / "metrics.json").exists()
    assert demo(model, tmp_path / "out").metrics["frames"] == 6


def test_a_clip_of_ones_own_without_ground_truth(bundled, model, clip, tmp_path):
    metrics = demo(model, tmp_path / "out", clip=str(clip)).metrics
    assert metrics["psnr_gt_lowbit"] is None
    assert metrics["psnr_fp_lowbit"] is not None


def test_a_clip_of_high_quality_is_shrunk(bundled, model, make_clip, tmp_path):
    clip = make_clip("hq", height=64, width=64)
    metrics = demo(model, tmp_path / "out", clip=str(clip), shrink=True).metrics
    assert metrics["psnr_gt_lowbit"] is not None
    assert metrics["width"] == 64


def test_of_a_large_clip_the_middle_is_taken(bundled, model, make_clip, tmp_path, monkeypatch):
    monkeypatch.setattr(demo_module, "_LONG_SIDE", 24)
    monkeypatch.setattr(demo_module, "_SHORT_SIDE", 16)
    clip = make_clip("large", height=40, width=48, count=16)
    result = demo(model, tmp_path / "out", clip=str(clip))
    assert (result.metrics["width"], result.metrics["height"], result.metrics["frames"]) == (96, 64, 9)
    assert any("24x16" in text for text in result.warnings)
    shown = np.asarray(Image.open(tmp_path / "out" / "frames" / "lq" / "frame_000001.png"))
    whole = np.asarray(Image.open(clip / "000.png"))
    assert np.array_equal(shown, whole[12:28, 12:36])


@pytest.mark.parametrize(
    ("height", "width", "unit", "expected"),
    [
        (96, 128, 1, None),
        (64, 96, 1, None),
        (720, 1280, 1, (312, 576, 96, 128)),
        (720, 1280, 4, (168, 384, 384, 512)),
        (1280, 720, 1, (576, 312, 128, 96)),
        (50, 1000, 1, (0, 436, 50, 128)),
    ],
)
def test_the_middle(height, width, unit, expected):
    assert middle(height, width, unit) == expected


def test_ground_truth_without_a_clip(bundled, model, tmp_path):
    with pytest.raises(BadInput, match="--clip"):
        demo(model, tmp_path / "out", shrink=True)


def test_the_printed_json_is_metrics_json(bundled, model, tmp_path, capsys):
    out = tmp_path / "out"
    assert cli.main(["demo", "--out", str(out), "--model", str(model), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    saved = json.loads((out / "metrics.json").read_text())
    assert {key: printed[key] for key in saved} == saved

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from quantvsr import cli
from quantvsr.errors import BadInput, BadModel, Cancelled
from quantvsr.jobs import CompareJob, run
from quantvsr.jobs.work.machine import execution_backends
from quantvsr.media import probe
from quantvsr.models.placing import PRECISIONS
from quantvsr.progress import Progress
from quantvsr.report.sources.comparison import read as read_report


@pytest.fixture
def compare(finished, tmp_path):
    """Run a comparison of the tiny model with its checkpoint."""

    def go(clip, progress=None, **changes):
        given = {
            "clip": str(clip), "out": str(tmp_path / "out"), "model": str(finished.model),
            "checkpoint": str(finished.checkpoint),
        }  # fmt: skip
        return run(CompareJob(**{**given, **changes}), progress)

    return go


def picture(path):
    return np.asarray(Image.open(path))


def test_without_ground_truth(compare, finished, clip, tmp_path):
    result = compare(clip)
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics == result.metrics
    assert metrics["versions"] == ["fp", "lowbit"]
    assert metrics["psnr_gt_fp"] is None
    assert metrics["ssim_gt_lowbit"] is None
    assert 20 < metrics["psnr_fp_lowbit"] < 100
    assert metrics["warp_error_fp"] is not None
    assert metrics["execution"] == execution_backends()[0]
    assert metrics["compute"]["fp"] == "float32" and metrics["compute"]["lowbit"] in PRECISIONS
    said = f"{metrics['execution']}, {metrics['compute']['lowbit']}"
    assert dict(result.rows())["Execution"] == said
    assert ("Execution", said) in read_report(tmp_path / "out", False, Progress()).facts
    assert metrics["bytes_lowbit"] == finished.checkpoint.stat().st_size
    assert metrics["frames"] == 6
    assert metrics["seconds_total"] > 0
    assert set(metrics["seconds"]) == {"prepare", "upscale_fp", "upscale_lowbit", "measure", "draw"}
    assert metrics["peak_memory"] > 10_000_000
    assert {path.name for path in (tmp_path / "out" / "frames").iterdir()} == {"lq", "fp", "lowbit"}
    for kind, side in (("lq", 16), ("fp", 64), ("lowbit", 64)):
        files = sorted((tmp_path / "out" / "frames" / kind).iterdir())
        assert len(files) == 6
        assert picture(files[0]).shape == (side, side, 3)
    info = probe(result.video)
    assert (info.frames, info.codec, info.pixel_format) == (6, "h264", "yuv420p")
    assert (tmp_path / "out" / "compare.png").exists()


def test_figures_are_those_of_the_pictures(compare, make_clip, tmp_path):
    result = compare(make_clip("hq", height=64, width=64), shrink=True, minmax=True)
    frames = tmp_path / "out" / "frames"

    def psnr(a, b):
        pairs = zip(sorted((frames / a).iterdir()), sorted((frames / b).iterdir()), strict=True)
        errors = [np.mean((picture(x) / 255.0 - picture(y) / 255.0) ** 2) for x, y in pairs]
        return np.mean([-10 * np.log10(error) for error in errors])

    metrics = result.metrics
    for version in ("fp", "lowbit", "minmax"):
        assert metrics[f"psnr_gt_{version}"] == pytest.approx(psnr("gt", version), abs=1e-3)
    assert metrics["psnr_fp_lowbit"] == pytest.approx(psnr("fp", "lowbit"), abs=1e-3)
    assert metrics["psnr_gt_bicubic"] is not None
    assert metrics["ssim_gt_minmax"] is not None


def test_a_clip_is_shrunk_to_a_multiple(compare, make_clip, tmp_path):
    compare(make_clip("hq", count=2, height=66, width=71), shrink=True)
    frames = tmp_path / "out" / "frames"
    assert picture(frames / "gt" / "frame_000001.png").shape == (64, 68, 3)
    assert picture(frames / "lq" / "frame_000001.png").shape == (16, 17, 3)


def test_a_given_ground_truth(compare, clip, make_clip):
    assert compare(clip, gt=str(make_clip("gt", height=64, width=64))).metrics["psnr_gt_fp"] is not None


@pytest.mark.parametrize(
    ("details", "changes", "words"),
    [
        ({"height": 60, "width": 64}, {}, "64x60"),
        ({"height": 64, "width": 64, "count": 5}, {}, "5 frames"),
        ({"height": 64, "width": 64}, {"shrink": True}, "either --gt or --shrink"),
    ],
)
def test_a_ground_truth_that_does_not_fit(compare, clip, make_clip, details, changes, words):
    with pytest.raises(BadInput, match=words):
        compare(clip, gt=str(make_clip("gt", **details)), **changes)


def test_a_part_of_a_clip(compare, clip):
    assert compare(clip, start=1, frames=2).metrics["frames"] == 2


def test_finished_parts_are_kept(compare, clip, tmp_path):
    first = compare(clip)
    assert first.metrics["reused"] == []
    again = compare(clip)
    assert again.metrics["reused"] == list(first.metrics["seconds"])
    assert again.metrics["seconds"] == first.metrics["seconds"]
    shutil.rmtree(tmp_path / "out" / "frames" / "lowbit")
    third = compare(clip)
    assert "upscale_lowbit" not in third.metrics["reused"]
    assert "upscale_fp" in third.metrics["reused"]
    assert third.metrics["psnr_fp_lowbit"] == first.metrics["psnr_fp_lowbit"]


def test_another_seed_is_another_comparison(compare, clip):
    assert compare(clip).metrics["psnr_fp_lowbit"] != compare(clip, seed=1).metrics["psnr_fp_lowbit"]


class StopAt(Progress):
    def __init__(self, stage):
        super().__init__()
        self.stage_name = stage

    def report(self, fraction, message="", **payload):
        if payload.get("stage") == self.stage_name:
            self.cancel()


def test_a_stopped_comparison_goes_on(compare, clip, tmp_path):
    with pytest.raises(Cancelled):
        compare(clip, StopAt("upscale lowbit"))
    assert {path.name for path in (tmp_path / "out" / "frames").iterdir()} == {"lq", "fp"}
    assert not (tmp_path / "out" / "metrics.json").exists()
    assert compare(clip).metrics["reused"] == ["prepare", "upscale_fp"]


def test_the_command_line(finished, clip, tmp_path, capsys):
    arguments = [
        "compare", str(clip), "--out", str(tmp_path / "out"), "--model", str(finished.model),
        "--checkpoint", str(finished.checkpoint), "--quiet",
    ]  # fmt: skip
    assert cli.main(arguments) == 0
    table = capsys.readouterr().out
    assert "Full precision" in table
    assert "W4A4" in table
    assert cli.main([*arguments, "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    saved = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert {key: value[key] for key in saved} == saved
    assert value["files"]["video"] == str(tmp_path / "out" / "compare.mp4")


def test_a_clip_that_cannot_be_read_is_found_before_any_work(compare, tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"")
    with pytest.raises(BadInput, match=r"a\.mp4"):
        compare(tmp_path / "a.mp4")
    assert not (tmp_path / "out").exists()


def test_a_checkpoint_of_another_model_is_found_before_any_work(compare, make_model, clip, tmp_path):
    with pytest.raises(BadModel, match="another model"):
        compare(clip, model=str(make_model("other", seed=5)))
    assert not (tmp_path / "out" / "frames").exists()

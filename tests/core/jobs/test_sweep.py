import csv
import json

import pytest
from PIL import Image

from quantvsr.errors import BadInput, Cancelled
from quantvsr.jobs import SweepJob, run
from quantvsr.jobs.options import Bits
from quantvsr.progress import Progress

METHODS = ("maxmin", "quantvsr+no-refine")


def job(model, out, *clips, **changes):
    clips = tuple(str(clip) for clip in clips)
    settings = {
        "methods": METHODS,
        "bits": (Bits(4, 4),),
        "metrics": ("psnr", "ssim", "warp_error"),
        "learn": clips[:1],
    }
    return SweepJob(clips=clips, out=str(out), model=str(model), **{**settings, **changes})


@pytest.fixture
def scene(make_clip):
    """A low-quality clip of 8x12 pixels; its ground truth lies beside it."""
    lq = make_clip("scene_lq", height=8, width=12)
    make_clip("scene_gt", height=32, width=48)
    return lq


class Told(Progress):
    """Remembers what was told; cancels when a message holds some words."""

    def __init__(self, stop_at=None):
        super().__init__()
        self.messages, self.warnings, self.stop_at = [], [], stop_at

    def report(self, fraction, message="", **payload):
        self.messages.append(message)
        if self.stop_at is not None and self.stop_at in message:
            self.cancel()

    def warn(self, message):
        self.warnings.append(message)


def size_of(path):
    with Image.open(path) as picture:
        picture.load()
        return picture.size


def read(folder):
    return json.loads((folder / "results.json").read_text())


def test_every_method_on_every_clip(model, scene, clip, tmp_path):
    out = tmp_path / "sweep"
    result = run(job(model, out, scene, clip))
    assert (result.clips, result.done, result.failed) == (2, 2, {})
    content = read(out)
    assert [entry["method"] for entry in content["entries"]] == ["fp", *METHODS]
    assert [(c["id"], c["has_gt"], c["learned"]) for c in content["clips"]] == [
        ("scene", True, True),
        ("clip", False, False),
    ]
    for entry in content["entries"][1:]:
        found = entry["clips"]["scene"]["figures"]
        assert set(found) == {"psnr_gt", "psnr_fp", "ssim_gt", "ssim_fp", "warp_error"}
        assert set(entry["clips"]["clip"]["figures"]) == {"psnr_fp", "ssim_fp", "warp_error"}
        assert entry["mean"]["psnr_fp"] == pytest.approx(
            (found["psnr_fp"] + entry["clips"]["clip"]["figures"]["psnr_fp"]) / 2, abs=1e-4
        )
        assert entry["bytes_lowbit"] == (out / entry["folder"] / "checkpoint.safetensors").stat().st_size
        for shown in entry["clips"]["scene"]["pictures"].values():
            assert size_of(out / shown)
    pictures = content["clips"][0]["pictures"]
    assert set(pictures) == {"lq", "gt", "bicubic", "fp"}
    assert size_of(out / pictures["gt"]["crop"]) == (48, 32)
    # Frames run down in a slice.
    assert size_of(out / pictures["fp"]["xt"]) == (48, 6)
    lines = list(csv.DictReader((out / "results.csv").read_text().splitlines()))
    assert [(line["method"], line["clip"]) for line in lines[:3]] == [
        ("fp", "scene"),
        ("fp", "clip"),
        ("fp", "mean"),
    ]
    assert float(lines[3]["psnr_fp"]) == content["entries"][1]["clips"]["scene"]["figures"]["psnr_fp"]


def test_full_precision_measured_as_a_method_is_equal_to_itself(model, clip, tmp_path, monkeypatch):
    from quantvsr.jobs.work import sweeping
    from quantvsr.jobs.work.models import open_full

    class Full:
        def __init__(self, job, checkpoint):
            self.adapter = open_full(job)

    monkeypatch.setattr(sweeping, "open_lowbit", Full)
    run(job(model, tmp_path / "sweep", clip, methods=("maxmin",)))
    # The stored full-precision frames have 16 bits.
    assert read(tmp_path / "sweep")["entries"][1]["mean"]["psnr_fp"] > 95


def test_a_second_run_computes_nothing_and_a_larger_one_only_what_is_new(model, scene, tmp_path):
    out = tmp_path / "sweep"
    run(job(model, out, scene))
    first = read(out)
    stamps = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    told = Told()
    run(job(model, out, scene), told)
    assert read(out) == first
    rewritten = {path.name for path, stamp in stamps.items() if path.stat().st_mtime_ns != stamp}
    assert rewritten == {"results.json", "results.csv"}
    run(job(model, out, scene, methods=("maxmin", "quantvsr+no-refine", "quantvsr+no-bias+no-refine")))
    again = read(out)
    assert again["entries"][1:3] == first["entries"][1:]
    assert again["entries"][3]["status"] == "done"
    changed = {path.name for path, stamp in stamps.items() if path.stat().st_mtime_ns != stamp}
    assert changed == {"results.json", "results.csv"}


def test_what_was_finished_stays_when_a_sweep_is_stopped(model, scene, tmp_path):
    out = tmp_path / "sweep"
    with pytest.raises(Cancelled):
        run(job(model, out, scene), Told(stop_at="quantvsr+no-refine W4A4: quantize"))
    content = read(out)
    assert [entry["status"] for entry in content["entries"]] == ["done", "done", "missing"]
    told = Told()
    assert run(job(model, out, scene), told).done == 2
    assert any("already done" in text and "maxmin" in text for text in told.messages)
    assert read(out)["entries"][1] == content["entries"][1]


def test_other_settings_make_other_models_beside_the_old_ones(model, scene, tmp_path):
    out = tmp_path / "sweep"
    run(job(model, out, scene, methods=("maxmin",)))
    run(job(model, out, scene, methods=("maxmin",), seed=1))
    assert len(list((out / "models").iterdir())) == 2


def test_a_clip_that_cannot_be_used_is_named_and_the_rest_goes_on(model, scene, make_clip, tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    make_clip("odd_lq", height=8, width=12, count=3)
    make_clip("odd_gt", height=32, width=40, count=3)
    told = Told()
    clips = (scene, tmp_path / "odd_lq", tmp_path / "broken.mp4")
    result = run(job(model, tmp_path / "sweep", *clips, methods=("maxmin",)), told)
    assert (result.clips, result.done) == (1, 1)
    left_out = [text.split()[0] for text in told.warnings if "left out" in text]
    assert left_out == ["odd", "broken"]
    assert [each["clip"] for each in read(tmp_path / "sweep")["left_out"]] == [str(c) for c in clips[1:]]


def test_a_method_that_fails_is_noted_and_the_rest_goes_on(model, scene, tmp_path, monkeypatch):
    from quantvsr.jobs.work import sweeping

    real = sweeping.run_quantization

    def fail(job, *args, **kwargs):
        if job.method == "maxmin":
            raise BadInput("No layer is left; exclude fewer.")
        return real(job, *args, **kwargs)

    monkeypatch.setattr(sweeping, "run_quantization", fail)
    result = run(job(model, tmp_path / "sweep", scene))
    assert result.failed == {"maxmin W4A4": "No layer is left; exclude fewer."}
    assert result.done == 1
    assert [entry["status"] for entry in read(tmp_path / "sweep")["entries"]] == ["done", "failed", "done"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"metrics": ("beauty",)}, "no metric called 'beauty'"),
        ({"methods": ("magic",)}, "no method 'magic'"),
        ({"learn": ("nowhere.mp4",)}, "nowhere.mp4"),
        ({"out": "table.csv"}, "looks like a file"),
    ],
)
def test_bad_settings_are_told_before_any_work(model, scene, tmp_path, changes, words):
    out = changes.pop("out", tmp_path / "sweep")
    with pytest.raises(BadInput, match=words):
        run(job(model, out, scene, **changes))
    assert not (tmp_path / "sweep" / "results.json").exists()


def test_without_any_usable_clip_there_is_one_clear_sentence(model, tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    with pytest.raises(BadInput, match="No clip is left to compare on"):
        run(job(model, tmp_path / "sweep", tmp_path / "broken.mp4", methods=("maxmin",)))


def test_clips_of_high_quality_are_shrunk_and_cut(model, make_clip, tmp_path):
    high = make_clip("high", height=96, width=160, count=3)
    run(job(model, tmp_path / "s", gt_clips=(str(high),), longest=32, frames=2, methods=("maxmin",)))
    (clip,) = read(tmp_path / "s")["clips"]
    assert (clip["width"], clip["height"], clip["frames"], clip["has_gt"]) == (128, 96, 2, True)


def test_a_single_frame_has_no_figures_over_time_but_all_others(model, make_clip, tmp_path):
    single = make_clip("single", height=32, width=32, count=1)
    learn = make_clip("learn", height=16, width=16)
    run(job(model, tmp_path / "s", gt_clips=(str(single),), methods=("maxmin",), learn=(str(learn),)))
    figures = read(tmp_path / "s")["entries"][1]["clips"]["single"]["figures"]
    assert figures["warp_error"] is None
    assert figures["psnr_gt"] > 5 and figures["psnr_fp"] > 5


def test_another_name_of_the_same_device_is_no_other_model(model, scene, tmp_path):
    out = tmp_path / "sweep"
    run(job(model, out, scene, methods=("maxmin",), device="cpu"))
    told = Told()
    run(job(model, out, scene, methods=("maxmin",), device="cpu:0"), told)
    assert len(list((out / "models").iterdir())) == 1
    # No frame was computed again.
    assert not any(", frame" in text for text in told.messages)


def test_metrics_that_cannot_be_computed_are_named_and_the_rest_goes_on(model, scene, tmp_path, monkeypatch):
    from quantvsr.jobs.work import sweeping
    from quantvsr.metrics import MissingMetric, get_metric

    class Absent:
        needs = frozenset({"package"})

        def make(self):
            raise MissingMetric("LPIPS is left out: install it.")

    monkeypatch.setattr(
        sweeping, "get_metric", lambda name: Absent() if name == "lpips" else get_metric(name)
    )
    told = Told()
    run(job(model, tmp_path / "s", scene, methods=("maxmin",), metrics=("psnr", "lpips", "layer_snr")), told)
    left_out = [text for text in told.warnings if "left out" in text]
    assert len(left_out) == 2 and "LPIPS" in left_out[0] and "measured on layers" in left_out[1]
    assert list(read(tmp_path / "s")["metrics"]) == ["psnr"]
    with pytest.raises(BadInput, match="None of the metrics"):
        run(job(model, tmp_path / "t", scene, methods=("maxmin",), metrics=("lpips",)))

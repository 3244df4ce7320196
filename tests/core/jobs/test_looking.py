"""Jobs that look without changing anything: inspect, probe, estimate."""

from pathlib import Path

import pytest
from PIL import Image

from quantvsr.errors import BadInput, BadModel
from quantvsr.hashing import hash_file
from quantvsr.jobs import (
    AnalyzeJob,
    EstimateJob,
    InfoJob,
    InspectJob,
    ProbeJob,
    QuantizeJob,
    SideBySideJob,
    UpscaleJob,
    run,
)


def test_a_models_layers_come_with_shape_cost_and_reason(model):
    result = run(InspectJob(model=str(model), exclude=("mlp",)))
    assert (result.family, result.title, result.reason) == ("tiny", "Tiny model", "tiny.json")
    layers = {layer["name"]: layer for layer in result.layers}
    assert list(layers) == ["conv_in", "middle", "temporal", "mlp", "conv_out"]
    assert layers["middle"]["shape"] == [8, 8, 3, 3]
    assert layers["middle"]["parameters"] == 8 * 8 * 9 + 8
    # 5 frames of 32 x 32 pixels.
    assert layers["middle"]["macs"] == 8 * 8 * 9 * 5 * 32 * 32
    assert layers["mlp"]["macs"] == 8 * 8 * 5 * 32 * 32
    assert result.size == (32, 32)
    assert [layer["skipped"] for layer in result.layers] == [
        "left out by the model's family (conv_in)",
        None,
        None,
        "left out by hand",
        "left out by the model's family (conv_out)",
    ]
    assert dict(result.rows())["Layers"].startswith("2 of 5")


def test_a_quantized_checkpoint_names_its_model(finished):
    result = run(InspectJob(model=str(finished.checkpoint)))
    assert result.family == "tiny"
    assert result.checkpoint["meta"]["bits"] == "W4A4"
    assert result.checkpoint["layers"] == 3
    result = run(InspectJob(model=str(finished.folder), layers=False, hash=True))
    assert result.checkpoint["path"] == str(finished.checkpoint)
    assert result.files == (finished.checkpoint,)
    assert result.bytes == finished.checkpoint.stat().st_size
    assert result.sha256 == hash_file(finished.checkpoint)
    assert (result.parameters, result.layers) == (None, ())
    assert dict(result.rows())["Checkpoint"].startswith("W4A4, ")


def test_what_is_no_model_is_said(clip):
    with pytest.raises(BadModel):
        run(InspectJob(model=str(clip)))


def test_an_exclusion_without_a_layer_is_refused(model):
    with pytest.raises(BadInput, match="'midle' matches no layer"):
        run(InspectJob(model=str(model), exclude=("midle",)))


def test_clips_are_described_and_pictured_and_bad_ones_explained(clip, make_clip, tmp_path):
    truth = make_clip("walk_gt", count=2)
    low = make_clip("walk_lq", count=2)
    (tmp_path / "cat.mp4").write_text("no video")
    thumbnails = tmp_path / "thumbnails"
    job = ProbeJob(
        clips=(str(clip), str(tmp_path / "cat.mp4"), str(low)),
        thumbnails=str(thumbnails),
        pictures=3,
        edge=20,
    )
    first, bad, second = run(job).clips
    assert (first["info"]["frames"], first["info"]["width"], first["gt"]) == (6, 16, None)
    assert "cat.mp4" in bad["error"]
    assert second["gt"] == str(truth)
    assert len(first["pictures"]) == 3
    with Image.open(first["pictures"][0]) as picture:
        assert picture.size == (16, 16)
    before = Path(first["pictures"][0]).stat().st_mtime_ns
    again = run(job).clips[0]
    assert again["pictures"] == first["pictures"]
    assert Path(first["pictures"][0]).stat().st_mtime_ns == before


def test_a_folder_of_videos_is_many_clips(tmp_path):
    (tmp_path / "b.mp4").write_bytes(b"")
    (tmp_path / "a.mkv").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("")
    found = run(ProbeJob(clips=(str(tmp_path),))).clips
    assert [Path(entry["path"]).name for entry in found] == ["a.mkv", "b.mp4"]


def test_frames_can_be_counted(clip):
    assert run(ProbeJob(clips=(str(clip),), count=True)).clips[0]["info"]["frames"] == 6


def test_without_clips_there_is_nothing_to_look_at():
    with pytest.raises(BadInput, match="name a video"):
        run(ProbeJob())


@pytest.fixture
def jobs(model, clip, tmp_path):
    common = {"model": str(model), "out": str(tmp_path / "out")}
    return {
        "analyze": AnalyzeJob(clips=(str(clip),), **common),
        "quantize": QuantizeJob(clips=(str(clip),), **common),
        "upscale": UpscaleJob(clip=str(clip), model=str(model), out=str(tmp_path / "out.mkv")),
        "side-by-side": SideBySideJob(clip=str(clip), model=str(model), out=str(tmp_path / "two.mkv")),
    }


@pytest.mark.parametrize("name", ["analyze", "quantize", "upscale", "side-by-side"])
def test_time_memory_and_disk_are_estimated(jobs, name):
    result = run(EstimateJob.of(jobs[name]))
    assert result.seconds > 0
    assert result.memory > 1e6
    assert result.disk > 0
    assert result.disk_free > 0
    assert result.measured["seconds"] > 0
    assert result.advice == ()


def test_more_work_is_estimated_higher(jobs, make_clip, monkeypatch):
    from quantvsr.jobs.work import estimating

    # The same machine for both.
    monkeypatch.setattr(estimating, "_timed", lambda call, device: 0.01)
    job = jobs["quantize"]
    few, many = (run(EstimateJob.of(type(job)(**{**vars(job), "samples": n}))) for n in (4, 400))
    assert many.seconds > few.seconds
    assert many.disk > few.disk
    long = make_clip("long", count=30)
    clips = [
        UpscaleJob(**{**vars(jobs["upscale"]), "clip": clip}) for clip in (jobs["upscale"].clip, str(long))
    ]
    short, longer = (run(EstimateJob.of(each)).seconds for each in clips)
    assert longer > short
    side = jobs["side-by-side"]
    two, three = (
        run(EstimateJob.of(type(side)(**{**vars(side), "versions": versions})))
        for versions in (("lq", "fp"), ("lq", "fp", "low.safetensors"))
    )
    assert three.seconds > two.seconds
    assert three.memory > two.memory


def test_what_to_lower_is_said(jobs, monkeypatch):
    from quantvsr.jobs.work import estimating

    monkeypatch.setattr(estimating, "_timed", lambda call, device: 1000.0)
    monkeypatch.setattr(estimating, "main_memory", lambda: 1_000_000)
    monkeypatch.setattr(estimating, "_free", lambda place: 1)
    advice = run(EstimateJob.of(jobs["quantize"])).advice
    assert [word in text for word, text in zip(("memory", "disk", "long"), advice, strict=True)] == [True] * 3


def test_only_long_jobs_are_estimated():
    with pytest.raises(BadInput, match="no estimate for the job 'info'"):
        run(EstimateJob.of(InfoJob()))
    with pytest.raises(BadInput, match="no job as JSON"):
        run(EstimateJob(job="{"))

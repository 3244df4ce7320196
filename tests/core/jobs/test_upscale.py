import json

import numpy as np
import pytest
from PIL import Image

from quantvsr import cli
from quantvsr.errors import BadInput, Cancelled, DiskFull
from quantvsr.jobs import UpscaleJob, run
from quantvsr.jobs.options import Bits
from quantvsr.jobs.settings import CODECS
from quantvsr.jobs.work.machine import execution_backends
from quantvsr.media import codecs, open_clip, probe, segment_writer
from quantvsr.progress import Progress


def pictures(folder):
    return [np.asarray(Image.open(file)) for file in sorted(folder.glob("*.png"))]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_of_pictures_becomes_a_folder_four_times_as_large(model, clip, tmp_path):
    result = run(UpscaleJob(clip=str(clip), out=str(tmp_path / "out"), model=str(model), codec="png"))
    found = pictures(tmp_path / "out")
    assert len(found) == result.frames == 6
    assert {picture.shape for picture in found} == {(64, 64, 3)}
    assert (result.width, result.height, result.precision, result.execution) == (64, 64, "fp", None)
    assert result.compute == "float32" and "(full precision, float32)" in dict(result.rows())["Video"]
    assert set(result.seconds) == {"prepare", "upscale"}
    assert result.peak_memory > 10_000_000


def test_the_same_seed_gives_the_same_picture(model, clip, tmp_path):
    def once(name, seed):
        run(UpscaleJob(clip=str(clip), out=str(tmp_path / name), model=str(model), codec="png", seed=seed))
        return np.stack(pictures(tmp_path / name))

    first = once("a", 1)
    assert np.array_equal(first, once("b", 1))
    assert not np.array_equal(first, once("c", 2))


def test_half_types_change_the_pictures_a_little(clip, tmp_path):
    def once(compute):
        out = tmp_path / compute
        run(UpscaleJob(clip=str(clip), out=str(out), codec="png", compute=compute, steps=1, frames=1))
        return np.stack(pictures(out)).astype(int)

    difference = np.abs(once("bfloat16") - once("float32"))
    assert 0 < difference.mean() < 2


def test_a_model_of_one_type_says_so(model, clip, tmp_path):
    job = UpscaleJob(
        clip=str(clip), out=str(tmp_path / "x"), model=str(model), codec="png", compute="bfloat16"
    )
    with pytest.raises(BadInput, match="does not compute in bfloat16"):
        run(job)


@pytest.mark.parametrize(("count", "height", "width"), [(1, 16, 16), (4, 17, 15), (2, 2, 3)])
def test_short_clips_and_odd_sizes(model, make_clip, tmp_path, count, height, width):
    clip = make_clip("odd", count=count, height=height, width=width)
    run(UpscaleJob(clip=str(clip), out=str(tmp_path / "out"), model=str(model), codec="png"))
    found = pictures(tmp_path / "out")
    assert len(found) == count
    assert found[0].shape == (4 * height, 4 * width, 3)


def test_a_part_of_a_clip_in_tiles(model, clip, tmp_path):
    job = UpscaleJob(
        clip=str(clip), out=str(tmp_path / "out"), model=str(model), codec="png", start=2, frames=3, tile=16
    )
    assert run(job).frames == 3


def test_a_video_beside_the_clip(model, clip):
    result = run(UpscaleJob(clip=str(clip), model=str(model)))
    assert result.out == clip.with_name("clip_x4.mp4")
    info = probe(result.out)
    assert (info.width, info.height, info.frames, info.codec) == (64, 64, 6, "h264")


def test_the_command_line_prints_the_result(model, clip, tmp_path, capsys):
    out = tmp_path / "a.mkv"
    arguments = ["upscale", str(clip), "--out", str(out), "--model", str(model), "--codec", "ffv1", "--json"]
    assert cli.main(arguments) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["out"] == str(out)
    assert value["frames"] == 6


def test_every_codec_is_offered():
    assert tuple(codecs.CODECS) == CODECS


def test_an_existing_output_is_kept_unless_overwriting_is_allowed(model, clip, tmp_path):
    out = tmp_path / "out.mp4"
    out.write_bytes(b"precious")
    job = UpscaleJob(clip=str(clip), out=str(out), model=str(model))
    with pytest.raises(BadInput, match="exists already"):
        run(job)
    assert out.read_bytes() == b"precious"
    run(UpscaleJob(clip=str(clip), out=str(out), model=str(model), overwrite=True))
    assert probe(out).frames == 6


class StopAt(Progress):
    """Cancels, or fails, at some check."""

    def __init__(self, count, error):
        super().__init__()
        self.left, self.error = count, error

    def check(self):
        self.left -= 1
        if self.left < 0:
            raise self.error


@pytest.mark.parametrize("error", [Cancelled(), KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_nothing_half_written_is_left(model, clip, tmp_path, error):
    out = tmp_path / "results" / "out.mp4"
    expected = DiskFull if isinstance(error, OSError) else type(error)
    with pytest.raises(expected):
        run(UpscaleJob(clip=str(clip), out=str(out), model=str(model)), StopAt(3, error))
    # Whole parts to go on from may be left, and nothing else.
    assert set(names(out.parent)) <= {"out.mp4.parts"}
    endings = {file.suffix for file in out.parent.glob("*/*")}
    assert endings <= {".json", ".picture"}
    assert not list(out.parent.rglob(".*"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"clip": "nothing.mp4"}, r"nothing\.mp4"),
        ({"start": 6}, "6 frames"),
        ({"model": "no-model"}, "no-model"),
        ({"device": "cuda:77"}, "cuda:77"),
        ({"device": "abacus"}, "abacus"),
        ({"out": "out.avi"}, r"out\.avi"),
        ({"tile": 16, "overlap": 16}, "overlap"),
        ({"checkpoint": "q", "bits": Bits(4, 4)}, "leave --bits out"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_written(model, clip, tmp_path, change, words):
    given = {"clip": str(clip), "out": str(tmp_path / "new" / "out.mp4"), "model": str(model), **change}
    with pytest.raises(BadInput, match=words):
        run(UpscaleJob(**given))
    assert not (tmp_path / "new").exists() or names(tmp_path / "new") == []


@pytest.mark.parametrize("codec", ["ffv1", "png"])
def test_a_stopped_job_goes_on_where_it_was(model, make_clip, tmp_path, codec, monkeypatch):
    monkeypatch.setattr(segment_writer, "SEGMENT_FRAMES", 4)
    clip = make_clip("long", count=14)
    ending = "" if codec == "png" else ".mkv"

    def job(name):
        return UpscaleJob(
            clip=str(clip), out=str(tmp_path / f"{name}{ending}"), model=str(model), codec=codec
        )

    def frames(name):
        with open_clip(tmp_path / f"{name}{ending}") as reader:
            return np.stack([frame.rgb for frame in reader])

    whole = run(job("whole"))
    assert (whole.frames, whole.resumed) == (14, 0)
    said = []

    class StopLate(Progress):
        def report(self, fraction, message="", **payload):
            said.append(message)
            if "frame 13 of 14" in message and "going" not in message:
                self.cancel()

    with pytest.raises(Cancelled):
        run(job("part"), StopLate())
    parts = tmp_path / f"part{ending}.parts"
    assert parts.is_dir()
    again = Told()
    result = run(job("part"), again)
    assert result.frames == 14
    assert result.resumed >= 8
    assert result.duration == (None if codec == "png" else pytest.approx(14 / 25, abs=0.01))
    assert again.told[0][0] > 0.5
    assert not parts.exists()
    assert np.array_equal(frames("part"), frames("whole"))


class Told(Progress):
    """Keeps what a stage named `upscale` reports."""

    def __init__(self):
        super().__init__()
        self.told = []

    def report(self, fraction, message="", **payload):
        if payload.get("stage") == "upscale":
            self.told.append((fraction, message))


def test_sound_can_be_left_out(model, clip, tmp_path):
    job = UpscaleJob(clip=str(clip), out=str(tmp_path / "a.mp4"), model=str(model), streams=False)
    assert "--no-streams" in job.command()
    assert run(job).frames == 6


def test_the_backend_can_be_chosen_and_is_said(finished, clip, tmp_path):
    def once(name, **changes):
        job = UpscaleJob(
            clip=str(clip),
            out=str(tmp_path / name),
            model=str(finished.model),
            checkpoint=str(finished.checkpoint),
            codec="png",
            **changes,
        )
        return run(job), np.stack(pictures(tmp_path / name)).astype(float)

    result, wanted = once("simulated", backend="simulated")
    assert (result.execution, result.compute) == ("simulated", "float32")
    result, found = once("auto")
    assert result.execution == execution_backends()[0]
    assert result.to_json()["compute"] == "float32"  # all that the tiny model can
    assert f"({result.precision}, {result.execution}, {result.compute})" in dict(result.rows())["Video"]
    assert np.mean((found - wanted) ** 2) < 1  # of 255 squared: 48 dB


def test_a_backend_that_does_not_exist_is_refused_before_the_model_runs(model, clip, tmp_path):
    job = UpscaleJob(clip=str(clip), out=str(tmp_path / "x.mp4"), model=str(model), backend="abacus")
    with pytest.raises(BadInput, match="no backend 'abacus'; choose one of auto"):
        run(job)

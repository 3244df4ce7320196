"""`quantvsr measure`: figures of files, and what is said where something cannot be measured."""

import json

import numpy as np
import pytest
from PIL import Image

from quantvsr import cli
from quantvsr.errors import BadInput, Cancelled
from quantvsr.jobs import MeasureJob, job_from_json, run
from quantvsr.metrics import measure
from quantvsr.progress import Progress


def frames(count=4, height=48, width=56, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def write(folder, pictures):
    folder.mkdir()
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / f"{number:03}.png")
    return str(folder)


@pytest.fixture
def clips(tmp_path):
    a, b = frames(seed=1), frames(seed=2)
    return write(tmp_path / "a", a), write(tmp_path / "b", b), a, b


def test_figures_are_those_of_the_pictures(clips, tmp_path):
    first, second, a, b = clips
    result = run(MeasureJob(clip=first, reference=second, border=2, out=str(tmp_path / "m.json")))
    assert result.values == pytest.approx(measure(a, b, border=2))
    assert set(result.values) >= {"psnr", "ssim", "gmsd", "haarpsi", "warp_error", "flicker"}
    assert result.frames == 4 and not result.warnings
    saved = json.loads((tmp_path / "m.json").read_text())
    assert saved["values"] == result.values
    assert saved["command"].startswith("quantvsr measure ")
    per_frame = saved["per_frame"]["psnr"]
    assert len(per_frame) == 4 and np.mean(per_frame) == pytest.approx(result.values["psnr"])
    assert saved["per_frame"]["flicker"][0] is None
    for name in result.values:
        assert saved["metrics"][name]["conventions"] and saved["metrics"][name]["licence"]


def test_a_clip_alone(clips):
    result = run(MeasureJob(clip=clips[0]))
    assert set(result.values) == {"niqe", "warp_error", "temporal_difference"}
    assert result.reference is None


def test_without_a_reference_what_needs_one_is_left_out(clips):
    result = run(MeasureJob(clip=clips[0], metrics=("psnr", "ssim", "temporal_difference", "layer_snr")))
    assert set(result.values) == {"temporal_difference"}
    assert any("--reference" in text and "PSNR (RGB), SSIM" in text for text in result.warnings)
    assert any("sensitivity" in text for text in result.warnings)
    with pytest.raises(BadInput, match="None of the metrics"):
        run(MeasureJob(clip=clips[0], metrics=("psnr",)))


def test_different_sizes_are_one_line_and_the_rest_goes_on(clips, tmp_path):
    other = write(tmp_path / "small", frames(height=24, width=28))
    result = run(MeasureJob(clip=clips[0], reference=other))
    assert set(result.values) == {"niqe", "warp_error", "temporal_difference"}
    assert len(result.warnings) == 1 and "a is 56x48 and small 28x24" in result.warnings[0]
    assert result.reference is None


@pytest.mark.parametrize("longer", ["clip", "reference"])
def test_different_lengths_compare_what_both_have(clips, tmp_path, longer):
    first, _, a, b = clips
    short = write(tmp_path / "short", b[:3])
    given = {"clip": first, "reference": short} if longer == "clip" else {"clip": short, "reference": first}
    result = run(MeasureJob(**given, metrics=("psnr",), out=str(tmp_path / "m.json")))
    assert result.frames == 3
    assert result.values["psnr"] == pytest.approx(measure(a[:3], b[:3], ["psnr"])["psnr"])
    assert len(result.warnings) == 1 and "short ends after 3 frames" in result.warnings[0]
    assert json.loads((tmp_path / "m.json").read_text())["warnings"] == list(result.warnings)


def test_clips_can_be_shifted_against_each_other(clips, tmp_path):
    first, _, a, _ = clips
    result = run(
        MeasureJob(clip=first, reference=first, start=1, reference_start=0, metrics=("psnr",), frames=2)
    )
    assert result.values["psnr"] == pytest.approx(measure(a[1:3], a[:2], ["psnr"])["psnr"])


def test_missing_packages_are_one_line(clips, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyiqa", None)
    result = run(MeasureJob(clip=clips[0], metrics=("musiq", "temporal_difference")))
    assert set(result.values) == {"temporal_difference"}
    assert result.warnings == (result.warnings[0],) and "pip install pyiqa" in result.warnings[0]


def test_bad_arguments(clips, tmp_path):
    with pytest.raises(BadInput, match="no metric called 'vmaf'"):
        run(MeasureJob(clip=clips[0], metrics=("vmaf",)))
    with pytest.raises(BadInput, match="nowhere"):
        run(MeasureJob(clip=str(tmp_path / "nowhere")))
    with pytest.raises(BadInput, match=r"--border 50 leaves nothing of \w+ \(\d+x\d+\)"):
        run(MeasureJob(clip=clips[0], border=50))
    with pytest.raises(BadInput, match="start before frame"):
        run(MeasureJob(clip=clips[0], start=9))


def test_the_clip_is_not_replaced_by_its_figures(clips, tmp_path):
    (tmp_path / "clip.mp4").write_bytes(b"a clip")
    with pytest.raises(BadInput, match=r"must end in \.json; rename .*clip\.mp4"):
        run(MeasureJob(clip=clips[0], out=str(tmp_path / "clip.mp4")))
    assert (tmp_path / "clip.mp4").read_bytes() == b"a clip"


def test_it_can_be_stopped(clips):
    progress = Progress()
    progress.cancel()
    with pytest.raises(Cancelled):
        run(MeasureJob(clip=clips[0]), progress)


def test_the_command_line(clips, capsys):
    first, second, *_ = clips
    assert cli.main(["measure", first, "--reference", second, "--metrics", "psnr", "gmsd", "--explain"]) == 0
    shown = capsys.readouterr().out
    assert "PSNR (RGB)" in shown and "dB  (higher is better)" in shown
    assert "T = 170" in shown and "Licence: Apache-2.0" in shown
    assert max(map(len, shown.splitlines()[2:])) < 120
    assert cli.main(["measure", first, "--metrics", "psnr", "--json"]) == 2
    assert "None of the metrics" in json.loads(capsys.readouterr().out)["error"]


def test_the_job_survives_json(clips):
    job = MeasureJob(clip=clips[0], metrics=("psnr", "ssim"), border=4)
    assert job_from_json(json.loads(json.dumps(job.to_json()))) == job

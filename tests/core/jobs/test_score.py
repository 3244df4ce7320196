import pytest

from quantvsr.errors import BadInput, BadModel
from quantvsr.jobs import QuantizeJob, ScoreJob, run
from quantvsr.jobs.options import Bits


def score(model, checkpoint, *clips, **changes):
    job = ScoreJob(checkpoint=str(checkpoint), clips=tuple(map(str, clips)), model=str(model), crop=16)
    return run(job)


def test_more_bits_come_closer(finished, make_clip, tmp_path):
    other = make_clip("other", seed=3)
    fine = QuantizeJob(out=str(tmp_path / "q"), model=str(finished.model), method="maxmin", bits=Bits(8, 8))
    low, high = (
        score(finished.model, checkpoint, finished.clip, other)
        for checkpoint in (finished.folder, run(fine).checkpoint)
    )
    assert set(low.clips) == {"clip", "other"}
    assert low.psnr_fp == pytest.approx(sum(low.clips.values()) / 2)
    assert 20 < low.psnr_fp < high.psnr_fp < 100
    assert (low.crop, low.frames) == (16, 5)
    assert score(finished.model, finished.folder, finished.clip, other).clips == low.clips
    assert low.rows()[-1][0] == "Mean"


def test_what_cannot_be_scored(finished, make_clip, tmp_path):
    with pytest.raises(BadModel, match="nothing"):
        score(finished.model, tmp_path / "nothing", finished.clip)
    with pytest.raises(BadInput, match="missing"):
        score(finished.model, finished.folder, tmp_path / "missing")

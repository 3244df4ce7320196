import json

import numpy as np
import pytest

from quantvsr import cli
from quantvsr.calibration.table import ComplexityTable
from quantvsr.errors import BadInput, Cancelled
from quantvsr.jobs import AnalyzeJob, run
from quantvsr.progress import Progress


def job(model, out, *clips, **changes):
    return AnalyzeJob(clips=tuple(str(c) for c in clips), out=str(out), model=str(model), **changes)


def test_complexity_ranks_and_cost(model, clip, make_clip, tmp_path):
    out = tmp_path / "out"
    result = run(job(model, out, clip, make_clip("other", seed=1)))
    assert result.layers == 3
    assert result.samples == 6
    assert sum(result.rank_counts.values()) == 3
    assert 0 < result.cost["reduction"] < 1
    table = ComplexityTable.load(result.complexity)
    assert table.names == ("middle", "temporal", "mlp")
    assert np.isfinite(table.spatial).all()
    ranks = json.loads((out / "ranks.json").read_text())
    assert set(ranks["layers"]) == set(table.names)
    assert ranks["cost"]["bytes_total"] == result.cost["bytes_total"]
    assert set(result.seconds) >= {"record", "observe", "allocate"}


def test_a_second_run_takes_over_what_is_there(model, clip, tmp_path):
    first = run(job(model, tmp_path / "out", clip))
    files = {path: path.stat().st_mtime_ns for path in (first.complexity, first.ranks)}
    second = run(job(model, tmp_path / "out", clip))
    assert {path: path.stat().st_mtime_ns for path in files} == files
    assert second.cost == first.cost
    # Other ranks need no new samples.
    third = run(job(model, tmp_path / "out", clip, max_rank=4, min_rank=4))
    assert first.complexity.stat().st_mtime_ns == files[first.complexity]
    assert set(third.rank_counts) <= {0, 4}


def test_another_model_is_analysed_anew(make_model, clip, tmp_path):
    first = run(job(make_model("a", seed=1), tmp_path / "out", clip))
    before = ComplexityTable.load(first.complexity).spatial
    second = run(job(make_model("b", seed=2), tmp_path / "out", clip))
    assert not np.array_equal(before, ComplexityTable.load(second.complexity).spatial)


def test_the_reference_has_its_own_rule(model, clip, tmp_path):
    result = run(job(model, tmp_path / "out", clip, method="quantvsr-reference"))
    assert json.loads(result.ranks.read_text())["settings"]["rule"] == "reference"


class StopAfter(Progress):
    def __init__(self, stage):
        super().__init__()
        self.stage_name = stage

    def report(self, fraction, message="", **payload):
        if payload.get("stage") == self.stage_name and message:
            self.cancel()


@pytest.mark.parametrize("stage", ["record", "observe"])
def test_a_stopped_analysis_goes_on(model, clip, tmp_path, stage):
    with pytest.raises(Cancelled):
        run(job(model, tmp_path / "out", clip), StopAfter(stage))
    kept = {p: p.stat().st_mtime_ns for p in (tmp_path / "out" / "work" / "samples").glob("*.safetensors")}
    assert kept
    assert not (tmp_path / "out" / "ranks.json").exists()
    run(job(model, tmp_path / "out", clip))
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items())


def test_the_same_result_with_and_without_a_stop(model, clip, tmp_path):
    with pytest.raises(Cancelled):
        run(job(model, tmp_path / "a", clip), StopAfter("record"))
    stopped = ComplexityTable.load(run(job(model, tmp_path / "a", clip)).complexity)
    straight = ComplexityTable.load(run(job(model, tmp_path / "b", clip)).complexity)
    assert np.array_equal(stopped.spatial, straight.spatial)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"min_rank": 8, "max_rank": 4}, "min <= max"),
        ({"model": "nothing-here"}, "nothing-here"),
    ],
)
def test_what_cannot_be_analysed(model, clip, tmp_path, changes, words):
    changes = {"model": model, **changes}
    with pytest.raises(BadInput, match=words):
        run(job(changes.pop("model"), tmp_path / "out", clip, **changes))


@pytest.mark.parametrize(
    ("name", "content"), [("none.mp4", None), ("empty.mp4", b""), ("text.mp4", b"hello")]
)
def test_a_clip_that_is_none(model, tmp_path, capsys, name, content):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    arguments = ["analyze", str(path), "--model", str(model), "--out", str(tmp_path / "out"), "--quiet"]
    assert cli.main(arguments) == 2
    err = capsys.readouterr().err
    assert name in err
    assert len(err.splitlines()) == 1


def test_a_clip_given_twice(model, clip, tmp_path):
    with pytest.raises(BadInput, match="twice"):
        run(job(model, tmp_path / "out", clip, clip))

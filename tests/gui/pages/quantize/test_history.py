import json

import numpy as np
import pytest

from quantvsr.calibration.results import StageResult
from quantvsr_gui.pages.quantize.history import LossHistory, smoothed, snapshot_folder


def report(stage, step, loss, rate=1e-3, **more):
    return {"stage": stage, "step": step, "steps": 4, "loss": loss, "learning_rate": rate, **more}


def heard(*payloads):
    history = LossHistory()
    for payload in payloads:
        assert history.add(payload)
    return history


def test_both_stages_follow_each_other():
    history = heard(
        report("low-rank", 1, 0.5, held_out=0.6),
        report("low-rank", 2, 0.4, held_out=0.6),
        report("low-rank", 3, 0.3, held_out=0.45),
        report("bias", 1, 0.2, 5e-4, held_out=0.44),
    )
    assert history.updates == 4
    assert history.starts == [("low-rank", 0), ("bias", 3)]
    assert [part.tolist() for part in history.losses()] == [[1, 2, 3, 4], [0.5, 0.4, 0.3, 0.2]]
    assert [part.tolist() for part in history.held_out()] == [[0, 2, 3], [0.6, 0.45, 0.44]]
    assert history.rates()[1].tolist() == [1e-3, 1e-3, 1e-3, 5e-4]
    assert (history.untrained, history.best, history.last) == (0.6, 0.44, 0.2)
    assert history.rows()[0] == (0, "Low rank", None, 0.6, None)
    assert history.rows()[3] == (3, "Low rank", 0.3, None, 1e-3)
    assert history.totals == {"low-rank": 4, "bias": 4}


def test_updates_that_were_not_heard_of_or_are_told_again():
    history = heard(report("low-rank", 1, 0.5), report("low-rank", 4, 0.2))
    assert [part.tolist() for part in history.losses()] == [[1, 4], [0.5, 0.2]]
    history.add(report("low-rank", 2, 0.35))  # continued from a snapshot
    assert [part.tolist() for part in history.losses()] == [[1, 2], [0.5, 0.35]]
    assert history.untrained == 0.5  # without held-out samples


@pytest.mark.parametrize("payload", [{}, {"stage": "record"}, {"stage": "x", "step": "one", "loss": 1}])
def test_other_reports_are_left_alone(payload):
    history = LossHistory()
    assert not history.add(payload)
    assert history.updates == 0
    assert (history.untrained, history.best, history.last) == (None, None, None)


def test_what_a_run_left_is_read(tmp_path):
    assert LossHistory.load(tmp_path).updates == 0
    stage = StageResult("low-rank", [0.5, 0.4], [], [1e-3, 1e-3], [(0, 0.6)])
    folder = snapshot_folder(tmp_path) / "snapshot-00000002"
    folder.mkdir(parents=True)
    state = {"number": 2, "done": [], "current": stage.to_json()}
    (folder / "state.json").write_text(json.dumps({"state": state}))
    assert LossHistory.load(tmp_path).last == 0.4
    whole = {"settings": {}, "stages": [stage.to_json(), StageResult("bias", [0.1]).to_json()]}
    (tmp_path / "refinement.json").write_text(json.dumps(whole))
    assert LossHistory.load(tmp_path).last == 0.1
    (tmp_path / "refinement.json").write_text("{")
    assert LossHistory.load(tmp_path).last == 0.4


def test_the_running_mean_keeps_length_and_level():
    values = np.full(50, 0.3)
    np.testing.assert_allclose(smoothed(values), values)
    noisy = np.exp(np.random.default_rng(0).normal(size=200))
    assert len(smoothed(noisy)) == 200
    assert np.log(smoothed(noisy)).std() < 0.5 * np.log(noisy).std()
    assert smoothed(np.array([0.1])).tolist() == [0.1]
    assert smoothed(np.zeros(30)).tolist() == [0.0] * 30

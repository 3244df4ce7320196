import threading
import time

import pytest

from quantvsr.errors import Cancelled
from quantvsr.progress import Progress


class Recorder(Progress):
    def __init__(self):
        super().__init__()
        self.reports = []
        self.warnings = []

    def report(self, fraction, message="", **payload):
        self.reports.append((fraction, message, payload))

    def warn(self, message):
        self.warnings.append(message)


def test_a_stage_maps_its_fractions_and_names_itself():
    top = Recorder()
    half = top.stage("refine", 0.5, 1.0)
    half.report(0.5, "step 1", loss=2.0)
    assert top.reports == [(0.75, "step 1", {"loss": 2.0, "stage": "refine"})]


def test_the_innermost_stage_gives_the_name():
    top = Recorder()
    top.stage("outer", 0.0, 0.5).stage("inner", 0.5, 1.0).report(1.0)
    assert top.reports == [(0.5, "", {"stage": "inner"})]


@pytest.mark.parametrize(("given", "seen"), [(-1.0, 0.2), (7.0, 0.4)])
def test_a_stage_stays_inside_its_limits(given, seen):
    top = Recorder()
    top.stage("s", 0.2, 0.4).report(given)
    assert top.reports[0][0] == pytest.approx(seen)


def test_warnings_reach_the_top():
    top = Recorder()
    top.stage("a", 0, 1).stage("b", 0, 1).warn("careful")
    assert top.warnings == ["careful"]


def test_check_passes_until_cancelled():
    top = Progress()
    stage = top.stage("s", 0, 1)
    stage.check()
    top.cancel()
    assert stage.cancelled
    with pytest.raises(Cancelled):
        stage.check()


def test_cancelling_a_stage_cancels_the_whole():
    top = Progress()
    top.stage("s", 0, 1).cancel()
    with pytest.raises(Cancelled):
        top.check()


def test_a_stage_honours_the_check_of_its_owner():
    class Owner(Progress):
        def check(self):
            raise Cancelled("from outside")

    with pytest.raises(Cancelled, match="outside"):
        Owner().stage("s", 0, 1).check()


def _waiting(progress):
    outcome = []

    def work():
        try:
            progress.check()
            outcome.append("went on")
        except Cancelled:
            outcome.append("cancelled")

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(0.05)
    return thread, outcome


@pytest.mark.parametrize(("action", "result"), [("resume", "went on"), ("cancel", "cancelled")])
def test_paused_work_waits(action, result):
    top = Progress()
    stage = top.stage("s", 0, 1)
    stage.pause()
    assert top.paused
    thread, outcome = _waiting(stage)
    assert outcome == []
    getattr(top, action)()
    thread.join(5)
    assert outcome == [result]
    assert not top.paused


def test_pausing_cancelled_work_does_not_make_it_wait():
    top = Progress()
    top.cancel()
    top.pause()
    with pytest.raises(Cancelled):
        top.check()

import pytest

from quantvsr.errors import Cancelled
from quantvsr.jobs.work.ledger import Ledger
from quantvsr.progress import Progress


class Stage:
    """A stage that writes one file, and counts how often it ran."""

    def __init__(self, folder):
        self.folder, self.output, self.runs = folder, folder / "out" / "a.bin", 0

    def __call__(self, settings, *, fresh=False):
        ledger = Ledger(self.folder / "work", fresh=fresh)
        return ledger.stage("paint", settings, [self.output], self.work, Progress())

    def work(self, progress):
        self.runs += 1
        self.output.parent.mkdir(exist_ok=True)
        self.output.write_bytes(b"123")
        return {"area": 7}


@pytest.fixture
def stage(tmp_path):
    return Stage(tmp_path)


def test_a_finished_stage_is_not_done_again(stage):
    first = stage({"colour": "red"})
    second = stage({"colour": "red"})
    assert stage.runs == 1
    assert (first.reused, second.reused) == (False, True)
    assert second.figures == first.figures == {"area": 7}
    assert second.key == first.key
    assert second.seconds == first.seconds


def test_other_settings_run_it_again(stage):
    assert stage({"colour": "red"}).key != stage({"colour": "blue"}).key
    assert stage.runs == 2


def test_fresh_runs_it_again(stage):
    stage({})
    assert not stage({}, fresh=True).reused


@pytest.mark.parametrize("damage", ["missing", "shorter", "record", "other record"])
def test_a_damaged_result_is_made_again(stage, damage):
    stage({})
    record = stage.folder / "work" / "paint.stage.json"
    {
        "missing": stage.output.unlink,
        "shorter": lambda: stage.output.write_bytes(b"1"),
        "record": lambda: record.write_text('{"key"'),
        "other record": lambda: record.write_text("[]"),
    }[damage]()
    assert not stage({}).reused
    assert stage.runs == 2


def test_a_moved_folder_keeps_its_finished_stages(tmp_path):
    stage = Stage(tmp_path / "first")
    stage.folder.mkdir()
    stage({})
    stage.folder.rename(tmp_path / "second")
    moved = Stage(tmp_path / "second")
    assert moved({}).reused


def test_a_stopped_stage_leaves_no_record(tmp_path):
    def stop(progress):
        raise Cancelled

    with pytest.raises(Cancelled):
        Ledger(tmp_path).stage("paint", {}, [], stop, Progress())
    assert not list(tmp_path.iterdir())


def test_seconds_and_reuse_are_listed(tmp_path):
    for reused in ([], ["a", "b"]):
        ledger = Ledger(tmp_path)
        for name in ("a", "b"):
            ledger.stage(name, {}, [], lambda progress: None, Progress())
        assert list(ledger.seconds()) == ["a", "b"]
        assert ledger.reused() == reused

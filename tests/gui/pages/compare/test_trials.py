"""Changed layers tried on the frames that are shown: made, kept, shown again, deleted. The engine is fake."""

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtTest import QAbstractItemModelTester
from PySide6.QtWidgets import QApplication, QPushButton

from quantvsr.jobs import PreviewJob, QuantizeJob, RepackJob
from quantvsr.jobs.options import Bits, LayerBits, LayerRank
from quantvsr.project import Project
from quantvsr_gui.pages.compare import build
from quantvsr_gui.pages.compare.trials import Trial, trials_of
from quantvsr_gui.project import ProjectModel

from .conftest import pixels


def shown(page, slot=3):
    return page.view.canvas.slots[slot]


def last(page):
    return page.context.engines.preview.submitted[-1]


@pytest.fixture
def run(page, add_run, render):
    """A run in slot 3, and a layer whose rank was changed after it; gives the checkpoint."""
    checkpoint = add_run("W4A4", layer_ranks=(LayerRank("b", 8),))
    render("run", range(6), source=checkpoint)
    page.screen.chosen[3] = "run:w4a4"
    page.choosing.refill()
    page.seek(2)
    assert page.view.messages.texts() == []
    page.context.project.change("set ranks", rank_overrides={"a": 16, "b": 8})
    return checkpoint


def pack(page, updates=0):
    """Try the change, and have the engine pack it; gives the job and the file."""
    page.trials.run(updates)
    job = last(page).job
    assert isinstance(job, RepackJob)
    packed = Path(job.out) / "checkpoint.safetensors"
    packed.parent.mkdir(parents=True, exist_ok=True)
    packed.write_bytes(f"trial {job.updates} {job.changes()}".encode())
    last(page).succeed({"checkpoint": str(packed), "changed": ["a"], "bytes_lowbit": 7_000_000})
    return job, packed


def finish(page, packed):
    job = last(page).job
    keys = {version: f"key-{number}" for number, version in enumerate(job.versions)}
    keys[str(packed)] = "run-0123-cpu-oneDNN_int8-bfloat16"
    last(page).succeed({"rendered": 5, "seconds": 1, "keys": keys, "start": job.start, "stop": job.start + 5})


def test_changed_layers_are_packed_again_and_the_same_frames_rendered(page, run, render):
    page.context.project.change("set bits", bit_overrides={"c": Bits(8, 8)})
    assert page.view.messages.texts() == [
        "2 layers changed since W4A4 was made. See what it does to these frames:"
    ]
    before = shown(page).picture
    job, packed = pack(page)
    assert (job.checkpoint, job.updates) == (run, 0)
    assert job.layer_ranks == (LayerRank("a", 16),)
    assert job.layer_bits == (LayerBits("c", Bits(8, 8)),)
    # In the run's place, whose picture stays until the new one is whole.
    assert page.screen.chosen[3] == "trial:w4a4:1"
    assert shown(page).picture is before
    assert (shown(page).label, shown(page).note) == ("W4A4 trial 1", "being rendered again")
    frames = last(page).job
    assert isinstance(frames, PreviewJob)
    assert frames.versions == ("lq", "fp", "gt", str(packed))
    assert (frames.start, frames.frames) == (0, 5)
    key = render("trial", range(2, 3), source=str(packed))
    last(page).report(0.9, "", "frame 3", version=str(packed), key=key, frame=2)
    assert np.array_equal(shown(page).picture.pixels[..., 2::-1], pixels("trial", 2))
    assert not page.trials.possible
    finish(page, packed)
    assert page.view.messages.texts() == ["W4A4 trial 1 is shown: a rank 16, c W8A8, not trained."]


def test_a_trained_trial_takes_the_place_of_the_plain_one(page, run):
    plain, packed = pack(page)
    finish(page, packed)
    longer, trained = pack(page, updates=30)
    assert (longer.checkpoint, longer.updates) == (run, 30)
    assert longer.out != plain.out
    assert page.screen.chosen[3] == "trial:w4a4:2"
    assert last(page).job.versions == ("lq", "fp", "gt", str(trained))
    page.renderer.cancel()
    page.back_to_runs()
    assert page.screen.chosen[3] == "run:w4a4"
    assert not page.trials.possible  # it is kept: nothing new to try
    page.context.project.change("set ranks", rank_overrides={"a": 32, "b": 8})
    assert page.trials.possible


def test_run_and_trials_can_be_shown_beside_each_other(page, run):
    _, packed = pack(page)
    finish(page, packed)
    choice = page.view.slot_choices[0]
    choice.setCurrentIndex(choice.findData("run:w4a4"))
    assert [shown(page, slot).label for slot in (0, 3)] == ["W4A4", "W4A4 trial 1"]
    # The same again is no other trial.
    pack(page)
    assert [each.number for each in page.trials.all()] == [1]


def test_the_picture_of_the_run_does_not_pass_for_that_of_a_trial(page, run):
    pack(page)
    assert shown(page).note == "being rendered again"
    page.renderer.cancel()
    assert shown(page).picture is None
    assert shown(page).reason.startswith("Not rendered yet")


def test_back_to_the_run_leaves_no_second_one(page, run):
    _, packed = pack(page)
    finish(page, packed)
    page.view.slot_choices[0].setCurrentIndex(page.view.slot_choices[0].findData("run:w4a4"))
    page.back_to_runs()
    assert page.screen.chosen == {0: "run:w4a4", 1: "fp", 2: "gt"}


def test_deleting_a_trial_that_is_not_shown_changes_nothing_else(page, run):
    _, packed = pack(page)
    finish(page, packed)
    page.view.slot_choices[3].setCurrentIndex(0)
    before = dict(page.screen.chosen)
    page.view.trials.delete_button.click()
    assert page.trials.all() == []
    assert page.screen.chosen == before


def test_what_is_offered_after_a_trial(page, run):
    def offered():
        QApplication.processEvents()  # new buttons are shown in their turn
        buttons = page.view.messages.findChildren(QPushButton)
        return {made.text() for made in buttons if made.isVisible()} - {"Dismiss"}

    # A training needs the samples that the run left, which an example does not bring along.
    assert offered() == {"Re-render these frames"}
    (Path(run).parent / "work" / "samples").mkdir(parents=True)
    page.shown()
    assert offered() == {"Re-render these frames", "With a short training"}
    _, packed = pack(page)
    finish(page, packed)
    assert offered() == {"With a short training", "Back to the run"}
    # It stays while the trial is shown, whatever else is chosen.
    page.view.slot_choices[0].setCurrentIndex(page.view.slot_choices[0].findData("bicubic"))
    assert offered() == {"With a short training", "Back to the run"}
    _, packed = pack(page, updates=30)
    finish(page, packed)
    assert offered() == {"Back to the run"}
    assert page.view.messages.texts() == ["W4A4 trial 2 is shown: a rank 16, trained for 30 updates."]


def test_what_was_said_of_a_trial_goes_with_it(page, run):
    _, packed = pack(page)
    finish(page, packed)
    page.back_to_runs()
    assert page.view.messages.texts() == []


def test_trials_are_kept_with_the_project(page, run, qtbot, context, tmp_path):
    _, packed = pack(page)
    finish(page, packed)
    context.project.save()
    read = Project.open(tmp_path / "p.qvsr", read_only=True)
    trial = trials_of(read.content.runs)[0]
    assert trial == page.trials.all()[0]
    assert trial.checkpoint == str(packed)
    assert (trial.clip, trial.start, trial.stop) == (page.screen.clip.path, 0, 5)
    assert trial.execution == "cpu, oneDNN int8, bfloat16"
    assert packed.is_relative_to(tmp_path / "p.qvsr" / "checkpoints" / "w4a4")
    # Opened again, the page shows it as it was left.
    again = build(context)
    qtbot.addWidget(again.page)
    assert again.screen.chosen[3] == "trial:w4a4:1"
    assert [again.view.trials.model.data(again.view.trials.model.index(0, c)) for c in range(6)] == [
        "W4A4 trial 1",
        "a rank 16",
        "none",
        "7 MB",
        "1–5, clip.mkv",
        "cpu, oneDNN int8, bfloat16",
    ]
    read.close()


def test_a_trial_is_deleted_with_its_files_and_its_number_is_not_given_again(page, run):
    panel = page.view.trials
    assert panel.stack.currentWidget() is panel.empty
    _, packed = pack(page)
    finish(page, packed)
    assert panel.stack.currentWidget() is panel.table
    assert panel.chosen() == "trial:w4a4:1"
    panel.delete_button.click()
    assert page.trials.all() == []
    assert not packed.parent.exists()
    assert page.screen.chosen[3] == "run:w4a4"
    assert panel.stack.currentWidget() is panel.empty
    # The change is offered again.
    assert page.trials.possible
    pack(page)
    assert page.screen.chosen[3] == "trial:w4a4:2"
    page.renderer.cancel()


def test_a_trial_is_shown_from_the_table(page, run):
    _, packed = pack(page)
    finish(page, packed)
    page.back_to_runs()
    assert page.screen.chosen[3] == "run:w4a4"
    page.view.trials.show_button.click()
    assert page.screen.chosen[3] == "trial:w4a4:1"


def test_a_trial_whose_file_is_gone_says_so(page, run):
    _, packed = pack(page)
    finish(page, packed)
    packed.unlink()
    page.shown()
    assert shown(page).reason == f"The checkpoint is not where it was: {packed}"


@pytest.mark.parametrize(
    "damaged",
    [3, [3], [{}], [{"run": "w4a4", "number": "x", "job": {}}], [{"job": QuantizeJob().to_json()}]],
)
def test_a_damaged_trial_is_left_out(page, run, damaged):
    page.context.project.update_run("w4a4", extra={"trials": damaged})
    assert page.trials.all() == []
    pack(page)
    assert [each.number for each in page.trials.all()] == [1]
    page.renderer.cancel()


def test_a_trial_survives_the_way_through_json():
    trial = Trial("a", 3, RepackJob(checkpoint="c", layer_ranks=(LayerRank("x", 4),)), {"checkpoint": "d"})
    assert Trial.from_json(trial.to_json()) == trial


def test_a_run_of_today_has_nothing_to_try(page, add_run):
    page.context.project.change("set ranks", rank_overrides={"a": 16})
    add_run("W4A4", layer_ranks=(LayerRank("a", 16),))
    page.screen.chosen[3] = "run:w4a4"
    assert not page.trials.possible


def test_the_table_is_a_proper_model(page, run, qtbot):
    tester = QAbstractItemModelTester(page.view.trials.model)
    _, packed = pack(page)
    finish(page, packed)
    page.view.trials.delete_button.click()
    assert tester.model() is page.view.trials.model
    assert isinstance(page.context.project, ProjectModel)


def test_a_trial_that_was_cancelled_or_failed_is_offered_again(page, run):
    offer = "a changed since W4A4 was made. See what it does to these frames:"
    page.trials.run()
    assert page.view.messages.texts() == []
    page.view.cancel_button.click()
    assert page.view.messages.texts() == [offer]
    page.trials.run()
    last(page).fail("No space left.")
    assert sorted(page.view.messages.texts()) == ["No space left.", offer]
    # Another one in its place is no end of trying.
    page.trials.run()
    page.trials.run(updates=30)
    assert offer not in page.view.messages.texts()
    page.renderer.cancel()


def test_the_run_that_is_offered_is_the_one_that_is_tried(page, run, add_run):
    _, packed = pack(page)
    finish(page, packed)
    other = add_run("W4A8", layer_ranks=(LayerRank("b", 8),))
    page.back_to_runs()
    page.choosing.refill()
    page.view.slot_choices[0].setCurrentIndex(page.view.slot_choices[0].findData("run:w4a8"))
    page.view.slot_choices[1].setCurrentIndex(page.view.slot_choices[1].findData("run:w4a4"))
    page.view.slot_choices[0].setCurrentIndex(page.view.slot_choices[0].findData("run:w4a4"))
    page.view.slot_choices[1].setCurrentIndex(page.view.slot_choices[1].findData("run:w4a8"))
    assert page.view.messages.texts()[-1].startswith("a changed since W4A8 was made.")
    job, _ = pack(page)
    assert job.checkpoint == other
    page.renderer.cancel()


def test_a_trial_goes_on_after_the_engine_crashed(page, run, qtbot):
    page.trials.run()
    handle = last(page)
    handle.fail("The engine ended.", crashed=True)
    assert not page.renderer.busy
    handle.retry()
    handle.begin()
    assert page.renderer.busy
    packed = Path(handle.job.out) / "checkpoint.safetensors"
    packed.parent.mkdir(parents=True)
    packed.write_bytes(b"packed")
    handle.succeed({"checkpoint": str(packed), "bytes_lowbit": 7_000_000})
    assert page.screen.chosen[3] == "trial:w4a4:1"
    assert last(page).job.versions[-1] == str(packed)
    page.renderer.cancel()


def test_a_training_that_was_cancelled_is_offered_again(page, run):
    (Path(run).parent / "work" / "samples").mkdir(parents=True)
    _, packed = pack(page)
    finish(page, packed)
    said = page.view.messages.texts()
    page.trials.run(updates=30)
    assert page.view.messages.texts() == []
    page.view.cancel_button.click()
    assert page.view.messages.texts() == said == ["W4A4 trial 1 is shown: a rank 16, not trained."]

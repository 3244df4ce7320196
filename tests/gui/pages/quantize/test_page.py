import json
from collections.abc import Callable

import numpy as np
import pytest
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QAbstractItemModelTester
from pytestqt.qtbot import QtBot

from fake_analysis import make_measured, write_analysis
from quantvsr.calibration.results import StageResult
from quantvsr.jobs import QuantizeJob, RepackJob, ScoreJob
from quantvsr.jobs.options import Bits, LayerRank
from quantvsr.project import Project, RunState, Settings
from quantvsr_gui.pages.base import Context
from quantvsr_gui.pages.compare.trials import Trial
from quantvsr_gui.pages.quantize import build
from quantvsr_gui.pages.quantize.controller import QuantizeController
from quantvsr_gui.pages.quantize.history import snapshot_folder

RESULT = {
    "checkpoint": "checkpoint.safetensors",
    "bytes_lowbit": 6_940_000,
    "reduction": 0.843,
    "effective_bits": 5.03,
    "loss_first": 0.12,
    "loss_last": 0.079,
}


@pytest.fixture
def open_page(qtbot: QtBot) -> Callable[[Context], QuantizeController]:
    def open_(context: Context) -> QuantizeController:
        controller = build(context)
        assert isinstance(controller, QuantizeController)
        qtbot.addWidget(controller.page)
        controller.page.resize(1100, 800)
        controller.page.show()
        qtbot.waitExposed(controller.page)
        controller.shown()
        return controller

    yield open_
    # An estimate that was asked for and not answered.


@pytest.fixture
def controller(qtbot, context, open_page):
    found = open_page(context)
    yield found
    found.hidden()
    found._draw.stop()


def start(controller):
    controller.page.start_button.click()
    handle = controller.context.engines.work.submitted[-1]
    handle.begin()
    return handle


def train(handle, steps, loss=0.1, stage="low-rank", before=0, snapshot=None, **more):
    for step in range(1, steps + 1):
        handle.report(
            0.3 + step / 100,
            stage,
            f"Stage {stage}: update {step} of 12",
            step=step,
            steps=12,
            loss=loss / step,
            learning_rate=1e-3,
            seconds_left=125.0,
            number=before + step,
            snapshot=snapshot,
            **more,
        )


def put_snapshot(controller, number, loss):
    project = controller.project.project
    folder = snapshot_folder(project.run_folder(controller.shown_id)) / f"snapshot-{number:08d}"
    folder.mkdir(parents=True)
    stage = StageResult("low-rank", [0.1] * number, [], [1e-3] * number, [(number, loss)])
    state = {"number": number, "stage": "low-rank", "done": [], "current": stage.to_json()}
    (folder / "state.json").write_text(json.dumps({"state": state}))


def test_bits_by_preset_and_by_choice(controller):
    page, project = controller.page, controller.project
    assert page.bit_group.button(2).isChecked()
    page.bit_group.button(0).click()
    assert project.settings.bits == Bits(8, 8)
    assert (page.weight_bits.value(), page.activation_bits.value()) == (8, 8)
    page.activation_bits.setValue(3)
    assert project.settings.bits == Bits(8, 3)
    assert not any(made.isChecked() for made in page.bit_group.buttons())
    page.bit_group.button(1).click()
    page.bit_group.button(1).click()  # a second click does not take it back
    assert page.bit_group.button(1).isChecked()
    project.undo_stack.undo()
    assert (page.weight_bits.value(), page.activation_bits.value()) == (8, 3)


def test_method_and_budget_and_the_command(controller):
    page, project = controller.page, controller.project
    page.method.setCurrentIndex(page.method.findData("maxmin"))
    page.method.activated.emit(page.method.currentIndex())
    page.budget.setCurrentIndex(page.budget.findData("standard"))
    page.budget.activated.emit(page.budget.currentIndex())
    assert (project.settings.method, project.settings.preset) == ("maxmin", "standard")
    assert page.budget_note.text() == "Nothing is recorded or trained."
    job = controller.job()
    assert isinstance(job, QuantizeJob)
    assert (job.method, job.preset) == ("maxmin", "standard")
    controller.offer_command().copy()
    assert "--method maxmin" in QGuiApplication.clipboard().text()
    project.change("choose a method", method="quantvsr+no-bias")
    assert page.method.currentData() == "quantvsr+no-bias"
    assert "+ 0 updates" in page.budget_note.text()


def test_the_size_follows_the_analysis(controller):
    page = controller.page
    assert "Complexity page" in page.size_note.text()
    write_analysis(controller.project, make_measured())
    four = page.size_note.text()
    assert "smaller" in four
    page.bit_group.button(0).click()
    assert page.size_note.text() != four


def test_start_says_that_another_job_comes_first(controller, tmp_path):
    button, work = controller.page.start_button, controller.context.engines.work
    assert button.text() == "Start"
    handle = work.submit(QuantizeJob(out=str(tmp_path / "other")))
    work.changed.emit()
    assert button.text() == "Start after the running job"
    assert button.isEnabled()
    handle.begin()
    handle.stop()
    work.changed.emit()
    assert button.text() == "Start"


def test_a_run_from_start_to_its_figures(qtbot, controller):
    page, project = controller.page, controller.project
    assert page.main.currentWidget() is page.empty
    handle = start(controller)
    run = project.runs[0]
    assert (run.name, run.state) == ("W4A4 quick", RunState.RUNNING)
    assert handle.job.out == str(project.project.run_folder(run.id))
    handle.report(0.1, "record", "Recorded window 1 of 6")
    assert "Recorded window 1" in page.run_state.text()
    train(handle, 5, held_out=0.2)
    controller.context.engines.work.beat.emit(1.5e9)
    qtbot.waitUntil(lambda: not controller._draw.isActive())
    assert page.figures.parts["loss"].value.text() == "0.02"
    assert page.figures.parts["best"].value.text() == "0.2"
    assert page.figures.parts["left"].value.text() == "2 min 05 s"
    assert page.figures.parts["memory"].value.text() == "1.5 GB"
    assert page.loss._untrained.isVisible()
    assert page.loss._untrained.value() == pytest.approx(np.log10(0.2))
    assert page.progress.value() == 350
    train(handle, 2, stage="bias", before=12)
    qtbot.waitUntil(lambda: not controller._draw.isActive())
    assert [line.label.format for line in page.loss._stages] == ["Low-rank branch", "Bias"]
    page.view_group.button(1).click()
    assert page.loss_model.rowCount() == 8
    handle.succeed(RESULT)
    run = project.runs[0]
    assert run.state is RunState.DONE
    assert run.result["bytes_lowbit"] == 6_940_000
    # Its closeness to full precision is measured at once.
    score = controller.context.engines.work.submitted[-1]
    assert isinstance(score.job, ScoreJob)
    line = page.runs_model.line(run.id)
    assert page.runs_model.index(line, 9).data() == "measuring"
    score.begin()
    score.succeed({"psnr_fp": 38.94})
    cells = [page.runs_model.index(line, column).data() for column in range(10)]
    assert cells[1:10] == [
        "done", "quantvsr", "W4A4", "quick", "6.94 MB", "84.3 %", "5.03", "0.079", "38.94 dB"
    ]  # fmt: skip
    QAbstractItemModelTester(page.runs_model, QAbstractItemModelTester.FailureReportingMode.Fatal)
    QAbstractItemModelTester(page.loss_model, QAbstractItemModelTester.FailureReportingMode.Fatal)


def test_pause_resume_cancel_continue(controller):
    page, project = controller.page, controller.project
    handle = start(controller)
    page.pause_button.click()
    assert project.runs[0].state is RunState.PAUSED
    assert page.pause_button.text() == "Resume"
    page.pause_button.click()
    assert project.runs[0].state is RunState.RUNNING
    page.cancel_button.click()
    assert project.runs[0].state is RunState.CANCELLED
    assert not page.cancel_button.isVisible()
    assert handle.state == "cancelled"
    page.continue_button.click()
    again = controller.context.engines.work.submitted[-1]
    assert again is not handle
    assert again.job == handle.job
    assert len(project.runs) == 1
    again.begin()
    again.succeed(RESULT)
    assert project.runs[0].state is RunState.DONE


def test_a_snapshot_is_kept_while_the_run_goes_on(qtbot, controller):
    page, project = controller.page, controller.project
    handle = start(controller)
    put_snapshot(controller, 20, 0.11)
    train(handle, 3, snapshot=20)
    assert page.snapshot_model.index(0, 0).data() == "20"
    assert not page.keep_button.isEnabled()
    page.snapshots.view.selectRow(0)
    put_snapshot(controller, 40, 0.09)
    train(handle, 4, snapshot=40)
    assert [page.snapshot_model.index(i, 2).data() for i in range(2)] == ["0.09", "0.11"]
    # What was selected stays selected while others come.
    page.keep_button.click()
    assert handle.state == "cancelled"
    packing = controller.context.engines.work.submitted[-1]
    assert packing.job.stop_at == 20
    assert project.runs[0].extra["kept"] == 20
    packing.begin()
    packing.succeed(RESULT)
    assert project.runs[0].state is RunState.DONE
    line = page.runs_model.line(project.runs[0].id)
    assert page.runs_model.index(line, 4).data() == "quick, stopped at 20"
    # Training can still go on from the newest snapshot.
    assert page.continue_button.isEnabled()
    page.continue_button.click()
    assert controller.context.engines.work.submitted[-1].job.stop_at is None
    assert "kept" not in project.runs[0].extra


def test_a_snapshot_of_a_stopped_run(controller):
    handle = start(controller)
    handle.stop()
    put_snapshot(controller, 20, 0.11)
    controller._show_snapshots()
    controller.page.snapshots.view.selectRow(0)
    controller.page.keep_button.click()
    assert controller.context.engines.work.submitted[-1].job.stop_at == 20


def test_a_failure_is_told_and_can_be_continued(controller):
    page, project = controller.page, controller.project
    handle = start(controller)
    handle.fail("The disk is full; free some space.")
    assert project.runs[0].state is RunState.FAILED
    assert "The disk is full" in page.messages.texts()[0]
    assert page.run_state.text() == "The disk is full; free some space."
    page.continue_button.click()
    assert len(controller.context.engines.work.submitted) == 2


def test_a_crash_is_continued_with_the_same_job(controller):
    project = controller.project
    handle = start(controller)
    handle.fail("The engine crashed.", crashed=True)
    assert project.runs[0].state is RunState.FAILED
    assert controller.page.messages.texts() == []  # the window tells
    assert not controller.page.pause_button.isVisible()
    controller.page.continue_button.click()
    assert controller.context.engines.work.asked == [("retry", handle)]
    assert len(controller.context.engines.work.submitted) == 1
    handle.begin()
    assert project.runs[0].state is RunState.RUNNING
    handle.succeed(RESULT)
    assert project.runs[0].state is RunState.DONE


def test_several_runs_side_by_side(qtbot, controller):
    page, project = controller.page, controller.project
    first = start(controller)
    page.bit_group.button(0).click()
    page.start_button.click()
    assert [run.name for run in project.runs] == ["W4A4 quick", "W8A8 quick"]
    assert project.runs[1].state is RunState.WAITING
    assert controller.shown_id == project.runs[1].id
    train(first, 6, held_out=0.3)  # goes on in the background
    page.runs.view.selectAll()
    assert len(controller._compared()) == 1
    assert "W4A4 quick" in page.key.text()
    assert len(page.loss._others[0].getData()[0]) == 6
    # The row of the other run shows that one.
    page.runs.view.clearSelection()
    line = page.runs_model.line(project.runs[0].id)
    index = page.runs.proxy.mapFromSource(page.runs_model.index(line, 0))
    page.runs.view.selectRow(index.row())
    assert controller.shown_id == project.runs[0].id
    assert page.run_title.text() == "W4A4 quick"
    assert project.view("quantize")["run"] == project.runs[0].id


def test_rename_and_remove(controller):
    page, project = controller.page, controller.project
    handle = start(controller)
    run_id = project.runs[0].id
    assert page.runs_model.setData(page.runs_model.index(0, 0), "My run")
    assert not page.runs_model.setData(page.runs_model.index(0, 0), " ")
    assert not page.runs_model.setData(page.runs_model.index(0, 1), "done")
    assert project.run(run_id).name == "My run"
    assert not page.remove_button.isEnabled()  # it works
    handle.stop()
    put_snapshot(controller, 20, 0.1)
    page.remove_button.click()
    assert project.runs  # asked first
    controller._removed(run_id)
    assert not project.runs
    assert not project.project.run_folder(run_id).exists()
    assert page.main.currentWidget() is page.empty


def test_a_run_that_the_app_left_alone_is_continued(context, open_page):
    first = open_page(context)
    start(first)
    run = context.project.runs[0]
    put_snapshot(first, 20, 0.11)
    first.hidden()
    # As after a crash of the app.
    context.project.update_run(run.id, state=RunState.INTERRUPTED)
    again = open_page(context)
    assert again.shown_id == run.id
    assert again._history(run.id).updates == 20
    assert again.page.run_state.text() == "Interrupted; it can be continued"
    assert again.page.continue_button.isEnabled()
    again.hidden()


def test_a_run_goes_on_while_another_project_is_open(controller, tmp_path):
    project = controller.project
    handle = start(controller)
    folder = project.project.folder
    project.open(Project.create(tmp_path / "other.qvsr", Settings()))
    assert controller.page.main.currentWidget() is controller.page.empty
    train(handle, 3)
    assert not project.runs
    project.open(Project.open(folder))
    assert project.runs[0].state is RunState.RUNNING
    handle.succeed(RESULT)
    assert project.runs[0].state is RunState.DONE


def test_a_measurement_that_fails_leaves_no_figure(controller):
    page, project = controller.page, controller.project
    start(controller).succeed(RESULT)
    assert not page.measure_button.isEnabled()  # it is under way
    score = controller.context.engines.work.submitted[-1]
    score.begin()
    score.fail("walk.mp4 cannot be read; choose another clip.")
    assert "walk.mp4" in page.messages.texts()[0]
    assert page.runs_model.index(0, 9).data() == "–"
    assert "psnr_fp" not in project.runs[0].extra
    page.measure_button.click()
    assert isinstance(controller.context.engines.work.submitted[-1].job, ScoreJob)


def test_narrow_windows_give_the_snapshots_a_turn(qtbot, controller):
    page = controller.page
    start(controller)
    assert not page.view_group.button(2).isVisible()
    page.resize(800, 700)
    qtbot.waitUntil(lambda: page.view_group.button(2).isVisible())
    page.view_group.button(2).click()
    assert page.views.currentWidget() is page.side
    page.resize(1200, 700)
    qtbot.waitUntil(lambda: not page.view_group.button(2).isVisible())
    assert page.views.currentIndex() == 0
    assert page.side.isVisible()


def test_what_goes_with_a_run_is_said(controller, context):
    start(controller).succeed(RESULT)
    run_id = controller.shown_id
    job = RepackJob(checkpoint="c", layer_ranks=(LayerRank("mid.a", 4),))
    trials = [Trial(run_id, number, job).to_json() for number in (1, 2)]
    controller.page.remove_button.click()
    assert controller.page.messages.texts()[-1].endswith(
        " and its checkpoint will be deleted from the project."
    )
    context.project.update_run(run_id, extra={"trials": trials})
    controller.page.remove_button.click()
    said = controller.page.messages.texts()[-1]
    assert said.endswith(", its checkpoint and its trials (2) will be deleted from the project.")

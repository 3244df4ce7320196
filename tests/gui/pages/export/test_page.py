"""The queue: forms that make jobs, states, cancelling, going on. The engine is a stand-in."""

from pathlib import Path

import pytest
from PySide6.QtCore import Qt

from quantvsr.jobs import DeliverJob, QuantizeJob, ReportJob, SideBySideJob, UpscaleJob
from quantvsr.project import ClipEntry, RunState
from quantvsr_gui.pages.export.controller import ExportController
from quantvsr_gui.pages.export.kinds import CODECS, CONTAINERS, KINDS, RATED
from quantvsr_gui.pages.export.page import ExportPage


@pytest.fixture
def clip(tmp_path):
    return ClipEntry(str(tmp_path / "my clip.mkv"), start=2, stop=10, gt=str(tmp_path / "gt.mkv"))


@pytest.fixture
def page(qtbot, context, clip, tmp_path):
    """The page of a project with a clip and a finished run."""
    folder = tmp_path / "run"
    context.project.change("add a clip", clips=(clip,))
    context.project.add_run("w4a4-1", "W4A4", QuantizeJob(out=str(folder)))
    result = {"checkpoint": str(folder / "checkpoint.safetensors"), "loss_last": 0.5, "loss_first": 0.9}
    context.project.update_run("w4a4-1", state=RunState.DONE, result=result)
    shown = []
    made = ExportController(ExportPage(), context, shown.append)
    made.shown_folders = shown
    qtbot.addWidget(made.page)
    made.page.resize(1000, 700)
    made.page.show()
    qtbot.waitExposed(made.page)
    yield made
    made.page.close()


def choose(page, kind):
    page.view.kind.setCurrentIndex(page.view.kind.findData(kind))


def add(page):
    page.add()
    handle = page.context.engines.work.submitted[-1]
    return handle, page.context.project.exports[-1]


def row(page):
    return list(page.queue.rows.values())[-1]


def test_containers_are_those_the_engine_writes():
    from quantvsr.media import codecs

    written = {name: tuple(codec.containers) for name, codec in codecs.CODECS.items() if codec.encoder}
    assert {name: set(endings) for name, endings in CONTAINERS.items()} == {
        name: set(endings) for name, endings in written.items()
    }
    assert all(CONTAINERS[name][0] == endings[0] for name, endings in written.items())
    assert set(CODECS) == set(CONTAINERS)
    # Quality changes the options of just these.
    rated = {name for name, codec in codecs.CODECS.items() if codec.options(4) != codec.options(40)}
    assert set(RATED) == rated


def test_the_newest_run_is_offered_with_a_free_name(page, clip):
    job = page.job()
    assert isinstance(job, UpscaleJob)
    folder = page.context.project.project.exports
    assert job.out == str(folder / "my-clip_W4A4_x4.mp4")
    assert job.checkpoint.endswith("checkpoint.safetensors")
    assert (job.clip, job.start, job.frames, job.streams) == (clip.path, 2, 8, True)
    add(page)
    assert page.job().out == str(folder / "my-clip_W4A4_x4_2.mp4")


def test_a_run_finished_later_is_offered_unless_another_was_chosen(page, tmp_path):
    project = page.context.project

    def finish(name):
        project.add_run(name, name, QuantizeJob(out=str(tmp_path / name)))
        result = {"checkpoint": str(tmp_path / name / "checkpoint.safetensors")}
        project.update_run(name, state=RunState.DONE, result=result)

    finish("later")
    assert Path(page.job().checkpoint).parent.name == "later"
    choice = page.view.versions[0]
    choice.setCurrentIndex(choice.findData("fp"))
    finish("last")
    assert page.job().checkpoint is None


def test_the_focus_stays_on_pause_and_resume(page, qtbot):
    handle, _ = add(page)
    handle.begin()
    buttons = row(page).buttons
    buttons["pause"].setFocus()
    for name in ("resume", "pause"):
        qtbot.keyClick(page.page.window().focusWidget(), Qt.Key.Key_Space)
        assert buttons[name].hasFocus()


def test_what_it_takes_is_said_before_it_is_started(page, qtbot):
    page.shown()
    preview = page.context.engines.preview
    page.estimate._later.setInterval(0)
    choose(page, "side")
    qtbot.waitUntil(lambda: bool(preview.submitted))
    handle = preview.submitted[-1]
    assert isinstance(handle.job.asked(), SideBySideJob)
    answer = {"seconds": 200.0, "memory": 1.2e9, "disk": 4.5e7, "advice": []}
    handle.succeed(answer)
    assert page.view.estimate.text() == "Takes about 3 min, 1.2 GB of memory and 45 MB on the disk."
    # A checkpoint is copied in no time.
    choose(page, "checkpoint")
    assert not page.view.estimate.isVisible()
    page.hidden()
    choose(page, "video")
    assert not page.view.estimate.isVisible()


def test_full_precision_in_another_codec(page):
    view = page.view
    view.versions[0].setCurrentIndex(view.versions[0].findData("fp"))
    view.codec.setCurrentIndex(view.codec.findData("av1"))
    view.container.setCurrentIndex(view.container.findData(".webm"))
    view.quality.setValue(30)
    view.sound.setChecked(False)
    job = page.job()
    assert (job.checkpoint, job.codec, job.quality, job.streams) == (None, "av1", 30, False)
    assert job.out.endswith("my-clip_full-precision_x4.webm")
    view.codec.setCurrentIndex(view.codec.findData("ffv1"))
    assert page.job().out.endswith(".mkv")
    assert not view.quality.isVisible()


def test_side_by_side_takes_up_to_four(page, clip):
    choose(page, "side")
    job = page.job()
    assert isinstance(job, SideBySideJob)
    assert job.versions[:2] == ("lq", "fp")
    assert len(job.versions) == 4
    assert job.labels[0] == "Low-quality input"
    assert job.gt == clip.gt
    for choice in page.view.versions[2:]:
        choice.setCurrentIndex(0)
    assert page.job().versions == ("lq", "fp")
    page.view.versions[1].setCurrentIndex(page.view.versions[1].findData("lq"))
    assert "two to four" in page.view.problem.text()
    assert not page.view.add_button.isEnabled()


def test_a_checkpoint_takes_the_measured_figures_with_it(page):
    page.context.project.update_run("w4a4-1", extra={"psnr_fp": 34.5, "figures": {"note": "x"}})
    choose(page, "checkpoint")
    job = page.job()
    assert isinstance(job, DeliverJob)
    assert job.measured() == {"psnr_fp": 34.5, "loss_first": 0.9, "loss_last": 0.5}
    assert job.out.endswith("p_W4A4.safetensors")
    assert not page.view.clip.isVisible()
    assert page.view.run.isVisible()


def test_pictures_and_report(page):
    choose(page, "images")
    job = page.job()
    assert (job.codec, Path(job.out).suffix) == ("png", "")
    choose(page, "report")
    job = page.job()
    assert isinstance(job, ReportJob)
    project = page.context.project.project
    assert job.folder == str(project.folder)
    assert job.out.endswith("p_report.html")
    add(page)
    assert "w4a4-1" in (project.folder / "project.json").read_text()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_command_and_a_row(page, kind):
    choose(page, kind)
    assert page.job().command().startswith("quantvsr ")
    add(page)
    assert row(page).title.text().startswith(KINDS[kind].title)
    page.page.grab()


def test_without_a_run_there_is_no_checkpoint(page):
    page.context.project.remove_run("w4a4-1")
    choose(page, "checkpoint")
    assert "quantize first" in page.view.problem.text()


def test_an_existing_file_is_not_replaced_unasked(page, tmp_path):
    (tmp_path / "there.mp4").write_bytes(b"x")
    page.view.out.setText(str(tmp_path / "there.mp4"))
    page._typed("x")
    assert "exists already" in page.view.problem.text()
    page.view.overwrite.setChecked(True)
    assert page.view.problem.text() == ""
    assert page.job().overwrite


def test_an_export_from_waiting_to_done(page, qtbot):
    handle, record = add(page)
    assert record.state is RunState.WAITING
    assert row(page).state.text() == "Waiting"
    handle.begin()
    handle.report(0.25, "upscale", "frame 2 of 8")
    assert row(page).message.text().startswith("25%   frame 2 of 8")
    assert row(page).bar.value() == 250
    page.queue.ask(record.id, "pause")
    assert page.context.project.exports[0].state is RunState.PAUSED
    assert not row(page).buttons["resume"].isHidden()
    assert row(page).buttons["pause"].isHidden()
    page.queue.ask(record.id, "resume")
    result = {
        "out": record.job["settings"]["out"], "frames": 8, "width": 384, "height": 256, "duration": 0.32,
        "resumed": 0, "warnings": ["The cover picture is left out."],
    }  # fmt: skip
    handle.succeed(result)
    done = page.context.project.exports[0]
    assert done.state is RunState.DONE
    assert "8 frames of 384x256, 0.32 s, counted in the file" in row(page).message.text()
    assert "cover picture" in row(page).message.text()
    qtbot.mouseClick(row(page).buttons["reveal"], Qt.MouseButton.LeftButton)
    assert page.shown_folders == [Path(result["out"])]
    page.queue.clear_finished()
    assert page.context.project.exports == ()
    assert page.view.empty.isVisible()


def test_time_left_counts_from_where_it_began(page, monkeypatch):
    from quantvsr_gui.pages.export import queue

    now = [100.0]
    monkeypatch.setattr(queue.time, "monotonic", lambda: now[0])
    handle, _ = add(page)
    handle.begin()
    handle.report(0.5, "upscale", "going on at frame 5")
    now[0] += 10
    handle.report(0.6, "upscale", "frame 6")
    assert "40 s left" in row(page).message.text()


def test_a_failed_export_is_retried_and_a_cancelled_one_keeps_its_parts(page):
    handle, record = add(page)
    handle.begin()
    handle.fail("The engine stopped unexpectedly.", crashed=True)
    assert row(page).state.text() == "Failed"
    assert row(page).message.text() == "The engine stopped unexpectedly."
    page.queue.ask(record.id, "retry")
    assert ("retry", handle) in page.context.engines.work.asked
    assert page.context.project.exports[0].state is RunState.WAITING
    handle.begin()
    parts = Path(record.job["settings"]["out"] + ".parts")
    parts.mkdir(parents=True)
    (parts / "plan.json").write_text("{}")
    page.queue.ask(record.id, "cancel")
    assert row(page).state.text() == "Cancelled"
    assert "Retry goes on" in row(page).message.text()
    page.queue.ask(record.id, "remove")
    assert not parts.exists()
    assert page.context.project.exports == ()


def test_an_interrupted_export_of_yesterday_can_go_on(page, qtbot, context):
    _, record = add(page)
    context.project.update_export(record.id, state=RunState.INTERRUPTED)
    again = ExportController(ExportPage(), context)
    qtbot.addWidget(again.page)
    assert again.queue.rows[record.id].state.text() == "Interrupted"
    again.queue.ask(record.id, "retry")
    assert context.engines.work.submitted[-1].job == record.request()


def test_results_that_came_while_another_project_is_open_do_no_harm(page, context, tmp_path):
    from quantvsr.project import Project

    handle, record = add(page)
    context.project.open(Project.create(tmp_path / "other.qvsr"))
    assert ("cancel", handle) in context.engines.work.asked
    # The other project has an export of the same id.
    context.project.add_export(record.id, "other", UpscaleJob(clip="x"))
    handle.begin()
    handle.report(0.5, "", "late")
    handle.succeed({"out": "x", "frames": 1, "width": 1, "height": 1, "duration": 1.0, "resumed": 0})
    assert [export.state for export in context.project.exports] == [RunState.WAITING]


def test_a_dropped_folder_is_where_it_goes(page, tmp_path):
    name = Path(page.view.out.text()).name
    page._dropped([tmp_path])
    assert page.view.out.text() == str(tmp_path / name)
    page.view.codec.setCurrentIndex(page.view.codec.findData("ffv1"))
    assert page.view.out.text() == str((tmp_path / name).with_suffix(".mkv"))

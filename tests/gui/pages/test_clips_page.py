"""The Clips page: adding, ranges, ticks, amounts; with a stand-in engine and once with the real one."""

from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QAbstractItemModelTester
from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot

from quantvsr.jobs import ProbeJob
from quantvsr.project import ClipEntry, Project
from quantvsr.resources import resource
from quantvsr_gui.engine import Engines
from quantvsr_gui.pages.base import Context
from quantvsr_gui.pages.clips import build
from quantvsr_gui.pages.clips.controller import ClipsController
from quantvsr_gui.pages.clips.model import LENGTH, NAME, NOTES, USED, ClipFacts, ClipsModel

INFO = {
    "width": 96,
    "height": 64,
    "frames": 24,
    "duration": 1.0,
    "codec": "h264",
    "bit_depth": 8,
    "warnings": ["the frame rate varies"],
}


@pytest.fixture
def controller(context: Context, qtbot: QtBot) -> ClipsController:
    made = build(context)
    qtbot.addWidget(made.page)
    made.page.resize(1000, 700)
    made.page.show()
    return made


def reply(controller: ClipsController, *clips: dict[str, Any]) -> None:
    handle = controller.context.engines.preview.submitted[-1]  # type: ignore[attr-defined]
    assert isinstance(handle.job, ProbeJob)
    handle.begin()
    handle.succeed({"clips": list(clips)})


def good(path: str, **changes: Any) -> dict[str, Any]:
    return {"path": path, "info": {**INFO, **changes}, "pictures": [], "gt": None}


@pytest.fixture
def ready(controller: ClipsController) -> ClipsController:
    controller.add([Path("/a.mp4"), Path("/b.mp4")])
    reply(controller, good("/a.mp4"), good("/b.mp4", frames=10))
    return controller


def cell(controller: ClipsController, row: int, column: int) -> str:
    return controller.clips.index(row, column).data()


def test_without_clips_the_page_says_what_to_do(controller: ClipsController) -> None:
    assert controller.view.empty.isVisible()
    assert not controller.view.table.isVisible()


def test_clips_that_can_be_read_are_added_at_once_and_the_others_explained(
    controller: ClipsController,
) -> None:
    controller.add([Path("/a.mp4"), Path("/cat.txt")])
    bad = {"path": "/cat.txt", "error": "/cat.txt cannot be opened as a video.", "gt": None}
    reply(controller, good("/a.mp4") | {"gt": "/a_gt.mp4"}, bad)
    assert controller.context.project.settings.clips == (ClipEntry("/a.mp4", gt="/a_gt.mp4"),)
    assert controller.page.messages.texts() == ["/cat.txt cannot be opened as a video."]
    assert cell(controller, 0, LENGTH) == "24 frames, 1 s"
    assert cell(controller, 0, NOTES) == "the frame rate varies"
    assert controller.view.table.isVisible()


def test_the_empty_page_has_its_buttons_once(controller: ClipsController) -> None:
    shown = [button.text() for button in controller.page.findChildren(QPushButton) if button.isVisible()]
    assert shown.count("Add files…") == 1
    controller.add([Path("/a.mp4")])
    reply(controller, good("/a.mp4"))
    shown = [button.text() for button in controller.page.findChildren(QPushButton) if button.isVisible()]
    assert shown.count("Add files…") == 1


def test_a_clip_that_was_added_is_selected_and_others_named(ready: ClipsController) -> None:
    ready.add([Path("/c.mp4"), Path("/cat.txt"), Path("/dog.txt")])
    bad = [
        {"path": f"/{name}.txt", "error": f"/{name}.txt is no video.", "gt": None} for name in ("cat", "dog")
    ]
    reply(ready, good("/c.mp4"), *bad)
    assert ready.view.range_card.note.text() == "24 of 24 frames of c.mp4."
    assert ready.page.messages.texts() == ["/cat.txt is no video. Also left out: dog.txt."]


def test_adding_can_be_undone_and_a_clip_is_there_once(ready: ClipsController) -> None:
    ready.add([Path("/a.mp4")])
    assert len(ready.context.engines.preview.submitted) == 1  # type: ignore[attr-defined]
    ready.context.project.undo_stack.undo()
    assert ready.clips.rowCount() == 0
    ready.context.project.undo_stack.redo()
    assert ready.clips.rowCount() == 2


def test_the_range_of_the_selected_clip_is_edited(ready: ClipsController) -> None:
    ready.view.table.view.selectRow(0)
    card = ready.view.range_card
    assert (card.first.value(), card.last.value(), card.last.maximum()) == (1, 24, 24)
    card.first.setValue(5)
    card.last.setValue(12)
    clip = ready.context.project.settings.clips[0]
    assert (clip.start, clip.stop, cell(ready, 0, USED)) == (4, 12, "5 to 12")
    assert card.note.text().startswith("8 of 24 frames of a.mp4.")
    # A range without frames is refused and the boxes show what holds.
    card.first.setValue(13)
    assert "holds no frame" in ready.page.messages.texts()[0]
    assert card.first.value() == 5
    card.whole_button.click()
    assert cell(ready, 0, USED) == "all"
    # Both edits of the range were one.
    ready.context.project.undo_stack.undo()
    ready.context.project.undo_stack.undo()
    assert cell(ready, 0, USED) == "all"


def test_a_range_up_to_the_last_frame_is_open(ready: ClipsController) -> None:
    ready.view.table.view.selectRow(0)
    ready.view.range_card.last.setValue(12)
    ready.view.range_card.last.setValue(24)
    assert ready.context.project.settings.clips[0].stop is None


def test_clips_can_be_left_out_of_learning(ready: ClipsController) -> None:
    box = Qt.ItemDataRole.CheckStateRole
    for row in range(2):
        assert ready.clips.setData(ready.clips.index(row, NAME), Qt.CheckState.Unchecked.value, box)
    assert ready.context.project.settings.learning_clips() == ()
    assert "tick at least one" in ready.view.amounts.sum.text()


def test_selected_clips_are_removed(ready: ClipsController) -> None:
    ready.view.table.view.selectRow(1)
    ready.view.remove_button.click()
    assert [clip.path for clip in ready.context.project.settings.clips] == ["/a.mp4"]


def test_amounts_follow_the_preset_until_they_are_changed(ready: ClipsController) -> None:
    amounts, project = ready.view.amounts, ready.context.project
    assert (amounts.samples.value(), amounts.crop.value()) == (24, 32)
    assert not amounts.reset_button.isVisible()
    amounts.samples.setValue(40)
    assert project.settings.samples == 40
    amounts.reset_button.click()
    assert (project.settings.samples, amounts.samples.value()) == (None, 24)
    amounts.preset.setCurrentText("Standard")
    amounts.preset.activated.emit(amounts.preset.currentIndex())
    assert (project.settings.preset, amounts.samples.value()) == ("standard", 96)


def test_a_missing_clip_of_a_project_is_explained_in_its_line(context: Context, qtbot: QtBot) -> None:
    context.project.change("add", clips=(ClipEntry("/gone.mp4"),))
    controller = build(context)
    qtbot.addWidget(controller.page)
    assert cell(controller, 0, NOTES) == "looking…"
    reply(controller, {"path": "/gone.mp4", "error": "/gone.mp4 does not exist; check the path.", "gt": None})
    assert cell(controller, 0, NOTES) == "/gone.mp4 does not exist; check the path."


def test_a_project_open_for_reading_has_pictures_too(context: Context, qtbot: QtBot, tmp_path: Path) -> None:
    project = context.project.project
    assert project is not None
    context.project.change("add", clips=(ClipEntry("/a.mp4"),))
    context.project.close()
    context.project.open(Project.open(project.folder, read_only=True))
    controller = build(context)
    qtbot.addWidget(controller.page)
    job = context.engines.preview.submitted[-1].job  # type: ignore[attr-defined]
    assert Path(job.thumbnails).is_dir()
    assert not Path(job.thumbnails).is_relative_to(project.folder)


def test_the_table_model_keeps_qts_rules(qtbot: QtBot) -> None:
    model = ClipsModel()
    QAbstractItemModelTester(model, QAbstractItemModelTester.FailureReportingMode.Fatal)
    model.set_clips([ClipEntry("/a.mp4"), ClipEntry("/b.mp4")])
    model.set_facts("/a.mp4", ClipFacts(INFO))
    model.set_clips([ClipEntry("/a.mp4", 2, 5), ClipEntry("/b.mp4")])
    model.set_clips([])


def test_the_real_engine_looks_at_clips_and_makes_thumbnails(
    open_window, qtbot: QtBot, tmp_path: Path
) -> None:
    window = open_window(Engines())
    window.projects.new(tmp_path / "p.qvsr")
    window.show_step("clips")
    controller = window.controller("clips")
    controller.add([resource("clips") / "garden_lq.mkv", tmp_path / "gone.mp4"])
    qtbot.waitUntil(lambda: controller.clips.rowCount() == 1, timeout=90_000)
    assert "gone.mp4 does not exist" in controller.page.messages.texts()[0]
    facts = controller.clips.facts(str(resource("clips") / "garden_lq.mkv"))
    assert facts.frames == 24
    assert len(facts.pictures) == 8
    assert all(Path(path).is_file() for path in facts.pictures)
    icon = controller.clips.index(0, NAME).data(Qt.ItemDataRole.DecorationRole)
    assert icon.availableSizes()[0].width() >= 96
    gt = window.project.settings.clips[0].gt
    assert gt == str(resource("clips") / "garden_gt.mp4")

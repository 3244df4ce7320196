"""Device and sampling steps: chosen on the Model page, used by every job, replaced when a GPU is gone."""

from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QPushButton
from pytestqt.qtbot import QtBot

from fake_engine import FakeEngine
from quantvsr.jobs import InfoJob
from quantvsr.project import Project, Settings
from quantvsr.project.requests import analyze_job, quantize_job
from quantvsr_gui.pages.base import Context
from quantvsr_gui.pages.model.running import RunningControl, RunningForm
from quantvsr_gui.widgets.banner import Messages

H200 = {"name": "H200", "device": "cuda:0", "memory": 150e9}
SECOND = {"name": "H200", "device": "cuda:1", "memory": 150e9}


class Running:
    """The form with its control, and the engine's answers."""

    def __init__(self, context: Context) -> None:
        self.project = context.project
        self.engines = context.engines
        self.preview: FakeEngine = context.engines.preview  # type: ignore[assignment]
        self.form, self.messages = RunningForm(), Messages()
        self.control = RunningControl(self.form, context.project, context.engines, self.messages, self.form)

    def answer(self, *gpus: dict[str, Any]) -> None:
        self.control.ask()
        handle = self.preview.submitted[-1]
        assert isinstance(handle.job, InfoJob)
        handle.begin()
        handle.succeed({"gpus": list(gpus)})

    def devices(self) -> list[str]:
        return [str(self.form.device.itemData(i)) for i in range(self.form.device.count())]

    def choose(self, device: str) -> None:
        self.form.device.setCurrentIndex(self.form.device.findData(device))
        self.form.device.activated.emit(self.form.device.currentIndex())


@pytest.fixture
def running(context: Context, qtbot: QtBot) -> Running:
    made = Running(context)
    qtbot.addWidget(made.form)
    return made


def test_the_engines_gpus_can_be_chosen_and_undone(running: Running) -> None:
    assert running.devices() == ["auto", "cpu"]
    assert running.form.note.text() == ""
    running.answer(H200, SECOND)
    assert running.devices() == ["auto", "cpu", "cuda:0", "cuda:1"]
    assert running.form.note.text() == "Automatic takes H200 (150 GB, cuda:0)."
    running.choose("cuda:1")
    assert running.project.settings.device == "cuda:1"
    assert running.form.note.text() == ""
    running.project.undo_stack.undo()
    assert running.project.settings.device == "auto"
    assert running.form.device.currentData() == "auto"


def test_without_a_gpu_it_is_said_what_automatic_takes(running: Running) -> None:
    running.answer()
    assert running.form.note.text() == "Automatic takes the processor: no GPU was found."


def test_the_devices_are_asked_for_once(running: Running) -> None:
    running.answer()
    running.control.ask()
    assert len(running.preview.submitted) == 1


def test_steps_are_the_models_own_or_a_number(running: Running) -> None:
    assert not running.form.steps.isEnabled()
    running.control.set_own_steps(4)
    assert running.form.steps.isEnabled()
    assert (running.form.steps.text(), running.form.note.text()) == ("4", "")
    running.form.steps.setValue(8)
    assert (running.form.steps.text(), running.form.note.text()) == ("8", "The model itself takes 4 steps.")
    assert running.project.settings.steps == 8
    running.form.steps.setValue(9)
    # Edits in a row are undone at once.
    running.project.undo_stack.undo()
    assert running.project.settings.steps is None
    assert running.form.steps.value() == 4
    running.form.steps.setValue(5)
    running.form.steps.setValue(4)
    assert running.project.settings.steps is None


def test_a_number_is_typed_where_the_box_is_clicked(running: Running, qtbot: QtBot) -> None:
    running.control.set_own_steps(4)
    box = running.form.steps
    running.form.show()
    qtbot.mouseClick(box.lineEdit(), Qt.MouseButton.LeftButton)
    qtbot.keyClicks(box.lineEdit(), "0")
    qtbot.keyClick(box, Qt.Key.Key_Return)
    assert running.project.settings.steps == 40


def test_both_are_saved_and_reach_the_jobs(running: Running, tmp_path: Path) -> None:
    running.choose("cpu")
    running.form.steps.setValue(7)
    running.project.save()
    project = running.project.project
    assert project is not None
    kept = Project.open(project.folder, read_only=True).content.settings
    assert (kept.device, kept.steps) == ("cpu", 7)
    for job in (analyze_job(kept, tmp_path), quantize_job(kept, tmp_path)):
        assert "--device cpu" in job.command()
        assert "--steps 7" in job.command()


def test_a_gpu_that_is_not_there_is_replaced_and_said(running: Running) -> None:
    running.project.change("choose", device="cuda:1")
    # Before the engine has answered nobody knows.
    assert running.devices() == ["auto", "cpu", "cuda:1"]
    running.answer(H200)
    assert running.project.settings.device == "auto"
    assert running.messages.texts() == [
        "The GPU cuda:1 of this project is not there; H200 (150 GB, cuda:0) is used instead."
    ]
    running.choose("cpu")
    assert running.messages.texts() == []


def test_undo_brings_a_missing_gpu_back_with_its_remedy(running: Running) -> None:
    running.project.change("choose", device="cuda:1")
    running.answer()
    running.project.undo_stack.undo()
    assert running.project.settings.device == "cuda:1"
    assert running.messages.texts() == ["The GPU cuda:1 of this project is not there."]
    running.project.undo_stack.redo()
    assert running.messages.texts() == []
    running.project.undo_stack.undo()
    buttons = running.messages.findChildren(QPushButton)
    next(each for each in buttons if each.text() == "Use the processor").click()
    assert running.project.settings.device == "auto"
    assert running.messages.texts() == [
        "The GPU cuda:1 of this project is not there; the processor is used instead."
    ]


def test_the_first_gpu_by_its_short_name_stays(running: Running) -> None:
    running.project.change("choose", device="cuda")
    running.answer(H200)
    assert running.project.settings.device == "cuda"


def test_after_a_crash_the_gpus_are_looked_for_again(running: Running, qtbot: QtBot) -> None:
    running.answer(H200)
    running.choose("cuda:0")
    running.engines.work.crashed.emit(None, "The engine ended with code 1. CUDA error")
    qtbot.waitUntil(lambda: len(running.preview.submitted) == 2)
    running.answer()
    assert running.project.settings.device == "auto"
    assert "the processor is used instead" in running.messages.texts()[0]


def test_the_process_that_has_seen_the_gpu_is_not_asked(running: Running, qtbot: QtBot) -> None:
    running.answer(H200)
    running.preview.process_id = 7
    running.engines.work.crashed.emit(None, "The engine ended with code 1. CUDA error")
    running.preview.changed.emit()
    QApplication.processEvents()
    # It would take the question along.
    assert len(running.preview.submitted) == 1
    running.preview.process_id = 0
    running.preview.changed.emit()
    qtbot.waitUntil(lambda: len(running.preview.submitted) == 2)
    running.preview.changed.emit()
    QApplication.processEvents()
    assert len(running.preview.submitted) == 2


def test_another_project_with_a_missing_gpu_is_told_at_once(running: Running, tmp_path: Path) -> None:
    running.answer()
    other = Project.create(tmp_path / "other.qvsr", Settings(device="cuda"))
    running.project.open(other)
    assert running.project.settings.device == "auto"
    assert len(running.messages.texts()) == 1

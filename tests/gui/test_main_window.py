"""The first window: all steps are there, it opens fast, closing it ends the engine."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel
from pytestqt.qtbot import QtBot

from quantvsr import __version__
from quantvsr.jobs.base import job_types
from quantvsr_gui.engine import Engine
from quantvsr_gui.main_window import MainWindow
from quantvsr_gui.steps import STEPS


@pytest.fixture
def window(qtbot: QtBot, tmp_path: Path) -> MainWindow:
    made = MainWindow(tmp_path / "none")
    qtbot.addWidget(made)
    made.show()
    qtbot.waitExposed(made)
    return made


def test_the_rail_has_all_steps_in_order(window: MainWindow) -> None:
    titles = [window.rail.item(row).text() for row in range(window.rail.count())]
    assert titles == ["Model", "Clips", "Complexity", "Quantize", "Compare", "Export"]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.key)
def test_each_step_opens_its_page(window: MainWindow, step) -> None:
    window.show_step(step.key)
    page = window.pages.currentWidget()
    assert page.objectName() == f"page-{step.key}"
    texts = [label.text() for label in page.findChildren(QLabel)]
    assert step.title in texts
    assert step.summary in texts


@pytest.mark.parametrize("step", [step for step in STEPS if step.key != "compare"], ids=lambda step: step.key)
def test_an_empty_page_says_what_it_will_show_and_what_works_today(window: MainWindow, step) -> None:
    window.show_step(step.key)
    texts = [label.text() for label in window.pages.currentWidget().findChildren(QLabel)]
    assert "This page is empty for now. It will show:" in texts
    for shown in step.shows:
        assert f"•  {shown}" in texts
    if step.job:
        assert job_types()[step.job].example in texts


def test_the_rail_works_with_the_keyboard(window: MainWindow, qtbot: QtBot) -> None:
    window.show_step("model")
    window.rail.setFocus()
    qtbot.keyClick(window.rail, Qt.Key.Key_Down)
    assert window.pages.currentWidget().objectName() == "page-clips"


def test_the_window_names_itself_and_its_version(window: MainWindow) -> None:
    assert window.windowTitle() == "QuantVSR Studio"
    assert f"Version {__version__}" in [label.text() for label in window.findChildren(QLabel)]


def test_nothing_is_cut_off_at_the_smallest_size(qtbot: QtBot, results_folder: Path) -> None:
    window = MainWindow(results_folder)
    qtbot.addWidget(window)
    window.show()
    qtbot.waitExposed(window)
    hint = window.minimumSizeHint()
    assert hint.width() <= window.minimumWidth()
    assert hint.height() <= window.minimumHeight()


def test_closing_the_window_ends_the_engine(
    qtbot: QtBot, engine_of: Callable[[str], Engine], tmp_path: Path
) -> None:
    engine = engine_of('print(json.dumps({"fraction": 0.1}), flush=True); time.sleep(60)')
    window = MainWindow(tmp_path / "none", engine)
    qtbot.addWidget(window)
    window.show()
    with qtbot.waitSignal(engine.progressed, timeout=20_000):
        window.compare.run_demo()
    assert engine.running
    window.close()
    assert not engine.running


def test_the_window_opens_fast(tmp_path: Path) -> None:
    # Processor time, not the clock: a busy machine must not fail this.
    code = """
import sys, time
from pathlib import Path
from quantvsr_gui.app import make_application
from quantvsr_gui.main_window import MainWindow
app = make_application(["test"])
window = MainWindow(Path(sys.argv[1]))
window.show()
app.processEvents()
assert not window.windowIcon().isNull()
print(time.process_time())
window.close()
"""
    command = [sys.executable, "-c", code, str(tmp_path / "none")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 1.5

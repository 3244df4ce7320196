"""The Compare page: the last demo's pictures and figures, and running a new one."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel
from pytestqt.qtbot import QtBot

from quantvsr.cli import job_from_arguments
from quantvsr_gui.compare_controller import CompareController
from quantvsr_gui.compare_page import ComparePage, Side
from quantvsr_gui.engine import Engine
from quantvsr_gui.steps import STEPS

EngineOf = Callable[[str], Engine]
STEP = next(step for step in STEPS if step.key == "compare")
WAITING = """
print(json.dumps({"fraction": 0.4, "stage": "refine", "message": "step 4 of 10"}), flush=True)
for line in sys.stdin:
    sys.exit(130)
"""


@pytest.fixture
def open_page(qtbot: QtBot) -> Callable[[Engine, Path], tuple[ComparePage, CompareController]]:
    def open_(engine: Engine, folder: Path) -> tuple[ComparePage, CompareController]:
        page = ComparePage(STEP)
        qtbot.addWidget(page)
        controller = CompareController(page, engine, folder)
        page.resize(900, 700)
        page.show()
        qtbot.waitExposed(page)
        return page, controller

    return open_


def middle(side: Side) -> str:
    """The colour in the middle of a picture as it is drawn."""
    image = side.view.grab().toImage()
    return image.pixelColor(image.width() // 2, image.height() // 2).name()


def test_without_results_the_page_says_so(open_page, engine_of: EngineOf, tmp_path: Path) -> None:
    page, _ = open_page(engine_of(""), tmp_path / "none")
    assert page.empty.isVisible()
    assert not page.comparison.isVisible()
    assert page.run_button.text() == "Run the demo"
    assert page.status.text() == ""
    assert "Nothing to compare yet." in [label.text() for label in page.empty.findChildren(QLabel)]


def test_both_versions_of_the_chosen_frame_are_drawn(open_page, engine_of: EngineOf, results_folder) -> None:
    page, _ = open_page(engine_of(""), results_folder)
    assert page.comparison.isVisible()
    assert (middle(page.left), middle(page.right)) == ("#ff0000", "#008000")
    assert page.frame_label.text() == "Frame 1 of 3"
    page.slider.setValue(2)
    assert page.frame_label.text() == "Frame 3 of 3"
    assert middle(page.left) != "#ff0000"
    page.right.choice.setCurrentIndex(page.right.choice.findData("fp"))
    assert middle(page.left) == middle(page.right)


def test_figures_are_shown_with_the_bits_by_name(open_page, engine_of: EngineOf, results_folder) -> None:
    page, _ = open_page(engine_of(""), results_folder)
    texts = page.figures.texts()
    assert texts[:4] == ["", "Full precision", "W4A4, refined", "W4A4, min-max"]
    assert texts[4:8] == ["PSNR to ground truth", "27.12 dB", "26.95 dB", "22.30 dB"]


def test_a_damaged_frame_is_named_instead_of_drawn(open_page, engine_of: EngineOf, results_folder) -> None:
    (results_folder / "frames" / "fp" / "00001.png").write_bytes(b"no picture")
    page, _ = open_page(engine_of(""), results_folder)
    page.slider.setValue(1)
    assert page.left.view.accessibleDescription() == "00001.png cannot be read"
    assert page.right.view.accessibleDescription() == "32 x 24"


def test_damaged_results_are_explained(open_page, engine_of: EngineOf, results_folder: Path) -> None:
    (results_folder / "metrics.json").write_text("{")
    page, _ = open_page(engine_of(""), results_folder)
    assert "metrics.json" in page.status.text()
    assert page.empty.isVisible()


def test_running_shows_progress_and_then_the_results(
    qtbot: QtBot, open_page, engine_of: EngineOf, results_folder: Path
) -> None:
    later = results_folder.rename(results_folder.with_name("elsewhere"))
    engine = engine_of(f"""
import os
print(json.dumps({{"fraction": 0.4, "stage": "refine", "message": "step 4 of 10"}}), flush=True)
sys.stdin.readline()
os.rename({str(later)!r}, {str(results_folder)!r})
print(json.dumps({{"result": {{}}}}), flush=True)
""")
    page, _ = open_page(engine, results_folder)
    with qtbot.waitSignal(engine.progressed, timeout=20_000):
        qtbot.mouseClick(page.run_button, Qt.MouseButton.LeftButton)
        assert not page.run_button.isEnabled()
        assert page.cancel_button.isVisible()
    assert page.progress.value() == 400
    assert page.status.text().startswith("refine: step 4 of 10 (")
    with qtbot.waitSignal(engine.succeeded, timeout=20_000):
        engine._process.write(b"go on\n")
    assert page.comparison.isVisible()
    assert page.run_button.isEnabled()
    assert not page.cancel_button.isVisible()
    assert not page.progress.isVisible()
    assert page.status.text().startswith("Done in ")
    assert str(results_folder) in page.status.text()


def test_cancel_keeps_the_last_results(qtbot: QtBot, open_page, engine_of: EngineOf, results_folder) -> None:
    engine = engine_of(WAITING)
    page, _ = open_page(engine, results_folder)
    with qtbot.waitSignal(engine.progressed, timeout=20_000):
        page.run_button.click()
    with qtbot.waitSignal(engine.cancelled, timeout=20_000):
        page.cancel_button.click()
        assert page.status.text().startswith("Cancelling")
    assert page.status.text() == "Cancelled."
    assert page.run_button.isEnabled()
    assert page.comparison.isVisible()


def test_a_failure_is_shown_and_the_demo_can_be_run_again(
    qtbot: QtBot, open_page, engine_of: EngineOf, tmp_path: Path
) -> None:
    engine = engine_of('print(json.dumps({"error": "The disk is full.", "exit_code": 3}))')
    page, _ = open_page(engine, tmp_path / "none")
    with qtbot.waitSignal(engine.failed, timeout=20_000):
        page.run_button.click()
    assert page.status.text() == "The disk is full."
    assert page.status.objectName() == "alert"
    assert page.run_button.isEnabled()


def test_the_demo_is_a_command_that_the_engine_knows(open_page, engine_of: EngineOf, tmp_path: Path) -> None:
    _, controller = open_page(engine_of(""), tmp_path / "a folder")
    job, _ = job_from_arguments(controller.arguments())
    assert job.name == "demo"
    assert job.to_json()["settings"]["out"] == str(tmp_path / "a folder")

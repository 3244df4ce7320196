"""The main window: all steps are there, pages open, closing ends everything."""

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel
from pytestqt.qtbot import QtBot

from quantvsr_gui.pages.steps import STEPS


def test_the_rail_has_all_steps_in_order(open_window, fake_engines) -> None:
    window = open_window(fake_engines)
    titles = [window.rail.item(row).text() for row in range(window.rail.count())]
    assert titles == ["Model", "Clips", "Complexity", "Quantize", "Compare", "Export"]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.key)
def test_each_step_opens_its_page(open_window, fake_engines, tmp_path: Path, step) -> None:
    window = open_window(fake_engines)
    window.projects.new(tmp_path / "p.qvsr")
    window.show_step(step.key)
    page = window.controller(step.key).page
    assert page.isVisible()
    assert page.objectName() == f"page-{step.key}"
    texts = [label.text() for label in page.findChildren(QLabel)]
    assert step.title in texts
    assert step.summary in texts


def test_the_rail_works_with_the_keyboard(open_window, fake_engines, tmp_path: Path, qtbot: QtBot) -> None:
    window = open_window(fake_engines)
    window.projects.new(tmp_path / "p.qvsr")
    qtbot.waitUntil(window.isActiveWindow, timeout=10_000)
    window.rail.setFocus()
    for key in ("clips", "complexity", "quantize", "compare", "export"):
        qtbot.keyClick(window.rail, Qt.Key.Key_Down)
        assert window.controller(key).page.isVisible()
        assert window.rail.hasFocus()


def test_the_page_shown_last_is_shown_again(open_window, fake_engines, tmp_path: Path) -> None:
    window = open_window(fake_engines)
    window.projects.new(tmp_path / "p.qvsr")
    window.show_step("export")
    window.projects.close()
    assert window.welcome.isVisible()
    window.projects.open(tmp_path / "p.qvsr")
    assert window.controller("export").page.isVisible()

"""The whole job in the real window with the real engine, as a person does it, on some small frames."""

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot

from quantvsr.jobs import QuantizeJob
from quantvsr.jobs.options import Bits
from quantvsr.project import RunState
from quantvsr_gui.engine import Engines
from quantvsr_gui.pages.complexity.table import RANK
from quantvsr_gui.pages.quantize.page import PRESET_BITS
from quantvsr_gui.shell.window import MainWindow
from quantvsr_gui.widgets.banner import Messages

FRAMES, EDGE = 6, 16
UPDATES = 3
WAIT = 170_000
Until = Callable[[Callable[[], object]], None]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A folder of pictures: a texture that moves."""
    folder = tmp_path / "walk"
    folder.mkdir()
    scene = np.random.default_rng(0).integers(0, 256, (EDGE, EDGE + FRAMES, 3), np.uint8)
    for index in range(FRAMES):
        Image.fromarray(scene[:, index : index + EDGE]).save(folder / f"{index:03d}.png")
    return folder


@pytest.fixture
def until(qtbot: QtBot) -> Until:
    return lambda condition: qtbot.waitUntil(lambda: bool(condition()), timeout=WAIT)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_from_an_empty_project_to_an_exported_video_and_back(
    open_window: Callable[..., MainWindow],
    clip: Path,
    tmp_path: Path,
    qtbot: QtBot,
    until: Until,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    window = open_window(Engines())
    window.resize(1280, 800)
    window.projects.new(tmp_path / "walk.qvsr")
    project = window.project
    # Small amounts: what is tested is the way, not the result.
    project.change("small amounts", samples=4, crop=16, steps=1)

    model = window.controller("model")
    until(lambda: len(model.layers.rows) == 70)

    window.show_step("clips")
    window.take([clip])
    until(lambda: [entry.path for entry in project.settings.clips] == [str(clip)])

    # Analyse, in the middle of which the engine is killed.
    window.show_step("complexity")
    complexity = window.controller("complexity")
    complexity.page.start_button.click()
    until(lambda: window.engines.work.current and window.engines.work.current.fraction > 0.1)
    kill_and_continue(window, until)
    until(lambda: project.analysis)
    assert complexity.plan is not None

    # Drag the percentile: ranks and size follow at once, and it is one step to undo.
    before = complexity.plan.ranks.copy()
    steps = project.undo_stack.count()
    slider = complexity.page.percentile.slider
    for value in range(slider.value(), slider.value() + 16, 4):
        slider.setValue(value)
    until(lambda: project.settings.percentile is not None)
    until(lambda: complexity.plan.choice.ranks.percentile == project.settings.percentile)
    assert project.undo_stack.count() == steps + 1
    assert not np.array_equal(before, complexity.plan.ranks)

    # Override a rank in the table.
    table = complexity.page.layer_model
    name = complexity.plan.measured.names[5]
    line = next(row for row in range(table.rowCount()) if table.index(row, 0).data() == name)
    assert table.setData(table.index(line, RANK), 12, Qt.ItemDataRole.EditRole)
    assert project.settings.rank_overrides == {name: 12}

    # Quantize to 4 bits with a few steps, pause, resume.
    window.show_step("quantize")
    quantize = window.controller("quantize")
    quantize.page.bit_group.button(PRESET_BITS.index(Bits(4, 4))).click()
    asked = quantize.job

    def few() -> QuantizeJob:
        return replace(asked(), stop_at=UPDATES)

    monkeypatch.setattr(quantize, "job", few)
    quantize.page.start_button.click()
    run_id = quantize.shown_id
    until(lambda: project.run(run_id).state is RunState.RUNNING)
    quantize.page.pause_button.click()
    until(lambda: project.run(run_id).state is RunState.PAUSED)
    quantize.page.pause_button.click()
    until(lambda: project.run(run_id).state is RunState.RUNNING)
    kill_and_continue(window, until)
    until(lambda: project.run(run_id).state is RunState.DONE)
    run = project.run(run_id)
    assert quantize._history(run_id).updates >= UPDATES
    layers = run.request()
    assert [str(item) for item in layers.layer_ranks] == [f"{name}=12"]
    assert run.result["bits"] == "W4A4"

    # Compare: render, wipe, seek by clicking the curve.
    window.show_step("compare")
    compare = window.controller("compare")
    until(lambda: not compare.renderer.busy)
    compare.view.whole_button.click()
    until(lambda: compare.screen.rendered() == set(range(FRAMES)) and not compare.renderer.busy)
    assert compare.view.messages.texts() == []
    shown = [slot.label for slot in compare.view.canvas.slots.values()]
    assert any("W4A4" in label for label in shown), shown
    compare.view.mode_buttons["wipe"].click()
    drag_wipe(qtbot, compare.view.canvas)
    assert compare.view.canvas.view.wipe == pytest.approx(0.25, abs=0.08)
    compare.view.curves.measure_button.click()
    until(lambda: not compare.renderer.busy)
    curves = compare.view.curves
    compare.view.tabs.setCurrentWidget(curves)
    compare.seek(0)
    until(lambda: curves.plot.getPlotItem().listDataItems())
    curves.grab()
    where = curves.plot.getPlotItem().vb.mapViewToScene(QPointF(FRAMES - 1, 30))
    with qtbot.waitSignal(curves.sought, timeout=5000):
        place = curves.plot.mapFromScene(QPointF(where.x(), curves.plot.height() / 2))
        qtbot.mouseClick(curves.plot.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert compare.screen.frame in (FRAMES - 3, FRAMES - 2, FRAMES - 1)
    compare.view.render_button.click()
    until(lambda: not compare.renderer.busy)

    # Export the enlarged video of the run.
    window.show_step("export")
    export = window.controller("export")
    export.view.codec.setCurrentIndex(export.view.codec.findData("ffv1"))
    out = Path(export.view.out.text())
    export.view.add_button.click()
    until(lambda: project.exports and project.exports[0].state is RunState.DONE)
    assert out.is_file()
    assert project.exports[0].result["frames"] == FRAMES

    # Reopen: everything is there without running anything.
    frame = compare.screen.frame
    window.close()
    again = open_window(Engines())
    assert again.projects.open(tmp_path / "walk.qvsr")
    assert again.controller("export").page.isVisible()
    project = again.project
    assert (project.settings.percentile, project.settings.rank_overrides) == (
        run.request().percentile,
        {name: 12},
    )
    assert project.run(run_id).state is RunState.DONE
    assert project.exports[0].result["frames"] == FRAMES
    again.show_step("complexity")
    assert again.controller("complexity").plan is not None
    again.show_step("compare")
    compare = again.controller("compare")
    assert compare.screen.frame == frame
    assert compare.screen.rendered() == set(range(FRAMES))
    again.show_step("quantize")
    assert again.controller("quantize")._history(run_id).updates >= UPDATES
    assert not again.engines.work.busy


def kill_and_continue(window: MainWindow, until: Until) -> None:
    """End the engine's process as a crash would, and press the button of the message that follows."""
    if sys.platform == "win32":
        return
    os.kill(window.engines.work.process_id, signal.SIGKILL)
    until(lambda: any("Nothing is lost" in text for text in window.messages.texts()))
    assert not window.engines.work.busy
    press(window.messages, "Restart and continue")


def press(messages: Messages, text: str) -> None:
    buttons = [b for b in messages.findChildren(QPushButton) if b.text() == text and b.isVisible()]
    buttons[0].click()


def drag_wipe(qtbot: QtBot, canvas) -> None:
    """Take the line in the middle of the picture to a quarter."""
    canvas.repaint()
    whole = next(iter(canvas.places().values())).target()
    y = int(whole.center().y())
    start = QPoint(int(whole.left() + canvas.view.wipe * whole.width()), y)
    end = QPoint(int(whole.left() + 0.25 * whole.width()), y)
    qtbot.mousePress(canvas, Qt.MouseButton.LeftButton, pos=start)
    qtbot.mouseMove(canvas, (start + end) / 2)
    qtbot.mouseMove(canvas, end)
    qtbot.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=end)

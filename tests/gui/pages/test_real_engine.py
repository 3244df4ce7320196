"""Both pages with the real engine on the bundled model: tiny windows, two updates."""

import json

import pytest
from pytestqt.qtbot import QtBot

from quantvsr.jobs.options import Bits
from quantvsr.project import RunState
from quantvsr_gui.engine import Engine, Engines
from quantvsr_gui.pages import complexity, quantize
from quantvsr_gui.pages.base import Context

LONG = 100_000


@pytest.fixture
def real(context: Context):
    engine = Engine("work")
    context.project.change("set up", samples=4, crop=16, steps=1)
    yield Context(**{**vars(context), "engines": Engines(engine, engine)})
    engine.shut_down()


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_analyse_look_override_train_pause_cancel_keep(qtbot: QtBot, real: Context) -> None:
    project = real.project
    page = complexity.build(real)
    qtbot.addWidget(page.page)
    page.analyze()
    qtbot.waitUntil(lambda: bool(project.analysis), timeout=LONG)
    assert page.plan is not None
    assert page.plan.allocation.ranks  # the same layers as the engine's
    project.selection.open_card("middle.0.conv1")
    card = page.page.card
    qtbot.waitUntil(lambda: not card.weights.isHidden(), timeout=LONG)
    page.edits.set_rank("middle.0.conv1", 20)
    page.edits.set_layer_bits("up0.0.conv1", Bits(8, 8))
    page._replan()
    page.card.close()

    runs = quantize.build(real)
    qtbot.addWidget(runs.page)
    runs.start()
    run_id = runs.shown_id

    def trained() -> bool:
        assert project.run(run_id).state is not RunState.FAILED, project.run(run_id).message
        return runs._history(run_id).updates >= 2

    qtbot.waitUntil(trained, timeout=LONG)
    runs.pause()
    qtbot.waitUntil(lambda: project.run(run_id).state is RunState.PAUSED, timeout=LONG)
    runs.pause()
    qtbot.waitUntil(lambda: project.run(run_id).state is RunState.RUNNING, timeout=LONG)
    runs.cancel()
    qtbot.waitUntil(lambda: project.run(run_id).state is RunState.CANCELLED, timeout=LONG)
    snapshots = runs.page.snapshot_model.infos
    assert snapshots
    runs.page.snapshots.view.selectRow(0)
    runs.page.keep_button.click()
    qtbot.waitUntil(lambda: project.run(run_id).state is RunState.DONE, timeout=LONG)
    run = project.run(run_id)
    assert run.extra["kept"] == snapshots[0].number
    assert (project.project.run_folder(run_id) / "checkpoint.safetensors").is_file()
    # What the app says about the size is what the file holds, but for its header.
    assert page.plan.cost.total_bytes == pytest.approx(run.result["bytes_lowbit"], rel=0.02)
    written = json.loads((project.project.run_folder(run_id) / "ranks.json").read_text())["layers"]
    assert {name: layer["rank"] for name, layer in written.items()} == page.plan.allocation.ranks
    assert written["middle.0.conv1"]["rank"] == 20
    runs.hidden()

"""Both pages with the real engine on the bundled model and a tiny clip."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from quantvsr.project import ClipEntry, RunState
from quantvsr_gui.engine import Engine, Engines
from quantvsr_gui.pages.base import Context
from quantvsr_gui.pages.compare import build as build_compare
from quantvsr_gui.pages.export import build as build_export

FRAMES = 40
WAIT = 110_000


@pytest.fixture
def engines():
    # One process for both: starting one takes the longest.
    engine = Engine("work")
    made = Engines(engine, engine)
    yield made
    made.shut_down()


@pytest.fixture
def real(context: Context, engines: Engines, tmp_path: Path) -> Context:
    """The context with real engines and a clip of many tiny frames."""
    folder = tmp_path / "clip"
    folder.mkdir()
    scene = np.random.default_rng(0).integers(0, 256, (8, 8 + FRAMES, 3), np.uint8)
    for index in range(FRAMES):
        Image.fromarray(scene[:, index : index + 8]).save(folder / f"{index:03d}.png")
    context.project.change("add a clip", clips=(ClipEntry(str(folder)),), steps=1)
    return Context(**{**vars(context), "engines": engines})


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_preview_an_export_killed_in_the_middle_and_the_rest_of_it(qtbot, real, engines):
    compare = build_compare(real)
    qtbot.addWidget(compare.page)
    compare.rendering.here()
    qtbot.waitUntil(lambda: not compare.renderer.busy, timeout=WAIT)
    assert compare.view.messages.texts() == []
    assert compare.screen.rendered() == set(range(5))
    assert compare.view.canvas.slots[1].picture.size == (32, 32)
    assert compare.screen.part() == (0, FRAMES)

    export = build_export(real)
    qtbot.addWidget(export.page)
    export.view.codec.setCurrentIndex(export.view.codec.findData("ffv1"))
    out = Path(export.view.out.text())
    export.add()
    first = Path(str(out) + ".parts") / "000007.picture"
    qtbot.waitUntil(first.is_file, timeout=WAIT)
    os.kill(engines.work.process_id, signal.SIGKILL)
    record = real.project.exports[0].id

    def state():
        return real.project.exports[0].state

    qtbot.waitUntil(lambda: state() is RunState.FAILED, timeout=WAIT)
    assert first.is_file()
    assert not out.exists()
    export.queue.ask(record, "retry")
    qtbot.waitUntil(lambda: state() is RunState.DONE, timeout=WAIT)
    result = real.project.exports[0].result
    assert 8 <= result["resumed"] < FRAMES
    assert result["frames"] == FRAMES
    assert result["duration"] == pytest.approx(FRAMES / 25, abs=0.02)
    assert out.is_file()
    assert not first.parent.exists()
    assert f"{FRAMES} frames of 32x32" in export.queue.rows[record].message.text()

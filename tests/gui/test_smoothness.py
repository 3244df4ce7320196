"""The event loop stays free while a refinement reports: 99 % of 16 ms ticks within 33 ms, none over 150 ms.

The window's processor time between ticks is measured rather than the clock, so that other programs on a busy
machine cannot fail this: what is asserted is that the app itself never keeps its thread that long. The engine
is a stand-in that reports as fast as a real one may, with the values of a real refinement.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QTimer
from pytestqt.qtbot import QtBot

from quantvsr_gui.engine import Engine, Engines
from quantvsr_gui.shell.window import MainWindow

TICK_MS = 16
UPDATES = 150
CHILD = f"""
import json, math, os, sys, time
def say(**message):
    print(json.dumps(message), flush=True)
say(ready=os.getpid())
for line in sys.stdin:
    request = json.loads(line)
    if "run" in request:
        number = request["run"]
        for step in range(1, {UPDATES} + 1):
            values = dict(loss=0.5 * math.exp(-step / 40), learning_rate=1e-3, seconds_left=60 - step / 3)
            if step % 20 == 1:
                values["held_out"] = 0.4 * math.exp(-step / 40)
            say(id=number, fraction=step / {UPDATES}, stage="low-rank", step=step, steps={UPDATES},
                message=f"update {{step}}", **values)
            say(heartbeat={{"memory": 900_000_000 + step}})
            time.sleep(1 / 30)
        say(id=number, error="The end of the test.", exit_code=1)
"""


@pytest.mark.timeout(300)
def test_a_refinement_leaves_the_event_loop_free(
    open_window: Callable[..., MainWindow], qtbot: QtBot, tmp_path: Path
) -> None:
    script = tmp_path / "child.py"
    script.write_text(CHILD, encoding="utf-8")
    command = [sys.executable, str(script)]
    window = open_window(Engines(Engine("work", command), Engine("preview", command)))
    window.resize(1280, 800)
    window.projects.new(tmp_path / "p.qvsr")
    window.show_step("quantize")
    page = window.controller("quantize")
    spent: list[float] = []
    last = [time.thread_time()]

    def tick() -> None:
        now = time.thread_time()
        spent.append(1000 * (now - last[0]))
        last[0] = now

    page.start()
    run_id = page.shown_id
    # The first picture of a chart is drawn before counting: the bar is about a refinement that runs.
    qtbot.waitUntil(lambda: page._history(run_id).updates > 5, timeout=60_000)
    timer = QTimer()
    timer.setInterval(TICK_MS)
    timer.timeout.connect(tick)
    last[0] = time.thread_time()
    timer.start()
    qtbot.waitUntil(lambda: page._history(run_id).updates >= UPDATES - 10, timeout=120_000)
    timer.stop()
    assert len(spent) > 50
    assert np.quantile(spent, 0.99) <= 33, f"99 % within {np.quantile(spent, 0.99):.0f} ms"
    assert max(spent) <= 150, f"longest {max(spent):.0f} ms"

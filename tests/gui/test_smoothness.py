"""The event loop stays free while a refinement reports: 99 % of 16 ms ticks within 33 ms, none over 150 ms.

Two things are held. The window's own processor time between two ticks keeps the bars whatever else runs on
the machine. The clock keeps them too wherever the machine itself does: a process without a window, which also
works a little at each tick, is measured at the same time; where it is late as well, the clock says nothing
about the app. One measurement that keeps the clock's bars is enough, so that a short jam elsewhere costs a
repetition and not a failure.

The engine is a stand-in that reports as fast as a real one may, with the values of a real refinement.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QEventLoop, Qt, QTimer
from pytestqt.qtbot import QtBot

from quantvsr_gui.engine import Engine, Engines
from quantvsr_gui.shell.window import MainWindow

TICK_MS, SECONDS, ATTEMPTS = 16, 3.0, 3
MOST, LONGEST = 33.0, 150.0  # ms: of 99 %, of all
# The machine is free when the process without a window keeps well within the bars.
FREE_MOST, FREE_LONGEST = 22.0, 50.0
UPDATES = 5 * 30 * 5
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
CONTROL = f"""
import json, sys, time
for seconds in sys.stdin:
    late, due = [], time.perf_counter()
    last, end = due, due + float(seconds)
    while last < end:
        work = time.process_time() + 0.003
        while time.process_time() < work:
            pass
        due = max(due + {TICK_MS / 1000}, time.perf_counter())
        time.sleep(due - time.perf_counter() if due > time.perf_counter() else 0)
        now = time.perf_counter()
        late.append(1000 * (now - last))
        last = now
    print(json.dumps(late), flush=True)
"""


@dataclass(frozen=True)
class Ticks:
    """Milliseconds between ticks: by the clock, of the window's processor time, and of the other process."""

    clock: list[float]
    processor: list[float]
    control: list[float]

    @staticmethod
    def spread(values: list[float]) -> tuple[float, float]:
        """99 % of them, and the longest."""
        return float(np.quantile(values, 0.99)), max(values)

    def free(self) -> bool:
        """Whether the machine had time."""
        most, longest = self.spread(self.control)
        return most <= FREE_MOST and longest <= FREE_LONGEST

    def keeps(self, values: list[float]) -> bool:
        """Whether values keep the bars."""
        most, longest = self.spread(values)
        return most <= MOST and longest <= LONGEST

    def __str__(self) -> str:
        parts = (("clock", self.clock), ("processor time", self.processor), ("control", self.control))
        told = ((name, *self.spread(values)) for name, values in parts)
        return "; ".join(
            f"{name}: 99 % within {most:.1f} ms, longest {worst:.1f} ms" for name, most, worst in told
        )


@pytest.fixture
def control() -> Iterator[subprocess.Popen[str]]:
    """The process without a window."""
    with subprocess.Popen(
        [sys.executable, "-c", CONTROL], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as made:
        yield made
        assert made.stdin is not None
        made.stdin.close()
        made.wait(10)


def measure(control: subprocess.Popen[str], disturb: Callable[[], None] | None = None) -> Ticks:
    """Let the window's event loop run for a while; `disturb` is called at each tick."""
    assert control.stdin is not None
    assert control.stdout is not None
    loop, timer = QEventLoop(), QTimer()
    clock: list[float] = []
    processor: list[float] = []
    last = [0.0, 0.0]

    def tick() -> None:
        now = time.perf_counter(), time.thread_time()
        clock.append(1000 * (now[0] - last[0]))
        processor.append(1000 * (now[1] - last[1]))
        last[:] = now
        if disturb is not None:
            disturb()

    timer.setTimerType(Qt.TimerType.PreciseTimer)
    timer.setInterval(TICK_MS)
    timer.timeout.connect(tick)
    control.stdin.write(f"{SECONDS}\n")
    control.stdin.flush()
    last[:] = time.perf_counter(), time.thread_time()
    timer.start()
    QTimer.singleShot(round(1000 * SECONDS), loop.quit)
    loop.exec()
    timer.stop()
    return Ticks(clock, processor, json.loads(control.stdout.readline()))


@pytest.mark.timeout(300)
def test_a_refinement_leaves_the_event_loop_free(
    open_window: Callable[..., MainWindow],
    qtbot: QtBot,
    tmp_path: Path,
    control: subprocess.Popen[str],
    record_property: Callable[[str, object], None],
) -> None:
    script = tmp_path / "child.py"
    script.write_text(CHILD, encoding="utf-8")
    command = [sys.executable, str(script)]
    window = open_window(Engines(Engine("work", command), Engine("preview", command)))
    window.resize(1280, 800)
    window.projects.new(tmp_path / "p.qvsr")
    window.show_step("quantize")
    page = window.controller("quantize")
    page.start()
    run_id = page.shown_id
    # The first picture of a chart is drawn before counting: the bar is about a refinement that runs.
    qtbot.waitUntil(lambda: page._history(run_id).updates > 5, timeout=60_000)
    for _ in range(ATTEMPTS):
        before = page._history(run_id).updates
        ticks = measure(control)
        record_property("ticks", str(ticks))
        print(ticks)
        assert page._history(run_id).updates > before, "nothing was reported meanwhile"
        assert len(ticks.clock) > 20
        assert ticks.keeps(ticks.processor), str(ticks)
        if ticks.keeps(ticks.clock):
            return
    # Late each time: the app's fault, unless the other process was late as well.
    assert not ticks.free(), str(ticks)


def test_a_window_that_blocks_is_noticed(qtbot: QtBot, control: subprocess.Popen[str]) -> None:
    done = []

    def block() -> None:
        if len(done) % 20 == 10:
            end = time.thread_time() + 0.2
            while time.thread_time() < end:
                pass
        done.append(True)

    ticks = measure(control, block)
    assert not ticks.keeps(ticks.processor)
    assert not ticks.keeps(ticks.clock)

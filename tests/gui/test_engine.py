"""The engine's process as the app sees it: progress, result, failure, cancel, crash."""

import sys
import time
from collections.abc import Callable

import pytest
from pytestqt.qtbot import QtBot

from quantvsr_gui.engine import CANCEL_WITHIN_MS, Engine

EngineOf = Callable[[str], Engine]
OBEDIENT = """
print(json.dumps({"fraction": 0.1, "stage": "refine", "message": "step 1"}), flush=True)
for line in sys.stdin:
    if line.strip() == "cancel":
        print(json.dumps({"error": "Cancelled.", "exit_code": 130}), flush=True)
        sys.exit(130)
"""
STUBBORN = """
print(json.dumps({"fraction": 0.1, "message": "busy"}), flush=True)
time.sleep(60)
"""


def test_progress_warnings_and_result_arrive_in_order(qtbot: QtBot, engine_of: EngineOf) -> None:
    engine = engine_of("""
print(json.dumps({"fraction": 0.25, "stage": "refine", "message": "step 1 of 4"}))
print("a library prints this")
print(json.dumps({"warning": "the clip is short"}))
print(json.dumps({"fraction": 1, "message": "done"}))
print(json.dumps({"result": {"arguments": sys.argv[1:]}}))
""")
    seen: list[object] = []
    engine.progressed.connect(lambda fraction, text: seen.append((fraction, text)))
    engine.warned.connect(seen.append)
    with qtbot.waitSignal(engine.succeeded, timeout=20_000) as finished:
        engine.start(["demo", "--out", "a folder"])
    assert seen == [(0.25, "refine: step 1 of 4"), "the clip is short", (1.0, "done")]
    assert finished.args == [{"arguments": ["demo", "--out", "a folder"]}]
    assert not engine.running


def test_a_message_in_several_pieces_is_one_message(qtbot: QtBot, engine_of: EngineOf) -> None:
    engine = engine_of("""
for piece in ('{"resu', 'lt": {"text": "\\u00fc', '"}}\\n'):
    sys.stdout.buffer.write(piece.encode())
    sys.stdout.buffer.flush()
    time.sleep(0.05)
""")
    with qtbot.waitSignal(engine.succeeded, timeout=20_000) as finished:
        engine.start([])
    assert finished.args == [{"text": "ü"}]


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ('print(json.dumps({"error": "No such clip.", "exit_code": 2})); sys.exit(2)', "No such clip."),
        ('sys.exit("It is broken.")', "The engine ended with code 1. It is broken."),
        ("import os; os.abort()", "The engine crashed."),
        ("pass", "The engine ended with code 0."),
    ],
    ids=["an error of the job", "an error before the job", "a crash", "an end without a result"],
)
def test_failures_say_why(qtbot: QtBot, engine_of: EngineOf, program: str, expected: str) -> None:
    engine = engine_of(program)
    with qtbot.waitSignal(engine.failed, timeout=20_000) as failed:
        engine.start([])
    assert failed.args == [expected]


def test_a_program_that_is_not_there_is_a_failure(qtbot: QtBot) -> None:
    engine = Engine(["/nowhere/quantvsr"])
    with qtbot.waitSignal(engine.failed, timeout=20_000) as failed:
        engine.start([])
    assert failed.args[0].startswith("The engine could not be started: /nowhere/quantvsr")


@pytest.mark.parametrize("program", [OBEDIENT, STUBBORN], ids=["cooperative", "deaf"])
def test_cancel_acts_soon(qtbot: QtBot, engine_of: EngineOf, program: str) -> None:
    engine = engine_of(program)
    failures: list[str] = []
    engine.failed.connect(failures.append)
    with qtbot.waitSignal(engine.progressed, timeout=20_000):
        engine.start([])
    began = time.monotonic()
    with qtbot.waitSignal(engine.cancelled, timeout=CANCEL_WITHIN_MS + 8000):
        engine.cancel()
        engine.cancel()
    if program == OBEDIENT:
        assert time.monotonic() - began < CANCEL_WITHIN_MS / 1000
    assert not engine.running
    assert not failures


def test_an_engine_runs_again_after_each_end(qtbot: QtBot, engine_of: EngineOf) -> None:
    engine = engine_of('print(json.dumps({"result": {}}) if sys.argv[1] == "good" else "")')
    with qtbot.waitSignal(engine.failed, timeout=20_000):
        engine.start(["bad"])
    with qtbot.waitSignal(engine.succeeded, timeout=20_000):
        engine.start(["good"])


def test_two_jobs_at_once_are_refused(qtbot: QtBot, engine_of: EngineOf) -> None:
    engine = engine_of(STUBBORN)
    with qtbot.waitSignal(engine.progressed, timeout=20_000):
        engine.start([])
    with pytest.raises(RuntimeError, match="already running"):
        engine.start([])
    engine.shut_down()
    assert not engine.running


def test_the_real_child_answers(qtbot: QtBot) -> None:
    engine = Engine()
    with qtbot.waitSignal(engine.failed, timeout=60_000) as failed:
        engine.start(["upscale", "/nowhere/clip.mp4", "--start", "-1"])
    assert "start" in failed.args[0]
    assert "Traceback" not in failed.args[0]


def test_it_is_this_python_that_runs_the_engine() -> None:
    from quantvsr_gui.engine import engine_command

    assert engine_command() == [sys.executable, "-m", "quantvsr.child"]

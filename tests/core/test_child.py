"""One job for a parent program: JSON lines out, commands in."""

import io
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from quantvsr import child
from quantvsr.errors import BadInput, Cancelled, DiskFull
from quantvsr.progress import Progress


def sent(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_reports_too_close_together_are_left_out_but_not_a_stage_or_the_end() -> None:
    stream = io.StringIO()
    messages = child.Messages(stream)
    for step in range(100):
        messages.report(step / 100, f"step {step}", stage="first")
    messages.stage("second", 0.99, 1.0).report(0.0, "begins")
    messages.report(1.0, "done", stage="second")
    lines = sent(stream)
    assert lines[0] == {"fraction": 0.0, "message": "step 0", "stage": "first"}
    assert [line["message"] for line in lines[-2:]] == ["begins", "done"]
    assert len(lines) < 50


def test_payload_and_warnings_pass() -> None:
    stream = io.StringIO()
    messages = child.Messages(stream)
    messages.report(0.5, "step 1", loss=0.25)
    messages.warn("Die Datei heißt ü")
    assert sent(stream) == [
        {"fraction": 0.5, "message": "step 1", "loss": 0.25},
        {"warning": "Die Datei heißt ü"},
    ]


def test_a_parent_that_went_away_is_no_failure_of_its_own() -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    child.Messages(Gone()).report(0.5)


def test_commands_of_the_parent_act_and_unknown_ones_do_not() -> None:
    progress = Progress()
    states: list[tuple[bool, bool]] = []

    def commands() -> Iterator[str]:
        for line in ("pause\n", "resume\n", "dance\n", "pause \n", "cancel\n"):
            yield line
            states.append((progress.paused, progress.cancelled))

    child.listen(commands(), progress)  # type: ignore[arg-type]
    assert states == [(True, False), (False, False), (False, False), (True, False), (False, True)]


def test_a_closed_pipe_cancels() -> None:
    progress = Progress()
    child.listen(io.StringIO(""), progress)
    with pytest.raises(Cancelled):
        progress.check()


@pytest.mark.parametrize(
    ("error", "text", "code"),
    [
        (BadInput("No such clip."), "No such clip.", 2),
        (DiskFull("The disk is full."), "The disk is full.", 3),
        (Cancelled(), "Cancelled.", 130),
        (KeyboardInterrupt(), "Cancelled.", 130),
        (ZeroDivisionError("oops"), "The engine failed (ZeroDivisionError: oops).", 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_end_has_one_sentence_and_its_code(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, text: str, code: int
) -> None:
    def run(*_: object) -> None:
        raise error

    monkeypatch.setattr("quantvsr.jobs.base.run", run)
    stream = io.StringIO()
    assert child._run(["info"], child.Messages(stream)) == code
    assert sent(stream) == [{"error": text, "exit_code": code}]


def start(arguments: Sequence[str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "quantvsr.child", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, encoding="utf-8")


def test_a_real_job_ends_with_its_result() -> None:
    with start(["info"]) as process:
        assert process.stdout is not None
        lines = [json.loads(line) for line in process.stdout]
    assert process.returncode == 0
    assert lines[-1]["result"]["versions"]["quantvsr"]


def test_arguments_that_do_not_parse_are_an_error_that_names_them() -> None:
    with start(["demo", "--no-such-option"]) as process:
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    answer = json.loads(output)
    assert "--no-such-option" in answer["error"] and answer["exit_code"] == 2

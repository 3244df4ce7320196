"""The engine that stays: one job after another, cancel, pause, heartbeat, the parent's end."""

import io
import json
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from quantvsr.errors import BadInput
from quantvsr.jobs import base
from quantvsr.jobs.base import Job, Result
from quantvsr.progress import Progress
from quantvsr.serve import Line, Server


class Talk:
    """A server in threads of this process; what it says can be waited for."""

    def __init__(self) -> None:
        self._in: queue.Queue[str | None] = queue.Queue()
        self._out: queue.Queue[dict[str, Any]] = queue.Queue()
        self.said: list[dict[str, Any]] = []
        talk = self

        class Requests(io.StringIO):
            def __iter__(self) -> Iterator[str]:  # type: ignore[override]
                while (line := talk._in.get()) is not None:
                    yield line

        class Replies(io.StringIO):
            def write(self, text: str) -> int:
                for line in text.splitlines():
                    talk._out.put(json.loads(line))
                return len(text)

        self._server = Server(Requests(), Line(Replies()))
        self._thread = threading.Thread(target=self._server.serve)
        self._thread.start()

    def send(self, **request: Any) -> None:
        self._in.put(json.dumps(request))

    def wait_for(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        while True:
            message = self._out.get(timeout=30)
            self.said.append(message)
            if wanted(message):
                return message

    def end(self) -> None:
        self._in.put(None)
        self._thread.join(30)
        assert not self._thread.is_alive()


@dataclass(frozen=True, kw_only=True)
class Echo(Result):
    number: int = 0


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[[Progress], Result]]:
    """Jobs by name that do what the test puts there."""
    doing: dict[str, Callable[[Progress], Result]] = {}

    class Any_(Job):
        def __init__(self, name: str) -> None:
            self.do = doing[name]

        def run(self, progress: Progress) -> Result:
            return self.do(progress)

    def read(value: Any) -> Job:
        if value not in doing:
            raise BadInput(f"The job '{value}' is unknown.")
        return Any_(value)

    monkeypatch.setattr(base, "job_from_json", read)
    return doing


@pytest.fixture
def talk(jobs: object) -> Iterator[Talk]:
    made = Talk()
    yield made
    made.end()


def of(job: str, key: str) -> Callable[[dict[str, Any]], bool]:
    return lambda message: message.get("id") == job and key in message


def endless(progress: Progress) -> Result:
    progress.report(0.25, "step 1", stage="refine", loss=0.5)
    while True:
        progress.check()


def test_jobs_run_in_their_order_and_results_carry_their_number(talk: Talk, jobs: dict) -> None:
    jobs["one"] = lambda _: Echo(number=1)
    jobs["two"] = lambda _: Echo(number=2)
    assert talk.wait_for(lambda m: "ready" in m)["ready"] > 0
    talk.send(run="a", job="one")
    talk.send(run="b", job="two")
    assert talk.wait_for(of("b", "result"))["result"]["number"] == 2
    ends = [message["id"] for message in talk.said if "result" in message]
    assert ends == ["a", "b"]


def test_progress_and_warnings_carry_the_number_and_the_payload(talk: Talk, jobs: dict) -> None:
    def work(progress: Progress) -> Result:
        for step in range(3):
            progress.report(step / 3, f"step {step}", stage="refine", loss=1 / (step + 1))
        progress.warn("The clip is short.")
        return Echo()

    jobs["work"] = work
    talk.send(run="7", job="work")
    talk.wait_for(of("7", "result"))
    # Points of a curve are never left out, however fast they come.
    losses = [message["loss"] for message in talk.said if message.get("id") == "7" and "loss" in message]
    assert losses == [1, 1 / 2, 1 / 3]
    assert {"id": "7", "warning": "The clip is short."} in talk.said


def test_cancel_pause_and_resume_reach_the_job(talk: Talk, jobs: dict) -> None:
    jobs["endless"] = endless
    talk.send(run="1", job="endless")
    talk.wait_for(of("1", "fraction"))
    talk.send(pause="1")
    assert talk.wait_for(of("1", "paused"))["paused"] is True
    talk.send(resume="1")
    assert talk.wait_for(of("1", "paused"))["paused"] is False
    talk.send(pause="1")
    talk.wait_for(of("1", "paused"))
    talk.send(cancel="1")
    assert talk.wait_for(of("1", "error"))["exit_code"] == 130


def test_a_job_can_be_cancelled_before_its_turn(talk: Talk, jobs: dict) -> None:
    jobs["endless"], jobs["one"] = endless, lambda _: Echo(number=1)
    talk.send(run="1", job="endless")
    talk.send(run="2", job="one")
    talk.wait_for(of("1", "fraction"))
    talk.send(cancel="2")
    talk.send(cancel="1")
    assert talk.wait_for(of("2", "error"))["exit_code"] == 130


def test_failures_are_sentences_and_the_engine_goes_on(
    talk: Talk, jobs: dict, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_: Progress) -> Result:
        raise ZeroDivisionError("oops")

    jobs["broken"], jobs["one"] = broken, lambda _: Echo(number=1)
    talk.send(run="1", job="broken")
    text = "The engine failed (ZeroDivisionError: oops)."
    assert talk.wait_for(of("1", "error"))["error"] == text
    talk.send(run="2", job="unknown")
    assert talk.wait_for(of("2", "error"))["exit_code"] == 2
    talk.send(run="3", job="one")
    talk.wait_for(of("3", "result"))
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_it_beats_while_a_job_keeps_the_processor(talk: Talk, jobs: dict) -> None:
    jobs["endless"] = endless
    talk.send(run="1", job="endless")
    talk.wait_for(of("1", "fraction"))
    memory = talk.wait_for(lambda m: "heartbeat" in m)["heartbeat"]["memory"]
    assert memory is None or memory > 1e6
    talk.send(cancel="1")


def test_lines_that_are_no_requests_do_no_harm(talk: Talk, jobs: dict) -> None:
    jobs["one"] = lambda _: Echo(number=1)
    talk._in.put("no JSON")
    talk._in.put("[1]")
    talk.send(cancel="nobody")
    talk.send(run="1", job="one")
    assert talk.wait_for(of("1", "result"))


def test_the_real_engine_ends_with_its_parent() -> None:
    command = [sys.executable, "-m", "quantvsr.child", "--serve"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert json.loads(process.stdout.readline()) == {"ready": process.pid}
        process.stdin.close()
        assert process.wait(60) == 0


def test_a_gpu_that_fails_ends_the_engine(jobs: dict[str, Callable[[Progress], Result]]) -> None:
    def fail(progress: Progress) -> Result:
        raise RuntimeError("CUDA error: the device is not there")

    jobs["gone"] = fail
    said = io.StringIO()
    server = Server(io.StringIO(), Line(said))
    server._take({"run": "1", "job": "gone"})
    with pytest.raises(RuntimeError, match="CUDA error"):
        server._run("1", "gone")
    # No answer for the job: to the parent this is a crash, after which the job can go on.
    assert "error" not in said.getvalue()

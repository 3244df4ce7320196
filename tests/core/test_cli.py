import dataclasses
import io
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from quantvsr import __version__, cli, console
from quantvsr.errors import BadInput, Cancelled, DiskFull
from quantvsr.jobs import base
from quantvsr.jobs.base import GROUPS, Job, Result, job_types, register
from quantvsr.jobs.options import INTEGER, PATH, Bits, option
from quantvsr.progress import Progress
from quantvsr.words import counted


@dataclasses.dataclass(frozen=True, kw_only=True)
class EchoResult(Result):
    said: str

    def rows(self):
        return [("Said", self.said), ("Long label", "x")]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Echo(Job):
    summary = "Says it again."
    example = "quantvsr echo hello"

    word: str = option(PATH, "The word.", positional=True)
    times: int = option(INTEGER, "How often.", default=1, least=1)

    action = staticmethod(lambda progress: None)

    def run(self, progress):
        progress.report(0.5, "half", stage="saying")
        progress.warn("loud")
        type(self).action(progress)
        return EchoResult(said=self.word * self.times)


@pytest.fixture(autouse=True)
def echo(monkeypatch):
    monkeypatch.setattr(base, "_registry", dict(base._registry))
    register("echo")(Echo)

    def set_action(action):
        monkeypatch.setattr(Echo, "action", staticmethod(action))

    return set_action


def _raise(error):
    def action(progress):
        raise error

    return action


def test_a_result_is_a_short_table(capsys):
    assert cli.main(["echo", "a", "--times", "3"]) == 0
    out, err = capsys.readouterr()
    assert out == "Said        aaa\nLong label  x\n"
    assert err == " 50% saying: half\nNote: loud\n"


def test_json_prints_one_document_and_nothing_else(capsys):
    assert cli.main(["echo", "a", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == {"said": "a", "warnings": ["loud"]}
    assert err == ""


def test_quiet_shows_no_progress(capsys):
    assert cli.main(["echo", "a", "--quiet"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (BadInput("clip.mp4 is empty; choose another."), 2, "clip.mp4 is empty; choose another."),
        (DiskFull("The disk is full."), 3, "The disk is full."),
        (Cancelled(), 130, "Cancelled."),
        (KeyboardInterrupt(), 130, "Cancelled."),
        (ZeroDivisionError("by zero"), 1, "ZeroDivisionError: by zero"),
    ],
)
def test_a_failure_is_one_sentence_and_an_exit_code(echo, capsys, error, code, sentence):
    echo(_raise(error))
    assert cli.main(["echo", "a", "--quiet"]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert sentence in err
    assert len(err.splitlines()) == 1

    assert cli.main(["echo", "a", "--json"]) == code
    out, err = capsys.readouterr()
    assert sentence in json.loads(out)["error"]
    assert json.loads(out)["exit_code"] == code
    assert err == ""

    assert cli.main(["echo", "a", "--debug"]) == code
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "COMMAND"),
        (["paint"], "There is no command 'paint'; see 'quantvsr --help'."),
        (["upscal", "a.mp4"], "There is no command 'upscal'; try 'upscale', or see"),
        (["echo"], "required: WORD. See 'quantvsr echo --help'."),
        (["echo", "a", "--times", "many"], "--times: 'many' is not a whole number"),
        (["echo", "a", "--times", "0"], "--times is 0 but must be at least 1"),
        (["echo", "a", "--loud"], "'echo' does not take --loud; see 'quantvsr echo --help'."),
        (["upscale", "my", "clip.mp4"], "does not take clip.mp4; put a path with spaces in quotes, or see"),
        (["quantize", "--bits", "9"], "9 bits are not possible"),
        (["quantize", "--bits", "1"], "1 bits are not possible"),
        (["quantize", "--bits", "four"], "'four' is not a number of bits"),
        (["quantize", "--preset", "huge"], "choose one of quick, medium, standard, paper"),
        (["quantize", "--percentile", "nan"], "percentile"),
        (["upscale", "a.mp4", "--quality", "99"], "at most 51"),
        (["upscale", "a.mp4", "--frame-rate", "0"], "'0' is not a frame rate"),
        (["upscale", "a.mp4", "--frame-rate", "nan"], "'nan' is not a frame rate"),
        (["upscale", "a.mp4", "--codec", "gif"], "choose one of h264"),
    ],
)
def test_wrong_arguments_are_explained_in_one_sentence(capsys, arguments, words):
    assert cli.main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert len(err.splitlines()) == 1
    # A program that reads JSON reads this too.
    assert cli.main([*arguments, "--json"]) == 2
    out, err = capsys.readouterr()
    assert words in json.loads(out)["error"] and err == ""


def test_the_help_lists_every_command_once_by_step(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    listed = capsys.readouterr().out.partition("examples:")[0]
    places = [listed.index(f"\n{title}:\n") for title in GROUPS.values()]
    assert places == sorted(places)
    for name, kind in job_types().items():
        (line,) = (line for line in listed.splitlines() if line.startswith(f"  {name} "))
        assert line.split(maxsplit=1)[1][:20] in kind.summary
        before = max(place for place in places if place < listed.index(line))
        assert listed[before:].startswith(f"\n{GROUPS[kind.group]}:")


def test_every_command_explains_itself_with_an_example_that_parses(capsys):
    for name, kind in job_types().items():
        with pytest.raises(SystemExit) as stop:
            cli.main([name, "--help"])
        assert stop.value.code == 0
        text = capsys.readouterr().out
        assert text.startswith(f"usage: quantvsr {name} ")
        assert kind.summary in text
        assert kind.example in text
        job, _ = cli.job_from_arguments(shlex.split(kind.example)[1:])
        assert type(job) is kind


JOBS = [
    ["info"],
    ["analyze", "a.mp4", "b c.mp4", "--min-rank", "8", "--percentile", "0.2"],
    ["quantize", "--bits", "4,8", "--method", "quantvsr-reference", "--fresh", "--seed", "7"],
    ["upscale", "a.mp4", "--bits", "6", "--codec", "png", "--start", "3", "--frame-rate", "30000/1001"],
    ["compare", "a.mp4", "--shrink", "--minmax", "--checkpoint", "q", "--device", "cuda:1"],
    ["demo", "--clip", "it's.mp4", "--whole", "--model", "bundled"],
]


@pytest.mark.parametrize("arguments", JOBS, ids=lambda arguments: arguments[0])
def test_copy_as_command_gives_the_same_job(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    job, _ = cli.job_from_arguments(arguments)
    again, _ = cli.job_from_arguments(shlex.split(job.command())[1:])
    # Paths became absolute; from then on nothing changes any more.
    assert again.command() == job.command()
    assert base.job_from_json(json.loads(json.dumps(again.to_json()))) == again
    plain_values = {k: v for k, v in again.to_json()["settings"].items() if v != job.to_json()["settings"][k]}
    assert set(plain_values) <= {"clip", "clips", "out", "checkpoint"}


def test_bits_have_two_parts():
    job, _ = cli.job_from_arguments(["quantize", "--bits", "4,8"])
    assert job.bits == Bits(4, 8)  # type: ignore[attr-defined]


def test_the_first_interrupt_stops_at_the_next_safe_point(echo, capsys):
    def work(progress):
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(500):
            time.sleep(0.01)
            progress.check()

    before = signal.getsignal(signal.SIGINT)
    echo(work)
    assert cli.main(["echo", "a", "--quiet"]) == 130
    assert capsys.readouterr().err == "Cancelled.\n"
    assert signal.getsignal(signal.SIGINT) is before


def test_the_second_interrupt_stops_at_once(echo, capsys):
    def work(progress):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(500):
            time.sleep(0.01)
        pytest.fail("went on")

    echo(work)
    assert cli.main(["echo", "a", "--quiet"]) == 130


def test_lines_come_at_stages_and_tenths():
    stream = io.StringIO()
    lines = console.Lines(stream)
    for step in range(101):
        lines.report(step / 100, f"step {step}", stage="a" if step < 50 else "b")
    text = stream.getvalue().splitlines()
    assert text[0] == "  0% a: step 0"
    assert " 50% b: step 50" in text
    assert text[-1] == "100% b: step 100"
    assert len(text) <= 13


def test_a_stage_is_not_named_twice():
    stream = io.StringIO()
    console.Lines(stream).report(0.25, "Stage bias: update 1 of 4", stage="bias")
    assert stream.getvalue() == " 25% Stage bias: update 1 of 4\n"


def test_a_bar_shows_stage_and_message(monkeypatch, capsys):
    with console.Bar() as bar:
        bar.report(0.25, "step 1", stage="refine [1/2]")
        bar.report(0.5, stage="refine [1/2]")
        task = bar._bars.tasks[0]
        assert (task.completed, task.description, task.fields["message"]) == (0.5, "refine [1/2]", "step 1")
        bar.warn("watch [this]")
    assert "Note: watch [this]" in capsys.readouterr().err


def test_the_display_fits_the_stream(monkeypatch):
    assert isinstance(console.choose(quiet=True), console.Quiet)
    assert isinstance(console.choose(quiet=False), console.Lines)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert isinstance(console.choose(quiet=False), console.Bar)


def _fresh_process(*arguments):
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_the_version():
    done = _fresh_process("-m", "quantvsr", "--version")
    assert (done.returncode, done.stdout) == (0, f"quantvsr {__version__}\n")


def test_help_and_jobs_load_neither_torch_nor_qt_nor_numpy():
    code = (
        "import sys, quantvsr.cli, quantvsr.jobs; quantvsr.cli.build_parser().format_help();"
        "heavy = {'torch', 'diffusers', 'numpy', 'cv2', 'av', 'PySide6', 'rich'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert _fresh_process("-c", code).stdout.strip() == "[]"


def test_info_as_json():
    done = _fresh_process("-m", "quantvsr", "info", "--json")
    assert done.returncode == 0, done.stderr
    value = json.loads(done.stdout)
    assert value["versions"]["quantvsr"] == __version__
    assert value["cpu"]["cores"] >= 1
    assert value["disk"]["free"] > 0
    assert "simulated" in value["execution"]


def test_progress_classes_can_be_cancelled():
    for display in (console.Quiet(), console.Lines(io.StringIO()), console.Bar()):
        assert isinstance(display, Progress)
        display.cancel()
        with pytest.raises(Cancelled):
            display.check()


def test_a_file_whose_name_begins_like_an_option(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("-odd.mp4").write_text("x")
    for command in ("upscale", "probe"):
        assert cli.main([command, "-odd.mp4"]) == 2
        assert capsys.readouterr().err == "-odd.mp4 would be an option; write ./-odd.mp4 for the file.\n"
    job, _ = cli.job_from_arguments(["upscale", "--", "-odd.mp4"])
    assert job.to_json()["settings"]["clip"] == "-odd.mp4"


def test_one_thing_is_not_several():
    assert [counted(number, "frame") for number in (0, 1, 2)] == ["0 frames", "1 frame", "2 frames"]

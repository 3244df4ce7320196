"""What `make run` starts: a window, or the demo where there is no display."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from folders import REPOSITORY


@pytest.fixture
def start() -> ModuleType:
    spec = importlib.util.spec_from_file_location("start_of_the_app", REPOSITORY / "main.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("platform", "environment", "expected"),
    [
        ("linux", {}, False),
        ("linux", {"DISPLAY": ""}, False),
        ("linux", {"DISPLAY": ":0"}, True),
        ("linux", {"WAYLAND_DISPLAY": "wayland-0"}, True),
        ("darwin", {}, True),
        ("win32", {}, True),
    ],
)
def test_a_display_is_recognised(start, platform: str, environment: dict[str, str], expected: bool) -> None:
    assert start.has_display(platform, environment) is expected


@pytest.mark.parametrize("code", [0, 2])
def test_without_a_display_the_demo_runs(
    start, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], code: int
) -> None:
    commands = []

    def call(command: list[str], cwd: Path) -> int:
        commands.append((command[1:], cwd))
        return code

    monkeypatch.setattr(start, "has_display", lambda *_: False)
    monkeypatch.setattr(start.subprocess, "call", call)
    assert start.main() == code
    assert commands == [(["-m", "quantvsr", "demo", "--out", str(Path("results") / "demo")], REPOSITORY)]
    told = str(REPOSITORY / "results" / "demo") in capsys.readouterr().out
    assert told is (code == 0)

"""Starting the program: fast, without torch, twice, with arguments, with `--check`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from quantvsr.project import Project

START = """
import json, sys, time
from pathlib import Path
from quantvsr_gui.app import make_application, make_window
app = make_application(["quantvsr-studio"])
window = make_window(app, Path(sys.argv[1]) / "config", Path(sys.argv[1]) / "data")
window.show()
app.processEvents()
assert not window.windowIcon().isNull()
used = time.process_time()
window.projects.new(Path(sys.argv[1]) / "p.qvsr")
for key in ("model", "clips", "complexity", "quantize", "compare", "export"):
    window.show_step(key)
    app.processEvents()
heavy = sorted({"torch", "diffusers", "cv2", "av", "matplotlib"} & set(sys.modules))
print(json.dumps({"used": used, "heavy": heavy}))
window.close()
"""


def start(arguments: list[str], home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    places = {"XDG_CONFIG_HOME": str(home / "config"), "XDG_DATA_HOME": str(home / "data"), "HOME": str(home)}
    variables = {**os.environ, **places, **environment}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=110, env=variables
    )


def test_the_window_opens_fast_and_no_page_loads_torch(tmp_path: Path) -> None:
    done = start(["-c", START, str(tmp_path)], tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    # Processor time, not the clock: a busy machine must not fail this.
    assert told["used"] < 1.5
    assert told["heavy"] == []


def test_check_opens_and_closes(tmp_path: Path) -> None:
    done = start(["-m", "quantvsr_gui.app", "--check"], tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(
    sys.platform != "linux", reason="the folders of other systems cannot be moved by a variable"
)
def test_the_settings_are_where_they_belong(tmp_path: Path) -> None:
    start(["-m", "quantvsr_gui.app", "--check"], tmp_path)
    files = [path.relative_to(tmp_path).as_posix() for path in (tmp_path / "config").rglob("*.json")]
    assert files == ["config/QuantVSR/QuantVSR Studio/settings.json"]


def test_a_second_program_leaves_the_project_to_the_first(open_window, fake_engines, tmp_path: Path) -> None:
    code = f"""
import sys
from quantvsr.project import Project
project = Project.create({str(tmp_path / "p.qvsr")!r})
print("open", flush=True)
sys.stdin.read()
"""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        window = open_window(fake_engines)
        window.settings.change(recent=(str(tmp_path / "p.qvsr"),))
        window.projects.open_first()
        assert f"process {other.pid}" in window.messages.texts()[0]
        assert window.welcome.isVisible()
        other.kill()
    assert window.projects.open(tmp_path / "p.qvsr")
    window.projects.close()
    Project.open(tmp_path / "p.qvsr").close()

"""Start the desktop app from a checkout; without a display, run the demo and say where its results are."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent
RESULTS = Path("results") / "demo"


def has_display(platform: str, environment: Mapping[str, str]) -> bool:
    """Whether a window can open: everywhere but on a Linux machine without X11 and Wayland."""
    if not platform.startswith("linux"):
        return True
    return bool(environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"))


def run_demo() -> int:
    """Run the demo without a window; returns its exit code."""
    print("No display here, so the demo runs without a window.", flush=True)
    code = subprocess.call([sys.executable, "-m", "quantvsr", "demo", "--out", str(RESULTS)], cwd=ROOT)
    if code == 0:
        print(f"Results: {ROOT / RESULTS} (start with compare.mp4 and metrics.json)")
    return code


def main() -> int:
    """Open the app, or run the demo; returns the exit code."""
    if importlib.util.find_spec("PySide6") is None or importlib.util.find_spec("quantvsr") is None:
        print("The program is not installed for this Python. Use: make run", file=sys.stderr)
        return 1
    if not has_display(sys.platform, os.environ):
        return run_demo()
    from quantvsr_gui.app import main as open_app

    return open_app()


if __name__ == "__main__":
    sys.exit(main())

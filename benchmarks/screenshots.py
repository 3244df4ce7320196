"""Draw every page of the app with the bundled project and write the pictures to docs/images.

    python benchmarks/screenshots.py [--theme dark] [--out docs/images] [--project FOLDER]

Needs a display, or QT_QPA_PLATFORM=offscreen. QT_SCALE_FACTOR=2 gives pictures twice as sharp.
"""

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from PySide6.QtWidgets import QApplication

from quantvsr_gui.app import make_application, make_window
from quantvsr_gui.pages.steps import STEPS
from quantvsr_gui.shell.tokens import THEMES

ROOT = Path(__file__).resolve().parent.parent
SETTLE = 1.5
PATIENCE = 120.0
PICTURES = {"clips", "compare"}
"""Pages that show frames; the others need no more than 256 colours."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Pictures of all pages.")
    parser.add_argument("--theme", choices=tuple(THEMES), default="dark")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--project", type=Path, default=ROOT / "resources" / "projects" / "demo.qvsr")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    app = make_application(["screenshots"])
    with tempfile.TemporaryDirectory() as home:
        copy = Path(home) / arguments.project.name
        shutil.copytree(arguments.project, copy)
        window = make_window(app, Path(home) / "config", Path(home) / "data")
        window.settings.change(theme=arguments.theme, tour_seen=True)
        window.show()
        window.projects.open(copy)
        try:
            for step in STEPS:
                window.show_step(step.key)
                settle(app, lambda: not window.engines.preview.busy)
                target = arguments.out / f"app-{step.key}-{arguments.theme}.png"
                window.grab().save(str(target))
                if step.key not in PICTURES:
                    with Image.open(target) as picture:
                        picture.quantize(256, dither=Image.Dither.NONE).save(target, optimize=True)
                print(target)
        finally:
            window.shut_down()


def settle(app: QApplication, ready: Callable[[], bool]) -> None:
    """Let the app work until it is ready, and a moment longer for charts to be drawn."""
    began = since = time.monotonic()
    while time.monotonic() - since < SETTLE and time.monotonic() - began < PATIENCE:
        app.processEvents()
        time.sleep(0.01)
        if not ready():
            since = time.monotonic()


if __name__ == "__main__":
    main()

"""How fast the Compare canvas follows the scrubber: cached 1080p frames, offscreen.

    python benchmarks/app_scrub.py [--frames 40] [--panes 2]

Makes frames of noise and edges in a temporary folder, then steps through them as a dragged scrubber does:
look the frame up, hand it to the canvas, let Qt paint. Prints frames per second and the slowest steps.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "core")]

import numpy as np
from PySide6.QtWidgets import QApplication

from quantvsr.preview.store import FrameStore
from quantvsr_gui.pages.compare.canvas import CompareCanvas, Slot
from quantvsr_gui.pages.compare.difference import difference
from quantvsr_gui.pages.compare.frames import Frames
from quantvsr_gui.pages.compare.state import View

WIDTH, HEIGHT = 1920, 1080


def make_frames(folder: Path, versions: int, count: int) -> list[str]:
    rng = np.random.default_rng(0)
    store = FrameStore(folder)
    base = rng.integers(0, 256, (HEIGHT // 8, WIDTH // 8 + count, 3), np.uint8)
    for version in range(versions):
        for index in range(count):
            picture = base[:, index : index + WIDTH // 8].repeat(8, 0).repeat(8, 1)
            picture = picture + rng.integers(0, 4 + version, picture.shape, np.uint8)
            store.version(f"v{version}").write(index, picture)
    return [f"v{version}" for version in range(versions)]


def step(canvas: CompareCanvas, frames: Frames, keys: list[str], index: int, kind: str) -> None:
    slots = {}
    pictures = [frames.picture(key, index) for key in keys]
    for number, picture in enumerate(pictures):
        assert picture is not None
        shown = None
        if kind != "off" and number:
            a, b = pictures[number], pictures[0]
            assert a is not None and b is not None
            shown = frames.computed(
                (a.key, b.key, kind), lambda a=a, b=b: difference(a.pixels, b.pixels, kind, 4)
            )
        slots[number] = Slot(f"version {number}", picture, shown)
    canvas.set_slots(slots, (WIDTH, HEIGHT))


def measure(app: QApplication, folder: Path, keys: list[str], count: int, view: View, rounds: int) -> list[float]:
    frames = Frames(folder)
    canvas = CompareCanvas()
    canvas.resize(1600, 900)
    canvas.set_careful(frames.scaled)
    canvas.set_view(view)
    canvas.show()
    order = [*range(count), *range(count - 2, 0, -1)]
    for index in order:  # once to map everything
        step(canvas, frames, keys, index, view.difference)
        app.processEvents()
    taken = []
    for index in order * rounds:
        began = time.perf_counter()
        step(canvas, frames, keys, index, view.difference)
        canvas.repaint()
        taken.append(time.perf_counter() - began)
    canvas.close()
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    app = QApplication([])
    cases = {
        "side by side, 2 versions, fitted": (2, View()),
        "side by side, 4 versions, fitted": (4, View()),
        "single, fitted": (2, View(mode="single")),
        "single, 1:1": (2, View(mode="single", zoom=1.0)),
        "wipe, fitted": (2, View(mode="wipe")),
        "difference (absolute), 2 versions": (2, View(difference="absolute")),
        "difference (heat map), 2 versions": (2, View(difference="heat")),
    }
    with tempfile.TemporaryDirectory() as place:
        keys = make_frames(Path(place), 4, given.frames)
        print(f"{given.frames} frames of {WIDTH}x{HEIGHT}, canvas 1600x900, {os.cpu_count()} cores")
        print(f"{'case':<40}{'frames/s':>10}{'median ms':>11}{'p99 ms':>9}")
        for name, (panes, view) in cases.items():
            taken = measure(app, Path(place), keys[:panes], given.frames, replace(view), given.rounds)
            late = sorted(taken)[int(0.99 * len(taken))]
            print(
                f"{name:<40}{len(taken) / sum(taken):>10.0f}{1e3 * statistics.median(taken):>11.1f}"
                f"{1e3 * late:>9.1f}"
            )


if __name__ == "__main__":
    main()

"""How fast the Compare page follows the scrubber: cached 1080p frames, offscreen.

    python benchmarks/app_scrub.py [--frames 24] [--rounds 3]

Puts frames of noise and edges into a project's cache, opens the page on them and steps through them as a
dragged scrubber does: a step looks the frames up, hands them to the canvas, and lets Qt paint what changed.
Differences are computed anew in every step. Prints steps per second, the slowest steps, and the processor
time of a step, which does not depend on what else the machine does.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "core")]

import numpy as np  # noqa: E402
from PySide6.QtCore import QEvent, QObject  # noqa: E402
from PySide6.QtWidgets import QApplication, QWidget  # noqa: E402

from quantvsr.preview.keys import version_key  # noqa: E402
from quantvsr.preview.store import ClipFacts, FrameStore  # noqa: E402
from quantvsr.project import ClipEntry, Project, Settings  # noqa: E402
from quantvsr_gui.engine import Engines  # noqa: E402
from quantvsr_gui.pages.base import Context  # noqa: E402
from quantvsr_gui.pages.compare import build  # noqa: E402
from quantvsr_gui.pages.compare.controller import CompareController  # noqa: E402
from quantvsr_gui.pages.compare.versions import cache_folder, scene_of  # noqa: E402
from quantvsr_gui.project import ProjectModel  # noqa: E402
from quantvsr_gui.shell.actions import Actions  # noqa: E402
from quantvsr_gui.shell.settings import SettingsStore  # noqa: E402
from quantvsr_gui.shell.theme import ThemeManager  # noqa: E402

WIDTH, HEIGHT = 1920, 1080
VERSIONS = ("lq", "bicubic", "fp", "gt")
CASES: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "two versions side by side": (("fp", "gt"), {}),
    "four versions side by side": (VERSIONS, {}),
    "one version, fitted": (("fp",), {"mode": "single", "active": 0}),
    "one version, 1:1": (("fp",), {"mode": "single", "active": 0, "zoom": 1.0}),
    "wipe": (("fp", "gt"), {"mode": "wipe", "left": 0, "active": 1}),
    "difference, absolute": (("fp", "gt"), {"difference": "absolute"}),
    "difference, signed": (("fp", "gt"), {"difference": "signed"}),
    "difference, heat map": (("fp", "gt"), {"difference": "heat"}),
    "two differences and the input, heat map": (("fp", "gt", "bicubic", "lq"), {"difference": "heat"}),
    "difference alone, heat map": (("fp", "gt"), {"mode": "single", "active": 1, "difference": "heat"}),
    "difference alone, 1:1": (
        ("fp", "gt"),
        {"mode": "single", "active": 1, "difference": "heat", "zoom": 1.0},
    ),
}


def fill(project: Project, count: int) -> None:
    """Frames of all versions, as rendering leaves them."""
    rng = np.random.default_rng(0)
    clip = project.content.settings.clips[0]
    scene = scene_of(project.content.settings, clip)
    store = FrameStore(cache_folder(project.cache))
    base = rng.integers(0, 200, (HEIGHT // 8, WIDTH // 8 + count, 3), np.uint8)
    for number, version in enumerate(VERSIONS):
        frames = store.version(version_key(scene, version))
        for index in range(count):
            picture = base[:, index : index + WIDTH // 8].repeat(8, 0).repeat(8, 1)
            picture = picture + rng.integers(0, 4 + number, picture.shape, np.uint8)
            frames.write(index, picture[::4, ::4] if version == "lq" else picture)
    facts = ClipFacts(WIDTH // 4, HEIGHT // 4, tuple(i / 25 for i in range(count)))
    facts.write(store.version(version_key(scene, "lq")).folder)


class Watch(QObject):
    """Counts how often a widget is painted: a step that paints nothing would be fast for no merit."""

    painted = 0

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: D102
        self.painted += event.type() == QEvent.Type.Paint
        return False


def scrub(app: QApplication, page: CompareController, count: int, rounds: int) -> list[tuple[float, float]]:
    """Seconds and processor seconds of each step."""
    order = [*range(1, count), *range(count - 2, -1, -1)]
    taken = []
    watch = Watch()
    page.view.canvas.installEventFilter(watch)
    for number in range(rounds + 1):
        for index in order:
            page.view.canvas.looks.forget()
            painted = watch.painted
            began, worked = time.perf_counter(), time.process_time()
            page.seek(index)
            app.processEvents()
            assert watch.painted > painted
            # The first round maps all frames.
            if number:
                taken.append((time.perf_counter() - began, time.process_time() - worked))
    page.view.canvas.removeEventFilter(watch)
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    app = QApplication([])
    theme = ThemeManager(app, "dark")
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        for clip in ("clip", "gt"):
            (place / clip).write_bytes(clip.encode())
        entry = ClipEntry(str(place / "clip"), gt=str(place / "gt"))
        project = Project.create(place / "p.qvsr", Settings(clips=(entry,)))
        fill(project, given.frames)
        model, window = ProjectModel(), QWidget()
        model.open(project)
        store = SettingsStore(place / "settings.json", window)
        context = Context(
            model, Engines(), Actions(window, store), theme, store, lambda key: None, print, lambda *_: []
        )
        page = build(context)
        page.page.resize(1600, 1000)
        page.page.show()
        page.shown()
        print(f"{given.frames} frames of {WIDTH}x{HEIGHT}, page 1600x1000, {os.cpu_count()} cores")
        print(f"{'shown':<42}{'frames/s':>10}{'median ms':>11}{'p99 ms':>9}{'processor ms':>14}")
        plain = page.view.canvas.view
        for title, (versions, view) in CASES.items():
            page.screen.chosen = dict(enumerate(versions))
            page.view.canvas.set_view(plain)
            page.viewing.set_view(**view)
            app.processEvents()
            taken = scrub(app, page, given.frames, given.rounds)
            passed = sorted(each for each, _ in taken)
            worked = statistics.median(each for _, each in taken)
            print(
                f"{title:<42}{len(passed) / sum(passed):>10.0f}{1e3 * statistics.median(passed):>11.1f}"
                f"{1e3 * passed[int(0.99 * len(passed))]:>9.1f}{1e3 * worked:>14.1f}"
            )
        page.hidden()
        page.page.close()
        model.close()
        context.engines.shut_down()


if __name__ == "__main__":
    main()

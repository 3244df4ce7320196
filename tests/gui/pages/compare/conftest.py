"""Frames in a cache, made without an engine."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from quantvsr.preview.keys import version_key
from quantvsr.preview.store import ClipFacts, FrameStore
from quantvsr.project import ClipEntry, RunState
from quantvsr_gui.pages.base import Context
from quantvsr_gui.pages.compare import build
from quantvsr_gui.pages.compare.controller import CompareController
from quantvsr_gui.pages.compare.versions import cache_folder, scene_of

WIDTH, HEIGHT = 64, 48
SEED = {"lq": 1, "bicubic": 2, "fp": 3, "gt": 4}


def pixels(version: str, frame: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """A picture that tells version and frame apart: RGB."""
    picture = np.random.default_rng(SEED.get(version, 9)).integers(0, 200, (height, width, 3), np.uint8)
    return picture + np.uint8(frame)


@pytest.fixture
def clip(tmp_path: Path) -> ClipEntry:
    """A clip of the project; its file only has to be there."""
    for name in ("clip.mkv", "gt.mkv"):
        (tmp_path / name).write_bytes(name.encode())
    return ClipEntry(str(tmp_path / "clip.mkv"), gt=str(tmp_path / "gt.mkv"))


@pytest.fixture
def render(context: Context, clip: ClipEntry) -> Callable[..., str]:
    """Put frames of a version into the cache: `render("fp", range(3))`; gives the key."""

    def put(version: str, frames: range, *, source: str = "") -> str:
        project = context.project.project
        assert project is not None
        scene = scene_of(context.project.settings, clip)
        key = version_key(scene, source or version)
        store = FrameStore(cache_folder(project.cache))
        for frame in frames:
            small = (WIDTH // 4, HEIGHT // 4) if version == "lq" else (WIDTH, HEIGHT)
            store.version(key).write(frame, pixels(version, frame, *small))
        if version == "lq":
            # Uneven times: every third frame is shown twice as long.
            times, at = [], 0.0
            for frame in range(12):
                times.append(at)
                at += 0.08 if frame % 3 == 2 else 0.04
            ClipFacts(WIDTH // 4, HEIGHT // 4, tuple(times)).write(store.version(key).folder)
        return key

    return put


@pytest.fixture
def add_run(context: Context, tmp_path: Path) -> Callable[..., str]:
    """A finished run with a checkpoint file; gives the checkpoint."""

    def add(name: str = "W4A4", **job: object) -> str:
        from quantvsr.jobs import QuantizeJob

        checkpoint = tmp_path / name / "checkpoint.safetensors"
        checkpoint.parent.mkdir()
        checkpoint.write_bytes(name.encode())
        run_id = name.lower()
        context.project.add_run(run_id, name, QuantizeJob(out=str(checkpoint.parent), **job))
        context.project.update_run(run_id, state=RunState.DONE, result={"checkpoint": str(checkpoint)})
        return str(checkpoint)

    return add


@pytest.fixture
def page(qtbot, context: Context, clip: ClipEntry, render: Callable[..., str]) -> CompareController:
    """The page with the clip and some rendered frames, shown."""
    for version in ("lq", "fp", "gt"):
        render(version, range(6))
    context.project.change("add a clip", clips=(clip,))
    made = build(context)
    qtbot.addWidget(made.page)
    made.page.resize(1000, 720)
    made.page.show()
    qtbot.waitExposed(made.page)
    made.shown()
    yield made
    made.hidden()
    made.page.close()

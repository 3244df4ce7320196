"""Fixtures of the app's tests; nothing may be left running after one."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import shiboken6
from PySide6.QtCore import QProcess, QThread
from PySide6.QtGui import QColor, QImage
from PySide6.QtWidgets import QApplication

from quantvsr_gui import theme
from quantvsr_gui.engine import Engine

METRICS = {
    "bits": "W4A4",
    "psnr_gt_fp": 27.125,
    "psnr_gt_lowbit": 26.95,
    "psnr_gt_minmax": 22.3,
    "psnr_fp_lowbit": 34.2,
    "ssim_gt_fp": 0.8123,
    "ssim_gt_lowbit": 0.8101,
    "warp_error_fp": 0.00123,
    "warp_error_lowbit": None,
    "bytes_fp32": 40_000_000,
    "bytes_lowbit": 7_000_000,
    "execution": "simulated",
}


@pytest.fixture(autouse=True)
def nothing_left_running(qapp: QApplication) -> Iterator[None]:
    if not qapp.styleSheet():
        theme.apply(qapp)
    yield
    for widget in QApplication.topLevelWidgets():
        assert not widget.isVisible(), f"{widget} is still open"
    for wrapper in shiboken6.getAllValidWrappers():
        if isinstance(wrapper, QProcess):
            assert wrapper.state() == QProcess.ProcessState.NotRunning, "a process is still running"
        elif isinstance(wrapper, QThread):
            assert wrapper is qapp.thread() or not wrapper.isRunning(), "a thread is still running"


@pytest.fixture
def results_folder(tmp_path: Path) -> Path:
    """A finished demo with three frames of full precision (red) and low bit (green)."""
    folder = tmp_path / "demo"
    for kind, colour in (("fp", "red"), ("lowbit", "green")):
        (folder / "frames" / kind).mkdir(parents=True)
        for index in range(3):
            image = QImage(32, 24, QImage.Format.Format_RGB32)
            image.fill(QColor(colour).darker(100 + 40 * index))
            assert image.save(str(folder / "frames" / kind / f"{index:05d}.png"))
    (folder / "metrics.json").write_text(json.dumps(METRICS), encoding="utf-8")
    return folder


@pytest.fixture
def engine_of(tmp_path: Path, qapp: QApplication) -> Iterator[Callable[[str], Engine]]:
    """Makes engines that run a small Python program in place of the real child."""
    made: list[Engine] = []

    def make(program: str) -> Engine:
        script = tmp_path / f"child{len(made)}.py"
        script.write_text("import json, sys, time\n" + program, encoding="utf-8")
        made.append(Engine([sys.executable, str(script)]))
        return made[-1]

    yield make
    for engine in made:
        if shiboken6.isValid(engine):
            engine.shut_down()

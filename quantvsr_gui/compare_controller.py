"""What happens on the Compare page: showing the last demo, running a new one."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QTimer
from PySide6.QtGui import QPixmap

from quantvsr.jobs.demo import DemoJob
from quantvsr_gui.compare_page import ComparePage, Side
from quantvsr_gui.engine import Engine
from quantvsr_gui.results import KINDS, DemoResults, NoResults, load


class CompareController(QObject):
    """Connects the page's widgets, the engine and a results folder."""

    def __init__(self, page: ComparePage, engine: Engine, folder: Path) -> None:
        super().__init__(page)
        self._page, self._engine, self._folder = page, engine, folder
        self._results: DemoResults | None = None
        self._started = 0.0
        self._message = ""
        # The engine may be silent for a while; the clock goes on so that nobody thinks it hangs.
        self._clock = QTimer(self)
        self._clock.setInterval(1000)
        self._clock.timeout.connect(self._tell)

        page.run_button.clicked.connect(self.run_demo)
        page.cancel_button.clicked.connect(self.cancel)
        page.slider.valueChanged.connect(self._show_frame)
        for side in (page.left, page.right):
            side.choice.currentIndexChanged.connect(self._show_frame)
        engine.progressed.connect(self._progressed)
        engine.succeeded.connect(self._succeeded)
        engine.failed.connect(self._failed)
        engine.cancelled.connect(self._cancelled)
        self._set_running(False)
        self.reload()

    def arguments(self) -> Sequence[str]:
        """The demo's command line, without the program."""
        return ["demo", *DemoJob(out=str(self._folder)).arguments()]

    def run_demo(self) -> None:
        """Start the demo."""
        self._message = "Starting the engine"
        self._started = time.monotonic()
        self._page.progress.setValue(0)
        self._set_running(True)
        self._tell()
        self._engine.start(self.arguments())

    def cancel(self) -> None:
        """Stop the demo."""
        self._page.cancel_button.setEnabled(False)
        self._message = "Cancelling"
        self._tell()
        self._engine.cancel()

    def reload(self) -> None:
        """Show what lies in the results folder."""
        try:
            self._results = load(self._folder)
        except NoResults as reason:
            self._results = None
            # No metrics.json is the state of a new installation, which the card explains.
            if (self._folder / "metrics.json").exists():
                self._say(str(reason), "alert")
        shown = self._results is not None
        self._page.empty.setVisible(not shown)
        self._page.comparison.setVisible(shown)
        self._page.run_button.setText("Run the demo again" if shown else "Run the demo")
        if self._results is not None:
            self._show(self._results)

    def _show(self, results: DemoResults) -> None:
        bits = results.metrics.get("bits")
        self._page.figures.show_rows(results.rows(), bits if isinstance(bits, str) else "Low bit")
        kinds = results.kinds()
        for side, wanted in ((self._page.left, "fp"), (self._page.right, "lowbit")):
            chosen = side.choice.currentData() or wanted
            side.choice.blockSignals(True)
            side.choice.clear()
            for kind in kinds:
                side.choice.addItem(KINDS[kind], kind)
            side.choice.setCurrentIndex(max(side.choice.findData(chosen), 0))
            side.choice.blockSignals(False)
        slider = self._page.slider
        slider.blockSignals(True)
        slider.setRange(0, results.length() - 1)
        slider.blockSignals(False)
        self._show_frame()

    def _show_frame(self) -> None:
        if self._results is None:
            return
        index = self._page.slider.value()
        self._page.frame_label.setText(f"Frame {index + 1} of {self._results.length()}")
        for side in (self._page.left, self._page.right):
            _show_picture(side, self._results, index)

    def _progressed(self, fraction: float, message: str) -> None:
        self._page.progress.setValue(round(1000 * min(max(fraction, 0.0), 1.0)))
        if self._page.cancel_button.isEnabled():
            self._message = message or self._message
            self._tell()

    def _succeeded(self, result: dict[str, Any]) -> None:
        self._set_running(False)
        self._say(f"Done in {_duration(time.monotonic() - self._started)}. Everything is in {self._folder}")
        self.reload()

    def _failed(self, reason: str) -> None:
        self._set_running(False)
        self._say(reason, "alert")

    def _cancelled(self) -> None:
        self._set_running(False)
        self._say("Cancelled.")

    def _set_running(self, running: bool) -> None:
        page = self._page
        page.run_button.setEnabled(not running)
        page.cancel_button.setEnabled(running)
        page.cancel_button.setVisible(running)
        page.progress.setVisible(running)
        if running:
            self._clock.start()
        else:
            self._clock.stop()

    def _tell(self) -> None:
        self._say(f"{self._message} ({_duration(time.monotonic() - self._started)})")

    def _say(self, text: str, look: str = "muted") -> None:
        status = self._page.status
        status.setText(text)
        if status.objectName() != look:
            status.setObjectName(look)
            status.style().polish(status)


def _show_picture(side: Side, results: DemoResults, index: int) -> None:
    kind = side.choice.currentData()
    frames = results.frames.get(kind, [])
    if index >= len(frames):
        side.view.show_picture(QPixmap(), "No frame")
        return
    pixmap = QPixmap(str(frames[index]))
    side.view.show_picture(pixmap, f"{frames[index].name} cannot be read" if pixmap.isNull() else "")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"

"""The analysis as a job: starting, pausing and cancelling it, and what the page says meanwhile."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from PySide6.QtCore import QObject, Signal

from quantvsr.errors import QuantVSRError
from quantvsr.jobs import AnalyzeJob
from quantvsr_gui.engine import JobHandle
from quantvsr_gui.pages.base import Context
from quantvsr_gui.pages.complexity.page import ANALYSING, TO_ANALYSE, ComplexityPage
from quantvsr_gui.widgets.text import duration


class AnalysisControl(QObject):
    """Runs the analysis of the open project.

    Signals:
        changed: It began or ended.
    """

    changed = Signal()

    def __init__(
        self,
        page: ComplexityPage,
        context: Context,
        job: Callable[[], AnalyzeJob],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._page, self._context, self._job = page, context, job
        self.handle: JobHandle | None = None
        for made in (page.analyze_button, page.start_button):
            made.clicked.connect(self.start)
        page.cancel_button.clicked.connect(lambda: self.handle and self.handle.cancel())
        page.pause_button.clicked.connect(self._pause)

    @property
    def possible(self) -> bool:
        """Whether one can be started."""
        project = self._context.project
        return project.is_open and not project.read_only and self.handle is None

    def start(self) -> None:
        """Start it, if it can be."""
        if not self.possible:
            return
        try:
            job = self._job()
        except QuantVSRError as error:
            self._page.messages.show_message(str(error), "alert", key="job")
            return
        self._page.messages.clear("job")
        handle = self._context.engines.work.submit(job)
        handle.started.connect(lambda: self._started(handle))
        handle.progressed.connect(lambda fraction, stage, message, _: self._progressed(fraction, message))
        handle.warned.connect(lambda text: self._page.messages.show_message(text, "warning", key=text))
        for signal in (handle.paused, handle.resumed):
            signal.connect(self.show)
        handle.succeeded.connect(partial(self._succeeded, job))
        handle.failed.connect(self._failed)
        handle.cancelled.connect(lambda: self.tell("Cancelled. What was recorded is kept."))
        handle.ended.connect(lambda: self._set(None))
        self._set(handle)
        self.tell("Waiting for the job before it")

    def tell(self, text: str) -> None:
        """Show a line below the bar."""
        self._page.status.setText(text)
        self._page.running.setVisible(bool(text) or self.handle is not None)

    def show(self) -> None:
        """Show bar and buttons as they should be now."""
        page, running = self._page, self.handle is not None
        page.pause_button.setVisible(running)
        page.cancel_button.setVisible(running)
        paused = self.handle is not None and self.handle.state == "paused"
        page.pause_button.setText("Resume" if paused else "Pause")
        page.progress.setVisible(running)
        if not running:
            page.progress.setValue(0)
        for made in (page.analyze_button, page.start_button):
            made.setEnabled(self.possible)
        page.start_button.setVisible(not running)
        page.words.say(*(ANALYSING if running else TO_ANALYSE))
        page.running.setVisible(running or bool(page.status.text()))
        self._context.actions.refresh()

    def _set(self, handle: JobHandle | None) -> None:
        self.handle = handle
        self.show()
        self.changed.emit()

    def _pause(self) -> None:
        if self.handle is not None:
            self.handle.resume() if self.handle.state == "paused" else self.handle.pause()

    def _progressed(self, fraction: float, message: str) -> None:
        self._page.progress.setValue(round(1000 * fraction))
        taken = self.handle.seconds if self.handle is not None else 0.0
        left = f", about {duration(taken / fraction - taken)} left" if fraction > 0.05 and taken > 2 else ""
        self.tell(f"{message or 'Beginning'} ({duration(taken)}{left})")

    def _succeeded(self, job: AnalyzeJob, result: Mapping[str, Any]) -> None:
        self.tell("")
        model = self._context.project
        if model.project is not None and job.out == str(model.project.folder):
            again = bool(model.analysis)
            model.set_analysis(job, result)
            if again:
                # The charts may look the same: say that something was done.
                self._page.messages.show_message("The analysis is up to date.", "good", key="job")

    def _started(self, handle: JobHandle) -> None:
        self._set(handle)  # after a crash the window starts it again
        self.tell("Starting the engine")

    def _failed(self, sentence: str) -> None:
        handle, self.handle = self.handle, None
        self.tell("")
        if handle is None or not handle.crashed:  # of a crash the window tells
            self._page.messages.show_message(sentence, "alert", {"Try again": self.start}, "job")

"""What the engines do, told above the pages: crashes, silence, and what a finished job has led to."""

from collections.abc import Callable

from PySide6.QtCore import QObject

from quantvsr.jobs.base import Job
from quantvsr_gui.engine import Engine, Engines, JobHandle
from quantvsr_gui.shell.log import JobLog, LogPanel
from quantvsr_gui.widgets.banner import Messages

_WRITTEN = ("The export is written.", "Look at it", "export")
# What comes after a long job: what is said, the button, and the page.
_NEXT = {
    "analyze": ("The analysis is done.", "Look at the layers", "complexity"),
    "quantize": ("The model is quantized.", "Compare it", "compare"),
    "upscale": _WRITTEN,
    "side-by-side": _WRITTEN,
}


class EngineWatch(QObject):
    """Connects engines with messages and the log.

    Args:
        engines: Are watched.
        messages: Where it is told.
        log: Where it is written down.
        go_to: Shows a page.
        front: Key of the page in front.
    """

    def __init__(
        self,
        engines: Engines,
        messages: Messages,
        log: LogPanel,
        go_to: Callable[[str], None],
        front: Callable[[], str],
    ) -> None:
        super().__init__(log)
        self._messages, self._go_to, self._front = messages, go_to, front
        for engine in engines.all():
            job_log = JobLog(engine, log, quiet=engine is engines.preview)
            job_log.done.connect(self._done)
            engine.crashed.connect(self._crashed)
            engine.silent.connect(lambda silent, engine=engine: self._silent(engine, silent))

    def _crashed(self, handle: JobHandle | None, reason: str) -> None:
        if handle is None:
            text = f"{reason} It had nothing to do, and starts again when it is needed."
            self._messages.show_message(text, "warning", key="engine")
            return
        actions = {"Restart and continue": handle.retry}
        self._messages.show_message(f"{reason} Nothing is lost.", "alert", actions, "engine")

    def _silent(self, engine: Engine, silent: bool) -> None:
        if not silent:
            self._messages.clear("silent")
            return
        text = f"The engine ({engine.name}) has given no sign of life for a while."
        self._messages.show_message(text, "warning", {"Restart it": engine.restart}, "silent")

    def _done(self, job: Job) -> None:
        if job.name not in _NEXT:
            return
        text, offer, page = _NEXT[job.name]
        if page != self._front():
            self._messages.show_message(text, "good", {offer: lambda: self._go_to(page)}, "done")

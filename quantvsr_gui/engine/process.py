"""The engine's process, watched from a thread of its own: the window's thread is never held up by it."""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QProcess, QTimer, Signal, Slot

from quantvsr_gui.engine.messages import Ended, Failed, Message, Succeeded, parse

# Asked to cancel, a job stops at its next safe point; after this time its process is ended: 2 s in all.
CANCEL_WITHIN_MS = 1500
# Without a sign of life for so long the process counts as hanging (it beats twice a second).
SILENT_AFTER_S = 30.0
_KEPT_ERROR_CHARACTERS = 20_000


def engine_command() -> list[str]:
    """Program and arguments that start the engine."""
    if getattr(sys, "frozen", False):
        # In a packaged app there is no Python to call; the command-line program lies beside this one.
        name = "quantvsr.exe" if sys.platform == "win32" else "quantvsr"
        return [str(Path(sys.executable).with_name(name)), "--child", "--serve"]
    return [sys.executable, "-m", "quantvsr.child", "--serve"]


class EngineProcess(QObject):
    """Owns the process; lives in the watching thread, and is talked to through queued calls only.

    Signals:
        told: A `Message`.
        printed: A line of the engine's standard error.
        silent: No sign of life for a while, or one again.
    """

    told = Signal(object)
    printed = Signal(str)
    silent = Signal(bool)

    def __init__(self, command: Sequence[str]) -> None:
        super().__init__()
        self._command = list(command)
        self._process: QProcess | None = None
        self._buffer = b""
        self._errors = ""
        self._ending = False
        self._under_way: set[str] = set()
        self._cancelling = ""
        self._heard = 0.0
        self._is_silent = False
        self._deadline: QTimer | None = None
        self._watch: QTimer | None = None

    @Slot()
    def set_up(self) -> None:
        """First thing in the thread: timers belong to the thread that makes them."""
        self._deadline = QTimer(self)
        self._deadline.setSingleShot(True)
        self._deadline.setInterval(CANCEL_WITHIN_MS)
        self._deadline.timeout.connect(self._overdue)
        self._watch = QTimer(self)
        self._watch.setInterval(2000)
        self._watch.timeout.connect(self._look)

    @Slot(dict)
    def send(self, request: dict[str, Any]) -> None:
        """Send a request; starts the process where there is none and one is needed."""
        if self._process is None:
            if "run" not in request and "prepare" not in request:
                return
            self._start()
        if self._process is None:
            return
        if "run" in request:
            self._under_way.add(str(request["run"]))
        if "cancel" in request:
            job = str(request["cancel"])
            # A job may have ended while the request was on its way: the next one must not suffer for it.
            if job not in self._under_way or self._cancelling or self._deadline is None:
                return
            self._cancelling = job
            self._deadline.start()
        self._process.write(json.dumps(request, ensure_ascii=False).encode() + b"\n")

    @Slot()
    def kill(self) -> None:
        """End the process now; `Ended` follows."""
        if self._process is not None:
            self._ending = True
            self._process.kill()

    @Slot()
    def tear_down(self) -> None:
        """Last thing in the thread: end the process without a word and drop everything that lives here."""
        if self._process is not None:
            self._process.blockSignals(True)
            # With its input closed it cancels and ends; it is not waited for long.
            self._process.closeWriteChannel()
            if not self._process.waitForFinished(300):
                self._process.kill()
                self._process.waitForFinished(2000)
            self._process.deleteLater()
            self._process = None
        for timer in (self._deadline, self._watch):
            if timer is not None:
                timer.stop()
                timer.deleteLater()
        self._deadline = self._watch = None

    def _start(self) -> None:
        self._buffer, self._errors, self._ending, self._cancelling = b"", "", False, ""
        self._under_way.clear()
        self._process = QProcess(self)
        self._process.readyReadStandardOutput.connect(self._read)
        self._process.readyReadStandardError.connect(self._read_errors)
        self._process.finished.connect(self._finished)
        self._process.errorOccurred.connect(self._error)
        self._heard = time.monotonic()
        self._process.start(self._command[0], self._command[1:])
        if self._watch is not None:
            self._watch.start()

    def _read(self) -> None:
        if self._process is None:
            return
        *lines, self._buffer = (self._buffer + bytes(self._process.readAllStandardOutput().data())).split(
            b"\n"
        )
        for line in lines:
            message = parse(line)
            if message is not None:
                self._hear(message)

    def _hear(self, message: Message) -> None:
        self._heard = time.monotonic()
        if self._is_silent:
            self._is_silent = False
            self.silent.emit(False)
        if isinstance(message, Succeeded | Failed):
            self._under_way.discard(message.job)
            if message.job == self._cancelling:
                self._cancelling = ""
                if self._deadline is not None:
                    self._deadline.stop()
        self.told.emit(message)

    def _read_errors(self) -> None:
        if self._process is None:
            return
        text = bytes(self._process.readAllStandardError().data()).decode("utf-8", "replace")
        self._errors = (self._errors + text)[-_KEPT_ERROR_CHARACTERS:]
        for line in text.splitlines():
            if line.strip():
                self.printed.emit(line)

    def _overdue(self) -> None:
        if self._cancelling:
            self.kill()

    def _look(self) -> None:
        if not self._is_silent and time.monotonic() - self._heard > SILENT_AFTER_S:
            self._is_silent = True
            self.silent.emit(True)

    def _finished(self, code: int, status: QProcess.ExitStatus) -> None:
        self._read()
        self._read_errors()
        last = next((line for line in reversed(self._errors.splitlines()) if line.strip()), "")
        crashed = status == QProcess.ExitStatus.CrashExit
        how = "crashed" if crashed else f"ended with code {code}"
        self._gone(f"The engine {how}. {last}".strip())

    def _error(self, error: QProcess.ProcessError) -> None:
        # All other errors end in `finished`; a process that never started does not.
        if error == QProcess.ProcessError.FailedToStart and self._process is not None:
            reason = self._process.errorString()
            self._gone(f"The engine could not be started: {self._command[0]}: {reason}.")

    def _gone(self, reason: str) -> None:
        if self._process is not None:
            self._process.deleteLater()
            self._process = None
        for timer in (self._deadline, self._watch):
            if timer is not None:
                timer.stop()
        self.told.emit(Ended(not self._ending, reason))

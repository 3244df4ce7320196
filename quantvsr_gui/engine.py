"""The engine as a child process. The app never computes: it starts, watches and stops this process."""

import contextlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QProcess, QTimer, Signal

# Asked to cancel, the engine stops at its next safe point; after this time it is ended, within 2 s in all.
CANCEL_WITHIN_MS = 1500
_KEPT_ERROR_CHARACTERS = 20_000


def engine_command() -> list[str]:
    """Program and first arguments that start the engine as a child."""
    if getattr(sys, "frozen", False):
        # In a packaged app there is no Python to call; the command-line program lies beside this one.
        name = "quantvsr.exe" if sys.platform == "win32" else "quantvsr"
        return [str(Path(sys.executable).with_name(name)), "--child"]
    return [sys.executable, "-m", "quantvsr.child"]


class Engine(QObject):
    """Runs one job at a time; its arguments are those of the `quantvsr` command.

    After `start`, exactly one of `succeeded`, `failed` and `cancelled` is emitted.
    """

    progressed = Signal(float, str)  # fraction 0..1, what is going on
    warned = Signal(str)
    succeeded = Signal(dict)
    failed = Signal(str)
    cancelled = Signal()

    def __init__(self, command: Sequence[str] | None = None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._command = list(command) if command is not None else engine_command()
        self._buffer = b""
        self._errors = ""
        self._last: dict[str, Any] = {}
        self._cancelling = False
        self._process = QProcess(self)
        self._process.readyReadStandardOutput.connect(self._read)
        self._process.readyReadStandardError.connect(self._read_errors)
        self._process.finished.connect(self._finished)
        self._process.errorOccurred.connect(self._error)
        self._deadline = QTimer(self)
        self._deadline.setSingleShot(True)
        self._deadline.setInterval(CANCEL_WITHIN_MS)
        self._deadline.timeout.connect(self._process.kill)

    @property
    def running(self) -> bool:
        """Whether a job is under way."""
        return self._process.state() != QProcess.ProcessState.NotRunning

    def start(self, arguments: Sequence[str], folder: Path | None = None) -> None:
        """Start a job, in `folder` as the working folder."""
        if self.running:
            raise RuntimeError("the engine is already running")
        self._buffer, self._errors, self._last, self._cancelling = b"", "", {}, False
        if folder is not None:
            self._process.setWorkingDirectory(str(folder))
        self._process.start(self._command[0], [*self._command[1:], *arguments])

    def cancel(self) -> None:
        """Stop the job; `cancelled` follows within about two seconds."""
        if not self.running or self._cancelling:
            return
        self._cancelling = True
        self._process.write(b"cancel\n")
        self._deadline.start()

    def shut_down(self) -> None:
        """End the process now and wait for it, without any signal: for closing the app."""
        if self.running:
            self._process.blockSignals(True)
            self._process.kill()
            self._process.waitForFinished(CANCEL_WITHIN_MS)
            self._process.blockSignals(False)
        self._deadline.stop()

    def _read(self) -> None:
        *lines, self._buffer = (self._buffer + self._process.readAllStandardOutput().data()).split(b"\n")
        for line in lines:
            # A line that is no message comes from a library that prints; it does no harm.
            with contextlib.suppress(json.JSONDecodeError, UnicodeDecodeError):
                message = json.loads(line)
                if isinstance(message, dict):
                    self._obey(message)

    def _obey(self, message: dict[str, Any]) -> None:
        if "fraction" in message:
            words = [str(message.get(key) or "") for key in ("stage", "message")]
            self.progressed.emit(float(message["fraction"]), ": ".join(word for word in words if word))
        elif "warning" in message:
            self.warned.emit(str(message["warning"]))
        else:
            self._last = message

    def _read_errors(self) -> None:
        text = self._process.readAllStandardError().data().decode("utf-8", "replace")
        self._errors = (self._errors + text)[-_KEPT_ERROR_CHARACTERS:]

    def _finished(self, code: int, status: QProcess.ExitStatus) -> None:
        self._deadline.stop()
        self._read()
        self._read_errors()
        # A job that got done in the moment of cancelling is done.
        if isinstance(self._last.get("result"), dict):
            self.succeeded.emit(self._last["result"])
        elif self._cancelling:
            self.cancelled.emit()
        else:
            self.failed.emit(self._reason(code, status))

    def _reason(self, code: int, status: QProcess.ExitStatus) -> str:
        if self._last.get("error"):
            return str(self._last["error"])
        last = next((line for line in reversed(self._errors.splitlines()) if line.strip()), "")
        how = "crashed" if status == QProcess.ExitStatus.CrashExit else f"ended with code {code}"
        return f"The engine {how}. {last}".strip()

    def _error(self, error: QProcess.ProcessError) -> None:
        # All other errors end in `finished`; a process that never started does not.
        if error == QProcess.ProcessError.FailedToStart:
            self._deadline.stop()
            self.failed.emit(
                f"The engine could not be started: {self._command[0]}: {self._process.errorString()}."
            )

"""The engine as the app uses it: jobs go in, handles come out. The app itself never computes."""

import itertools
from collections import deque
from collections.abc import Sequence

from PySide6.QtCore import QMetaObject, QObject, Qt, QThread, Signal, Slot

from quantvsr.errors import Cancelled
from quantvsr.jobs.base import Job
from quantvsr.jobs.repack import RepackJob
from quantvsr_gui.engine.handle import JobHandle
from quantvsr_gui.engine.messages import (
    Ended,
    Failed,
    Heartbeat,
    Message,
    Paused,
    Ready,
    Report,
    Succeeded,
    Warned,
)
from quantvsr_gui.engine.process import EngineProcess, engine_command

_numbers = itertools.count(1)


class Engine(QObject):
    """A process that runs jobs one after another, started with the first one.

    Signals:
        changed: It started, ended, took up or finished a job.
        beat: Main memory of the process in bytes (0 where unknown), twice a second.
        crashed: (handle or None, sentence): the process went away by itself. Its job has failed with
            `handle.crashed`; `handle.retry()` starts the process again and continues.
        silent: The process gives no sign of life (True), or does so again (False).
        printed: A line for the log.
    """

    changed = Signal()
    beat = Signal(float)
    crashed = Signal(object, str)
    silent = Signal(bool)
    printed = Signal(str)
    _send = Signal(dict)
    _kill = Signal()

    def __init__(
        self, name: str, command: Sequence[str] | None = None, parent: QObject | None = None
    ) -> None:
        """Make an engine; nothing is started yet.

        Args:
            name: For the log: "work", "preview".
            command: Program and arguments; the real engine if left out.
            parent: Qt's owner.
        """
        super().__init__(parent)
        self.name = name
        self.memory = 0
        self._waiting: deque[JobHandle] = deque()
        self._current: JobHandle | None = None
        self._cancelling = False
        self._shut = False
        self._process_id = 0
        self._process = EngineProcess(command or engine_command())
        self._thread = QThread(self)
        self._thread.setObjectName(f"engine {name}")
        self._process.moveToThread(self._thread)
        self._thread.started.connect(self._process.set_up)
        self._send.connect(self._process.send)
        self._kill.connect(self._process.kill)
        self._process.told.connect(self._obey)
        self._process.silent.connect(self.silent)
        self._process.printed.connect(self.printed)

    @property
    def current(self) -> JobHandle | None:
        """The job under way."""
        return self._current

    @property
    def jobs(self) -> tuple[Job, ...]:
        """The jobs under way and waiting."""
        handles = [*([self._current] if self._current else []), *self._waiting]
        return tuple(handle.job for handle in handles)

    @property
    def busy(self) -> bool:
        """Whether a job is under way or waits."""
        return self._current is not None or bool(self._waiting)

    @property
    def process_id(self) -> int:
        """Of the running process; 0 while there is none."""
        return self._process_id

    def submit(self, job: Job) -> JobHandle:
        """Run a job when those before it are done; connect to the handle at once, signals come later."""
        handle = JobHandle(job, self, str(next(_numbers)), self)
        self.enqueue(handle)
        return handle

    def enqueue(self, handle: JobHandle) -> None:
        """Put a handle (again) at the end of the queue; after `shut_down` it waits for ever."""
        if self._shut:
            return
        self._waiting.append(handle)
        # Not at once: whoever submits it has yet to connect to its signals.
        QMetaObject.invokeMethod(self, "_next", Qt.ConnectionType.QueuedConnection)

    def prepare(self) -> None:
        """Start the process and load the heavy libraries, so that the first job answers soon."""
        if self._shut:
            return
        self._ensure_thread()
        self._send.emit({"prepare": True})

    def cancel(self, handle: JobHandle) -> None:
        """Stop a job, running or waiting."""
        if handle in self._waiting:
            self._waiting.remove(handle)
            handle.stop()
            self.changed.emit()
        elif handle is self._current and not self._cancelling:
            self._cancelling = True
            self._send.emit({"cancel": handle.number})

    def pause(self, handle: JobHandle) -> None:
        """Let the running job wait."""
        if handle is self._current:
            self._send.emit({"pause": handle.number})

    def resume(self, handle: JobHandle) -> None:
        """Let the paused job go on."""
        if handle is self._current:
            self._send.emit({"resume": handle.number})

    def restart(self) -> None:
        """End the process; the next job starts a new one. A job under way fails as after a crash."""
        self._kill.emit()

    def shut_down(self) -> None:
        """End the process and its thread and wait for both, for good; no handle signals any more."""
        # Whatever a timer of a closing page still asks for must not start a process that nobody ends.
        self._shut = True
        for handle in [*self._waiting, *([self._current] if self._current else [])]:
            handle.blockSignals(True)
        self._waiting.clear()
        self._current = None
        if self._thread.isRunning():
            QMetaObject.invokeMethod(self._process, "tear_down", Qt.ConnectionType.BlockingQueuedConnection)
            self._thread.quit()
            self._thread.wait()
        self._process_id = 0

    def _ensure_thread(self) -> None:
        if not self._thread.isRunning():
            self._thread.start()

    @Slot()
    def _next(self) -> None:
        if self._current is not None or not self._waiting:
            return
        self._ensure_thread()
        handle = self._current = self._waiting.popleft()
        self._cancelling = False
        self._send.emit({"run": handle.number, "job": handle.job.to_json()})
        handle.begin()
        self.changed.emit()

    @Slot(object)
    def _obey(self, message: Message) -> None:
        if isinstance(message, Ready):
            self._process_id = message.process
            self.changed.emit()
        elif isinstance(message, Heartbeat):
            self.memory = message.memory or 0
            self.beat.emit(float(self.memory))
        elif isinstance(message, Ended):
            self._ended(message)
        else:
            self._of_job(message)

    def _of_job(self, message: Report | Warned | Paused | Succeeded | Failed) -> None:
        handle = self._current
        if handle is None or message.job != handle.number:
            return
        if isinstance(message, Report):
            handle.report(message.fraction, message.stage, message.message, **message.payload)
        elif isinstance(message, Warned):
            handle.warn(message.text)
        elif isinstance(message, Paused):
            handle.wait(message.waiting)
        else:
            self._finish(handle, message)

    def _finish(self, handle: JobHandle, message: Succeeded | Failed) -> None:
        self._current = None
        # Before the signals: a slot may ask for the next job at once.
        QMetaObject.invokeMethod(self, "_next", Qt.ConnectionType.QueuedConnection)
        # A job that got done in the moment of cancelling is done.
        if isinstance(message, Succeeded):
            handle.succeed(dict(message.result))
        elif message.exit_code == Cancelled.exit_code:
            handle.stop()
        else:
            handle.fail(message.sentence)
        self.changed.emit()

    def _ended(self, message: Ended) -> None:
        self._process_id = self.memory = 0
        handle, self._current = self._current, None
        QMetaObject.invokeMethod(self, "_next", Qt.ConnectionType.QueuedConnection)
        if handle is not None and self._cancelling:
            handle.stop()
        elif handle is not None:
            handle.fail(message.reason, crashed=True)
            self.crashed.emit(handle, message.reason)
        elif message.crashed:
            self.crashed.emit(None, message.reason)
        self.changed.emit()


class Engines:
    """The two engines of the app: long jobs in one, quick looks in the other."""

    def __init__(self, work: Engine | None = None, preview: Engine | None = None) -> None:
        self.work = work or Engine("work")
        self.preview = preview or Engine("preview")

    def all(self) -> tuple[Engine, Engine]:
        """Both."""
        return self.work, self.preview

    @property
    def at_work(self) -> bool:
        """Whether something takes its time: a long job, or the training of a trial, which is a quick look."""
        return self.work.busy or any(isinstance(job, RepackJob) and job.updates for job in self.preview.jobs)

    def shut_down(self) -> None:
        """End both."""
        for engine in self.all():
            engine.shut_down()

"""Asking the engine for frames: one wish at a time, a newer one replaces the older."""

from dataclasses import replace
from typing import Any

from PySide6.QtCore import QObject, Signal

from quantvsr.jobs.base import Job
from quantvsr.jobs.preview import PreviewJob
from quantvsr.jobs.repack import RepackJob
from quantvsr_gui.engine import Engine, Engines, JobHandle


class Renderer(QObject):
    """Runs preview jobs, and re-packing before them where layers were changed.

    Signals:
        frame_ready: (key, frame): a frame lies in the cache.
        progressed: (fraction, message).
        repacked: The result of re-packing; frames follow.
        not_packed: Re-packing failed or was given up.
        finished: The job that rendered, and its result.
        failed: One sentence; empty after a crash of the engine, which the window tells.
        changed: It began or ended.
    """

    frame_ready = Signal(str, int)
    progressed = Signal(float, str)
    repacked = Signal(dict)
    not_packed = Signal()
    finished = Signal(object, dict)
    failed = Signal(str)
    changed = Signal()

    def __init__(self, engines: Engines, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._engines = engines
        self._handle: JobHandle | None = None
        self._next: PreviewJob | None = None
        # What the engine's crash ended, and what follows it: it may be started again from elsewhere.
        self._crashed: tuple[JobHandle, PreviewJob | None] | None = None

    @property
    def busy(self) -> bool:
        """Whether something is under way."""
        return self._handle is not None

    @property
    def handle(self) -> JobHandle | None:
        """The job under way."""
        return self._handle

    @property
    def versions(self) -> tuple[str, ...]:
        """What is rendered now, or next."""
        job = self._next or (self._handle.job if self._handle is not None else None)
        return job.versions if isinstance(job, PreviewJob) else ()

    def render(self, job: PreviewJob, *, long: bool = False) -> None:
        """Render frames; what was wanted before is given up.

        Args:
            job: The frames.
            long: It takes its time, so it waits for other long jobs and does not stand in the way of looks.
        """
        self.cancel()
        self._submit(job, self._engines.work if long else self._engines.preview)

    def repack(self, job: RepackJob, then: PreviewJob) -> None:
        """Pack a checkpoint again, then render with it in place of the version it came from.

        Args:
            job: What is changed; its `checkpoint` is among `then.versions`.
            then: The frames.
        """
        self.cancel()
        self._next = then
        self._submit(job, self._engines.preview)

    def cancel(self) -> None:
        """Give up what is under way; no signal but `changed` follows."""
        handle, self._handle, self._next, self._crashed = self._handle, None, None, None
        if handle is not None:
            handle.cancel()
            self._tell_end(handle)

    def _submit(self, job: Job, engine: Engine) -> None:
        handle = self._handle = engine.submit(job)
        handle.started.connect(lambda: self._started(handle))
        handle.progressed.connect(lambda *told: self._report(handle, *told))
        handle.succeeded.connect(lambda result: self._done(handle, result))
        handle.failed.connect(lambda reason: self._ended(handle, reason))
        handle.cancelled.connect(lambda: self._ended(handle, ""))
        self.changed.emit()

    def _started(self, handle: JobHandle) -> None:
        """After a crash: go on with it."""
        if self._crashed is None or handle is not self._crashed[0]:
            return
        then = self._crashed[1]
        self.cancel()
        self._handle, self._next = handle, then
        self.changed.emit()

    def _report(
        self, handle: JobHandle, fraction: float, stage: str, message: str, payload: dict[str, Any]
    ) -> None:
        if handle is not self._handle:
            return
        if "frame" in payload and "key" in payload:
            self.frame_ready.emit(str(payload["key"]), int(payload["frame"]))
        self.progressed.emit(fraction, message)

    def _done(self, handle: JobHandle, result: dict[str, Any]) -> None:
        if handle is not self._handle:
            return
        then, self._handle, self._next = self._next, None, None
        if then is None:
            self.finished.emit(handle.job, result)
            self.changed.emit()
            return
        assert isinstance(handle.job, RepackJob)
        before, after = handle.job.checkpoint, str(result["checkpoint"])
        versions = tuple(after if each == before else each for each in then.versions)
        self._submit(replace(then, versions=versions), self._engines.preview)
        # After that, so that whoever hears of it finds the frames under way.
        self.repacked.emit(result)

    def _ended(self, handle: JobHandle, reason: str) -> None:
        if handle is not self._handle:
            return
        self._crashed = (handle, self._next) if handle.crashed else None
        self._handle, self._next = None, None
        if reason:
            self.failed.emit("" if handle.crashed else reason)
        self._tell_end(handle)

    def _tell_end(self, handle: JobHandle) -> None:
        self.changed.emit()
        if isinstance(handle.job, RepackJob):
            self.not_packed.emit()

"""Runs of a project and the jobs behind them: starting, continuing, keeping a snapshot, measuring."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from quantvsr.errors import QuantVSRError
from quantvsr.files import remove
from quantvsr.jobs import QuantizeJob
from quantvsr.jobs.base import Job
from quantvsr.project import RunRecord, RunState
from quantvsr.project.requests import score_job
from quantvsr_gui.engine import Engine, JobHandle
from quantvsr_gui.project import ProjectModel


class RunKeeper(QObject):
    """Keeps the project's records in step with the engine.

    Signals:
        reported: (run id, fraction 0..1, message, payload) of a run that works.
        failed: (run id, sentence).
        measuring_changed: The pictures of a run are being measured, or no longer.
    """

    reported = Signal(str, float, str, dict)
    failed = Signal(str, str)
    measuring_changed = Signal(str)

    def __init__(self, project: ProjectModel, engine: Engine, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._project, self._engine = project, engine
        self._handles: dict[tuple[Path, str], JobHandle] = {}
        self._keep: dict[tuple[Path, str], int] = {}
        self._measuring: set[tuple[Path, str]] = set()

    # What a person does ------------------------------------------------------------------------------------

    def start(self, run_id: str, name: str, job: QuantizeJob) -> None:
        """Add a run and start it, or let it wait for the one before."""
        self._project.add_run(run_id, name, job)
        self._submit(run_id, job)

    def continue_(self, run_id: str) -> None:
        """Go on with a run that stopped, or that was ended at a snapshot, from its newest snapshot."""
        record = self._project.run(run_id)
        if record is None or self.handle(run_id) is not None:
            return
        job = self._job(record, stop_at=None)
        if job is None:
            return
        extra = {name: value for name, value in record.extra.items() if name not in ("kept", "psnr_fp")}
        self._project.update_run(run_id, job=job.to_json(), extra=extra, state=RunState.WAITING)
        key = self._key(run_id)
        crashed = None if key is None else self._handles.get(key)
        if crashed is not None and crashed.job == job:
            crashed.retry()  # the one that the window's message offers to continue
        else:
            self._submit(run_id, job)

    def keep(self, run_id: str, number: int) -> None:
        """End the training of a run at a snapshot and pack it; a job under way is stopped first."""
        key = self._key(run_id)
        if key is None or self._project.run(run_id) is None:
            return
        handle = self.handle(run_id)
        if handle is not None:
            self._keep[key] = number
            handle.cancel()
        else:
            self._pack(run_id, number)

    def measure(self, run_id: str) -> None:
        """Compare the pictures of a finished run with full precision's."""
        record, key = self._project.run(run_id), self._key(run_id)
        if record is None or key is None or not record.result.get("checkpoint"):
            return
        try:
            job = score_job(self._project.settings, record)
        except QuantVSRError as error:
            self.failed.emit(run_id, str(error))
            return
        self._measuring.add(key)
        self.measuring_changed.emit(run_id)
        handle = self._engine.submit(job)
        handle.succeeded.connect(lambda result: self._scored(key, result["psnr_fp"]))
        handle.failed.connect(lambda sentence: self._scored(key, None, sentence))
        handle.cancelled.connect(lambda: self._scored(key, None))

    def remove(self, run_id: str) -> None:
        """Forget a run that does not work, and delete its files."""
        project = self._project.project
        if project is None or self.handle(run_id) is not None:
            return
        self._project.remove_run(run_id)
        remove(project.run_folder(run_id))

    def rename(self, run_id: str, name: str) -> None:
        """Give a run another name."""
        self._project.update_run(run_id, name=name)

    def measuring(self, run_id: str) -> bool:
        """Whether a run's pictures are being measured."""
        return self._key(run_id) in self._measuring

    def take_up(self) -> None:
        """A project was opened: its runs that still work here are no interrupted ones."""
        states = {"waiting": RunState.WAITING, "running": RunState.RUNNING, "paused": RunState.PAUSED}
        for key, handle in self._handles.items():
            if self._here(key) and str(handle.state) in states:
                self._project.update_run(key[1], state=states[str(handle.state)])

    def handle(self, run_id: str) -> JobHandle | None:
        """The job that works on a run, or waits."""
        key = self._key(run_id)
        found = None if key is None else self._handles.get(key)
        return found if found is not None and found.state.active else None

    # Jobs --------------------------------------------------------------------------------------------------

    def _key(self, run_id: str) -> tuple[Path, str] | None:
        project = self._project.project
        return None if project is None else (project.folder, run_id)

    def _job(self, record: RunRecord, **changes: Any) -> QuantizeJob | None:
        try:
            job = record.request()
        except QuantVSRError as error:
            self.failed.emit(record.id, str(error))
            return None
        assert isinstance(job, QuantizeJob)
        # A project that was moved has its run elsewhere now.
        project = self._project.project
        assert project is not None
        if "out" not in changes:
            changes["out"] = str(project.run_folder(record.id))
        return dataclasses.replace(job, fresh=False, **changes)

    def _submit(self, run_id: str, job: Job) -> None:
        key = self._key(run_id)
        assert key is not None
        handle = self._handles[key] = self._engine.submit(job)
        handle.started.connect(lambda: self._update(key, state=RunState.RUNNING, message=""))
        handle.paused.connect(lambda: self._update(key, state=RunState.PAUSED))
        handle.resumed.connect(lambda: self._update(key, state=RunState.RUNNING))
        handle.progressed.connect(
            lambda fraction, stage, message, payload: self._reported(key, fraction, stage, message, payload)
        )
        handle.succeeded.connect(lambda result: self._succeeded(key, handle, result))
        handle.failed.connect(lambda sentence: self._failed(key, handle, sentence))
        handle.cancelled.connect(lambda: self._cancelled(key, handle))

    def _pack(self, run_id: str, number: int) -> None:
        record = self._project.run(run_id)
        job = None if record is None else self._job(record, stop_at=number)
        if record is None or job is None:
            return
        extra = {name: value for name, value in record.extra.items() if name != "psnr_fp"}
        self._project.update_run(
            run_id, job=job.to_json(), extra={**extra, "kept": number}, state=RunState.WAITING
        )
        self._submit(run_id, job)

    def _here(self, key: tuple[Path, str]) -> bool:
        """Whether the project of a run is still the open one."""
        return self._key(key[1]) == key and self._project.run(key[1]) is not None

    def _update(self, key: tuple[Path, str], **changes: Any) -> None:
        if self._here(key):
            self._project.update_run(key[1], **changes)

    def _end(self, key: tuple[Path, str], handle: JobHandle, **changes: Any) -> None:
        record = self._project.run(key[1])
        if self._here(key) and record is not None:
            self._project.update_run(key[1], seconds=record.seconds + handle.seconds, **changes)

    def _reported(
        self, key: tuple[Path, str], fraction: float, stage: str, message: str, payload: Mapping[str, Any]
    ) -> None:
        if self._here(key):
            self.reported.emit(key[1], fraction, message, {"stage": stage, **payload})

    def _succeeded(self, key: tuple[Path, str], handle: JobHandle, result: Mapping[str, Any]) -> None:
        self._handles.pop(key, None)
        self._keep.pop(key, None)  # it was done before it could be stopped
        self._end(key, handle, state=RunState.DONE, result=dict(result), message="")
        if self._here(key):
            self.measure(key[1])

    def _failed(self, key: tuple[Path, str], handle: JobHandle, sentence: str) -> None:
        if not handle.crashed:  # a crashed one may be tried again by the window's message
            self._handles.pop(key, None)
        self._keep.pop(key, None)
        self._end(key, handle, state=RunState.FAILED, message=sentence)
        if self._here(key) and not handle.crashed:  # of a crash the window tells
            self.failed.emit(key[1], sentence)

    def _cancelled(self, key: tuple[Path, str], handle: JobHandle) -> None:
        self._handles.pop(key, None)
        self._end(key, handle, state=RunState.CANCELLED, message="")
        number = self._keep.pop(key, None)
        if number is not None and self._here(key):
            self._pack(key[1], number)

    def _scored(self, key: tuple[Path, str], value: float | None, sentence: str = "") -> None:
        self._measuring.discard(key)
        if not self._here(key):
            return
        self.measuring_changed.emit(key[1])
        if value is not None:
            record = self._project.run(key[1])
            assert record is not None
            self._project.update_run(key[1], extra={**record.extra, "psnr_fp": value})
        if sentence:
            self.failed.emit(key[1], sentence)

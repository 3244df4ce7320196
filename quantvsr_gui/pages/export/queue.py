"""The queue: what the engine does with each export, and what a person can do about it."""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject

from quantvsr.errors import QuantVSRError
from quantvsr.jobs.base import Job
from quantvsr.project import ExportRecord, RunState
from quantvsr_gui.engine import JobHandle
from quantvsr_gui.pages.base import Context
from quantvsr_gui.pages.export.page import ExportPage
from quantvsr_gui.pages.export.row import ExportRow


@dataclass
class _Pace:
    """How fast a job goes, from its own reports: a run that goes on does not begin at 0."""

    begun: float = 0.0
    first: float = 0.0

    def left(self, fraction: float) -> float | None:
        now = time.monotonic()
        if not self.begun:
            self.begun, self.first = now, fraction
        done = fraction - self.first
        return (1 - fraction) * (now - self.begun) / done if done > 0.01 else None


class ExportQueue(QObject):
    """Follows the jobs of all exports; their records are in the project.

    Attributes:
        rows: A row of widgets for each export, by its id.
    """

    def __init__(
        self, page: ExportPage, context: Context, show: Callable[[Path], object], parent: QObject
    ) -> None:
        super().__init__(parent)
        self._page, self._context, self._show = page, context, show
        self.rows: dict[str, ExportRow] = {}
        self._handles: dict[str, JobHandle] = {}
        self._paces: dict[str, _Pace] = {}
        page.clear_button.clicked.connect(self.clear_finished)
        context.project.exports_changed.connect(self._export_changed)

    def open(self) -> None:
        """Show the exports of the project that is open now; those of the one before stop, to go on later."""
        before = list(self._handles.values())
        self._handles.clear()
        for handle in before:
            handle.cancel()
        for made in self.rows.values():
            self._page.remove_row(made)
        self.rows.clear()
        for record in self._context.project.exports:
            self._add_row(record)
        self._show_count()

    def start(self, export_id: str, job: Job) -> None:
        """Give an export's job to the engine; it is written when its turn comes."""
        handle = self._context.engines.work.submit(job)
        self._handles[export_id] = handle
        self._paces[export_id] = _Pace()
        set_state = self._set_state

        def mine(act: Callable[..., object]) -> Callable[..., None]:
            # Another project may have an export of the same id.
            def told(*values: object) -> None:
                if self._handles.get(export_id) is handle:
                    act(*values)

            return told

        handle.started.connect(mine(lambda: self._started(export_id)))
        handle.progressed.connect(
            mine(lambda fraction, stage, message, payload: self._progressed(export_id, fraction, message))
        )
        handle.paused.connect(mine(lambda: set_state(export_id, RunState.PAUSED)))
        handle.resumed.connect(mine(lambda: set_state(export_id, RunState.RUNNING)))
        handle.succeeded.connect(mine(lambda result: self._succeeded(export_id, handle, result)))
        handle.failed.connect(mine(lambda reason: set_state(export_id, RunState.FAILED, message=reason)))
        handle.cancelled.connect(mine(lambda: self._cancelled(export_id)))

    def _set_state(self, export_id: str, state: RunState, **more: Any) -> None:
        if any(record.id == export_id for record in self._context.project.exports):
            self._context.project.update_export(export_id, state=state, **more)

    def _started(self, export_id: str) -> None:
        self._paces[export_id] = _Pace()
        self._set_state(export_id, RunState.RUNNING, message="", result={})

    def _progressed(self, export_id: str, fraction: float, message: str) -> None:
        made = self.rows.get(export_id)
        if made is not None:
            made.progress(fraction, message, self._paces[export_id].left(fraction))

    def _succeeded(self, export_id: str, handle: JobHandle, result: dict[str, Any]) -> None:
        self._set_state(export_id, RunState.DONE, result=result, seconds=handle.seconds)
        warnings = result.get("warnings") or ()
        made = self.rows.get(export_id)
        if made is not None and warnings:
            made.say("  ".join([made.message.text() + ".", *map(str, warnings)]))

    def _cancelled(self, export_id: str) -> None:
        record = self._record(export_id)
        kept = record is not None and _parts(record).is_dir()
        text = "Finished parts are kept; Retry goes on from there." if kept else ""
        self._set_state(export_id, RunState.CANCELLED, message=text)

    def _record(self, export_id: str) -> ExportRecord | None:
        return next((r for r in self._context.project.exports if r.id == export_id), None)

    def _export_changed(self, export_id: str) -> None:
        records = {record.id: record for record in self._context.project.exports}
        for gone in [each for each in self.rows if each not in records]:
            self._page.remove_row(self.rows.pop(gone))
        record = records.get(export_id)
        if record is not None and export_id in self.rows:
            self.rows[export_id].show_record(record)
        elif record is not None:
            self._add_row(record)
        self._show_count()

    def _add_row(self, record: ExportRecord) -> None:
        made = self.rows[record.id] = ExportRow(record)
        made.asked.connect(lambda what, export_id=record.id: self.ask(export_id, what))
        self._page.add_row(made)
        self._show_count()

    def _show_count(self) -> None:
        self._page.show_queue(len(self.rows))
        done = any(not record.state.active for record in self._context.project.exports)
        self._page.clear_button.setVisible(done)

    def ask(self, export_id: str, what: str) -> None:
        """Do what a row's button says."""
        record, handle = self._record(export_id), self._handles.get(export_id)
        if record is None:
            return
        if what in ("pause", "resume", "cancel") and handle is not None:
            getattr(handle, what)()
        elif what == "retry":
            self._retry(record, handle)
        elif what == "reveal":
            self._show(Path(str(record.result.get("out", ""))))
        elif what == "remove":
            self._remove(record)

    def _retry(self, record: ExportRecord, handle: JobHandle | None) -> None:
        if handle is not None:
            self._set_state(record.id, RunState.WAITING, message="")
            handle.retry()
            return
        # From an earlier start of the app.
        try:
            job = record.request()
        except QuantVSRError as error:
            self._set_state(record.id, RunState.FAILED, message=str(error))
            return
        self._set_state(record.id, RunState.WAITING, message="")
        self.start(record.id, job)

    def _remove(self, record: ExportRecord) -> None:
        self._handles.pop(record.id, None)
        if record.state is not RunState.DONE and (_parts(record) / "plan.json").is_file():
            shutil.rmtree(_parts(record), ignore_errors=True)
        self._context.project.remove_export(record.id)

    def clear_finished(self) -> None:
        """Take from the list what is done."""
        for record in self._context.project.exports:
            if record.state is RunState.DONE:
                self._remove(record)


def _parts(record: ExportRecord) -> Path:
    """Where the unfinished parts of an export wait."""
    out = Path(str(dict(record.job.get("settings", {})).get("out") or "none"))
    return out.with_name(out.name + ".parts")

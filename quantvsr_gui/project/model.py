"""The open project with signals. All pages read from here and write through here."""

import dataclasses
import itertools
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtGui import QUndoStack

from quantvsr.errors import QuantVSRError
from quantvsr.jobs.base import Job
from quantvsr.project import ExportRecord, Project, RunRecord, RunState, Settings
from quantvsr.project.folder import Content, now
from quantvsr_gui.project.commands import ChangeSettings
from quantvsr_gui.project.selection import LayerSelection

AUTOSAVE_MS = 800
RecordT = TypeVar("RecordT", RunRecord, ExportRecord)


class ProjectModel(QObject):
    """The one open project. Without one, `settings` are the defaults and `project` is None.

    Signals:
        opened: Another project is open (or none): show everything anew.
        settings_changed: A frozenset with the names of the fields of `Settings` that changed; undo and redo
            come as this too.
        analysis_changed: The analysis is another one (`analysis`, complexity.npz and ranks.json).
        runs_changed: Runs were added, removed or updated: the id of the one concerned, or empty for all.
        exports_changed: The same for exports.
        saved: project.json is up to date.
        save_failed: One sentence; the project stays changed and is tried again with the next change.
    """

    opened = Signal()
    settings_changed = Signal(object)
    analysis_changed = Signal()
    runs_changed = Signal(str)
    exports_changed = Signal(str)
    saved = Signal()
    save_failed = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.undo_stack = QUndoStack(self)
        self.selection = LayerSelection(self)
        self._project: Project | None = None
        self._unsaved = False
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(AUTOSAVE_MS)
        self._later.timeout.connect(self.save)

    # The project

    @property
    def project(self) -> Project | None:
        """The open project, for its folders."""
        return self._project

    @property
    def is_open(self) -> bool:
        """Whether a project is open."""
        return self._project is not None

    @property
    def read_only(self) -> bool:
        """Whether changes are not kept."""
        return self._project is None or self._project.read_only

    @property
    def unsaved(self) -> bool:
        """Whether something has not been written yet."""
        return self._unsaved

    def open(self, project: Project | None) -> None:
        """Show another project; the one before is saved and closed."""
        self.close()
        self._project = project
        self.opened.emit()

    def close(self) -> None:
        """Save and close the project; nobody is told."""
        if self._project is not None:
            self.save()
            self._later.stop()
            self._project.close()
        self._project, self._unsaved = None, False
        self.undo_stack.clear()
        self.selection.select(())

    def save(self) -> None:
        """Write what changed, now."""
        self._later.stop()
        if self._project is None or not self._unsaved or self._project.read_only:
            return
        try:
            self._project.save()
        except (QuantVSRError, OSError) as error:
            self.save_failed.emit(str(error))
            return
        self._unsaved = False
        self.saved.emit()

    # Settings

    @property
    def settings(self) -> Settings:
        """The settings now; a frozen value."""
        return self._content.settings

    def change(self, text: str, *, merge: str = "", **changes: Any) -> None:
        """Edit settings, undoable.

        Args:
            text: What is done, as it follows "Undo": "exclude a layer".
            merge: Edits in a row with the same key are undone together (dragging a slider).
            changes: Fields of `Settings` with their new values.
        """
        before = self.settings
        after = before.replace(**changes)
        if after != before:
            self.undo_stack.push(ChangeSettings(text, before, after, self._set_settings, merge))

    def _set_settings(self, settings: Settings) -> None:
        names = settings.changed(self.settings)
        self._replace(settings=settings)
        if names:
            self.settings_changed.emit(names)

    # Analysis

    @property
    def analysis(self) -> Mapping[str, Any]:
        """`job` and `result` of the finished analysis as JSON; empty before there is one."""
        return self._content.analysis

    def set_analysis(self, job: Job, result: Mapping[str, Any]) -> None:
        """Keep a finished analysis (job `analyze` whose --out is the project's folder)."""
        self._replace(analysis={"job": job.to_json(), "result": dict(result), "finished": now()})
        self.analysis_changed.emit()

    # Runs and exports

    @property
    def runs(self) -> tuple[RunRecord, ...]:
        """All runs, oldest first."""
        return self._content.runs

    @property
    def exports(self) -> tuple[ExportRecord, ...]:
        """The export queue."""
        return self._content.exports

    def run(self, run_id: str) -> RunRecord | None:
        """The run of that id."""
        return next((run for run in self.runs if run.id == run_id), None)

    def new_id(self, name: str, kind: Literal["runs", "exports"] = "runs") -> str:
        """An id made from a name that no record and no folder has yet."""
        word = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "run"
        taken = {record.id for record in getattr(self, kind)}
        for number in itertools.count(1):
            found = f"{word}-{number}"
            folder = self._project.run_folder(found) if self._project is not None else Path(found)
            if found not in taken and not (kind == "runs" and folder.exists()):
                return found
        raise AssertionError

    def add_run(self, run_id: str, name: str, job: Job) -> RunRecord:
        """Add a run that waits."""
        record = RunRecord(run_id, name, job.to_json(), created=now())
        self._replace(runs=(*self.runs, record))
        self.runs_changed.emit(run_id)
        return record

    def update_run(self, run_id: str, **changes: Any) -> None:
        """Change fields of a run's record."""
        self._replace(runs=_updated(self.runs, run_id, changes))
        self.runs_changed.emit(run_id)

    def remove_run(self, run_id: str) -> None:
        """Forget a run; its files stay, the caller removes them."""
        self._replace(runs=tuple(run for run in self.runs if run.id != run_id))
        self.runs_changed.emit("")

    def finished_runs(self) -> tuple[RunRecord, ...]:
        """Runs with a checkpoint."""
        return tuple(run for run in self.runs if run.state is RunState.DONE)

    def add_export(self, export_id: str, name: str, job: Job) -> ExportRecord:
        """Add an export that waits."""
        record = ExportRecord(export_id, name, job.to_json(), created=now())
        self._replace(exports=(*self.exports, record))
        self.exports_changed.emit(export_id)
        return record

    def update_export(self, export_id: str, **changes: Any) -> None:
        """Change fields of an export's record."""
        self._replace(exports=_updated(self.exports, export_id, changes))
        self.exports_changed.emit(export_id)

    def remove_export(self, export_id: str) -> None:
        """Forget an export; what it wrote stays."""
        self._replace(exports=tuple(item for item in self.exports if item.id != export_id))
        self.exports_changed.emit("")

    # What pages showed last

    def view(self, page: str) -> dict[str, Any]:
        """What a page kept with `set_view`."""
        kept = self._content.view.get(page)
        return dict(kept) if isinstance(kept, dict) else {}

    def set_view(self, page: str, /, **values: Any) -> None:
        """Keep some JSON values of a page (chosen tab, frame, zoom); saved, not undone, without a signal."""
        kept = {**self.view(page), **values}
        if kept != self.view(page):
            self._replace(view={**self._content.view, page: kept})

    @property
    def _content(self) -> Content:
        return self._project.content if self._project is not None else _NOTHING

    def _replace(self, **changes: Any) -> None:
        if self._project is None:
            raise RuntimeError("no project is open")
        self._project.content = dataclasses.replace(self._project.content, **changes)
        if not self._project.read_only:
            self._unsaved = True
            self._later.start()


_NOTHING = Content()


def _updated(records: Iterable[RecordT], record_id: str, changes: Mapping[str, Any]) -> tuple[RecordT, ...]:
    return tuple(
        dataclasses.replace(record, **changes) if record.id == record_id else record for record in records
    )

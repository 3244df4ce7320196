"""The closed loop: layers changed by hand are packed again, and the same frames rendered anew."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from quantvsr.files import remove
from quantvsr.jobs.preview import PreviewJob
from quantvsr.jobs.repack import RepackJob
from quantvsr.preview.keys import execution_words
from quantvsr.project import RunRecord
from quantvsr.project.folder import now
from quantvsr_gui.pages.compare.rendering import Renderer
from quantvsr_gui.pages.compare.trials import EXTRA, Changes, Trial, changes_since, trials_of
from quantvsr_gui.pages.compare.versions import checkpoint_of
from quantvsr_gui.project import ProjectModel


class Trials(QObject):
    """Finds layers that were changed since a run was made, tries the change on its checkpoint, keeps trials.

    Signals:
        offered: A sentence on what could be tried; empty when there is nothing (any more).
        made: The id of a new trial, which is to be seen in place of its run.
    """

    offered = Signal(str)
    made = Signal(str)

    def __init__(
        self,
        project: ProjectModel,
        renderer: Renderer,
        runs: Callable[[], Sequence[str]],
        frames: Callable[[], PreviewJob | None],
        parent: QObject | None = None,
    ) -> None:
        """Nothing is tried yet.

        Args:
            project: Its settings hold the changed layers, its runs the trials.
            renderer: Runs the jobs.
            runs: Ids of the runs that are shown now, as they are or in a trial.
            frames: The frames to render, with those runs or their trials among the versions.
            parent: Qt's owner.
        """
        super().__init__(parent)
        self._project, self._renderer = project, renderer
        self._runs, self._frames = runs, frames
        self._under_way: tuple[str, RepackJob] | None = None
        renderer.repacked.connect(self._repacked)
        renderer.finished.connect(self._rendered)

    def all(self) -> list[Trial]:
        """The project's trials."""
        return trials_of(self._project.finished_runs())

    def find(self, trial: str) -> Trial | None:
        """The trial of an id."""
        return next((each for each in self.all() if each.id == trial), None)

    @property
    def possible(self) -> bool:
        """Whether there is something new to try."""
        return self._found() is not None

    @property
    def trainable(self) -> bool:
        """Whether the calibration samples for a short training are still there."""
        found, folder = self._found(again=True), self._project.project
        if found is None or folder is None:
            return False
        beside = Path(checkpoint_of(found[0])).parent
        return _samples(folder.run_folder(found[0].id), folder.folder, beside) is not None

    def look(self) -> None:
        """Offer a trial where layers were changed."""
        found = self._found()
        if found is None:
            self.offered.emit("")
            return
        run, (ranks, bits) = found
        names = sorted({each.layer for each in (*ranks, *bits)})
        what = names[0] if len(names) == 1 else f"{len(names)} layers"
        self.offered.emit(f"{what} changed since {run.name} was made. See what it does to these frames:")

    def tell(self, trial_id: str) -> None:
        """Say what a trial that is shown is."""
        trial = self.find(trial_id)
        run = None if trial is None else self._project.run(trial.run)
        if trial is None or run is None:
            self.offered.emit("")
            return
        self.offered.emit(f"{trial.label(run.name)} is shown: {trial.what()}, {trial.how()}.")

    def run(self, updates: int = 0) -> None:
        """Pack the changed layers again and render the same frames.

        Args:
            updates: Of a short training of the changed layers.
        """
        found, frames = self._found(again=True), self._frames()
        folder = self._project.project
        if found is None or frames is None or folder is None:
            return
        run, (ranks, bits) = found
        settings, place = self._project.settings, folder.run_folder(run.id)
        job = RepackJob(
            checkpoint=checkpoint_of(run),
            model=settings.model,
            device=settings.device,
            seed=settings.seed,
            layer_ranks=ranks,
            layer_bits=bits,
            updates=updates,
            samples=_samples(place, folder.folder),
            out=str(place / "trials" / _name((ranks, bits), updates)),
        )
        # The run itself, or an older trial of it, gives way to the new one.
        family = {checkpoint_of(run), *(each.checkpoint for each in self.all() if each.run == run.id)}
        versions = tuple(checkpoint_of(run) if each in family else each for each in frames.versions)
        self._under_way = (run.id, job)
        self._renderer.repack(job, replace(frames, versions=tuple(dict.fromkeys(versions))))
        self.offered.emit("")

    def delete(self, trial: Trial) -> None:
        """Forget a trial, and remove its checkpoint."""
        run = self._project.run(trial.run)
        if run is not None:
            self._keep(run, [each for each in trials_of([run]) if each.id != trial.id])
        # Only what this class made: the record may have been edited.
        place = Path(trial.job.out)
        folder = self._project.project
        if folder is not None and place.parent == folder.run_folder(trial.run) / "trials":
            remove(place)
        self.look()

    def _repacked(self, result: Mapping[str, Any]) -> None:
        if self._under_way is None:
            return
        (run_id, job), self._under_way = self._under_way, None
        run = self._project.run(run_id)
        if run is None:
            return
        kept = trials_of([run])
        same = next((each for each in kept if each.job.out == job.out), None)
        highest = int(run.extra.get("trials_made", 0))
        number = same.number if same is not None else highest + 1
        trial = Trial(run_id, number, job, dict(result), now())
        others = [each for each in kept if each.number != number]
        self._keep(run, [*others, trial], max(highest, number))
        self.made.emit(trial.id)
        self.tell(trial.id)

    def _rendered(self, job: PreviewJob, result: Mapping[str, Any]) -> None:
        """Note where trials were rendered."""
        keys = result.get("keys", {})
        for run in self._project.finished_runs():
            before = trials_of([run])
            after = [
                replace(
                    each,
                    clip=job.clip,
                    start=int(result.get("start", 0)),
                    stop=int(result.get("stop", 0)),
                    execution=execution_words(str(keys[each.checkpoint])),
                )
                if each.checkpoint in keys
                else each
                for each in before
            ]
            if after != before:
                self._keep(run, after)

    def _keep(self, run: RunRecord, trials: Sequence[Trial], highest: int | None = None) -> None:
        extra = {**run.extra, EXTRA: [each.to_json() for each in trials]}
        if highest is not None:
            extra["trials_made"] = highest
        self._project.update_run(run.id, extra=extra)

    def _found(self, *, again: bool = False) -> tuple[RunRecord, Changes] | None:
        """A shown run and what changed; with `again`, what was tried already if there is nothing new."""
        tried = {(each.run, each.changes) for each in self.all()}
        runs = [run for run in map(self._project.run, self._runs()) if run is not None]
        changed = [(run, changes_since(run, self._project.settings)) for run in runs]
        able = [(run, changes) for run, changes in changed if any(changes)]
        new = [(run, changes) for run, changes in able if (run.id, changes) not in tried]
        return next(iter(new or (able if again else [])), None)


def _samples(*folders: Path) -> str | None:
    """Calibration samples that a run or the analysis left."""
    places = (folder / "work" / "samples" for folder in folders)
    return next((str(place) for place in places if place.is_dir()), None)


def _name(changes: Changes, updates: int) -> str:
    words = json.dumps([[[str(each) for each in part] for part in changes], updates])
    return hashlib.sha256(words.encode()).hexdigest()[:10]

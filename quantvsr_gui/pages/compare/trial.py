"""The closed loop: layers changed by hand are packed again, and the same frames rendered anew."""

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any

from PySide6.QtCore import QObject, Signal

from quantvsr.errors import QuantVSRError
from quantvsr.jobs.options import LayerBits, LayerRank
from quantvsr.jobs.preview import PreviewJob
from quantvsr.jobs.quantize import QuantizeJob
from quantvsr.jobs.repack import RepackJob
from quantvsr.project import RunRecord
from quantvsr_gui.pages.compare.rendering import Renderer
from quantvsr_gui.pages.compare.versions import checkpoint_of
from quantvsr_gui.project import ProjectModel

Changes = tuple[tuple[LayerRank, ...], tuple[LayerBits, ...]]


class Trials(QObject):
    """Finds layers that were changed since a run was made, and tries the change on its checkpoint.

    Signals:
        offered: A sentence on what could be tried; empty when there is nothing (any more).
        changed: `made` is another.
    """

    offered = Signal(str)
    changed = Signal()

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
            project: Its settings hold the changed layers.
            renderer: Runs the jobs.
            runs: Ids of the runs that are shown now.
            frames: The frames to render, with those runs among the versions.
            parent: Qt's owner.
        """
        super().__init__(parent)
        self.made: dict[str, tuple[str, int]] = {}
        self._tried: dict[str, Changes] = {}
        self._project, self._renderer = project, renderer
        self._runs, self._frames = runs, frames
        self._under_way: tuple[str, Changes, int] | None = None
        renderer.repacked.connect(self._repacked)

    def forget(self) -> None:
        """Another project was opened."""
        self.made.clear()
        self._tried.clear()
        self.offered.emit("")

    @property
    def possible(self) -> bool:
        """Whether there is something to try."""
        return self._found() is not None

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

    def back(self) -> None:
        """Show the runs as they are."""
        self.made.clear()
        self._tried.clear()
        self.changed.emit()
        self.look()

    def run(self, updates: int = 0) -> None:
        """Pack the changed layers again and render the same frames.

        Args:
            updates: Of a short training of the changed layers.
        """
        found, frames = self._found(again=True), self._frames()
        folder = self._project.project
        if found is None or frames is None or folder is None:
            return
        run, changes = found
        settings = self._project.settings
        job = RepackJob(
            checkpoint=checkpoint_of(run),
            model=settings.model,
            device=settings.device,
            seed=settings.seed,
            layer_ranks=changes[0],
            layer_bits=changes[1],
            updates=updates,
            samples=self._samples(run),
            out=str(folder.cache / "trials" / _name(run, changes, updates)),
        )
        self._under_way = (run.id, changes, updates)
        self.offered.emit("")
        before = self.made.get(run.id, ("", 0))[0]
        versions = tuple(checkpoint_of(run) if each == before else each for each in frames.versions)
        self._renderer.repack(job, PreviewJob(**{**vars(frames), "versions": versions}))

    def _samples(self, run: RunRecord) -> str | None:
        folder = self._project.project
        if folder is None:
            return None
        places = (folder.run_folder(run.id) / "work" / "samples", folder.folder / "work" / "samples")
        return next((str(place) for place in places if place.is_dir()), None)

    def _repacked(self, result: dict[str, Any]) -> None:
        if self._under_way is None:
            return
        run_id, changes, updates = self._under_way
        self._under_way = None
        self._tried[run_id] = changes
        self.made[run_id] = (str(result["checkpoint"]), len(result["changed"]))
        self.changed.emit()
        run = self._project.run(run_id)
        how = f"trained for {updates} updates" if updates else "not trained"
        if run is not None:
            self.offered.emit(f"{run.name} is shown with its changed layers, {how}.")

    def _found(self, *, again: bool = False) -> tuple[RunRecord, Changes] | None:
        """A shown run and what changed; with `again`, also what was tried already."""
        for run_id in self._runs():
            run = self._project.run(run_id)
            changes = ((), ()) if run is None else self._changes(run)
            if run is not None and any(changes) and (again or self._tried.get(run.id) != changes):
                return run, changes
        return None

    def _changes(self, run: RunRecord) -> Changes:
        """Ranks and bits set by hand that the run was not made with."""
        settings = self._project.settings
        try:
            job = run.request()
        except QuantVSRError:
            return (), ()
        if not isinstance(job, QuantizeJob) or job.model != settings.model:
            return (), ()
        ranks = {each.layer: each.rank for each in job.layer_ranks}
        bits = {each.layer: each.bits for each in job.layer_bits}
        out = set(settings.exclude) | set(job.exclude)
        return (
            tuple(
                LayerRank(layer, rank)
                for layer, rank in sorted(settings.rank_overrides.items())
                if ranks.get(layer) != rank and layer not in out
            ),
            tuple(
                LayerBits(layer, value)
                for layer, value in sorted(settings.bit_overrides.items())
                if bits.get(layer) != value and layer not in out
            ),
        )


def _name(run: RunRecord, changes: Changes, updates: int) -> str:
    words = json.dumps([run.id, [[str(each) for each in part] for part in changes], updates])
    return f"{run.id}-{hashlib.sha256(words.encode()).hexdigest()[:10]}"

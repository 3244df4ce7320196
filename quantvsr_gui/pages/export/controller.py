"""Behaviour of the Export page."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PySide6.QtWidgets import QComboBox

from quantvsr.errors import QuantVSRError
from quantvsr.jobs import SideBySideJob, UpscaleJob
from quantvsr.jobs.base import Job
from quantvsr.preview.keys import FP
from quantvsr.project import ClipEntry
from quantvsr_gui.pages.base import Context, PageController
from quantvsr_gui.pages.compare.versions import Version, checkpoint_of, first_choice, offered, versions_of
from quantvsr_gui.pages.export.kinds import CONTAINERS, KINDS, RATED, Kind, Wish
from quantvsr_gui.pages.export.page import ExportPage
from quantvsr_gui.pages.export.queue import ExportQueue
from quantvsr_gui.pages.export.reveal import reveal
from quantvsr_gui.shell.actions import Action
from quantvsr_gui.widgets.drop import DropTarget
from quantvsr_gui.widgets.estimates import Estimates, roughly
from quantvsr_gui.widgets.text import set_look, size

_QUALITIES = ((4, "nearly lossless"), (14, "very good"), (22, "clean"), (30, "small"), (51, "poor"))


class ExportController(PageController):
    """Fills the form, adds to the queue, follows the jobs."""

    def __init__(self, page: ExportPage, context: Context, show: Callable[[Path], object] = reveal) -> None:
        """Make it.

        Args:
            page: The view.
            context: What it may use.
            show: Shows a file in its folder; tests replace it.
        """
        super().__init__(page, context)
        self.view = page
        self.queue = ExportQueue(page, context, show, self)
        self._versions: dict[str, Version] = {}
        self._runs: tuple[tuple[str, str, str], ...] = ()
        self._filling = False
        self._named = True  # the output's name is ours, not the user's
        self._in_front = False
        self.estimate = Estimates(context.engines.preview, self)
        self.estimate.waiting.connect(self._tell_estimate)
        self.estimate.answered.connect(self._estimated)
        self.estimate.failed.connect(lambda reason: self._tell_estimate(reason, "warning"))
        context.engines.work.changed.connect(self._ask_estimate)
        self.offer_command()
        page.kind.currentIndexChanged.connect(lambda _: self._kind_chosen())
        page.clip.currentIndexChanged.connect(lambda _: self._clip_chosen())
        for choice in (page.run, *page.versions):
            choice.currentIndexChanged.connect(lambda _: self._changed())
        page.codec.currentIndexChanged.connect(lambda _: self._codec_chosen())
        page.container.currentIndexChanged.connect(lambda _: self._changed())
        page.quality.valueChanged.connect(lambda _: self._tell_quality())
        page.out.textEdited.connect(self._typed)
        for tick in (page.sound, page.detail, page.overwrite):
            tick.toggled.connect(lambda _: self._check())
        page.browse_button.clicked.connect(self.browse)
        page.add_button.clicked.connect(self.add)
        DropTarget(page.out_row, self._dropped)
        project = context.project
        project.opened.connect(self._opened)
        project.runs_changed.connect(lambda _: self._runs_changed())
        project.settings_changed.connect(lambda names: self._refill() if "clips" in names else None)
        context.actions.add(
            Action(
                "export.add",
                "Add the export to the queue",
                self.add,
                "Run",
                enabled=page.add_button.isEnabled,
            ),
            Action(
                "export.clear",
                "Clear finished exports",
                self.queue.clear_finished,
                "Run",
                enabled=lambda: bool(project.exports),
            ),
        )
        self._tell_quality()
        self._opened()

    # The form

    def shown(self) -> None:
        """Names may be taken by now."""
        self._in_front = True
        self._refill()

    def hidden(self) -> None:
        """Another page has come to the front."""
        self._in_front = False
        self._ask_estimate()

    def job(self) -> Job | None:
        """The job that the form describes."""
        return self._kind().make(self._wish())

    def _kind(self) -> Kind:
        return KINDS[self.view.kind.currentData()]

    def _opened(self) -> None:
        self.queue.open()
        kept = self.context.project.view("export")
        self._filling = True
        self.view.kind.setCurrentIndex(max(self.view.kind.findData(kept.get("kind")), 0))
        self._filling = False
        self._named = True
        self._refill()
        self._kind_chosen()

    def _runs_changed(self) -> None:
        # A run under way tells of every step.
        if offered(self.context.project.finished_runs()) != self._runs:
            self._refill()

    def _refill(self) -> None:
        """Offer the project's clips and runs."""
        page, project = self.view, self.context.project
        self._runs = offered(project.finished_runs())
        self._filling = True
        kept = page.clip.currentData()
        page.clip.clear()
        for clip in project.settings.clips:
            page.clip.addItem(Path(clip.path).name, clip.path)
        page.clip.setCurrentIndex(max(page.clip.findData(kept), 0))
        self._filling = False
        self._clip_chosen()

    def _clip(self) -> ClipEntry | None:
        path = self.view.clip.currentData()
        return next((c for c in self.context.project.settings.clips if c.path == path), None)

    def _clip_chosen(self) -> None:
        if self._filling:
            return
        clip = self._clip()
        runs = self.context.project.finished_runs()
        self._versions = versions_of(clip or ClipEntry("none"), runs)
        self._fill_versions()
        self._changed()

    def _fill_versions(self, *, anew: bool = False) -> None:
        """Offer the versions; choices stay unless `anew`."""
        self._filling = True
        page, versions = self.view, list(self._versions.values())
        runs = [version for version in versions if version.run]
        if "versions" in self._kind().needs:
            usual = first_choice(self._versions)
            for number, choice in enumerate(page.versions):
                _fill(choice, versions, usual.get(number, ""), anew=anew, empty=number > 1)
        else:
            models = [version for version in versions if version.id == FP or version.run]
            # The newest run is what was made last, so it is what is wanted.
            _fill(page.versions[0], models, models[-1].id if models else "", anew=anew)
        _fill(page.run, runs, runs[-1].id if runs else "", anew=anew)
        self._filling = False

    def _kind_chosen(self) -> None:
        if self._filling:
            return
        page, kind = self.view, self._kind()
        needs = kind.needs
        page.summary.setText(kind.summary)
        page.show_part(page.clip, "clip" in needs)
        page.show_part(page.run, "run" in needs)
        several = "versions" in needs
        page.show_part(page.versions[0], "clip" in needs, "Version 1" if several else "Version")
        for choice in page.versions[1:]:
            page.show_part(choice, "versions" in needs)
        for part in (page.codec, page.container):
            page.show_part(part, "codec" in needs)
        page.sound.setVisible("sound" in needs)
        page.detail.setVisible("detail" in needs)
        page.ticks.setVisible(bool(needs & {"sound", "detail"}))
        self._named = True
        self._fill_versions(anew=True)
        self._codec_chosen()
        if self.context.project.is_open:
            self.context.project.set_view("export", kind=kind.id)

    def _codec_chosen(self) -> None:
        page = self.view
        codec = page.codec.currentData()
        self._filling = True
        kept = page.container.currentData()
        page.container.clear()
        for ending in CONTAINERS[codec]:
            page.container.addItem(ending[1:].upper(), ending)
        page.container.setCurrentIndex(max(page.container.findData(kept), 0))
        self._filling = False
        page.show_part(page.quality_row, "codec" in self._kind().needs and codec in RATED)
        self._changed()

    def _tell_quality(self) -> None:
        value = self.view.quality.value()
        words = next(text for most, text in _QUALITIES if value <= most)
        self.view.quality_label.setText(f"{value}  {words}")
        self._check()

    def _chosen(self) -> tuple[Version, ...]:
        needs, page = self._kind().needs, self.view
        choices = page.versions if "versions" in needs else [page.run if "run" in needs else page.versions[0]]
        ids = dict.fromkeys(choice.currentData() or "" for choice in choices)
        return tuple(self._versions[each] for each in ids if each in self._versions)

    def _changed(self) -> None:
        if self._filling:
            return
        if self._named:
            self._name()
        else:
            self._set_ending()
        self._check()

    def _ending(self) -> str:
        ending = self._kind().ending
        return str(self.view.container.currentData() or "") if ending == "*" else ending

    def _name(self) -> None:
        """A name of our own that is still free."""
        project = self.context.project.project
        if project is None:
            return
        stem = self._kind().name(self._clip(), self._chosen(), project.name)
        taken = {str(dict(r.job.get("settings", {})).get("out")) for r in self.context.project.exports}
        number = 1
        while True:
            more = f"_{number}" if number > 1 else ""
            path = project.exports / f"{stem}{more}{self._ending()}"
            if not path.exists() and str(path) not in taken:
                break
            number += 1
        self.view.out.setText(str(path))

    def _set_ending(self) -> None:
        text = self.view.out.text().strip()
        if text and self._kind().ending == "*":
            self.view.out.setText(str(Path(text).with_suffix(self._ending())))

    def _typed(self, text: str) -> None:
        self._named = not text.strip()
        self._check()

    def _dropped(self, paths: Sequence[Path]) -> None:
        folder = paths[0] if paths[0].is_dir() else paths[0].parent
        self.view.out.setText(str(folder / Path(self.view.out.text()).name))
        self._named = False
        self._check()

    def browse(self) -> None:
        """Ask where to write."""
        kind = "folder" if not self._kind().ending else "save"
        for path in self.context.ask_files(kind, "Write to", self.view.out.text()):
            place = Path(path) / Path(self.view.out.text()).name if kind == "folder" else Path(path)
            self.view.out.setText(str(place))
            self._named = False
            # The dialog has asked whether to replace it.
            self.view.overwrite.setChecked(kind == "save" and place.exists())
        self._check()

    def _wish(self) -> Wish:
        page, project = self.view, self.context.project
        versions = self._chosen()
        return Wish(
            project.settings,
            self._clip(),
            versions,
            Path(page.out.text().strip()).expanduser(),
            page.codec.currentData(),
            page.quality.value(),
            page.sound.isChecked(),
            page.detail.isChecked(),
            page.overwrite.isChecked(),
            self._results(),
            self._figures(versions),
        )

    def _results(self) -> Path | None:
        """The folder that a report is made of, once there is something in it."""
        project = self.context.project
        something = bool(project.analysis) or bool(project.finished_runs())
        return project.project.folder if project.project is not None and something else None

    def _figures(self, versions: Sequence[Version]) -> dict[str, float]:
        """What was measured of the run, for its stamp."""
        run = self.context.project.run(versions[0].run) if versions and versions[0].run else None
        if run is None or not checkpoint_of(run):
            return {}
        kept = run.extra.get("figures", {})
        found = {"psnr_fp": run.extra.get("psnr_fp"), **(dict(kept) if isinstance(kept, dict) else {})}
        for name in ("loss_first", "loss_last"):
            found[name] = run.result.get(name)
        numbers = {name: value for name, value in found.items() if not isinstance(value, bool)}
        return {name: float(value) for name, value in numbers.items() if isinstance(value, int | float)}

    def _check(self) -> None:
        """Say what is missing, before anything is started."""
        page = self.view
        problem = ""
        if not self.context.project.is_open:
            problem = "Open a project first."
        elif not page.out.text().strip():
            problem = "Choose where to write."
        else:
            try:
                self.job()
            except QuantVSRError as error:
                problem = str(error)
            place = Path(page.out.text().strip()).expanduser()
            if not problem and place.exists() and not page.overwrite.isChecked():
                problem = f"{place.name} exists already; choose another name, or tick the box."
        page.problem.setText(problem)
        page.problem.setVisible(bool(problem))
        page.add_button.setEnabled(not problem)
        self._ask_estimate()

    def _ask_estimate(self) -> None:
        """What the export will take, while it could be started."""
        page = self.view
        able = page.add_button.isEnabled() and self._in_front and not self.context.engines.work.busy
        job = self.job() if able else None
        job = job if isinstance(job, UpscaleJob | SideBySideJob) else None
        page.estimate.setVisible(job is not None)
        self.estimate.ask(job)

    def _estimated(self, result: dict[str, Any]) -> None:
        parts = f"about {roughly(result['seconds'])}", f"{size(result['memory'])} of memory"
        words = f"Takes {', '.join(parts)} and {size(result['disk'])} on the disk."
        self._tell_estimate(" ".join((words, *result["advice"])), "warning" if result["advice"] else "muted")

    def _tell_estimate(self, text: str, look: str = "muted") -> None:
        set_look(self.view.estimate, look)
        self.view.estimate.setText(text)

    # The queue

    def add(self) -> None:
        """Put the export at the end of the queue; it is written when its turn comes."""
        self._check()
        if not self.view.add_button.isEnabled():
            return
        job = self.job()
        if job is None:
            return
        project = self.context.project
        name = Path(self.view.out.text().strip()).name
        # A report reads what is on disk.
        project.save()
        record = project.add_export(project.new_id(self._kind().id, "exports"), name, job)
        self.queue.start(record.id, job)
        self._named = True
        self.view.overwrite.setChecked(False)
        self._changed()


def _fill(
    choice: QComboBox, versions: Sequence[Version], usual: str, *, anew: bool, empty: bool = False
) -> None:
    """Offer versions; what was chosen stays where it can, else the usual one is chosen."""
    # What nobody changed follows: the run that was finished last.
    changed = choice.currentData() != choice.property("usual")
    kept = choice.currentData() if changed and not anew else ""
    choice.setProperty("usual", usual)
    choice.clear()
    if empty:
        choice.addItem("–", "")
    for version in versions:
        choice.addItem(version.label, version.id)
    found = choice.findData(kept) if kept else -1
    choice.setCurrentIndex(found if found >= 0 else max(choice.findData(usual), 0))

"""Which clip and which versions of it are shown."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from quantvsr_gui.pages.compare.choices import offer, offer_versions
from quantvsr_gui.pages.compare.page import ComparePage
from quantvsr_gui.pages.compare.screen import Screen
from quantvsr_gui.pages.compare.trials import Trial
from quantvsr_gui.pages.compare.versions import (
    as_slots,
    first_choice,
    offered,
    run_version,
    scene_of,
    versions_of,
)
from quantvsr_gui.project import ProjectModel


class Choosing(QObject):
    """Offers the project's clips, and for each of four slots what can be shown of one.

    Signals:
        clip_changed: Other frames are shown from now on; `changed` follows.
        changed: Another clip, or other versions of it.
    """

    clip_changed = Signal()
    changed = Signal()

    def __init__(
        self,
        page: ComparePage,
        screen: Screen,
        project: ProjectModel,
        trials: Callable[[], list[Trial]],
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._page, self._screen, self._project, self._trials = page, screen, project, trials
        self._offered: object = None
        page.clip_choice.currentIndexChanged.connect(lambda _: self._clip_chosen())
        for slot, choice in enumerate(page.slot_choices):
            choice.currentIndexChanged.connect(lambda _, slot=slot: self._slot_chosen(slot))

    def restore(self, kept: Mapping[str, Any]) -> None:
        """Choose what the project remembers."""
        self._screen.chosen = as_slots(kept.get("slots"))
        self._fill(kept.get("clip"))

    def refill(self) -> None:
        """Offer the project's clips and versions again; what is chosen stays where it is still there."""
        self._fill(self._page.clip_choice.currentData() or self._project.view("compare").get("clip"))

    def refill_if_new(self) -> None:
        """The same where other runs or trials are there now. A run under way tells of every step."""
        if self._offer_now() != self._offered:
            self.refill()

    def shown_runs(self) -> list[str]:
        """Ids of the runs that are shown, as they are or in a trial."""
        versions = self._screen.versions
        found = (versions[each].run for each in self._screen.chosen.values() if each in versions)
        return [run for run in found if run]

    def show_version(self, version: str) -> None:
        """Show a version in the place of others of the same run; of these, trials give way first."""
        versions, chosen = self._screen.versions, self._screen.chosen
        if version not in versions or version in chosen.values():
            return
        family = [
            slot for slot in sorted(chosen) if versions[chosen[slot]].family == versions[version].family
        ]
        family.sort(key=lambda slot: not versions[chosen[slot]].trial)
        free = [slot for slot in range(len(self._page.slot_choices)) if slot not in chosen]
        chosen[(family or free or [max(chosen)])[0]] = version
        self._show()

    def shown_trials(self) -> list[str]:
        """Ids of the trials that are shown."""
        versions = self._screen.versions
        return [each for each in self._screen.chosen.values() if each in versions and versions[each].trial]

    def back_to_run(self, trial: str) -> None:
        """Show the run in the place of a trial of it; if it is shown already, leave the place empty."""
        chosen = self._screen.chosen
        slots = [slot for slot, each in chosen.items() if each == trial]
        if not slots:
            return
        run = run_version(self._screen.versions[trial].run)
        for slot in slots:
            chosen.pop(slot)
            if run not in chosen.values():
                chosen[slot] = run
        self._show()

    def kept(self) -> dict[str, Any]:
        """What `restore` takes."""
        return {
            "clip": self._page.clip_choice.currentData() or "",
            "slots": {str(slot): version for slot, version in sorted(self._screen.chosen.items())},
        }

    def _offer_now(self) -> object:
        return offered(self._project.finished_runs()), [trial.id for trial in self._trials()]

    def _fill(self, clip: object) -> None:
        self._offered = self._offer_now()
        clips = self._project.settings.clips
        self._page.stack.setCurrentIndex(1 if clips else 0)
        offer(self._page.clip_choice, [(Path(each.path).name, each.path) for each in clips], clip)
        self._clip_chosen()

    def _clip_chosen(self) -> None:
        screen, settings, path = self._screen, self._project.settings, self._page.clip_choice.currentData()
        clip = next((each for each in settings.clips if each.path == path), None)
        versions = versions_of(clip, self._project.finished_runs(), self._trials()) if clip else {}
        scene = scene_of(settings, clip) if clip else None
        if scene != screen.scene:
            self.clip_changed.emit()
        screen.show_clip(clip, scene, versions)
        if not screen.chosen and versions:
            screen.chosen = first_choice(versions)
        self._show()

    def _slot_chosen(self, slot: int) -> None:
        version = self._page.slot_choices[slot].currentData()
        self._screen.chosen.pop(slot, None)
        if version:
            self._screen.chosen[slot] = version
        self._show()

    def _show(self) -> None:
        offer_versions(self._page.slot_choices, self._screen.versions, self._screen.chosen)
        self.changed.emit()

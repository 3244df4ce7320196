"""Behaviour of the Clips page."""

import dataclasses
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import QItemSelectionModel, QSignalBlocker, QTemporaryDir

from quantvsr.errors import BadInput
from quantvsr.jobs import ProbeJob
from quantvsr.jobs.base import Job
from quantvsr.jobs.presets import budget_of
from quantvsr.project import ClipEntry
from quantvsr.resources import resource
from quantvsr_gui.engine import JobHandle
from quantvsr_gui.pages.base import Context, PageController
from quantvsr_gui.pages.clips.model import ClipFacts, ClipsModel
from quantvsr_gui.pages.clips.page import ClipsPage
from quantvsr_gui.shell.actions import Action
from quantvsr_gui.widgets.drop import DropTarget

PICTURES = 8
_FILTER = (
    "Videos (*.mp4 *.mkv *.mov *.avi *.webm *.m4v *.mpg *.mpeg *.ts *.mts *.wmv *.gif *.y4m);;"
    "Pictures (*.png *.jpg *.jpeg *.tif *.tiff *.bmp *.webp);;All files (*)"
)


class ClipsController(PageController):
    """Looks at clips with the engine; what is chosen goes into the project's settings."""

    def __init__(self, page: ClipsPage, clips: ClipsModel, context: Context) -> None:
        super().__init__(page, context)
        self.view, self.clips = page, clips
        self._asked: list[JobHandle] = []
        self._elsewhere: QTemporaryDir | None = None
        self.offer_command()
        for made in (page.add_files_button, page.empty_files_button):
            made.clicked.connect(self.ask_files)
        for made in (page.bundled_button, page.empty_bundled_button):
            made.clicked.connect(self.add_bundled)
        for made in (page.add_folder_button, page.empty_folder_button):
            made.clicked.connect(self.ask_folder)
        page.remove_button.clicked.connect(self.remove_selected)
        page.table.view.selectionModel().selectionChanged.connect(self._show_range)
        clips.toggled.connect(self._toggle)
        DropTarget(page.drop_card, self.add, page.drop_card)
        card, amounts = page.range_card, page.amounts
        card.first.valueChanged.connect(self._range_edited)
        card.last.valueChanged.connect(self._range_edited)
        card.whole_button.clicked.connect(self._whole)
        amounts.preset.activated.connect(self._preset_chosen)
        for name, box in self._boxes().items():
            box.valueChanged.connect(partial(self._amount_edited, name))
        amounts.reset_button.clicked.connect(self._reset_amounts)
        context.project.opened.connect(self._opened)
        context.project.settings_changed.connect(self._settings_changed)
        able = self._can_edit
        context.actions.add(
            Action("clips.add", "Add clips…", self.ask_files, "Run", enabled=able),
            Action("clips.add-folder", "Add a folder of clips…", self.ask_folder, "Run", enabled=able),
            Action("clips.add-bundled", "Add the bundled clips", self.add_bundled, "Run", enabled=able),
            Action("clips.remove", "Remove the selected clips", self.remove_selected, "", enabled=able),
        )
        self._opened()

    def _can_edit(self) -> bool:
        return self.context.project.is_open

    # Adding and removing

    def job(self) -> Job:
        """The look at the clips."""
        return ProbeJob(clips=tuple(clip.path for clip in self.context.project.settings.clips))

    def take(self, paths: Sequence[Path]) -> list[Path]:
        """Whatever is dropped may be a clip; the engine says."""
        self.add(paths)
        return []

    def add(self, paths: Sequence[Path | str]) -> None:
        """Look at files and folders; those that can be read become clips of the project."""
        known = {clip.path for clip in self.context.project.settings.clips}
        new = tuple(str(path) for path in paths if str(path) not in known)
        if not new:
            return
        handle = self._probe(new)
        handle.succeeded.connect(self._found)
        handle.failed.connect(lambda reason: self._say(reason, "alert"))
        self.view.messages.show_message("Looking at the clips…", "info", {"Cancel": handle.cancel}, "look")

    def ask_files(self) -> None:
        """Ask for files."""
        self.add(self.context.ask_files("files", "Add clips", "", _FILTER))

    def ask_folder(self) -> None:
        """Ask for a folder."""
        self.add(self.context.ask_files("folder", "Add a folder of clips or pictures"))

    def add_bundled(self) -> None:
        """Add the clips that come with the program."""
        self.add(sorted(path for path in resource("clips").iterdir() if "_lq" in path.stem))

    def remove_selected(self) -> None:
        """Remove the selected clips from the project; the files stay."""
        gone = set(self._selected())
        clips = self.context.project.settings.clips
        kept = tuple(clip for number, clip in enumerate(clips) if number not in gone)
        self.context.project.change("remove clips", clips=kept)

    def _select(self, number: int) -> None:
        """Select a clip, and go on with it by keyboard."""
        view = self.view.table.view
        index = self.view.table.proxy.mapFromSource(self.clips.index(number, 0))
        flags = QItemSelectionModel.SelectionFlag
        view.selectionModel().setCurrentIndex(index, flags.ClearAndSelect | flags.Rows)
        if self.view.isVisible():
            view.setFocus()

    def _probe(self, paths: tuple[str, ...]) -> JobHandle:
        handle = self.context.engines.preview.submit(
            ProbeJob(clips=paths, thumbnails=self._thumbnails(), pictures=PICTURES, edge=256)
        )
        self._asked.append(handle)
        handle.ended.connect(lambda: self._forget(handle))
        return handle

    def _thumbnails(self) -> str:
        """Where pictures of clips are kept: in the project, or for a while where it cannot be written to."""
        project = self.context.project.project
        if project is not None and not project.read_only:
            return str(project.cache / "thumbnails")
        if self._elsewhere is None:
            self._elsewhere = QTemporaryDir()
        return self._elsewhere.path()

    def _forget(self, handle: JobHandle) -> None:
        if handle in self._asked:
            self._asked.remove(handle)
        if not self._asked:
            self.view.messages.clear("look")

    def _found(self, result: dict[str, Any]) -> None:
        if not self.context.project.is_open:
            return
        before = self.context.project.settings.clips
        known, added, failed = {clip.path for clip in before}, [], []
        for entry in result["clips"]:
            path = str(entry["path"])
            if "error" in entry:
                failed.append((path, str(entry["error"])))
            elif path not in known:
                known.add(path)
                self._keep(entry)
                added.append(ClipEntry(path, gt=entry["gt"]))
        if added:
            self.context.project.change("add clips", clips=(*before, *added))
            self._select(len(before))
        if failed:
            self._say(_reasons(failed), "warning")
        else:
            self.view.messages.clear("clips")

    def _keep(self, entry: dict[str, Any]) -> None:
        facts = ClipFacts(entry.get("info", {}), tuple(entry.get("pictures", ())), entry.get("error", ""))
        self.clips.set_facts(str(entry["path"]), facts)

    def _say(self, text: str, level: Any) -> None:
        self.view.messages.show_message(text, level, key="clips")

    # Showing

    def _opened(self) -> None:
        for handle in list(self._asked):
            handle.cancel()
        self.view.messages.clear("clips")
        self._show_clips()
        self._show_amounts()

    def _settings_changed(self, names: frozenset[str]) -> None:
        if "clips" in names:
            self._show_clips()
        if names & {"preset", "samples", "keep_steps", "crop", "clips"}:
            self._show_amounts()

    def _show_clips(self) -> None:
        clips = self.context.project.settings.clips
        self.clips.set_clips(clips)
        for some, shown in ((self.view.empty, not clips), (self.view.table, bool(clips))):
            some.setVisible(shown)
        # The empty state has these buttons itself.
        for made in self.view.head_buttons():
            made.setVisible(bool(clips))
        self.view.range_card.setEnabled(bool(clips))
        unknown = tuple(clip.path for clip in clips if self.clips.facts(clip.path) is None)
        if unknown and not self._asked:
            handle = self._probe(unknown)
            handle.succeeded.connect(lambda result: [self._keep(entry) for entry in result["clips"]])
            handle.succeeded.connect(lambda _: self._show_range())
        if clips and not self._selected():
            self.view.table.view.selectRow(0)
        self._show_range()

    def _selected(self) -> list[int]:
        table = self.view.table
        return [table.source_row(line) for line in table.view.selectionModel().selectedRows()]

    def _current(self) -> tuple[int, ClipEntry, ClipFacts] | None:
        chosen = self._selected()
        if len(chosen) != 1:
            return None
        clip = self.clips.clips[chosen[0]]
        facts = self.clips.facts(clip.path)
        return (chosen[0], clip, facts) if facts is not None and not facts.error else None

    def _show_range(self) -> None:
        card, current = self.view.range_card, self._current()
        for widget in (card.strip, card.controls):
            widget.setVisible(current is not None)
        if current is None:
            todo = "Select a clip" if self.clips.clips else "Add a clip"
            card.note.setText(f"{todo} to choose the part that is used.")
            return
        _, clip, facts = current
        total = facts.frames or max(clip.stop or 1, 1)
        stop = total if clip.stop is None else clip.stop
        with QSignalBlocker(card.first), QSignalBlocker(card.last):
            card.first.setRange(1, total)
            card.last.setRange(1, max(total, stop))
            card.first.setValue(clip.start + 1)
            card.last.setValue(stop)
        card.strip.set_pictures(facts.pictures)
        card.strip.set_range(clip.start / total, min(stop / total, 1.0))
        card.whole_button.setEnabled(clip.start > 0 or clip.stop is not None)
        truth = f" Ground truth: {Path(clip.gt).name}." if clip.gt else ""
        card.note.setText(f"{stop - clip.start} of {total} frames of {Path(clip.path).name}.{truth}")

    def _show_amounts(self) -> None:
        settings, amounts = self.context.project.settings, self.view.amounts
        budget = budget_of(settings)
        amounts.preset.setCurrentIndex(amounts.preset.findData(settings.preset))
        shown = {"samples": budget.samples, "keep_steps": budget.keep_steps or 0, "crop": budget.crop}
        for name, box in self._boxes().items():
            with QSignalBlocker(box):
                box.setValue(shown[name])
        amounts.steps.setSpecialValueText("all")
        own = any(getattr(settings, name) is not None for name in shown)
        amounts.reset_button.setVisible(own)
        learned = len(settings.learning_clips())
        clips = "the bundled clips" if not learned else "the ticked clip" if learned == 1 else None
        text = f"Learns from {clips or f'the {learned} ticked clips'}."
        if settings.clips and not settings.learning_clips():
            text = "No clip is ticked: tick at least one to learn from."
        amounts.sum.setText(text)

    # Editing

    def _replace(self, number: int, what: str, merge: str = "", **changes: Any) -> None:
        clips = list(self.context.project.settings.clips)
        try:
            clips[number] = dataclasses.replace(clips[number], **changes)
        except BadInput as error:
            self._say(str(error), "warning")
            self._show_range()
            return
        self.context.project.change(what, merge=merge, clips=tuple(clips))

    def _toggle(self, number: int, on: bool) -> None:
        self._replace(number, "learn from a clip" if on else "not learn from a clip", learn=on)

    def _range_edited(self) -> None:
        current = self._current()
        if current is None:
            return
        number, _, facts = current
        first, last = self.view.range_card.first.value() - 1, self.view.range_card.last.value()
        stop = None if facts.frames is not None and last >= facts.frames else last
        self._replace(number, "choose frames", f"range-{number}", start=first, stop=stop)

    def _whole(self) -> None:
        current = self._current()
        if current is not None:
            self._replace(current[0], "use the whole clip", start=0, stop=None)

    def _boxes(self) -> dict[str, Any]:
        amounts = self.view.amounts
        return {"samples": amounts.samples, "keep_steps": amounts.steps, "crop": amounts.crop}

    def _preset_chosen(self) -> None:
        preset = self.view.amounts.preset.currentData()
        self.context.project.change(
            "choose a budget", preset=preset, samples=None, keep_steps=None, crop=None
        )

    def _amount_edited(self, name: str, value: int) -> None:
        least = {"samples": 1, "keep_steps": 1, "crop": 16}[name]
        wanted = value if value >= least else None
        self.context.project.change("change the calibration", merge=f"amount-{name}", **{name: wanted})

    def _reset_amounts(self) -> None:
        self.context.project.change("use the preset's numbers", samples=None, keep_steps=None, crop=None)


def _reasons(failed: Sequence[tuple[str, str]]) -> str:
    """Why files were left out: the first in full, the others by name."""
    others = [Path(path).name for path, _ in failed[1:]]
    if not others:
        return failed[0][1]
    named = ", ".join(others[:3]) + (f" and {len(others) - 3} more" if len(others) > 3 else "")
    return f"{failed[0][1]} Also left out: {named}."


def build(context: Context) -> ClipsController:
    """Make the page and its controller."""
    clips = ClipsModel()
    page = ClipsPage(clips)
    clips.setParent(page)
    return ClipsController(page, clips, context)

"""Behaviour of the Compare page."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt, QTimer

from quantvsr.jobs.base import Job
from quantvsr_gui.pages.base import Context, PageController
from quantvsr_gui.pages.compare.choices import as_view, kept_view, offer_reference, offer_versions
from quantvsr_gui.pages.compare.page import ComparePage
from quantvsr_gui.pages.compare.playback import Playback
from quantvsr_gui.pages.compare.render_control import RenderControl
from quantvsr_gui.pages.compare.screen import Screen
from quantvsr_gui.pages.compare.state import View
from quantvsr_gui.pages.compare.trial import Trials
from quantvsr_gui.pages.compare.versions import (
    as_slots,
    cache_folder,
    first_choice,
    offered,
    scene_of,
    versions_of,
)
from quantvsr_gui.shell.actions import Action


class CompareController(PageController):
    """Shows rendered frames and asks for those that are missing."""

    def __init__(self, page: ComparePage, context: Context) -> None:
        super().__init__(page, context)
        self.view = page
        self.screen = Screen()
        self.rendering = RenderControl(page, self.screen, context, self)
        self.renderer = self.rendering.renderer
        self.playback = Playback(self)
        self.trials = Trials(context.project, self.renderer, self.shown_runs, self.rendering.job, self)
        self._filling = False
        self._visible = False
        self._line: tuple[float | None, bool] = (None, False)
        self._runs: tuple[tuple[str, str, str], ...] = ()
        # Cheap versions are made by themselves once the playhead rests.
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(250)
        self._rest.timeout.connect(self._render_plain)
        self._redraw = QTimer(self)
        self._redraw.setSingleShot(True)
        self._redraw.setInterval(30)
        self._redraw.timeout.connect(self._show_slices)
        # Drawing a chart takes longer than a picture: its playhead follows some times a second.
        self._marks = QTimer(self)
        self._marks.setSingleShot(True)
        self._marks.setInterval(60)
        self._marks.timeout.connect(self._mark_frame)
        self.offer_command()
        self._connect_page()
        self._connect_model()
        page.canvas.set_careful(lambda picture, size: self.screen.frames.scaled(picture, size))
        self._theme()
        self._opened()

    def _connect_page(self) -> None:
        page = self.view
        page.go_button.clicked.connect(lambda: self.context.go_to("clips"))
        page.clip_choice.currentIndexChanged.connect(lambda _: self._clip_chosen())
        for slot, choice in enumerate(page.slot_choices):
            choice.currentIndexChanged.connect(lambda _, slot=slot: self._slot_chosen(slot))
        for mode, made in page.mode_buttons.items():
            made.clicked.connect(lambda _=False, mode=mode: self.set_view(mode=mode))
        page.difference.currentIndexChanged.connect(
            lambda _: self.set_view(difference=page.difference.currentData())
        )
        page.gain.currentIndexChanged.connect(lambda _: self.set_view(gain=page.gain.currentData()))
        page.reference.currentIndexChanged.connect(self._reference_chosen)
        page.loupe.toggled.connect(lambda on: self.set_view(loupe=on))
        page.slice.toggled.connect(lambda on: self.set_view(line=0.5 if on else None))
        page.turn.toggled.connect(lambda on: self.set_view(vertical=on))
        page.fit_button.clicked.connect(lambda: page.canvas.show_zoom(None))
        page.one_button.clicked.connect(lambda: page.canvas.show_zoom(1.0))
        page.canvas.view_changed.connect(self._view_changed)
        page.canvas.pointed.connect(self._pointed)
        page.canvas.stepped.connect(self.step)
        page.canvas.commanded.connect(self._commanded)
        page.canvas.resized.connect(self._show_zoom)
        page.scrubber.sought.connect(self.seek)
        page.play_button.clicked.connect(self.play_or_pause)
        page.back_button.clicked.connect(lambda: self.step(-1))
        page.forward_button.clicked.connect(lambda: self.step(1))
        page.loop.toggled.connect(lambda on: setattr(self.playback, "loop", on))
        page.curves.sought.connect(self.seek)
        page.curves.chosen.connect(self._show_curves)
        page.curves.wanted.connect(self._measure)
        page.slices.sought.connect(self.seek)
        page.tabs.currentChanged.connect(lambda _: self._tab_chosen())

    def _connect_model(self) -> None:
        project = self.context.project
        project.opened.connect(self._opened)
        project.settings_changed.connect(self._settings_changed)
        project.runs_changed.connect(lambda _: self._runs_changed())
        self.playback.frame_due.connect(self._play_frame)
        self.playback.changed.connect(self._playing)
        self.rendering.frame_ready.connect(self._frame_ready)
        self.rendering.finished.connect(self._rendered)
        self.trials.offered.connect(self._offer_trial)
        self.trials.changed.connect(self._refill)
        self.context.theme.changed.connect(self._theme)
        able, again = self.rendering.able, self.trials
        self.context.actions.add(
            Action("compare.render", "Render frames here", self.rendering.here, "Run", "", able),
            Action("compare.whole", "Render the whole clip", self.rendering.whole, "Run", "", able),
            Action(
                "compare.again",
                "Re-render these frames with changed layers",
                lambda: again.run(),
                "Run",
                enabled=lambda: again.possible,
            ),
            Action("compare.play", "Play or pause", self.play_or_pause, "View"),
        )

    # Page

    def shown(self) -> None:
        """Look at what is there now."""
        self._visible = True
        self.screen.frames.rescan()
        self._show_all()
        self._rest.start()
        self.trials.look()
        self.view.canvas.setFocus(Qt.FocusReason.OtherFocusReason)

    def hidden(self) -> None:
        """Stop what only matters while the page is seen."""
        self._visible = False
        self.playback.pause()
        for timer in (self._rest, self._redraw, self._marks):
            timer.stop()

    def job(self) -> Job | None:
        """The rendering around the playhead."""
        return self.rendering.job()

    def _theme(self) -> None:
        tokens = self.context.theme.tokens
        for part in (self.view.canvas, self.view.scrubber, self.view.slices, self.view.curves):
            part.set_tokens(tokens)

    # Filling choices

    def _opened(self) -> None:
        self.playback.pause()
        self.renderer.cancel()
        project = self.context.project.project
        self.screen.open_cache(None if project is None else cache_folder(project.cache))
        self.trials.forget()
        kept = self.context.project.view("compare")
        self.screen.chosen = as_slots(kept.get("slots"))
        frame = kept.get("frame")
        self.screen.frame = frame if isinstance(frame, int) else 0
        self.view.canvas.set_view(as_view(kept.get("view")))
        self._refill()

    def _settings_changed(self, names: frozenset[str]) -> None:
        if names & {"clips", "model", "seed", "steps"}:
            self._refill()
        if names & {"rank_overrides", "bit_overrides"} and self._visible:
            self.trials.look()

    def _runs_changed(self) -> None:
        # A run under way tells of every step.
        if offered(self.context.project.finished_runs()) != self._runs:
            self._refill()

    def _refill(self) -> None:
        """Offer the project's clips and versions again."""
        page, project = self.view, self.context.project
        self._runs = offered(project.finished_runs())
        clips = project.settings.clips
        page.stack.setCurrentIndex(1 if clips else 0)
        self._filling = True
        kept = page.clip_choice.currentData() or project.view("compare").get("clip")
        page.clip_choice.clear()
        for clip in clips:
            page.clip_choice.addItem(Path(clip.path).name, clip.path)
        page.clip_choice.setCurrentIndex(max(page.clip_choice.findData(kept), 0))
        self._filling = False
        self._clip_chosen()

    def _clip_chosen(self) -> None:
        if self._filling:
            return
        project = self.context.project
        clip = next(
            (each for each in project.settings.clips if each.path == self.view.clip_choice.currentData()),
            None,
        )
        versions = versions_of(clip, project.finished_runs(), self.trials.made) if clip else {}
        scene = scene_of(project.settings, clip) if clip else None
        self.screen.show_clip(clip, scene, versions)
        if not self.screen.chosen and versions:
            self.screen.chosen = first_choice(versions)
        self._fill_slots()
        first, stop = self.screen.part()
        self._set_clip()
        self.screen.frame = min(max(self.screen.frame, first), stop - 1)
        self._keep()
        self._show_all()
        if self._visible:
            self._rest.start()

    def _fill_slots(self) -> None:
        self._filling = True
        offer_versions(self.view.slot_choices, self.screen.versions, self.screen.chosen)
        self._filling = False
        self._fill_reference()
        self.view.curves.set_references(self.screen.references())

    def _fill_reference(self) -> None:
        self._filling = True
        view = self.view.canvas.view
        kept = view.reference if view.difference != "off" else None
        offer_reference(self.view.reference, self.screen.versions, self.screen.chosen, kept)
        self._filling = False
        self._reference_chosen()

    def _slot_chosen(self, slot: int) -> None:
        if self._filling:
            return
        version = self.view.slot_choices[slot].currentData()
        self.screen.chosen.pop(slot, None)
        if version:
            self.screen.chosen[slot] = version
        self._fill_reference()
        self._keep()
        self._show_all()
        self._rest.start()

    def _reference_chosen(self) -> None:
        slot = self.view.reference.currentData()
        if not self._filling and slot is not None:
            self.set_view(reference=slot)

    def _set_clip(self) -> None:
        first, stop = self.screen.part()
        self.view.scrubber.set_range(first, stop)
        facts = self.screen.facts
        self.playback.set_clip(facts.times if facts else (), first, stop)

    # View

    def set_view(self, **changes: Any) -> None:
        """Show the pictures another way."""
        if not self._filling:
            self._view_changed(replace(self.view.canvas.view, **changes))

    def _view_changed(self, view: View) -> None:
        self.view.canvas.set_view(view)
        self._keep()
        self._show_controls()
        self._show_frame()
        before, self._line = self._line, (view.line, view.vertical)
        if self._line != before:
            if view.line is not None and before[0] is None:
                self.view.tabs.setCurrentIndex(1)
            self._redraw.start()

    def _tab_chosen(self) -> None:
        if self.view.tabs.currentIndex() == 1 and self.view.canvas.view.line is None:
            self.set_view(line=0.5)
        self._redraw.start()

    def _show_controls(self) -> None:
        """Buttons follow the view, which mouse and keys change too."""
        page, view = self.view, self.view.canvas.view
        self._filling = True
        page.mode_buttons[view.mode].setChecked(True)
        page.difference.setCurrentIndex(page.difference.findData(view.difference))
        page.gain.setCurrentIndex(page.gain.findData(view.gain))
        if page.reference.findData(view.reference) >= 0:
            page.reference.setCurrentIndex(page.reference.findData(view.reference))
        page.loupe.setChecked(view.loupe)
        page.slice.setChecked(view.line is not None)
        page.turn.setChecked(view.vertical)
        self._filling = False
        page.turn.setVisible(view.line is not None)
        for made in (page.gain, page.against, page.reference):
            made.setVisible(view.difference != "off")

    def _show_all(self) -> None:
        self._set_clip_if_new()
        self._show_controls()
        self._show_frame()
        self._show_curves()
        self.rendering.show_state()
        self._redraw.start()

    def _set_clip_if_new(self) -> None:
        facts = self.screen.facts
        if facts is not None and not self.playback.playing:
            self._set_clip()
        self.view.scrubber.set_rendered(self.screen.rendered())

    def _show_frame(self) -> None:
        """The pictures of the frame; everything that runs while scrubbing is in here."""
        page, screen = self.view, self.screen
        page.canvas.empty_text = "" if screen.chosen else "Choose a version above."
        page.canvas.set_slots(screen.slots(page.canvas.view), screen.size() if screen.chosen else (0, 0))
        page.scrubber.set_frame(screen.frame)
        if self._visible and not self._marks.isActive():
            self._marks.start()
        stop = screen.part()[1]
        facts = screen.facts
        seconds = f"   {facts.times[screen.frame]:.2f} s" if facts and screen.frame < facts.frames else ""
        page.time_label.setText(f"{screen.frame + 1} of {stop}{seconds}")
        self._show_zoom()

    def _show_zoom(self) -> None:
        canvas = self.view.canvas
        self.view.zoom_label.setText(f"{canvas.zoom():.0%}" if canvas.places() else "")

    def _mark_frame(self) -> None:
        self.view.curves.set_playhead(self.screen.frame)
        self.view.slices.set_playhead(self.screen.frame)

    def _show_curves(self) -> None:
        curves = self.view.curves
        figure = curves.shown_figure().name
        moving = figure == "warp_error"
        curves.reference.setVisible(not moving)
        curves.against.setVisible(not moving)
        reference = curves.reference.currentData() or ""
        curves.set_curves(self.screen.curves(figure, reference))

    def _show_slices(self) -> None:
        view = self.view.canvas.view
        if view.line is None or not self._visible or self.view.tabs.currentIndex() != 1:
            return
        first, stop = self.screen.part()
        there: set[int] = set()
        screen = self.screen
        chosen = [(screen.versions[each].label, screen.key(each)) for each in screen.chosen.values()]
        for _, key in chosen:
            there |= set(self.screen.frames.indices(key))
        indices = sorted(index for index in there if first <= index < stop)
        self.view.slices.show_slices(self.screen.frames, chosen, indices, view.line, view.vertical)

    def _commanded(self, what: str) -> None:
        if what == "play":
            self.play_or_pause()
        elif self.rendering.able():
            self.rendering.here()

    def _pointed(self, at: tuple[int, int] | None) -> None:
        self.view.canvas.set_hint(self.screen.pixel_text(at, self.view.canvas.slots))

    def _keep(self) -> None:
        project, view = self.context.project, self.view.canvas.view
        if not project.is_open:
            return
        project.set_view(
            "compare",
            clip=self.view.clip_choice.currentData() or "",
            slots={str(slot): version for slot, version in sorted(self.screen.chosen.items())},
            frame=self.screen.frame,
            view=kept_view(view),
        )

    # Time

    def seek(self, frame: int) -> None:
        """Go to a frame."""
        self.playback.pause()
        self._go(frame)

    def step(self, frames: int) -> None:
        """Go some frames on or back."""
        self.seek(self.screen.frame + frames)

    def _go(self, frame: int) -> None:
        first, stop = self.screen.part()
        frame = min(max(frame, first), stop - 1)
        if frame != self.screen.frame:
            self.screen.frame = frame
            self._show_frame()
            self._keep()
            self._rest.start()

    def _play_frame(self, frame: int) -> None:
        self.screen.frame = frame
        self._show_frame()

    def play_or_pause(self) -> None:
        """Play the part around the playhead that is rendered; everything where nothing is."""
        if self.playback.playing:
            self.playback.pause()
            return
        first, stop = self.screen.part()
        spans = [span for span in self.view.scrubber.spans() if span[0] <= self.screen.frame < span[1]]
        if spans and spans[0][1] - spans[0][0] > 1:
            first, stop = spans[0]
        self.playback.set_part(first, stop)
        self.playback.play(self.screen.frame)

    def _playing(self, on: bool) -> None:
        self.view.play_button.setText("Pause" if on else "Play")
        if not on:
            self._keep()
            self._rest.start()

    def _frame_ready(self) -> None:
        self.view.scrubber.set_rendered(self.screen.rendered())
        self._show_frame()

    def _rendered(self) -> None:
        first, stop = self.screen.part()
        self.screen.frame = min(max(self.screen.frame, first), stop - 1)
        self._show_all()
        self._keep_means()

    def _keep_means(self) -> None:
        """Note with each run what was measured of it: an exported checkpoint's stamp says it."""
        project = self.context.project
        for version in (self.screen.versions[each] for each in set(self.screen.chosen.values())):
            run, means = project.run(version.run), self.screen.means(version.id)
            if run is not None and means and not version.changed and run.extra.get("figures") != means:
                project.update_run(run.id, extra={**run.extra, "figures": means})

    def _render_plain(self) -> None:
        if self._visible and not self.playback.playing:
            self.rendering.plain()

    def _measure(self) -> None:
        spans = [span for span in self.view.scrubber.spans() if span[0] <= self.screen.frame < span[1]]
        self.rendering.part(*spans[0]) if spans else self.rendering.here()

    # Changed layers

    def _offer_trial(self, text: str) -> None:
        train = {"With a short training": lambda: self.trials.run(updates=30)}
        if self.trials.possible:
            actions = {"Re-render these frames": lambda: self.trials.run(), **train}
        else:
            actions = {**train, "Back to the run": self.trials.back}
        if text:
            self.view.messages.show_message(text, "info", actions, "trial")
        else:
            self.view.messages.clear("trial")

    def shown_runs(self) -> list[str]:
        """Ids of the runs that are shown."""
        found = (self.screen.versions[each].run for each in self.screen.chosen.values())
        return [run for run in found if run]

"""Behaviour of the Compare page: its parts, and what one of them means for the others."""

from collections.abc import Callable

from PySide6.QtCore import Qt, QTimer

from quantvsr.jobs.base import Job
from quantvsr_gui.pages.base import Context, PageController
from quantvsr_gui.pages.compare.below import Below
from quantvsr_gui.pages.compare.choices import as_view, kept_view
from quantvsr_gui.pages.compare.choosing import Choosing
from quantvsr_gui.pages.compare.page import ComparePage
from quantvsr_gui.pages.compare.render_control import RenderControl
from quantvsr_gui.pages.compare.screen import Screen
from quantvsr_gui.pages.compare.transport import Transport
from quantvsr_gui.pages.compare.trial_control import Trials
from quantvsr_gui.pages.compare.versions import cache_folder
from quantvsr_gui.pages.compare.viewing import Viewing
from quantvsr_gui.shell.actions import Action

UPDATES = 30
"""Of a short training of changed layers: some seconds."""


class CompareController(PageController):
    """Shows rendered frames and asks for those that are missing.

    Attributes:
        screen: What is to be seen.
        choosing: Of which clip, in which versions.
        viewing: How it is shown.
        transport: Which frame, and playing.
        rendering: Asks the engine.
        trials: Changed layers.
    """

    def __init__(self, page: ComparePage, context: Context) -> None:
        super().__init__(page, context)
        self.view = page
        self.screen = Screen()
        self.rendering = RenderControl(page, self.screen, context, self)
        self.renderer = self.rendering.renderer
        self.viewing = Viewing(page, self.screen, self)
        self.transport = Transport(page, self.screen, self)
        self.below = Below(page, self.screen, self.viewing, self)
        self.trials = Trials(
            context.project,
            self.renderer,
            lambda: self.choosing.shown_runs(),
            self.rendering.job,
            self,
        )
        self.choosing = Choosing(page, self.screen, context.project, self.trials.all, self)
        self._visible = False
        # Cheap versions are made by themselves once the playhead rests.
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(250)
        self._rest.timeout.connect(self._render_plain)
        self.offer_command()
        self._connect()
        self._add_actions()
        self._theme()
        self._opened()

    def _connect(self) -> None:
        page, project = self.view, self.context.project
        page.go_button.clicked.connect(lambda: self.context.go_to("clips"))
        self.choosing.clip_changed.connect(self.transport.playback.pause)
        self.choosing.changed.connect(self._versions_chosen)
        page.canvas.commanded.connect(self._commanded)
        page.curves.wanted.connect(self._measure)
        page.trials.show_wanted.connect(self.choosing.show_version)
        page.trials.delete_wanted.connect(self._delete_trial)
        self.viewing.changed.connect(self._view_changed)
        self.transport.moved.connect(self._show_frame)
        self.transport.rested.connect(self._rested)
        self.rendering.frame_ready.connect(self._frame_ready)
        self.rendering.finished.connect(self._rendered)
        self.renderer.changed.connect(self._show_frame)
        self.renderer.not_packed.connect(self._offer_again)
        self.trials.offered.connect(self._offer_trial)
        self.trials.made.connect(self.choosing.show_version)
        self.context.theme.changed.connect(self._theme)
        project.opened.connect(self._opened)
        project.settings_changed.connect(self._settings_changed)
        project.runs_changed.connect(lambda _: self._runs_changed())

    def _add_actions(self) -> None:
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
            Action("compare.play", "Play or pause", self.transport.play_or_pause, "View"),
        )

    # Page

    def shown(self) -> None:
        """Look at what is there now."""
        self._visible = True
        self.screen.look_again()
        self._show_all()
        self._rest.start()
        self._look_for_changes()
        self.view.canvas.setFocus(Qt.FocusReason.OtherFocusReason)

    def hidden(self) -> None:
        """Stop what only matters while the page is seen."""
        self._visible = False
        self.transport.playback.pause()
        self.below.stop()
        self._rest.stop()

    def job(self) -> Job | None:
        """The rendering around the playhead."""
        return self.rendering.job()

    def seek(self, frame: int) -> None:
        """Go to a frame."""
        self.transport.seek(frame)

    def _theme(self) -> None:
        tokens = self.context.theme.tokens
        for part in (self.view.canvas, self.view.scrubber, self.view.slices.view, self.view.curves):
            part.set_tokens(tokens)

    # Project

    def _opened(self) -> None:
        self.transport.playback.pause()
        self.renderer.cancel()
        project = self.context.project.project
        self.screen.open_cache(None if project is None else cache_folder(project.cache))
        kept = self.context.project.view("compare")
        frame = kept.get("frame")
        self.screen.frame = frame if isinstance(frame, int) else 0
        self.view.canvas.set_view(as_view(kept.get("view")))
        self.view.messages.clear("trial")
        self.choosing.restore(kept)
        if "view" not in kept:
            self.viewing.choose_pair()
        self._show_trials()

    def _settings_changed(self, names: frozenset[str]) -> None:
        if names & {"clips", "model", "seed", "steps"}:
            self.choosing.refill()
        if names & {"rank_overrides", "bit_overrides"} and self._visible:
            self._look_for_changes()

    def _runs_changed(self) -> None:
        self.choosing.refill_if_new()
        self._show_trials()

    def _versions_chosen(self) -> None:
        self.viewing.offer_slots()
        self._show_all()
        self._keep()
        if self._visible:
            self._rest.start()
            self._look_for_changes()

    def _keep(self) -> None:
        project = self.context.project
        if project.is_open:
            view = kept_view(self.view.canvas.view)
            project.set_view("compare", **self.choosing.kept(), frame=self.screen.frame, view=view)

    # Showing

    def _show_all(self) -> None:
        self.transport.set_clip()
        self.transport.show_rendered()
        self.viewing.show_controls()
        self._show_frame()
        self.below.show_curves()
        self.below.follow_view()
        self.rendering.show_state()
        self._tell_missing()

    def _show_frame(self) -> None:
        """The pictures of the frame; everything that runs while scrubbing is in here."""
        canvas, screen = self.view.canvas, self.screen
        size = screen.size() if screen.chosen else (0, 0)
        canvas.empty_text = "" if screen.chosen else "Choose a version above."
        canvas.set_slots(screen.slots(canvas.view), size)
        if not all(size) and screen.chosen:
            canvas.empty_text = next(iter(canvas.slots.values())).reason
        self.transport.show_frame()
        self.viewing.show_zoom()
        self.viewing.show_hint()
        self.below.follow_frame()

    def _tell_missing(self) -> None:
        """Say in place which files went away."""
        reasons = dict.fromkeys(self.screen.missing(each) for each in self.screen.chosen.values())
        reasons.pop("", None)
        if reasons:
            actions = {"Look again": self.shown, "Go to Clips": lambda: self.context.go_to("clips")}
            words = f"{'. '.join(reasons)}. Put it back, or choose another."
            self.view.messages.show_message(words, "warning", actions, "missing")
        else:
            self.view.messages.clear("missing")

    def _view_changed(self) -> None:
        self._keep()
        self._show_frame()
        self.below.follow_view()

    def _rested(self) -> None:
        self._keep()
        if self._visible:
            self._rest.start()

    # Rendering

    def _commanded(self, what: str) -> None:
        if what == "play":
            self.transport.play_or_pause()
        elif self.rendering.able():
            self.rendering.here()

    def _render_plain(self) -> None:
        if self._visible and not self.transport.playback.playing:
            self.rendering.plain()

    def _measure(self) -> None:
        span = self.transport.span()
        if span is None:
            self.rendering.here()
        else:
            self.rendering.part(*span)

    def _frame_ready(self) -> None:
        self.transport.show_rendered()
        self._show_frame()

    def _rendered(self) -> None:
        self._show_all()
        self._keep_means()

    def _keep_means(self) -> None:
        """Note with each run what was measured of it: an exported checkpoint's stamp says it."""
        project = self.context.project
        for version in (self.screen.versions[each] for each in set(self.screen.chosen.values())):
            run, means = project.run(version.run), self.screen.means(version.id)
            if run is not None and means and not version.trial and run.extra.get("figures") != means:
                project.update_run(run.id, extra={**run.extra, "figures": means})

    # Changed layers

    def _offer_trial(self, text: str) -> None:
        if not text:
            self.view.messages.clear("trial")
            return
        actions: dict[str, Callable[[], object]] = {}
        if self.trials.possible:
            actions["Re-render these frames"] = self.trials.run
        shown = [self.trials.find(each) for each in self.choosing.shown_trials()]
        trained = any(trial and trial.job.updates for trial in shown)
        if self.trials.trainable and (self.trials.possible or not trained):
            actions["With a short training"] = lambda: self.trials.run(updates=UPDATES)
        if shown:
            actions["Back to the run"] = self.back_to_runs
        self.view.messages.show_message(text, "info", actions, "trial")

    def _look_for_changes(self) -> None:
        """Offer what could be tried; what was said of a trial stays while that is shown."""
        if self.trials.possible or not self.choosing.shown_trials():
            self.trials.look()

    def _offer_again(self) -> None:
        """What was said before a trial that came to nothing."""
        shown = self.choosing.shown_trials()
        if self.trials.possible or not shown:
            self.trials.look()
        else:
            self.trials.tell(shown[0])

    def back_to_runs(self) -> None:
        """Show the runs as they are."""
        for trial in self.choosing.shown_trials():
            self.choosing.back_to_run(trial)

    def _show_trials(self) -> None:
        names = {run.id: run.name for run in self.context.project.finished_runs()}
        self.view.trials.show_trials(self.trials.all(), names)

    def _delete_trial(self, trial_id: str) -> None:
        trial = self.trials.find(trial_id)
        if trial is not None:
            self.renderer.cancel()
            self.choosing.back_to_run(trial.id)
            self.trials.delete(trial)

"""The page's rendering: which frames are asked for, how far they are, what went wrong."""

from typing import Any

from PySide6.QtCore import QObject, Signal

from quantvsr.errors import QuantVSRError
from quantvsr.jobs.preview import PreviewJob
from quantvsr.jobs.repack import RepackJob
from quantvsr.preview.keys import LQ
from quantvsr_gui.engine import JobHandle
from quantvsr_gui.pages.base import Context
from quantvsr_gui.pages.compare.page import ComparePage
from quantvsr_gui.pages.compare.rendering import Renderer
from quantvsr_gui.pages.compare.screen import Screen
from quantvsr_gui.widgets.text import duration

AROUND = 5
"""Frames rendered around the playhead: one window of the model."""


class RenderControl(QObject):
    """Connects the render buttons, the engines and what is on the screen.

    Signals:
        frame_ready: A frame came into the cache that is to be seen now, or elsewhere on the track.
        finished: All frames that were asked for are there, and measured.
    """

    frame_ready = Signal()
    finished = Signal()

    def __init__(self, page: ComparePage, screen: Screen, context: Context, parent: QObject) -> None:
        super().__init__(parent)
        self._page, self._screen, self._context = page, screen, context
        self.renderer = Renderer(context.engines, self)
        self._shown: JobHandle | None = None
        page.render_button.clicked.connect(self.here)
        page.whole_button.clicked.connect(self.whole)
        page.cancel_button.clicked.connect(self._cancel)
        self.renderer.frame_ready.connect(self._frame_ready)
        self.renderer.progressed.connect(self._progressed)
        self.renderer.finished.connect(self._finished)
        self.renderer.failed.connect(self._failed)
        self.renderer.changed.connect(self.show_state)

    def able(self) -> bool:
        """Whether there is something to render."""
        return self._screen.clip is not None and bool(self._chosen())

    def job(self) -> PreviewJob | None:
        """The frames around the playhead in all chosen versions, measured; None where there are none."""
        return self._job(self._chosen(), *self._around(), measure=True)

    def here(self) -> None:
        """Render the frames around the playhead."""
        self._ask(self._chosen(), *self._around(), measure=True)

    def whole(self) -> None:
        """Render all frames of the part of the clip that is used."""
        self._ask(self._chosen(), self._screen.part()[0], None, measure=True, long=True)
        if self._context.engines.work.current not in (None, self.renderer.handle):
            self._page.status.setText("waiting for the job under way")

    def part(self, first: int, stop: int) -> None:
        """Render and measure some frames."""
        self._ask(self._chosen(), first, stop - first, measure=True)

    def plain(self) -> None:
        """Make what needs no model and is missing at the playhead, unless something else is under way."""
        screen = self._screen
        lacking = [
            each
            for each in screen.plain()
            if each in self._chosen() and screen.frame not in screen.frames.indices(screen.key(each))
        ]
        if lacking and not self.renderer.busy:
            self._ask(lacking, *self._around())

    def _chosen(self) -> list[str]:
        """The chosen versions whose files are there; none without the clip."""
        screen = self._screen
        return [each for each in dict.fromkeys(screen.chosen.values()) if screen.key(LQ) and screen.key(each)]

    def _around(self) -> tuple[int, int]:
        first, stop = self._screen.part()
        start = max(self._screen.frame - AROUND // 2, first)
        return start, AROUND if self._screen.facts is None else min(AROUND, stop - start)

    def _job(
        self, versions: list[str], start: int, count: int | None, *, measure: bool = False
    ) -> PreviewJob | None:
        scene, store = self._screen.scene, self._screen.frames.store
        if scene is None or store is None or not versions:
            return None
        # Figures need what they are measured against.
        references = [each for each in self._screen.references() if self._screen.key(each)]
        extra = [each for each in references if measure and each not in versions]
        return PreviewJob(
            clip=scene.clip,
            gt=scene.gt,
            model=scene.model,
            device=self._context.project.settings.device,
            seed=scene.seed,
            steps=scene.steps,
            versions=tuple(self._screen.versions[each].source for each in (*versions, *extra)),
            out=str(store.folder),
            first=scene.first,
            last=scene.last,
            start=start,
            frames=count,
            measure=measure,
        )

    def _ask(
        self,
        versions: list[str],
        start: int,
        count: int | None,
        *,
        measure: bool = False,
        long: bool = False,
    ) -> None:
        try:
            job = self._job(versions, start, count, measure=measure)
        except QuantVSRError as error:
            self._page.messages.show_message(str(error), "alert", key="render")
            return
        if job is not None:
            self._page.messages.clear("render")
            self.renderer.render(job, long=long)

    # What comes back

    def _cancel(self) -> None:
        self._page.status.setText("")
        self.renderer.cancel()

    def _frame_ready(self, key: str, frame: int) -> None:
        self._screen.frames.rescan(key)
        self.frame_ready.emit()

    def _progressed(self, fraction: float, message: str) -> None:
        self._page.progress.setValue(round(1000 * fraction))
        if message:
            self._page.status.setText(message)

    def _finished(self, job: PreviewJob, result: dict[str, Any]) -> None:
        self._screen.frames.rescan()
        self._screen.forget_values()
        count, seconds = result.get("rendered"), float(result.get("seconds", 0))
        took = f"{seconds:.1f} s" if seconds < 10 else duration(seconds)
        # What was made without being asked for is not worth a word.
        self._page.status.setText(f"{count} frames in {took}" if count and job.measure else "")
        self.finished.emit()

    def _failed(self, reason: str) -> None:
        self._page.status.setText("")
        if reason:
            self._page.messages.show_message(reason, "alert", {"Try again": self.here}, "render")

    def show_state(self) -> None:
        """Buttons where nothing is under way, progress in their place where something is."""
        page, busy = self._page, self.renderer.busy
        self._screen.making = frozenset(self.renderer.versions)
        if self.renderer.handle is not self._shown and busy:
            repacking = self.renderer.handle is not None and isinstance(self.renderer.handle.job, RepackJob)
            page.status.setText("packing the changed layers" if repacking else "starting")
            page.messages.clear("render")
        self._shown = self.renderer.handle
        page.progress.setVisible(busy)
        page.cancel_button.setVisible(busy)
        page.status.setVisible(busy or bool(page.status.text()))
        for made in (page.render_button, page.whole_button):
            made.setEnabled(self.able() and not busy)
            # In the same place as the progress, so that nothing moves.
            made.setVisible(self._screen.clip is not None and not busy)
        if not busy:
            page.progress.setValue(0)
        self._context.actions.refresh()

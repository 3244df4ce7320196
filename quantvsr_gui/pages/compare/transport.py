"""Time: the scrubber, stepping, playing."""

from PySide6.QtCore import QObject, Signal

from quantvsr_gui.pages.compare.page import ComparePage
from quantvsr_gui.pages.compare.playback import Playback
from quantvsr_gui.pages.compare.screen import Screen


class Transport(QObject):
    """Moves the playhead.

    Signals:
        moved: Another frame is to be shown.
        rested: A person left the playhead there, or playing ended.
    """

    moved = Signal()
    rested = Signal()

    def __init__(self, page: ComparePage, screen: Screen, parent: QObject) -> None:
        super().__init__(parent)
        self._page, self._screen = page, screen
        self.playback = Playback(self)
        page.canvas.stepped.connect(self.step)
        page.slices.view.stepped.connect(self.step)
        for part in (page.scrubber, page.curves, page.slices.view):
            part.sought.connect(self.seek)
        page.play_button.clicked.connect(self.play_or_pause)
        page.back_button.clicked.connect(lambda: self.step(-1))
        page.forward_button.clicked.connect(lambda: self.step(1))
        page.loop.toggled.connect(lambda on: setattr(self.playback, "loop", on))
        self.playback.frame_due.connect(self._play_frame)
        self.playback.changed.connect(self._playing)

    def seek(self, frame: int) -> None:
        """Go to a frame."""
        self.playback.pause()
        first, stop = self._screen.part()
        frame = min(max(frame, first), stop - 1)
        if frame != self._screen.frame:
            self._screen.frame = frame
            self.moved.emit()
            self.rested.emit()

    def step(self, frames: int) -> None:
        """Go some frames on or back."""
        self.seek(self._screen.frame + frames)

    def play_or_pause(self) -> None:
        """Play the part around the playhead that is rendered; everything where nothing is."""
        if self.playback.playing:
            self.playback.pause()
            return
        self.playback.set_part(*(self.span() or self._screen.part()))
        self.playback.play(self._screen.frame)

    def span(self) -> tuple[int, int] | None:
        """The rendered frames around the playhead, as first and stop; None where there are fewer than two."""
        frame = self._screen.frame
        found = next((each for each in self._page.scrubber.spans() if each[0] <= frame < each[1]), None)
        return found if found is not None and found[1] - found[0] > 1 else None

    def set_clip(self) -> None:
        """Take the clip's length and times, unless it plays."""
        if self.playback.playing:
            return
        first, stop = self._screen.part()
        facts = self._screen.facts
        self._screen.frame = min(max(self._screen.frame, first), stop - 1)
        self._page.scrubber.set_range(first, stop)
        self.playback.set_clip(facts.times if facts else (), first, stop)

    def show_rendered(self) -> None:
        """Mark what is rendered."""
        self._page.scrubber.set_rendered(self._screen.rendered())

    def show_frame(self) -> None:
        """Tell where the playhead is."""
        screen, facts = self._screen, self._screen.facts
        self._page.scrubber.set_frame(screen.frame)
        seconds = f"   {facts.times[screen.frame]:.2f} s" if facts and screen.frame < facts.frames else ""
        self._page.time_label.setText(f"{screen.frame + 1} of {screen.part()[1]}{seconds}")

    def _play_frame(self, frame: int) -> None:
        self._screen.frame = frame
        self.moved.emit()

    def _playing(self, on: bool) -> None:
        self._page.play_button.setText("Pause" if on else "Play")
        if not on:
            self.rested.emit()

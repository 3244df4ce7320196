"""The charts below the pictures: figures as curves, and slices through time."""

from PySide6.QtCore import QObject, QTimer

from quantvsr_gui.pages.compare.page import ComparePage
from quantvsr_gui.pages.compare.screen import Screen
from quantvsr_gui.pages.compare.slices import Slice, slice_through
from quantvsr_gui.pages.compare.viewing import Viewing


class Below(QObject):
    """Fills the tabs of curves and slices, no more often than they can be drawn."""

    def __init__(self, page: ComparePage, screen: Screen, viewing: Viewing, parent: QObject) -> None:
        super().__init__(parent)
        self._page, self._screen, self._viewing = page, screen, viewing
        self._sliced = False
        self._slices = QTimer(self)
        self._slices.setSingleShot(True)
        self._slices.setInterval(30)
        self._slices.timeout.connect(self._show_slices)
        # Drawing a chart takes longer than a picture: its playhead follows some times a second.
        self._marks = QTimer(self)
        self._marks.setSingleShot(True)
        self._marks.setInterval(60)
        self._marks.timeout.connect(self._mark_frame)
        page.curves.chosen.connect(self.show_curves)
        page.slices.moved.connect(lambda line: viewing.set_view(line=line, sliced=True))
        page.slices.view.resized.connect(self.redraw)
        page.tabs.currentChanged.connect(lambda _: self._tab_chosen())

    def stop(self) -> None:
        """The page is not seen any more."""
        self._slices.stop()
        self._marks.stop()

    def redraw(self) -> None:
        """Draw the slices again, if they are seen."""
        if self._page.slices.isVisible():
            self._slices.start()

    def follow_frame(self) -> None:
        """Move the playheads, soon."""
        if self._page.isVisible() and not self._marks.isActive():
            self._marks.start()

    def follow_view(self) -> None:
        """The line may have been moved, or shown: then its tab comes to the front."""
        view = self._viewing.view
        if view.sliced and not self._sliced:
            self._page.tabs.setCurrentIndex(self._page.SLICES)
        self._sliced = view.sliced
        self._page.slices.show_line(view.line, self._screen.size())
        self.redraw()

    def show_curves(self) -> None:
        """Draw the figures that are chosen."""
        curves = self._page.curves
        curves.set_references(self._screen.references())
        figure = curves.shown_figure().name
        moving = figure == "warp_error"
        curves.reference.setVisible(not moving)
        curves.against.setVisible(not moving)
        curves.set_curves(self._screen.curves(figure, curves.reference.currentData() or ""))

    def _tab_chosen(self) -> None:
        if self._page.tabs.currentIndex() == self._page.SLICES and not self._viewing.view.sliced:
            self._viewing.set_view(sliced=True)
        self.redraw()

    def _mark_frame(self) -> None:
        self._page.curves.set_playhead(self._screen.frame)
        self._page.slices.view.set_playhead(self._screen.frame)

    def _show_slices(self) -> None:
        screen, view, line = self._screen, self._page.slices.view, self._viewing.view.line
        first, stop = screen.part()
        keys = {slot: screen.key(each) for slot, each in sorted(screen.chosen.items())}
        there = {index for key in keys.values() for index in screen.frames.indices(key)}
        indices = sorted(index for index in there if first <= index < stop)
        steep = line.steep(*screen.size())
        indices = indices[:: -(-len(indices) // view.most(steep, len(keys))) or 1]
        found = [
            Slice(screen.versions[screen.chosen[slot]].label, slot, values)
            for slot, key in keys.items()
            if (values := slice_through(screen.frames, key, indices, line)).size
        ]
        self._page.slices.show_slices(found, indices, steep)
        view.set_playhead(screen.frame)

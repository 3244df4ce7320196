"""How the pictures are shown: buttons and choices follow the canvas, and it them."""

from dataclasses import replace
from typing import Any

from PySide6.QtCore import QObject, QSignalBlocker, Signal
from PySide6.QtWidgets import QComboBox

from quantvsr_gui.pages.compare.choices import best_reference, choose, offer
from quantvsr_gui.pages.compare.page import ComparePage
from quantvsr_gui.pages.compare.screen import Screen
from quantvsr_gui.pages.compare.state import View

_ALONE = "Choose a second version above first"


class Viewing(QObject):
    """The canvas' view and the tools above it.

    Signals:
        changed: The view is another: pictures, what is kept, and the slices follow.
    """

    changed = Signal()

    def __init__(self, page: ComparePage, screen: Screen, parent: QObject) -> None:
        super().__init__(parent)
        self._page, self._screen = page, screen
        for mode, made in page.mode_buttons.items():
            made.clicked.connect(lambda _=False, mode=mode: self.set_view(mode=mode))
        for name, choice in self._choices().items():
            choice.currentIndexChanged.connect(
                lambda _, name=name, choice=choice: self.set_view(**{name: choice.currentData()})
            )
        page.loupe.toggled.connect(lambda on: self.set_view(loupe=on))
        page.slice.toggled.connect(lambda on: self.set_view(sliced=on))
        page.fit_button.clicked.connect(lambda: page.canvas.show_zoom(None))
        page.one_button.clicked.connect(lambda: page.canvas.show_zoom(1.0))
        page.canvas.view_changed.connect(self._view_changed)
        page.canvas.pointed.connect(lambda _: self.show_hint())
        page.canvas.resized.connect(self.show_zoom)

    def _choices(self) -> dict[str, QComboBox]:
        """The choices that stand for a field of the view."""
        page = self._page
        return {
            "difference": page.difference,
            "gain": page.gain,
            "reference": page.reference,
            "left": page.left,
            "active": page.active,
        }

    @property
    def view(self) -> View:
        """How the pictures are shown now."""
        return self._page.canvas.view

    def set_view(self, **changes: Any) -> None:
        """Show the pictures another way."""
        self._view_changed(replace(self.view, **changes))

    def _view_changed(self, view: View) -> None:
        self._page.canvas.set_view(view)
        self.show_controls()
        self.changed.emit()

    def offer_slots(self) -> None:
        """Offer the chosen versions as reference and in the wipe."""
        chosen, view = self._screen.chosen, self.view
        kept = view.reference if view.difference != "off" else None
        reference = best_reference(chosen, kept)
        names = [
            (f"{slot + 1}  {self._screen.versions[each].label}", slot)
            for slot, each in sorted(chosen.items())
        ]
        slots = [slot for _, slot in names]
        left = view.left if view.left in chosen else min(slots, default=0)
        others = [slot for slot in slots if slot != left] or slots
        active = view.active if view.active in chosen else (others or [0])[0]
        for choice, wanted in (
            (self._page.reference, reference),
            (self._page.left, left),
            (self._page.active, active),
        ):
            offer(choice, names, wanted)
        self._page.canvas.set_view(replace(view, reference=reference, left=left, active=active))

    def choose_pair(self) -> None:
        """Wipe and blink between the reference and the newest run, where there is one."""
        reference = best_reference(self._screen.chosen, None)
        runs = [slot for slot, each in self._screen.chosen.items() if self._screen.versions[each].run]
        if runs:
            self.set_view(left=reference, active=runs[-1])

    def show_controls(self) -> None:
        """Buttons follow the view, which mouse and keys change too."""
        page, view = self._page, self.view
        with QSignalBlocker(page.loupe), QSignalBlocker(page.slice):
            page.loupe.setChecked(view.loupe)
            page.slice.setChecked(view.sliced)
        page.mode_buttons[view.mode].setChecked(True)
        for name, choice in self._choices().items():
            choose(choice, getattr(view, name))
        for made in (page.gain, page.against, page.reference):
            made.setVisible(view.difference != "off")
        page.left.setVisible(view.mode == "wipe")
        page.active.setVisible(view.mode != "side")
        several = len(self._screen.chosen) > 1
        for made, tip in ((page.mode_buttons["wipe"], page.WIPE_TIP), (page.difference, page.DIFFERENCE_TIP)):
            made.setEnabled(several or view.mode == "wipe" or view.difference != "off")
            made.setToolTip(tip if several else _ALONE)

    def show_zoom(self) -> None:
        """Tell the zoom that is drawn now."""
        canvas = self._page.canvas
        self._page.zoom_label.setText(f"{canvas.zoom():.0%}" if canvas.places() else "")

    def show_hint(self) -> None:
        """Tell the values under the pointer, which change with the frame too."""
        canvas = self._page.canvas
        canvas.set_hint(self._screen.pixel_text(canvas.pointed_pixel(), canvas.slots))

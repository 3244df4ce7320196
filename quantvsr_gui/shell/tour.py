"""A short tour: one sentence for each step, below the steps in the rail."""

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QVBoxLayout, QWidget

from quantvsr_gui.widgets.card import row
from quantvsr_gui.widgets.text import button, label

_WIDTH, _MARGIN = 160, 12


@dataclass(frozen=True)
class Stop:
    """One stop: the page shown, a heading and what to look at."""

    page: str
    title: str
    text: str


STOPS = (
    Stop(
        "model",
        "1 of 6: Model",
        "This is the model that becomes smaller, layer by layer. Untick a layer to keep it as it is.",
    ),
    Stop(
        "clips",
        "2 of 6: Clips",
        "Drop videos here. A few short ones are enough; the calibration looks at small windows of them.",
    ),
    Stop(
        "complexity",
        "3 of 6: Complexity",
        "Each dot is a layer: how much its input varies in space and in time. Where a rank saves most "
        "error, it is spent. Click a layer for its card.",
    ),
    Stop(
        "quantize",
        "4 of 6: Quantize",
        "Choose the bits and start. The curve falls while the low-rank branch learns; you can pause, or keep "
        "an earlier state at any time.",
    ),
    Stop(
        "compare",
        "5 of 6: Compare",
        "Full precision and 4 bits, the same frame and the same noise. Drag the wipe line, or press the "
        "digit keys to switch in place.",
    ),
    Stop(
        "export",
        "6 of 6: Export",
        "Write the enlarged video, the quantized model and a report. Ctrl+K finds every command.",
    ),
)


class Tour(QFrame):
    """A card below the steps, where it hides nothing. Going on shows the next page.

    Args:
        go_to: Shows a page.
        done: Called once at the end.
        parent: Qt's owner.
    """

    def __init__(
        self, go_to: Callable[[str], None], done: Callable[[], None], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setProperty("look", "tour")
        self.setAccessibleName("Tour")
        self._go_to, self._done = go_to, done
        self._place = 0
        self.title = label("", "heading", wrap=True)
        self.text = label("", wrap=True)
        self.back_button = button("Back", clicked=lambda: self._step(-1))
        self.next_button = button("Next", "primary", clicked=lambda: self._step(1))
        self.end_button = button("End the tour", "link", clicked=self.finish)
        column = QVBoxLayout(self)
        column.setContentsMargins(_MARGIN, _MARGIN, _MARGIN, 8)
        column.setSpacing(8)
        column.addWidget(self.title)
        column.addWidget(self.text)
        column.addLayout(row(self.back_button, self.next_button))
        column.addWidget(self.end_button)
        self.setFixedWidth(_WIDTH)
        self.hide()

    def begin(self) -> None:
        """Show the first stop."""
        self._place = 0
        self.show()
        self._show()

    def finish(self) -> None:
        """End it."""
        self.hide()
        self._done()

    def keyPressEvent(self, event) -> None:
        """Enter and the arrows go on and back, Escape ends it."""
        keys = Qt.Key
        if event.key() == keys.Key_Escape:
            self.finish()
        elif event.key() in (keys.Key_Return, keys.Key_Enter, keys.Key_Right):
            self._step(1)
        elif event.key() == keys.Key_Left and self._place:
            self._step(-1)
        else:
            super().keyPressEvent(event)

    def _step(self, way: int) -> None:
        self._place += way
        if self._place >= len(STOPS):
            self.finish()
            return
        self._show()

    def _show(self) -> None:
        stop = STOPS[self._place]
        self._go_to(stop.page)
        self.title.setText(stop.title)
        self.text.setText(stop.text)
        self.back_button.setEnabled(self._place > 0)
        self.next_button.setText("Done" if self._place == len(STOPS) - 1 else "Next")
        inside = _WIDTH - 2 * _MARGIN - 2  # without the frame's lines
        for part in (self.title, self.text):
            # A layout that is not shown yet does not know how far the text wraps.
            part.setFixedHeight(part.heightForWidth(inside))
        # A page may have taken the focus.
        self.next_button.setFocus()

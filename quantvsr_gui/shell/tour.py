"""A short tour: one sentence for each step, beside its place in the rail."""

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QFrame, QVBoxLayout, QWidget

from quantvsr_gui.widgets.card import row
from quantvsr_gui.widgets.text import button, label


@dataclass(frozen=True)
class Stop:
    """One stop: the page shown, a heading and what to look at."""

    page: str
    title: str
    text: str


STOPS = (
    Stop(
        "model",
        "1 of 6: the model",
        "This is the model that becomes smaller, layer by layer. Untick a layer to keep it as it is.",
    ),
    Stop(
        "clips",
        "2 of 6: clips to learn from",
        "Drop videos here. A few short ones are enough; the calibration looks at small windows of them.",
    ),
    Stop(
        "complexity",
        "3 of 6: complexity",
        "Each dot is a layer. Layers whose input varies much in space and time get more rank; drag the "
        "lines and watch the ranks and the size follow.",
    ),
    Stop(
        "quantize",
        "4 of 6: quantize",
        "Choose the bits and start. The curve falls while the low-rank branch learns; you can pause, or keep "
        "an earlier state at any time.",
    ),
    Stop(
        "compare",
        "5 of 6: compare",
        "Full precision and 4 bits, the same frame and the same noise. Drag the wipe line, or press the "
        "digit keys to switch in place.",
    ),
    Stop(
        "export",
        "6 of 6: export",
        "Write the enlarged video, the quantized model and a report. Ctrl+K finds every command.",
    ),
)


class Tour(QFrame):
    """A card over the window. Going on shows the next page.

    Args:
        window: Lies over this widget.
        go_to: Shows a page.
        done: Called once at the end.
    """

    def __init__(self, window: QWidget, go_to: Callable[[str], None], done: Callable[[], None]) -> None:
        super().__init__(window)
        self.setProperty("look", "tour")
        self.setAccessibleName("Tour")
        self._window, self._go_to, self._done = window, go_to, done
        self._place = 0
        self.title = label("", "heading")
        self.text = label("", wrap=True)
        self.back_button = button("Back", clicked=lambda: self._step(-1))
        self.next_button = button("Next", "primary", clicked=lambda: self._step(1))
        self.end_button = button("End the tour", "link", clicked=self.finish)
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 16, 16, 16)
        column.setSpacing(8)
        column.addWidget(self.title)
        column.addWidget(self.text, 1)
        column.addLayout(row(self.end_button, None, self.back_button, self.next_button))
        self.setFixedSize(400, 168)

    def begin(self) -> None:
        """Show the first stop."""
        self._place = 0
        self._show()
        self.show()
        self.raise_()
        self.next_button.setFocus()

    def place(self) -> None:
        """Stay in the lower right corner of the window."""
        over = self._window.size()
        self.move(QPoint(over.width() - self.width() - 24, over.height() - self.height() - 24))

    def finish(self) -> None:
        """End it."""
        self.hide()
        self._done()

    def keyPressEvent(self, event) -> None:
        """Escape ends it."""
        if event.key() == Qt.Key.Key_Escape:
            self.finish()
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
        self.place()
        self.raise_()

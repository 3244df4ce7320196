"""The scrubber: frames of the clip, which of them are rendered, and where the playhead is."""

from collections.abc import Iterable

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from quantvsr_gui.shell.tokens import DARK, Tokens

_MARGIN = 8


class Scrubber(QWidget):
    """A track of frames; rendered ones are marked.

    Signals:
        sought: The user wants this frame.
    """

    sought = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._first, self._stop, self._frame = 0, 1, 0
        self._spans: list[tuple[int, int]] = []
        self._tokens = DARK
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMinimumHeight(28)
        self.setAccessibleName("Frame")
        self.setToolTip("Drag to go through the frames. The coloured parts are rendered.")

    def sizeHint(self) -> QSize:
        """Wide and low."""
        return QSize(320, 28)

    def set_tokens(self, tokens: Tokens) -> None:
        """Take a theme's colours."""
        self._tokens = tokens
        self.update()

    def set_range(self, first: int, stop: int) -> None:
        """Frames of the clip."""
        self._first, self._stop = first, max(stop, first + 1)
        self.update()

    def set_frame(self, frame: int) -> None:
        """Move the playhead."""
        if frame != self._frame:
            self._frame = frame
            self.update()

    def set_rendered(self, indices: Iterable[int]) -> None:
        """Mark the frames that every shown version has."""
        spans: list[tuple[int, int]] = []
        for index in sorted(indices):
            if spans and spans[-1][1] == index:
                spans[-1] = (spans[-1][0], index + 1)
            else:
                spans.append((index, index + 1))
        self._spans = spans
        self.update()

    def spans(self) -> list[tuple[int, int]]:
        """Rendered parts as (first, stop)."""
        return list(self._spans)

    def _track(self) -> QRectF:
        return QRectF(_MARGIN, self.height() / 2 - 3, self.width() - 2 * _MARGIN, 6)

    def _x(self, frame: float) -> float:
        track = self._track()
        return track.left() + (frame - self._first) / (self._stop - self._first) * track.width()

    def frame_at(self, x: float) -> int:
        """The frame at a place of the widget."""
        track = self._track()
        part = (x - track.left()) / max(track.width(), 1)
        return min(max(self._first + int(part * (self._stop - self._first)), self._first), self._stop - 1)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the track."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        track = self._track()
        painter.setBrush(QColor(self._tokens.raised))
        painter.drawRoundedRect(track, 3, 3)
        painter.setBrush(QColor(self._tokens.accent))
        for first, stop in self._spans:
            left = self._x(first)
            painter.drawRoundedRect(
                QRectF(left, track.top(), max(self._x(stop) - left, 2), track.height()), 2, 2
            )
        middle = QPointF(self._x(self._frame + 0.5), track.center().y())
        painter.setBrush(QColor(self._tokens.text))
        painter.setPen(QPen(QColor(self._tokens.panel), 2))
        painter.drawEllipse(middle, 8, 8)
        if self.hasFocus():
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(QColor(self._tokens.accent), 1.5))
            painter.drawEllipse(middle, 10, 10)
        painter.end()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Go there."""
        if event.button() == Qt.MouseButton.LeftButton:
            self.sought.emit(self.frame_at(event.position().x()))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Go along."""
        if event.buttons() & Qt.MouseButton.LeftButton:
            self.sought.emit(self.frame_at(event.position().x()))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Arrow keys step, Page keys leap, Home and End go to the ends."""
        steps = {
            Qt.Key.Key_Left: -1,
            Qt.Key.Key_Right: 1,
            Qt.Key.Key_PageUp: -10,
            Qt.Key.Key_PageDown: 10,
            Qt.Key.Key_Home: self._first - self._frame,
            Qt.Key.Key_End: self._stop - 1 - self._frame,
        }
        step = steps.get(Qt.Key(event.key()))
        if step is None:
            super().keyPressEvent(event)
            return
        self.sought.emit(min(max(self._frame + step, self._first), self._stop - 1))

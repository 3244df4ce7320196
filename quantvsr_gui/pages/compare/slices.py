"""Slices through time: one row (or column) of every rendered frame. Steady pictures give smooth stripes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from quantvsr_gui.pages.compare.frames import Frames, Picture, picture_of
from quantvsr_gui.shell.tokens import DARK, Tokens

_GAP = 4
_MOST = 600  # frames; more than a screen shows


def slice_through(frames: Frames, key: str, indices: Sequence[int], line: float, vertical: bool) -> NDArray:
    """One line of each frame, stacked.

    Args:
        frames: The cache.
        key: The version.
        indices: Frames in order.
        line: Where, 0..1 of height (or width).
        vertical: A column (y-t) instead of a row (x-t).

    Returns:
        (frames, length, 4) for rows: time runs down. (length, frames, 4) for columns: time runs to the right.
        A missing frame is grey.
    """
    lines: list[NDArray[np.uint8] | None] = []
    for index in indices:
        picture = frames.picture(key, index)
        if picture is None:
            lines.append(None)
            continue
        size = picture.pixels.shape[1 if vertical else 0]
        at = min(int(line * size), size - 1)
        lines.append(picture.pixels[:, at] if vertical else picture.pixels[at])
    length = next((len(each) for each in lines if each is not None), 0)
    grey = np.full((length, 4), (96, 96, 96, 255), np.uint8)
    if not length:
        return np.zeros((0, 0, 4), np.uint8)
    stacked = np.stack([grey if each is None or len(each) != length else each for each in lines])
    return np.ascontiguousarray(stacked.transpose(1, 0, 2)) if vertical else stacked


@dataclass(frozen=True)
class Strip:
    """A slice of one version.

    Attributes:
        label: Its name.
        picture: The slice.
    """

    label: str
    picture: Picture


class SlicePanel(QWidget):
    """Slices of some versions side by side, with the playhead; a click goes to the frame.

    Signals:
        sought: A frame was clicked.
    """

    sought = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._strips: list[Strip] = []
        self._indices: Sequence[int] = ()
        self._vertical = False
        self._frame = 0
        self._tokens = DARK
        self.setAccessibleName("Slices through time")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumHeight(96)

    def set_tokens(self, tokens: Tokens) -> None:
        """Take a theme's colours."""
        self._tokens = tokens
        self.update()

    def show_slices(
        self,
        frames: Frames,
        versions: Sequence[tuple[str, str]],
        indices: Sequence[int],
        line: float,
        vertical: bool,
    ) -> None:
        """Show slices.

        Args:
            frames: The cache.
            versions: Label and key of each.
            indices: Frames in order; of very many, evenly chosen ones.
            line: See `slice_through`.
            vertical: Likewise.
        """
        every = -(-len(indices) // _MOST) if indices else 1
        self._indices, self._vertical = list(indices)[::every], vertical
        self._strips = []
        for label, key in versions:
            pixels = slice_through(frames, key, self._indices, line, vertical)
            if pixels.size:
                self._strips.append(Strip(label, picture_of(pixels, ("slice", key))))
        self.update()

    def set_playhead(self, frame: int) -> None:
        """Mark the frame that is shown."""
        if frame != self._frame:
            self._frame = frame
            self.update()

    def strips(self) -> list[Strip]:
        """What is shown."""
        return list(self._strips)

    def _boxes(self) -> list[QRectF]:
        count = len(self._strips)
        width = (self.width() - _GAP * (count - 1)) / max(count, 1)
        return [QRectF(i * (width + _GAP), 0, width, self.height()) for i in range(count)]

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the strips."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(self._tokens.surround))
        if not self._strips:
            painter.setPen(QColor(self._tokens.muted))
            words = "Render some frames in a row, then drag the line over the pictures."
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, words)
        for strip, box in zip(self._strips, self._boxes(), strict=True):
            self._draw_strip(painter, box, strip.picture)
            self._draw_playhead(painter, box)
            words = painter.fontMetrics().elidedText(
                strip.label, Qt.TextElideMode.ElideRight, int(box.width()) - 24
            )
            chip = QRectF(
                box.left() + 6, box.top() + 6, painter.fontMetrics().horizontalAdvance(words) + 12, 20
            )
            painter.fillRect(chip, QColor(16, 18, 22, 200))
            painter.setPen(QColor("#f2f4f7"))
            painter.drawText(chip, Qt.AlignmentFlag.AlignCenter, words)
        painter.end()

    def _draw_strip(self, painter: QPainter, box: QRectF, picture: Picture) -> None:
        width, height = picture.size
        image, ratio = picture.image, self.devicePixelRatioF()
        # Shrunk with care; but frames are never mixed as long as there is room for each.
        room = QSize(round(box.width() * ratio), round(box.height() * ratio))
        size = QSize(min(width, room.width()), min(height, room.height()))
        if size != QSize(width, height) and not size.isEmpty():
            mode = Qt.TransformationMode.SmoothTransformation
            image = image.scaled(size, Qt.AspectRatioMode.IgnoreAspectRatio, mode)
        painter.drawImage(box, image, QRectF(image.rect()))

    def _draw_playhead(self, painter: QPainter, box: QRectF) -> None:
        if not self._indices or not self._indices[0] <= self._frame <= self._indices[-1]:
            return
        place = (np.searchsorted(self._indices, self._frame) + 0.5) / len(self._indices)
        painter.setPen(QPen(QColor(self._tokens.mark), 1))
        if self._vertical:
            x = box.left() + place * box.width()
            painter.drawLine(QPointF(x, box.top()), QPointF(x, box.bottom()))
        else:
            y = box.top() + place * box.height()
            painter.drawLine(QPointF(box.left(), y), QPointF(box.right(), y))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Go to the frame under the pointer."""
        for box in self._boxes():
            if box.contains(event.position()) and self._indices:
                part = (
                    (event.position().x() - box.left()) / box.width()
                    if self._vertical
                    else (event.position().y() - box.top()) / box.height()
                )
                number = min(int(part * len(self._indices)), len(self._indices) - 1)
                self.sought.emit(int(self._indices[number]))

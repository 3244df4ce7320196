"""Slices of some versions beside each other, drawn; a click goes to the frame."""

from collections.abc import Sequence

import numpy as np
from PySide6.QtCore import QPointF, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from quantvsr_gui.pages.compare.frames import Picture, picture_of
from quantvsr_gui.pages.compare.marks import MARK
from quantvsr_gui.pages.compare.slices import Slice, common_scale, grey
from quantvsr_gui.shell.tokens import DARK, Tokens

_GAP = 4
_NAME = 20  # height of the names above
_STEPS = {Qt.Key.Key_Left: -1, Qt.Key.Key_Up: -1, Qt.Key.Key_Right: 1, Qt.Key.Key_Down: 1}


class SliceView(QWidget):
    """The slices, on one grey scale, with the playhead.

    Across the picture (x-t) time runs down; down the picture (y-t) it runs to the right.

    Signals:
        sought: A frame was clicked.
        stepped: Frames to go (arrow keys).
        resized: There is room for another number of frames.
    """

    sought = Signal(int)
    stepped = Signal(int)
    resized = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._slices: Sequence[Slice] = ()
        self._pictures: list[Picture] = []
        self._indices: Sequence[int] = ()
        self._steep = False
        self._frame = 0
        self._tokens = DARK
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Slices through time")
        self.setAccessibleDescription(
            "The line on the pictures, through time; arrow keys step through frames."
        )
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumHeight(64)

    def set_tokens(self, tokens: Tokens) -> None:
        """Take a theme's colours."""
        self._tokens = tokens
        self.show_slices(self._slices, self._indices, self._steep)

    def show_slices(self, slices: Sequence[Slice], indices: Sequence[int], steep: bool) -> None:
        """Show slices.

        Args:
            slices: Each with a row for every frame.
            indices: The frames, in order.
            steep: Whether the line runs down the picture (y-t) rather than across (x-t).
        """
        self._slices, self._indices, self._steep = slices, list(indices), steep
        scale, missing = common_scale(slices), QColor(self._tokens.raised).rgba()
        self._pictures = []
        for each in slices:
            pixels = grey(each.values, scale, missing)
            if steep:
                pixels = pixels.transpose(1, 0, 2)
            self._pictures.append(picture_of(pixels, (each.slot, each.label)))
        self.update()

    def set_playhead(self, frame: int) -> None:
        """Mark the frame that is shown."""
        if frame != self._frame:
            self._frame = frame
            self.update()

    @property
    def slices(self) -> Sequence[Slice]:
        """What is shown."""
        return self._slices

    @property
    def pictures(self) -> Sequence[Picture]:
        """The same, as it is drawn."""
        return self._pictures

    def most(self, steep: bool, count: int) -> int:
        """Frames that can be told apart in each of `count` slices: more need not be read."""
        along = self.width() // max(count, 1) if steep else self.height() - _NAME
        return max(round(along * self.devicePixelRatioF()), 16)

    def _boxes(self) -> list[QRect]:
        count = len(self._pictures)
        edges = [round(i * (self.width() + _GAP) / max(count, 1)) for i in range(count + 1)]
        height = max(self.height() - _NAME, 1)
        return [QRect(edges[i], _NAME, edges[i + 1] - edges[i] - _GAP, height) for i in range(count)]

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the slices."""
        painter = QPainter(self)
        if not self._pictures:
            painter.fillRect(self.rect(), QColor(self._tokens.surround))
            painter.setPen(QColor(self._tokens.muted))
            words = (
                "Render some frames in a row; the line on the pictures is then followed through them here."
            )
            flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(self.rect().adjusted(16, 0, -16, 0), flags, words)
        for each, picture, box in zip(self._slices, self._pictures, self._boxes(), strict=True):
            self._draw_slice(painter, box, picture)
            self._draw_playhead(painter, box)
            painter.setPen(QColor(self._tokens.muted))
            words = painter.fontMetrics().elidedText(
                f"{each.slot + 1}  {each.label}", Qt.TextElideMode.ElideRight, box.width()
            )
            above = QRect(box.left(), 0, box.width(), _NAME)
            painter.drawText(above, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, words)
        if self.hasFocus():
            painter.setPen(QPen(QColor(self._tokens.accent), 1))
            painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        painter.end()

    def _draw_slice(self, painter: QPainter, box: QRect, picture: Picture) -> None:
        width, height = picture.size
        image, ratio = picture.image, self.devicePixelRatioF()
        # Shrunk with care; but frames are never mixed as long as there is room for each.
        room = QSize(round(box.width() * ratio), round(box.height() * ratio))
        size = QSize(min(width, room.width()), min(height, room.height()))
        if size != QSize(width, height) and not size.isEmpty():
            mode = Qt.TransformationMode.SmoothTransformation
            image = image.scaled(size, Qt.AspectRatioMode.IgnoreAspectRatio, mode)
        painter.drawImage(QRectF(box), image, QRectF(image.rect()))

    def _draw_playhead(self, painter: QPainter, box: QRect) -> None:
        if not self._indices or not self._indices[0] <= self._frame <= self._indices[-1]:
            return
        place = (np.searchsorted(self._indices, self._frame) + 0.5) / len(self._indices)
        x, y = box.left() + place * box.width(), box.top() + place * box.height()
        for colour, width in ((QColor(0, 0, 0, 160), 3.0), (MARK, 1.0)):
            painter.setPen(QPen(colour, width))
            if self._steep:
                painter.drawLine(QPointF(x, box.top()), QPointF(x, box.bottom()))
            else:
                painter.drawLine(QPointF(box.left(), y), QPointF(box.right(), y))

    def resizeEvent(self, event: object) -> None:
        """Tell it."""
        self.resized.emit()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Go to the frame under the pointer."""
        self._seek(event.position())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Go along."""
        if event.buttons() & Qt.MouseButton.LeftButton:
            self._seek(event.position())

    def _seek(self, where: QPointF) -> None:
        for box in self._boxes():
            if box.contains(where.toPoint()) and self._indices:
                inside = where - QPointF(box.topLeft())
                along = inside.x() / box.width() if self._steep else inside.y() / box.height()
                number = min(max(int(along * len(self._indices)), 0), len(self._indices) - 1)
                self.sought.emit(int(self._indices[number]))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Arrow keys step through frames."""
        step = _STEPS.get(Qt.Key(event.key()))
        if step is None:
            super().keyPressEvent(event)
        else:
            self.stepped.emit(step)

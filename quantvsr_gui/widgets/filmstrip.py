"""Small pictures of a clip side by side, with the used part marked."""

from collections.abc import Sequence

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPixmap
from PySide6.QtWidgets import QSizePolicy, QWidget

_HEIGHT = 64


class Filmstrip(QWidget):
    """Pictures from a clip's first to last frame; what lies outside the range is dimmed."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._pictures: list[QPixmap] = []
        self._range = (0.0, 1.0)
        self.setFixedHeight(_HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Pictures of the clip")

    def sizeHint(self) -> QSize:
        """Wide enough for some pictures."""
        return QSize(320, _HEIGHT)

    def set_pictures(self, paths: Sequence[str]) -> None:
        """Show these files; one that cannot be read is left out."""
        read = (QPixmap(path) for path in paths)
        self._pictures = [pixmap for pixmap in read if not pixmap.isNull()]
        self.update()

    def set_range(self, start: float, stop: float) -> None:
        """Mark the used part, as shares of the clip, 0..1."""
        self._range = (start, stop)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the pictures and dim what is not used."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        base = self.palette().base().color()
        painter.fillRect(self.rect(), base)
        count = len(self._pictures)
        if not count:
            return
        width = self.width() / count
        for number, pixmap in enumerate(self._pictures):
            cell = QRectF(number * width, 0, width, self.height())
            # Fills the cell; what sticks out is cut off evenly.
            scale = max(cell.width() / pixmap.width(), cell.height() / pixmap.height())
            part = QRectF(0, 0, cell.width() / scale, cell.height() / scale)
            part.moveCenter(QRectF(pixmap.rect()).center())
            painter.drawPixmap(cell, pixmap, part)
        start, stop = (share * self.width() for share in self._range)
        dim = QColor(base)
        dim.setAlpha(200)
        painter.fillRect(QRectF(0, 0, start, self.height()), dim)
        painter.fillRect(QRectF(stop, 0, self.width() - stop, self.height()), dim)
        pen = painter.pen()
        pen.setColor(self.palette().highlight().color())
        pen.setWidth(2)
        painter.setPen(pen)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(QRectF(start + 1, 1, max(stop - start - 2, 2), self.height() - 2))

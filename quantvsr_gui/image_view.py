"""A widget that shows one picture, as large as fits, never with its shape changed."""

from PySide6.QtCore import QRect, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPixmap
from PySide6.QtWidgets import QSizePolicy, QWidget

from quantvsr_gui import theme


class ImageView(QWidget):
    """Shows a pixmap, or a line of text where there is none."""

    def __init__(self, placeholder: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._pixmap = QPixmap()
        self._placeholder = placeholder
        self.setMinimumSize(160, 120)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def sizeHint(self) -> QSize:
        """A size that suits a small clip."""
        return QSize(480, 360)

    def show_picture(self, pixmap: QPixmap, placeholder: str = "") -> None:
        """Show this picture; an empty one shows the text instead."""
        self._pixmap = pixmap
        self._placeholder = placeholder
        self.setAccessibleDescription(
            placeholder if pixmap.isNull() else f"{pixmap.width()} x {pixmap.height()}"
        )
        self.update()

    def picture_rectangle(self) -> QRect:
        """Where in the widget the picture is drawn."""
        size = self._pixmap.size().scaled(self.size(), Qt.AspectRatioMode.KeepAspectRatio)
        rectangle = QRect(0, 0, size.width(), size.height())
        rectangle.moveCenter(self.rect().center())
        return rectangle

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the picture."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(theme.SURROUND))
        if self._pixmap.isNull():
            painter.setPen(QColor(theme.MUTED))
            margin = self.rect().adjusted(16, 16, -16, -16)
            painter.drawText(
                margin, Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap, self._placeholder
            )
            return
        # Smooth when shrinking; when enlarging, plain pixels, so that what is seen is what the model made.
        target = self.picture_rectangle()
        smooth = target.width() < self._pixmap.width()
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, smooth)
        painter.drawPixmap(target, self._pixmap)

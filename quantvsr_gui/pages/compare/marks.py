"""What is drawn over pictures: labels, colour scales, the handle of the wipe, the line of the slice."""

from PySide6.QtCore import QPoint, QRect, Qt
from PySide6.QtGui import QColor, QFont, QImage, QPainter, QPen

from quantvsr_gui.pages.compare.difference import legend_colours
from quantvsr_gui.pages.compare.gestures import ends
from quantvsr_gui.pages.compare.line import Line
from quantvsr_gui.pages.compare.place import Place
from quantvsr_gui.shell.tokens import DARK

_MARGIN, _HEIGHT, _PADDING = 8, 24, 16
_SCALE = 96  # width of a colour scale
_DARK, _LIGHT = QColor(16, 18, 22, 200), QColor("#f2f4f7")
_SHADOW = QColor(0, 0, 0, 160)
MARK = QColor(DARK.mark)
"""Of lines over pictures, which are the same in both themes."""


def draw_label(
    painter: QPainter, font: QFont, clip: QRect, text: str, *, right: bool = False, bottom: bool = False
) -> None:
    """Words on a dark rounded ground, which every picture lets read, in a corner of `clip`."""
    bold = QFont(font)
    bold.setPixelSize(12)
    bold.setWeight(QFont.Weight.DemiBold)
    painter.setFont(bold)
    metrics = painter.fontMetrics()
    room = clip.width() - 2 * _MARGIN - _PADDING
    if room < 24:
        return
    words = metrics.elidedText(text, Qt.TextElideMode.ElideRight, room)
    width = metrics.horizontalAdvance(words) + _PADDING
    left = clip.right() + 1 - _MARGIN - width if right else clip.left() + _MARGIN
    top = clip.bottom() + 1 - _MARGIN - _HEIGHT if bottom else clip.top() + _MARGIN
    box = QRect(left, top, width, _HEIGHT)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(_DARK)
    painter.drawRoundedRect(box, 5, 5)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
    painter.setPen(_LIGHT)
    painter.drawText(box, Qt.AlignmentFlag.AlignCenter, words)


def draw_legend(painter: QPainter, font: QFont, clip: QRect, kind: str, gain: int) -> None:
    """What the colours of a difference stand for, in the lower right corner of `clip`."""
    small = QFont(font)
    small.setPixelSize(12)
    painter.setFont(small)
    metrics, most = painter.fontMetrics(), 255 // gain
    words = (f"\u2212{most}" if kind == "signed" else "0", f"+{most}" if kind == "signed" else f"{most}")
    widths = [metrics.horizontalAdvance(each) for each in words]
    width = _SCALE + sum(widths) + 4 * _MARGIN
    if width > clip.width() - 2 * _MARGIN:
        return
    box = QRect(clip.right() + 1 - _MARGIN - width, clip.bottom() + 1 - _MARGIN - _HEIGHT, width, _HEIGHT)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(_DARK)
    painter.drawRoundedRect(box, 5, 5)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
    bar = QRect(box.left() + 2 * _MARGIN + widths[0], box.top() + 7, _SCALE, _HEIGHT - 14)
    colours = legend_colours(kind)
    painter.drawImage(bar, QImage(colours.data, 256, 1, QImage.Format.Format_RGB32))
    painter.setPen(QPen(QColor("#8a93a3"), 1))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawRect(bar.adjusted(-1, -1, 0, 0))
    painter.setPen(_LIGHT)
    flags = Qt.AlignmentFlag.AlignVCenter
    painter.drawText(box.adjusted(_MARGIN, 0, 0, 0), flags | Qt.AlignmentFlag.AlignLeft, words[0])
    painter.drawText(box.adjusted(0, 0, -_MARGIN, 0), flags | Qt.AlignmentFlag.AlignRight, words[1])


def draw_wipe_handle(painter: QPainter, at: int, box: QRect) -> None:
    """The line between two versions, with something to take hold of."""
    for colour, width in ((_SHADOW, 3), (QColor("#ffffff"), 1)):
        painter.setPen(QPen(colour, width))
        painter.drawLine(at, box.top(), at, box.bottom())
    middle = box.center().y()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setBrush(QColor("#ffffff"))
    painter.setPen(QPen(_SHADOW, 1))
    painter.drawEllipse(QPoint(at, middle), 9, 9)
    painter.setPen(QPen(QColor("#333333"), 1.5))
    for side in (-1, 1):
        painter.drawLine(at + side * 5, middle, at + side * 2, middle - 3)
        painter.drawLine(at + side * 5, middle, at + side * 2, middle + 3)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)


def draw_line(painter: QPainter, place: Place, line: Line) -> None:
    """The line that is followed through time, with its two ends to take hold of."""
    begin, end = ends(line, place)
    painter.save()
    painter.setClipRect(place.box)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    for ink, width in ((_SHADOW, 3.0), (MARK, 1.5)):
        painter.setPen(QPen(ink, width))
        painter.drawLine(begin, end)
    painter.setBrush(MARK)
    painter.setPen(QPen(_SHADOW, 1))
    for point in (begin, end):
        painter.drawEllipse(point, 6, 6)
    painter.restore()

"""Files dropped onto any widget."""

from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import QEvent, QMimeData, QObject
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QWidget

from quantvsr_gui.widgets.text import set_look


def dropped_paths(data: QMimeData) -> list[Path]:
    """Local files and folders of a drag; others (web addresses) are left out."""
    return [Path(url.toLocalFile()) for url in data.urls() if url.isLocalFile()]


class DropTarget(QObject):
    """Lets a widget take dropped files.

    Args:
        widget: Where they are dropped.
        take: Called with the paths.
        lit: Widget that shows the look `drop-over` while files hover over it; none if left out.
    """

    def __init__(
        self, widget: QWidget, take: Callable[[Sequence[Path]], object], lit: QWidget | None = None
    ) -> None:
        super().__init__(widget)
        self._take, self._lit = take, lit
        self._look = str(lit.property("look") or "") if lit is not None else ""
        widget.setAcceptDrops(True)
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Accept what has local files, and hand it on."""
        if event.type() in (QEvent.Type.DragEnter, QEvent.Type.DragMove):
            assert isinstance(event, QDropEvent | QDragEnterEvent)
            if not dropped_paths(event.mimeData()):
                return False
            event.acceptProposedAction()
            self._light(True)
            return True
        if event.type() == QEvent.Type.DragLeave:
            self._light(False)
        elif event.type() == QEvent.Type.Drop:
            assert isinstance(event, QDropEvent)
            self._light(False)
            paths = dropped_paths(event.mimeData())
            if paths:
                event.acceptProposedAction()
                self._take(paths)
                return True
        return super().eventFilter(watched, event)

    def _light(self, on: bool) -> None:
        if self._lit is not None:
            set_look(self._lit, "drop-over" if on else self._look)

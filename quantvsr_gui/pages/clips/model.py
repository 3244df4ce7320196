"""The project's clips as a table model with thumbnails."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPoint, QSize, Qt, Signal
from PySide6.QtGui import QIcon, QPainter, QPixmap

from quantvsr.project import ClipEntry
from quantvsr_gui.widgets.table import SORT_ROLE, Index
from quantvsr_gui.widgets.text import duration

THUMBNAIL = QSize(96, 56)
_COLUMNS = (
    ("Clip", "Ticked clips are learned from"),
    ("Length", "Frames, seconds"),
    ("Size", "Pixels as shown"),
    ("Codec", "How it is stored"),
    ("Used", "First and last frame that are used, counted from 1"),
    ("Notes", "What is unusual, or why it cannot be read"),
)
NAME, LENGTH, SIZE, CODEC, USED, NOTES = range(len(_COLUMNS))


@dataclass(frozen=True)
class ClipFacts:
    """What the engine found out about a clip; nothing before it has looked.

    Attributes:
        info: Of `ProbeResult`.
        pictures: Thumbnails, first to last.
        error: Why it cannot be read; empty where it can.
    """

    info: Mapping[str, Any] = field(default_factory=dict)
    pictures: tuple[str, ...] = ()
    error: str = ""

    @property
    def frames(self) -> int | None:
        """Number of frames, where known."""
        frames = self.info.get("frames")
        return int(frames) if frames is not None else None


class ClipsModel(QAbstractTableModel):
    """The table. Ticking a box asks for the change: `set_clips` makes it.

    Signals:
        toggled: (row, on) of a box that was clicked.
    """

    toggled = Signal(int, bool)

    def __init__(self) -> None:
        super().__init__()
        self._clips: tuple[ClipEntry, ...] = ()
        self._facts: dict[str, ClipFacts] = {}
        self._icons: dict[str, QIcon] = {}

    @property
    def clips(self) -> tuple[ClipEntry, ...]:
        """The clips shown."""
        return self._clips

    def set_clips(self, clips: Sequence[ClipEntry]) -> None:
        """Show these clips."""
        new = tuple(clips)
        if [clip.path for clip in new] == [clip.path for clip in self._clips]:
            # The selection stays.
            self._clips = new
            self._changed()
            return
        self.beginResetModel()
        self._clips = new
        self.endResetModel()

    def set_facts(self, path: str, facts: ClipFacts) -> None:
        """Keep what was found out about a clip."""
        self._facts[path] = facts
        self._icons.pop(path, None)
        self._changed()

    def facts(self, path: str) -> ClipFacts | None:
        """What is known about a clip; None before it was looked at."""
        return self._facts.get(path)

    def _changed(self) -> None:
        if self._clips:
            self.dataChanged.emit(self.index(0, 0), self.index(len(self._clips) - 1, len(_COLUMNS) - 1))

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008  (Qt's own signature)
        """Number of clips."""
        return 0 if parent.isValid() else len(self._clips)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        """Number of columns."""
        return 0 if parent.isValid() else len(_COLUMNS)

    def flags(self, index: Index) -> Qt.ItemFlag:
        """The box of each clip can be clicked."""
        flags = super().flags(index)
        return (
            flags | Qt.ItemFlag.ItemIsUserCheckable if index.isValid() and index.column() == NAME else flags
        )

    def setData(self, index: Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        """A box was clicked."""
        if role != Qt.ItemDataRole.CheckStateRole or not index.isValid() or index.column() != NAME:
            return False
        self.toggled.emit(index.row(), Qt.CheckState(value) == Qt.CheckState.Checked)
        return True

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """A cell's text, picture, tick."""
        if not index.isValid():
            return None
        clip, column = self._clips[index.row()], index.column()
        facts = self._facts.get(clip.path)
        if role == Qt.ItemDataRole.DisplayRole:
            return _text(clip, facts, column)
        if role == SORT_ROLE:
            return facts.frames if column == LENGTH and facts is not None else _text(clip, facts, column)
        if role == Qt.ItemDataRole.CheckStateRole and column == NAME:
            return Qt.CheckState.Checked if clip.learn else Qt.CheckState.Unchecked
        if role == Qt.ItemDataRole.DecorationRole and column == NAME:
            return self._icon(clip.path, facts)
        if role == Qt.ItemDataRole.ToolTipRole:
            return clip.path if column == NAME else _text(clip, facts, column)
        return None

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """Headings and what they mean."""
        if orientation != Qt.Orientation.Horizontal or not 0 <= section < len(_COLUMNS):
            return None
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        shown = {Qt.ItemDataRole.DisplayRole: 0, Qt.ItemDataRole.ToolTipRole: 1}
        return _COLUMNS[section][shown[Qt.ItemDataRole(role)]] if role in shown else None

    def _icon(self, path: str, facts: ClipFacts | None) -> QIcon:
        if path not in self._icons:
            picture = QPixmap(facts.pictures[0]) if facts is not None and facts.pictures else QPixmap()
            self._icons[path] = _thumbnail(picture)
        return self._icons[path]


def _thumbnail(picture: QPixmap) -> QIcon:
    """The picture in the middle of a tile, so that all names begin at the same place."""
    edges = THUMBNAIL * 2
    tile = QPixmap(edges)
    tile.fill(Qt.GlobalColor.transparent)
    if not picture.isNull():
        mode = Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
        picture = picture.scaled(edges, *mode)
        painter = QPainter(tile)
        painter.drawPixmap(_middle(edges, picture), picture)
        painter.end()
    icon = QIcon(tile)
    # Qt would tint the picture of a selected row.
    icon.addPixmap(tile, QIcon.Mode.Selected)
    return icon


def _middle(edges: QSize, picture: QPixmap) -> QPoint:
    return QPoint((edges.width() - picture.width()) // 2, (edges.height() - picture.height()) // 2)


def _text(clip: ClipEntry, facts: ClipFacts | None, column: int) -> str:
    if column == NAME:
        return Path(clip.path).name
    if column == USED:
        if clip.start == 0 and clip.stop is None:
            return "all"
        return f"{clip.start + 1} to {'the end' if clip.stop is None else clip.stop}"
    if facts is None:
        return "looking…" if column == NOTES else ""
    if facts.error:
        return facts.error if column == NOTES else ""
    info = facts.info
    if column == LENGTH:
        seconds = info.get("duration")
        frames = "unknown" if facts.frames is None else f"{facts.frames} frames"
        return f"{frames}, {duration(seconds)}" if seconds is not None and seconds >= 1 else frames
    if column == SIZE:
        return f"{info['width']} × {info['height']}"
    if column == CODEC:
        return f"{info['codec']}, {info['bit_depth']} bit"
    return "; ".join(info["warnings"])

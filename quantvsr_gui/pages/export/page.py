"""Layout of the Export page: the form above, the queue below."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QGridLayout,
    QLabel,
    QLineEdit,
    QScrollArea,
    QSizePolicy,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from quantvsr_gui.pages.base import Page, step_of
from quantvsr_gui.pages.export.kinds import CODECS, KINDS
from quantvsr_gui.pages.export.row import ExportRow
from quantvsr_gui.widgets.card import Card, row
from quantvsr_gui.widgets.empty import EmptyState
from quantvsr_gui.widgets.flow import FlowLayout
from quantvsr_gui.widgets.text import button, label

_VERSIONS = 4


def _combo(name: str) -> QComboBox:
    made = QComboBox()
    made.setAccessibleName(name)
    made.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    made.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    made.setMinimumContentsLength(12)
    return made


class ExportPage(Page):
    """All widgets of the page, by name."""

    def __init__(self) -> None:
        super().__init__(step_of("export"))
        self.card = Card()
        self.body.addWidget(self.card)
        self._make_form()
        self.queue_card = Card("Queue")
        self.clear_button = button("Clear finished", "link", "Take finished exports from the list")
        self.queue_card.head.addWidget(self.clear_button)
        self.empty = EmptyState(
            "Nothing to export yet", "Choose above what to write, then add it to the queue."
        )
        holder = QWidget()
        self._rows = QVBoxLayout(holder)
        self._rows.setContentsMargins(0, 0, 0, 0)
        self._rows.setSpacing(8)
        self._rows.addStretch(1)
        self.area = QScrollArea()
        self.area.setWidgetResizable(True)
        self.area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.area.setWidget(holder)
        self.area.setAccessibleName("Queue of exports")
        self.queue_card.body.addWidget(self.empty, 1)
        self.queue_card.body.addWidget(self.area, 1)
        self.body.addWidget(self.queue_card, 1)

    def _make_form(self) -> None:
        self.kind = _combo("What to export")
        for kind in KINDS.values():
            self.kind.addItem(kind.title, kind.id)
        self.summary = label("", "muted", wrap=True)
        self.summary.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.clip = _combo("Clip")
        self.run = _combo("Run")
        self.versions = [_combo(f"Version {number + 1}") for number in range(_VERSIONS)]
        self.codec = _combo("Codec")
        for codec, title in CODECS.items():
            self.codec.addItem(title, codec)
        self.container = _combo("Container")
        self.quality = QSlider(Qt.Orientation.Horizontal)
        self.quality.setRange(0, 51)
        self.quality.setValue(18)
        self.quality.setInvertedAppearance(True)
        self.quality.setAccessibleName("Quality; smaller numbers are better")
        self.quality_label = label("", "muted")
        self.quality_label.setMinimumWidth(120)
        self.sound = QCheckBox("Copy sound and subtitles")
        self.sound.setChecked(True)
        self.detail = QCheckBox("Show a magnified detail")
        self.detail.setChecked(True)
        self.overwrite = QCheckBox("Replace an existing file")
        self.out = QLineEdit()
        self.out.setAccessibleName("Output")
        self.browse_button = button("Browse…", tip="Choose where to write")
        self.add_button = button("Add to queue", "primary", "Write it, after what is in the queue already")
        self.problem = label("", "alert", wrap=True)
        self.problem.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.estimate = label("", "muted", wrap=True)
        self.estimate.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        for part in (self.problem, self.estimate):
            part.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)

        grid = QGridLayout()
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(8)
        for column in (1, 3):
            grid.setColumnStretch(column, 1)
            grid.setColumnMinimumWidth(column, 220)
        self._labels: dict[QWidget, QLabel] = {}

        def put(text: str, widget: QWidget, line: int, column: int, span: int = 1) -> None:
            name = label(text, "muted")
            self._labels[widget] = name
            grid.addWidget(name, line, column)
            grid.addWidget(widget, line, column + 1, 1, span)

        put("Export", self.kind, 0, 0)
        grid.addWidget(self.summary, 0, 2, 1, 2)
        put("Clip", self.clip, 1, 0)
        # In the clip's place: what needs a run needs no clip.
        put("Run", self.run, 1, 0)
        put("Version", self.versions[0], 1, 2)
        put("Version 2", self.versions[1], 2, 0)
        put("Version 3", self.versions[2], 2, 2)
        put("Version 4", self.versions[3], 3, 0)
        put("Codec", self.codec, 4, 0)
        put("Container", self.container, 4, 2)
        self.quality_row = QWidget()
        holder = QVBoxLayout(self.quality_row)
        holder.setContentsMargins(0, 0, 0, 0)
        holder.addLayout(row(self.quality, self.quality_label))
        put("Quality", self.quality_row, 5, 0)
        self.ticks = QWidget()
        ticks = FlowLayout(16, last_right=False)
        for tick in (self.sound, self.detail):
            ticks.addWidget(tick)
        self.ticks.setLayout(ticks)
        grid.addWidget(self.ticks, 5, 3)
        self.out_row = QWidget()
        holder = QVBoxLayout(self.out_row)
        holder.setContentsMargins(0, 0, 0, 0)
        holder.addLayout(row(self.out, self.browse_button))
        put("Write to", self.out_row, 6, 0, 3)
        self.card.body.addLayout(grid)
        # Keeps its place when it has nothing to say.
        words = QWidget()
        words.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        words.setLayout(row(self.problem, self.estimate))
        self.card.body.addLayout(row(self.overwrite, words, self.add_button, spacing=16))

    def show_part(self, widget: QWidget, on: bool, text: str = "") -> None:
        """Show or hide a part of the form with its label."""
        widget.setVisible(on)
        name = self._labels.get(widget)
        if name is not None:
            name.setVisible(on)
            if text:
                name.setText(text)

    def add_row(self, made: ExportRow) -> None:
        """Put a row at the end of the queue."""
        self._rows.insertWidget(self._rows.count() - 1, made)

    def remove_row(self, made: ExportRow) -> None:
        """Take a row out."""
        self._rows.removeWidget(made)
        made.hide()
        made.deleteLater()

    def show_queue(self, count: int) -> None:
        """The rows, or what to do first."""
        self.empty.setVisible(count == 0)
        self.area.setVisible(count > 0)

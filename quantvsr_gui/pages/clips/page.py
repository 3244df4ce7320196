"""Layout of the Clips page."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QGridLayout,
    QLabel,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from quantvsr.jobs.presets import preset_names
from quantvsr_gui.pages.base import Page, step_of
from quantvsr_gui.pages.clips.model import CODEC, LENGTH, NAME, SIZE, THUMBNAIL, USED, ClipsModel
from quantvsr_gui.widgets.card import Card, row
from quantvsr_gui.widgets.empty import EmptyState
from quantvsr_gui.widgets.filmstrip import Filmstrip
from quantvsr_gui.widgets.table import SearchTable
from quantvsr_gui.widgets.text import button, label


class ClipsPage(Page):
    """Table of clips, range of the selected one, amounts of the calibration."""

    def __init__(self, clips: ClipsModel) -> None:
        super().__init__(step_of("clips"))
        self.add_files_button = button("Add files…", "primary", tip="Add videos")
        self.add_folder_button = button("Add a folder…", tip="Add the videos, or the pictures, of a folder")
        self.bundled_button = button(
            "Add the bundled clips", tip="Four small clips that come with the program"
        )
        self.remove_button = button("Remove", tip="Remove the selected clips from the project")
        self.drop_card = Card("Clips")
        for made in self.head_buttons():
            self.drop_card.head.addWidget(made)
        self.empty_files_button = button("Add files…", "primary")
        self.empty_folder_button = button("Add a folder…", tip="Add the videos, or the pictures, of a folder")
        self.empty_bundled_button = button("Add the bundled clips")
        self.empty = EmptyState(
            "No clips yet",
            "Drop videos or folders of pictures here. Low-quality clips like those the model will meet "
            "serve best; four to ten short ones are enough. Without any, the bundled clips are used.",
            self.empty_files_button,
            self.empty_folder_button,
            self.empty_bundled_button,
        )
        self.table = SearchTable(clips, "Clips")
        view = self.table.view
        view.setIconSize(THUMBNAIL)
        view.verticalHeader().setDefaultSectionSize(THUMBNAIL.height() + 8)
        view.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        for column, width in ((NAME, 288), (LENGTH, 136), (SIZE, 104), (CODEC, 104), (USED, 112)):
            view.horizontalHeader().resizeSection(column, width)
        self.drop_card.body.addWidget(self.empty, 1)
        self.drop_card.body.addWidget(self.table, 1)
        self.body.addWidget(self.drop_card, 1)

        self.range_card = RangeCard()
        self.amounts = AmountsCard()
        self.body.addLayout(row(self.range_card, self.amounts, spacing=8))

    def head_buttons(self) -> tuple[QWidget, ...]:
        """Buttons above the table."""
        return self.remove_button, self.bundled_button, self.add_folder_button, self.add_files_button


class RangeCard(Card):
    """Which frames of the selected clip are used."""

    def __init__(self) -> None:
        super().__init__("Frames used")
        self.strip = Filmstrip()
        self.first, self.last = QSpinBox(), QSpinBox()
        for box, name in ((self.first, "First frame used"), (self.last, "Last frame used")):
            box.setAccessibleName(name)
            box.setKeyboardTracking(False)
            box.setMinimum(1)
            box.setFixedWidth(76)
        self.whole_button = button("Whole clip", tip="Use all frames")
        self.note = label("Select a clip to choose the part that is used.", "muted", wrap=True)
        self.body.addWidget(self.strip)
        self.controls = QWidget()
        line = row(
            label("From", "muted"), self.first, label("to", "muted"), self.last, self.whole_button, None
        )
        self.controls.setLayout(line)
        self.body.addWidget(self.controls)
        self.body.addWidget(self.note)
        self.body.addStretch(1)


class AmountsCard(Card):
    """How much the calibration takes from the clips."""

    def __init__(self) -> None:
        super().__init__("Calibration")
        self.preset = QComboBox()
        for name in preset_names():
            self.preset.addItem(name.capitalize(), name)
        self.samples, self.steps, self.crop = QSpinBox(), QSpinBox(), QSpinBox()
        for box, most in ((self.samples, 100_000), (self.steps, 1000), (self.crop, 512)):
            box.setMaximum(most)
            box.setKeyboardTracking(False)
            box.setFixedWidth(84)
        self.crop.setSingleStep(16)
        self.crop.setSuffix(" px")
        self.reset_button = button("Use the preset's numbers", "link")
        self.sum = label("", "muted", wrap=True)
        grid = QGridLayout()
        grid.setHorizontalSpacing(8)
        grid.setColumnMinimumWidth(2, 80)
        grid.setVerticalSpacing(8)
        rows = (
            ("Budget", self.preset, "How much calibration does: quick for minutes, paper for hours"),
            ("Samples", self.samples, "Recorded inputs of the denoiser in all"),
            ("Timesteps", self.steps, "Sampling steps recorded of each window"),
            ("Window", self.crop, "Width and height of a recorded window, in pixels of the clip"),
        )
        for line, (name, widget, tip) in enumerate(rows):
            caption = QLabel(name)
            caption.setProperty("look", "muted")
            caption.setToolTip(tip)
            widget.setToolTip(tip)
            widget.setAccessibleName(name)
            grid.addWidget(caption, line % 2, 2 * (line // 2))
            grid.addWidget(widget, line % 2, 2 * (line // 2) + 1)
        grid.setColumnStretch(4, 1)
        self.body.addLayout(grid)
        words = QVBoxLayout()
        words.setSpacing(0)
        words.addWidget(self.sum)
        words.addWidget(self.reset_button, 0, Qt.AlignmentFlag.AlignLeft)
        self.body.addLayout(words)
        self.body.addStretch(1)

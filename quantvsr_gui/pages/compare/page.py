"""Layout of the Compare page."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QButtonGroup,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QSizePolicy,
    QSplitter,
    QStackedWidget,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from quantvsr_gui.pages.base import Page, step_of
from quantvsr_gui.pages.compare.canvas import CompareCanvas
from quantvsr_gui.pages.compare.choice import Choice
from quantvsr_gui.pages.compare.curves import CurvesPanel
from quantvsr_gui.pages.compare.difference import GAINS, KINDS
from quantvsr_gui.pages.compare.slice_panel import SlicePanel
from quantvsr_gui.pages.compare.state import MODES, SLOTS
from quantvsr_gui.pages.compare.timeline import Scrubber
from quantvsr_gui.pages.compare.trial_panel import TrialPanel
from quantvsr_gui.widgets.card import row
from quantvsr_gui.widgets.empty import EmptyState
from quantvsr_gui.widgets.flow import FlowLayout
from quantvsr_gui.widgets.text import button, label


class ComparePage(Page):
    """All widgets of the page, by name."""

    SLICES = 1  # its place among the tabs
    WIPE_TIP = "Two versions in one place; drag the line between them"
    DIFFERENCE_TIP = "Show how each version differs from another"

    def __init__(self) -> None:
        super().__init__(step_of("compare"))
        self.render_button = button("Render here", "primary", "Render the frames around the playhead (R)")
        self.whole_button = button(
            "Render whole clip", tip="Render every frame of the clip, in the background"
        )
        self.cancel_button = button("Cancel", tip="Stop rendering")
        self.progress = QProgressBar()
        self.progress.setRange(0, 1000)
        self.progress.setTextVisible(False)
        self.progress.setFixedWidth(120)
        self.progress.setAccessibleName("Progress of rendering")
        self.status = label("", "muted")
        self.head.addWidget(self.status)
        self.head.addWidget(self.progress)
        self.head.addWidget(self.cancel_button)
        self.head.addWidget(self.whole_button)
        self.head.addWidget(self.render_button)

        self.stack = QStackedWidget()
        self.go_button = button("Choose clips", "primary")
        self.empty = EmptyState(
            "No clip to compare on",
            "Add a low-quality clip on the Clips page. Every model and every run is then shown here on the "
            "same frames, with the same noise.",
            self.go_button,
        )
        self.stack.addWidget(self.empty)
        self.stack.addWidget(self._make_content())
        self.body.addWidget(self.stack, 1)

    def _make_content(self) -> QWidget:
        self.canvas = CompareCanvas()
        upper = QWidget()
        column = QVBoxLayout(upper)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addLayout(self._make_choices())
        column.addLayout(self._make_tools())
        column.addWidget(self.canvas, 1)
        column.addLayout(self._make_transport())

        self.curves = CurvesPanel()
        self.slices = SlicePanel()
        self.trials = TrialPanel()
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self.tabs.tabBar().setDrawBase(False)
        self.tabs.tabBar().setAccessibleName("Charts and trials")
        self.tabs.addTab(_padded(self.curves), "Curves")
        self.tabs.addTab(_padded(self.slices), "Slices through time")
        self.tabs.addTab(_padded(self.trials), "Trials")
        self.splitter = QSplitter(Qt.Orientation.Vertical)
        self.splitter.setChildrenCollapsible(True)
        self.splitter.setHandleWidth(8)
        self.splitter.addWidget(upper)
        self.splitter.addWidget(self.tabs)
        self.splitter.setStretchFactor(0, 1)
        self.splitter.setStretchFactor(1, 0)
        self.splitter.setSizes([620, 216])
        self.splitter.setCollapsible(0, False)
        return self.splitter

    def _make_choices(self) -> QHBoxLayout:
        self.clip_choice = Choice("Clip", "The clip that is shown", 9)
        self.clip_choice.setMinimumWidth(104)
        self.slot_choices: list[Choice] = []
        line = row(self.clip_choice, spacing=8)
        line.addSpacing(8)
        for slot in range(SLOTS):
            choice = Choice(
                f"Version {slot + 1}", f"Version {slot + 1}; the key {slot + 1} shows it alone", 10
            )
            choice.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
            choice.setMinimumWidth(88)
            number = QLabel(str(slot + 1))
            number.setProperty("look", "muted")
            line.addWidget(number)
            line.addWidget(choice, 1)
            self.slot_choices.append(choice)
        return line

    def _make_tools(self) -> FlowLayout:
        self.modes = QButtonGroup(self)
        self.mode_buttons = {}
        for key, title in MODES.items():
            made = self.mode_buttons[key] = button(title)
            made.setCheckable(True)
            self.modes.addButton(made)
        self.mode_buttons["wipe"].setToolTip(self.WIPE_TIP)
        self.mode_buttons["single"].setToolTip("One version; the keys 1 to 4 blink between them")
        self.left = Choice("Left version", "The version left of the line", 10)
        self.active = Choice("Version", "The version that is shown; right of the line in a wipe", 10)
        self.difference = Choice("Difference", self.DIFFERENCE_TIP, 8)
        for key, title in KINDS.items():
            self.difference.addItem(title, key)
        self.gain = Choice("Amplification", "What differences are multiplied by", 1)
        for gain in GAINS:
            self.gain.addItem(f"×{gain}", gain)
        self.against = label("against", "muted")
        self.reference = Choice("Reference", "The version that differences are taken against", 9)
        self.loupe = button("Loupe", tip="The same few pixels of every version, large, with their values")
        self.loupe.setCheckable(True)
        self.slice = button(
            "Slice", tip="A line on the pictures, followed through time below; drag it or its ends"
        )
        self.slice.setCheckable(True)
        self.fit_button = button("Fit", tip="Show the whole picture (F)")
        self.one_button = button("1:1", tip="One pixel of the picture is one of the screen (0)")
        self.zoom_label = label("", "muted")
        self.zoom_label.setMinimumWidth(48)
        self.zoom_label.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        flow = FlowLayout()
        for group in (
            (*self.mode_buttons.values(), self.left, self.active),
            (self.difference, self.gain, self.against, self.reference),
            (self.loupe, self.slice, self.fit_button, self.one_button, self.zoom_label),
        ):
            holder = QWidget()
            line = row(*group, spacing=4)
            holder.setLayout(line)
            flow.addWidget(holder)
        return flow

    def _make_transport(self) -> QHBoxLayout:
        self.play_button = button("Play", tip="Play at the clip's own pace (Space)")
        self.play_button.setMinimumWidth(72)
        self.back_button = button("◂", tip="One frame back (Left)")
        self.back_button.setAccessibleName("One frame back")
        self.forward_button = button("▸", tip="One frame on (Right)")
        self.forward_button.setAccessibleName("One frame on")
        self.loop = button("Loop", tip="Begin again at the end")
        self.loop.setCheckable(True)
        self.loop.setChecked(True)
        self.scrubber = Scrubber()
        self.time_label = label("", "figure")
        self.time_label.setMinimumWidth(150)
        self.time_label.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        line = row(self.play_button, self.back_button, self.forward_button, self.loop)
        line.addWidget(self.scrubber, 1)
        line.addWidget(self.time_label)
        return line


def _padded(widget: QWidget) -> QWidget:
    holder = QWidget()
    column = QVBoxLayout(holder)
    column.setContentsMargins(0, 8, 0, 0)
    column.addWidget(widget)
    return holder

"""The Quantize page's layout."""

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QButtonGroup,
    QComboBox,
    QFrame,
    QGridLayout,
    QHeaderView,
    QProgressBar,
    QScrollArea,
    QSizePolicy,
    QSpinBox,
    QSplitter,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from quantvsr.jobs.options import MAX_BITS, MIN_BITS, Bits
from quantvsr_gui.engine import Engine
from quantvsr_gui.pages.base import Page
from quantvsr_gui.pages.quantize.curves import LossChart, RateChart
from quantvsr_gui.pages.quantize.tables import RUN_WIDTHS, LossModel, RunsModel, SnapshotModel
from quantvsr_gui.pages.steps import Step
from quantvsr_gui.shell.tokens import Tokens
from quantvsr_gui.widgets.card import Card, row
from quantvsr_gui.widgets.empty import EmptyState
from quantvsr_gui.widgets.figures import Figures
from quantvsr_gui.widgets.number import BOX_WIDTH
from quantvsr_gui.widgets.preflight import PreflightCard
from quantvsr_gui.widgets.table import SearchTable
from quantvsr_gui.widgets.text import button, label

PRESET_BITS = (Bits(8, 8), Bits(6, 6), Bits(4, 4))
FIGURES = {
    "loss": ("loss", "Of the last update, on its own samples"),
    "best": ("best, held out", "Least loss on samples that are not trained on; that state is kept"),
    "rate": ("learning rate", "Of the low-rank branch, or of the bias"),
    "left": ("left", "Estimated from the updates so far"),
    "memory": ("memory", "Main memory of the engine now"),
}


# Pixels: from the first on there is room for the snapshots beside the chart; the least without them.
_WIDE, _NARROW = 1000, 776


class QuantizePage(Page):
    """All widgets of the page, by name."""

    def __init__(self, step: Step, preview: Engine) -> None:
        super().__init__(step)
        self.start_button = button("Start", "primary", "Quantize with these settings")
        left = QWidget()
        column = QVBoxLayout(left)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addWidget(self._setup())
        self.preflight = PreflightCard(preview)
        for value in self.preflight.values.values():
            value.setWordWrap(True)
        column.addWidget(self.preflight)
        column.addStretch(1)
        area = QScrollArea()
        area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(left)
        area.setFixedWidth(320)
        top = QWidget()
        top.setLayout(row(area, self._live(), spacing=16))

        self.runs_model = RunsModel()
        self.runs = SearchTable(self.runs_model, "Runs")
        for i, width in enumerate(RUN_WIDTHS):
            self.runs.view.setColumnWidth(i, width)
        self.runs.view.setMinimumHeight(124)
        self.continue_button = button("Continue", tip="Go on from the newest snapshot")
        self.measure_button = button("Measure PSNR", tip="Compare its pictures with full precision's")
        self.remove_button = button("Remove", tip="Delete the run with its checkpoint")
        for i, made in enumerate((self.continue_button, self.measure_button, self.remove_button)):
            self.runs.controls.insertWidget(1 + i, made)
        self.splitter = QSplitter(Qt.Orientation.Vertical)
        self.splitter.setHandleWidth(8)
        self.splitter.addWidget(top)
        self.splitter.addWidget(self.runs)
        self.splitter.setStretchFactor(0, 1)
        self.splitter.setSizes([10_000, 172])
        self.splitter.setChildrenCollapsible(False)
        self.body.addWidget(self.splitter, 1)

    def _setup(self) -> QWidget:
        """What a new run gets."""
        card = Card("New run")
        self.bit_group = QButtonGroup(self)
        self.bit_group.setExclusive(False)
        presets = row(spacing=4)
        for i, bits in enumerate(PRESET_BITS):
            made = button(str(bits), tip=f"{bits.weights}-bit weights and {bits.activations}-bit activations")
            made.setCheckable(True)
            made.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
            made.setMinimumWidth(56)
            self.bit_group.addButton(made, i)
            presets.addWidget(made)
        self.weight_bits, self.activation_bits = QSpinBox(), QSpinBox()
        for box, letter, name in (
            (self.weight_bits, "W ", "Weight bits"),
            (self.activation_bits, "A ", "Activation bits"),
        ):
            box.setRange(MIN_BITS, MAX_BITS)
            box.setPrefix(letter)
            box.setAccessibleName(name)
            box.setFixedWidth(BOX_WIDTH)
        self.method, self.budget = QComboBox(), QComboBox()
        self.method.setAccessibleName("Method")
        self.budget.setAccessibleName("Calibration budget")
        self.method_note = label("", "muted", wrap=True)
        self.budget_note = label("", "muted", wrap=True)
        self.size_note = label("", "muted", wrap=True)
        for box in (self.method, self.budget):
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            box.setMinimumContentsLength(10)
        grid = QGridLayout()
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(8)
        grid.setColumnStretch(1, 1)
        lines = (
            ("Bits", presets),
            ("", row(self.weight_bits, self.activation_bits, None)),
            ("Method", self.method),
            ("", self.method_note),
            ("Budget", self.budget),
            ("", self.budget_note),
            ("Size", self.size_note),
        )
        for i, (name, part) in enumerate(lines):
            if name:
                top = Qt.AlignmentFlag.AlignTop if part is self.size_note else Qt.AlignmentFlag.AlignVCenter
                grid.addWidget(label(name, "muted"), i, 0, top)
            if isinstance(part, QWidget):
                grid.addWidget(part, i, 1)
            else:
                grid.addLayout(part, i, 1)
        card.body.addLayout(grid)
        card.body.addWidget(self.start_button)
        return card

    def _live(self) -> QWidget:
        """The run that is shown."""
        self.run_title = label("", "heading")
        self.run_title.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.run_state = label("", "muted")
        self.run_state.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.run_state.setAccessibleName("State of the run")
        self.pause_button = button("Pause")
        self.cancel_button = button("Cancel")
        words = QVBoxLayout()
        words.setSpacing(0)
        words.addWidget(self.run_title)
        words.addWidget(self.run_state)
        head = row()
        head.addLayout(words, 1)
        head.addWidget(self.pause_button)
        head.addWidget(self.cancel_button)
        self.progress = QProgressBar()
        self.progress.setRange(0, 1000)
        self.progress.setTextVisible(False)
        self.progress.setAccessibleName("Progress of the run")
        self.figures = Figures(FIGURES)

        self.loss, self.rate = LossChart(), RateChart()
        self.rate.setXLink(self.loss)
        self.loss.setMinimumHeight(96)
        self.rate.setFixedHeight(96)
        charts = QWidget()
        column = QVBoxLayout(charts)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.loss, 1)
        column.addWidget(self.rate)
        self.loss_model = LossModel()
        self.loss_table = SearchTable(self.loss_model, "Losses")
        for i, width in enumerate((72, 88, 80, 80)):
            self.loss_table.view.setColumnWidth(i, width)
        self.views = QStackedWidget()
        self.views.addWidget(charts)
        self.views.addWidget(self.loss_table)
        self.view_group = QButtonGroup(self)
        self.view_group.setExclusive(True)
        toggle = row(spacing=4)
        for number, title in enumerate(("Chart", "Table", "Snapshots")):
            made = button(title)
            made.setCheckable(True)
            self.view_group.addButton(made, number)
            toggle.addWidget(made)
        self.view_group.button(0).setChecked(True)
        self.key = label("", "muted")
        self.key.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        toggle.addWidget(self.key, 1)

        self.snapshot_model = SnapshotModel()
        self.snapshots = SearchTable(self.snapshot_model, "Snapshots")
        self.snapshots.search.hide()
        self.snapshots.count.hide()
        header = self.snapshots.view.horizontalHeader()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        self.snapshots.view.setColumnWidth(0, 76)
        self.snapshots.view.setColumnWidth(2, 80)
        self.keep_button = button("Keep this one", tip="End the training there and pack that snapshot")
        self.keep_button.setEnabled(False)
        side = QWidget()
        beside = QVBoxLayout(side)
        beside.setContentsMargins(0, 0, 0, 0)
        beside.setSpacing(8)
        beside.addWidget(label("Snapshots", "heading"))
        beside.addWidget(self.snapshots, 1)
        beside.addWidget(self.keep_button)
        self.side = side

        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addLayout(head)
        column.addWidget(self.progress)
        column.addWidget(self.figures)
        column.addLayout(toggle)
        self._beside = row(self.views, spacing=16)
        column.addLayout(self._beside, 1)
        self._place_snapshots(wide=True)
        self.shown_run = inside
        self.empty = EmptyState(
            "No run yet",
            "Choose bits, method and budget, then start. Training can be paused, cancelled and continued; "
            "every run is kept beside the others.",
        )
        self.main = QStackedWidget()
        self.main.addWidget(self.empty)
        self.main.addWidget(inside)
        return self.main

    def minimumSizeHint(self) -> QSize:
        """That of the narrow layout: the wide one must not keep the window from becoming smaller."""
        found = super().minimumSizeHint()
        return QSize(min(found.width(), _NARROW), found.height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """In a small window the snapshots take turns with chart and table."""
        super().resizeEvent(event)
        self._place_snapshots(wide=event.size().width() >= _WIDE)

    def _place_snapshots(self, wide: bool) -> None:
        beside = self.views.indexOf(self.side) < 0 and self.side.parent() is not None
        if wide == beside:
            return
        shown = not self.side.isHidden()
        if wide:
            self.views.removeWidget(self.side)
            self.side.setFixedWidth(288)
            self._beside.addWidget(self.side)
            self.side.setVisible(shown)
        else:
            self._beside.removeWidget(self.side)
            self.side.setMinimumWidth(0)
            self.side.setMaximumWidth(16777215)
            self.views.addWidget(self.side)
        self.view_group.button(2).setVisible(not wide)
        self.figures.set_compact(not wide)
        if wide and self.view_group.checkedId() == 2:
            self.view_group.button(0).click()

    def set_tokens(self, tokens: Tokens) -> None:
        """Take the colours of a theme."""
        self.loss.set_tokens(tokens)
        self.rate.set_tokens(tokens)

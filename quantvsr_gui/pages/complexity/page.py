"""The Complexity page's layout."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QButtonGroup,
    QComboBox,
    QDoubleSpinBox,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QSpinBox,
    QSplitter,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from quantvsr_gui.engine import Engine
from quantvsr_gui.pages.base import Page
from quantvsr_gui.pages.complexity.card import LayerCard
from quantvsr_gui.pages.complexity.layer_chart import LayerChart
from quantvsr_gui.pages.complexity.order_charts import HeatChart, OrderChart, RankChart
from quantvsr_gui.pages.complexity.parts import ChartArea, Legend, Scale
from quantvsr_gui.pages.complexity.scatter import ScatterChart
from quantvsr_gui.pages.complexity.table import WIDTHS, LayerModel, StepModel
from quantvsr_gui.pages.steps import Step
from quantvsr_gui.project.selection import LayerSelection
from quantvsr_gui.shell.tokens import Tokens
from quantvsr_gui.widgets.card import Card, row
from quantvsr_gui.widgets.empty import EmptyState
from quantvsr_gui.widgets.figures import Figures
from quantvsr_gui.widgets.number import BOX_WIDTH, NumberSlider
from quantvsr_gui.widgets.preflight import PreflightCard
from quantvsr_gui.widgets.table import SearchTable
from quantvsr_gui.widgets.text import button, label

VIEWS = (("charts", "Charts"), ("layers", "Layers"), ("steps", "Timesteps"))
STATISTICS = (("spatial", "C_s"), ("temporal", "C_t"))
TO_ANALYSE = (
    "Not analysed yet",
    "The model runs on a few windows of your clips. What each layer's input looks like in space and in time "
    "decides which rank the layer gets.",
)
ANALYSING = (
    "Analysing",
    "The model runs on windows of your clips. You can go to other pages meanwhile; the charts appear here.",
)
FIGURES = {
    "size": ("stored", "Everything that is stored of the quantized layers"),
    "bits": ("bits a weight", "All stored bits over the number of weights: codes, scales, low-rank branch"),
    "work": ("multiply-accumulates", "Of one window of frames, in whole numbers of few bits"),
    "branch": ("in full precision", "Multiply-accumulates of the low-rank branch and the rotation"),
    "ranks": ("rank on average", "Columns of the low-rank branch, over all layers"),
}


class ComplexityPage(Page):
    """All widgets of the page, by name."""

    def __init__(self, step: Step, selection: LayerSelection, preview: Engine) -> None:
        super().__init__(step)
        self.analyze_button = button("Analyse again", tip="Measure how complex each layer's input is")
        self.cancel_button = button("Cancel")
        self.pause_button = button("Pause")
        self.head.addWidget(self.pause_button)
        self.head.addWidget(self.cancel_button)
        self.head.addWidget(self.analyze_button)
        self.progress = QProgressBar()
        self.progress.setRange(0, 1000)
        self.progress.setTextVisible(False)
        self.progress.setAccessibleName("Progress of the analysis")
        self.status = label("", "muted")
        self.status.setAccessibleName("State of the analysis")
        self.running = QWidget()
        column = QVBoxLayout(self.running)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.progress)
        column.addWidget(self.status)
        self.body.addWidget(self.running)

        self.start_button = button("Analyse", "primary")
        self.preflight = PreflightCard(preview)
        self.preflight.setFixedWidth(420)
        self.empty = QWidget()
        column = QVBoxLayout(self.empty)
        column.setContentsMargins(0, 0, 0, 0)
        self.words = EmptyState(*TO_ANALYSE, self.start_button)
        self.words.gather(self.preflight)
        column.addWidget(self.words)
        self.content = QWidget()
        self.main = QStackedWidget()
        self.main.addWidget(self.empty)
        self.main.addWidget(self.content)
        self.body.addWidget(self.main, 1)
        inside = QVBoxLayout(self.content)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.setSpacing(8)
        inside.addWidget(self._settings())
        inside.addLayout(self._bar())
        self.charts = self._charts(selection)
        self.layer_model, self.step_model = LayerModel(), StepModel()
        self.layer_table = SearchTable(self.layer_model, "Layers")
        self.step_table = SearchTable(self.step_model, "Complexity by timestep")
        self.views = QStackedWidget()
        for i, width in enumerate(WIDTHS):
            self.layer_table.view.setColumnWidth(i, width)
        self.step_table.view.horizontalHeader().setStretchLastSection(False)
        self.step_table.controls.insertWidget(1, self.step_statistic)
        for part in (self.charts, self.layer_table, self.step_table):
            self.views.addWidget(part)
        self.card = LayerCard()
        self.card.hide()
        self.splitter = QSplitter(Qt.Orientation.Horizontal)
        self.splitter.setHandleWidth(8)
        self.splitter.addWidget(self.views)
        self.splitter.addWidget(self.card)
        self.splitter.setStretchFactor(0, 1)
        self.splitter.setSizes([10_000, 376])
        self.splitter.setCollapsible(0, False)
        self.splitter.setCollapsible(1, False)
        inside.addWidget(self.splitter, 1)

    def _settings(self) -> QWidget:
        """What is set, and what follows from it."""
        card = Card()
        self.percentile = NumberSlider("Percentile", 0, 50, suffix=" %")
        self.percentile.setToolTip("Share of samples that count as simple, and as complex")
        self.min_rank = NumberSlider("Lowest rank", 0, 128)
        self.max_rank = NumberSlider("Highest rank", 0, 256)
        self.weight_bits, self.activation_bits = QSpinBox(), QSpinBox()
        for box, name in ((self.weight_bits, "Weight bits"), (self.activation_bits, "Activation bits")):
            box.setRange(2, 8)
            box.setAccessibleName(name)
            box.setFixedWidth(BOX_WIDTH)
        self.weight_bits.setPrefix("W ")
        self.activation_bits.setPrefix("A ")
        self.extra_bits = QDoubleSpinBox()
        self.extra_bits.setRange(0.0, 8.0)
        self.extra_bits.setSingleStep(0.05)
        self.extra_bits.setAccessibleName("Extra bits")
        self.extra_bits.setToolTip(
            "What may be stored besides the codes, in bits a weight: the low-rank branch, scales, zero points"
        )
        self.extra_bits.setFixedWidth(BOX_WIDTH)
        self.extra_bits.setKeyboardTracking(False)
        self.reset_button = button("Reset all by hand", "link", "Forget all ranks and bits set by hand")
        grid = QGridLayout()
        grid.setHorizontalSpacing(16)
        grid.setVerticalSpacing(4)
        bits = row(self.weight_bits, self.activation_bits)
        parts = (
            ("Percentile", self.percentile),
            ("Lowest rank", self.min_rank),
            ("Highest rank", self.max_rank),
            ("Extra bits", self.extra_bits),
            ("Bits", bits),
        )
        for i, (name, part) in enumerate(parts):
            grid.addWidget(label(name, "muted"), 0, i)
            if isinstance(part, QHBoxLayout):
                grid.addLayout(part, 1, i)
            else:
                grid.addWidget(part, 1, i)
                grid.setColumnStretch(i, int(isinstance(part, NumberSlider)))
        self.figures = Figures(FIGURES)
        card.body.addLayout(grid)
        card.body.addSpacing(4)
        card.body.addWidget(self.figures)
        return card

    def _bar(self) -> QHBoxLayout:
        """Which view, and the colours of the blocks."""
        self.view_group = QButtonGroup(self)
        self.view_group.setExclusive(True)
        line = row()
        for number, (_, title) in enumerate(VIEWS):
            made = QPushButton(title)
            made.setCheckable(True)
            made.setAutoDefault(False)
            self.view_group.addButton(made, number)
            line.addWidget(made)
        self.view_group.button(0).setChecked(True)
        line.addSpacing(8)
        self.legend = Legend()
        line.addWidget(self.legend, 1)
        line.addWidget(self.reset_button)
        return line

    def _charts(self, selection: LayerSelection) -> QWidget:
        self.scatter = ScatterChart(selection)
        self.spatial = OrderChart("Spatial complexity of each layer", selection, unit="C_s")
        self.temporal = OrderChart("Temporal complexity of each layer", selection, unit="C_t")
        self.heat = HeatChart(selection)
        self.ranks = RankChart(selection)
        for chart in (self.temporal, self.heat, self.ranks):
            chart.setXLink(self.spatial)
        self.statistic = QComboBox()
        self.statistic.setAccessibleName("Statistic of the heat map")
        for key, title in STATISTICS:
            self.statistic.addItem(title, key)
        self.statistic.setCurrentIndex(1)
        self.step_statistic = QComboBox()
        self.step_statistic.setAccessibleName("Statistic of the table")
        self.step_statistic.setModel(self.statistic.model())
        self.statistic.currentIndexChanged.connect(self.step_statistic.setCurrentIndex)
        self.step_statistic.currentIndexChanged.connect(self.statistic.setCurrentIndex)
        self.step_statistic.setCurrentIndex(1)
        self.scale = Scale()
        stack = QWidget()
        column = QVBoxLayout(stack)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        for title, chart, extra in (
            ("Spatial complexity C_s", self.spatial, None),
            ("Temporal complexity C_t", self.temporal, None),
            ("By timestep", self.heat, row(self.scale, self.statistic)),
            ("Rank", self.ranks, None),
        ):
            words = label(title, "muted")
            words.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            column.addLayout(row(words, extra) if extra is not None else row(words))
            column.addWidget(chart, 1)
            chart.setMinimumHeight(88)
        left = QWidget()
        words = QVBoxLayout(left)
        words.setContentsMargins(0, 0, 0, 0)
        words.setSpacing(4)
        self.hover = label("", "muted")
        self.hover.setAccessibleName("Layer under the pointer")
        self.hover.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        words.addWidget(self.hover)
        words.addWidget(self.scatter, 1)
        area = QScrollArea()
        area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(stack)
        return ChartArea(left, area)

    def all_charts(self) -> tuple[LayerChart, ...]:
        """Every chart of layers."""
        return self.scatter, self.spatial, self.temporal, self.heat, self.ranks

    def set_tokens(self, tokens: Tokens) -> None:
        """Take the colours of a theme."""
        for chart in self.all_charts():
            chart.set_tokens(tokens)
        self.legend.set_tokens(tokens)
        self.card.set_tokens(tokens)

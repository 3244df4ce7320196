"""Figures of every frame as curves, with a table behind them; a click goes to the frame."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QComboBox, QSizePolicy, QStackedWidget, QVBoxLayout, QWidget

from quantvsr_gui.shell.tokens import DARK, Tokens
from quantvsr_gui.widgets.card import row
from quantvsr_gui.widgets.table import RowsModel, SearchTable
from quantvsr_gui.widgets.text import button, label


@dataclass(frozen=True)
class Figure:
    """A figure that can be drawn.

    Attributes:
        name: As in the kept values: "psnr".
        title: For people.
        unit: Of the values; empty for a plain number.
        better: "higher" or "lower".
        digits: Behind the point.
    """

    name: str
    title: str
    unit: str
    better: str
    digits: int


FIGURES = (
    Figure("psnr", "PSNR", "dB", "higher", 2),
    Figure("ssim", "SSIM", "", "higher", 4),
    Figure("warp_error", "Warping error", "1e-3", "lower", 3),
    Figure("flicker", "Flicker", "8-bit steps", "lower", 3),
)


@dataclass(frozen=True)
class Curve:
    """The values of one version.

    Attributes:
        label: Name of the version.
        slot: Its place on the canvas; gives the colour.
        values: Frame to value.
    """

    label: str
    slot: int
    values: Mapping[int, float]

    def mean(self, frames: Collection[int]) -> float:
        """Over some frames, each of which has a value."""
        return sum(self.values[frame] for frame in frames) / len(frames)


class _FrameAxis(pg.AxisItem):
    """Whole frame numbers only."""

    def tickSpacing(self, minVal: float, maxVal: float, size: float) -> list[tuple[float, float]]:
        """Spacing of the ticks, never less than a frame."""
        return [
            (max(round(spacing), 1), offset) for spacing, offset in super().tickSpacing(minVal, maxVal, size)
        ]

    def tickStrings(self, values: list[float], scale: float, spacing: float) -> list[str]:
        """Whole numbers."""
        return [f"{round(value)}" for value in values]


class CurvesPanel(QWidget):
    """Curves over frames, for one figure and one reference at a time.

    Signals:
        chosen: Another figure or reference is wanted.
        sought: A frame was clicked.
        wanted: The figures are to be measured.
    """

    chosen = Signal()
    sought = Signal(int)
    wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.figure = QComboBox()
        self.figure.setAccessibleName("Figure")
        self.figure.setToolTip("\u2191 higher is better, \u2193 lower is better")
        for each in FIGURES:
            arrow = "\u2191" if each.better == "higher" else "\u2193"
            self.figure.addItem(f"{each.title} {arrow}", each.name)
        self.reference = QComboBox()
        self.reference.setAccessibleName("Measured against")
        self.as_table = button("Table", tip="Show the numbers")
        self.as_table.setCheckable(True)
        self.as_table.toggled.connect(lambda _: self._choose_part())
        self.measure_button = button("Measure rendered frames", tip="Measure the frames that are rendered")
        self.measure_button.clicked.connect(self.wanted)
        self.means = label("", "muted")
        self.means.setTextFormat(Qt.TextFormat.RichText)
        self.means.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.plot = pg.PlotWidget(axisItems={"bottom": _FrameAxis("bottom")})
        self.plot.setAccessibleName("Figures of each frame")
        self.plot.setMenuEnabled(False)
        self.plot.hideButtons()
        item: Any = self.plot.getPlotItem()
        item.setMouseEnabled(x=True, y=False)
        item.setClipToView(True)
        item.setDownsampling(auto=True, mode="peak")
        self._playhead = pg.InfiniteLine(0, angle=90, movable=False)
        item.addItem(self._playhead, ignoreBounds=True)
        scene: Any = self.plot.scene()
        scene.sigMouseClicked.connect(self._clicked)
        self.model = RowsModel(("Frame",))
        self.table = SearchTable(self.model, "Figures of each frame")
        self.table.setParent(self)
        self.table.view.horizontalHeader().setStretchLastSection(False)
        # Nobody looks for a number; rows are scarce here.
        for unwanted in (self.table.search, self.table.count):
            unwanted.hide()
        self.table.view.clicked.connect(
            lambda index: self.sought.emit(int(self.model.value(self.table.source_row(index))[0]) - 1)
        )
        self.none = label("", "muted", wrap=True)
        self.none.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._stack = QStackedWidget()
        self._stack.addWidget(self.plot)
        self._stack.addWidget(self.table)
        self._stack.addWidget(self.none)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        self.against = label("against", "muted")
        line = row(self.figure, self.against, self.reference)
        line.addWidget(self.means, 1)
        line.addWidget(self.measure_button)
        line.addWidget(self.as_table)
        column.addLayout(line)
        column.addWidget(self._stack, 1)
        self._tokens = DARK
        self._curves: Sequence[Curve] = ()
        self._lines: list[pg.PlotDataItem] = []
        self.figure.currentIndexChanged.connect(lambda _: self.chosen.emit())
        self.reference.currentIndexChanged.connect(lambda _: self.chosen.emit())
        self.set_tokens(DARK)

    def shown_figure(self) -> Figure:
        """The figure that is chosen."""
        return FIGURES[max(self.figure.currentIndex(), 0)]

    def set_references(self, names: Mapping[str, str]) -> None:
        """Offer references: key to name."""
        kept = self.reference.currentData()
        known = [self.reference.itemData(i) for i in range(self.reference.count())]
        if known == list(names):
            return
        self.reference.blockSignals(True)
        self.reference.clear()
        for key, name in names.items():
            self.reference.addItem(name, key)
        self.reference.setCurrentIndex(max(self.reference.findData(kept), 0))
        self.reference.blockSignals(False)

    def set_tokens(self, tokens: Tokens) -> None:
        """Take a theme's colours."""
        self._tokens = tokens
        self.plot.setBackground(tokens.chart)
        for side in ("left", "bottom"):
            axis = self.plot.getAxis(side)
            axis.setPen(tokens.axis)
            axis.setTextPen(tokens.axis)
        self.plot.showGrid(x=False, y=True, alpha=0.15)
        self._playhead.setPen(pg.mkPen(tokens.accent, width=1.5))
        self.set_curves(self._curves)

    def set_curves(self, curves: Sequence[Curve]) -> None:
        """Draw these, and fill the table."""
        self._curves = tuple(curves)
        item: Any = self.plot.getPlotItem()
        for line in self._lines:
            item.removeItem(line)
        self._lines = []
        figure = self.shown_figure()
        for curve in self._curves:
            x, y = _with_gaps(curve.values)
            colour = self._tokens.series[curve.slot % len(self._tokens.series)]
            # Frames on their own have no line to be seen by.
            alone = len(curve.values) <= 60
            line = pg.PlotDataItem(
                x,
                y,
                pen=pg.mkPen(colour, width=1.5),
                connect="finite",
                symbol="o" if alone else None,
                symbolSize=4,
                symbolBrush=colour,
                symbolPen=None,
                antialias=alone,
            )
            item.addItem(line)
            self._lines.append(line)
        unit = f" ({figure.unit})" if figure.unit else ""
        item.setLabel("left", f"{figure.title}{unit}", color=self._tokens.axis)
        self._tell_means(figure)
        self._fill(figure)
        self._choose_part()

    def _choose_part(self) -> None:
        """The chart, the table, or words where there is nothing to draw."""
        if any(curve.values for curve in self._curves):
            self._stack.setCurrentIndex(int(self.as_table.isChecked()))
            return
        words = "“Measure rendered frames” fills this chart; what is rendered by hand is measured at once."
        if not self._curves:
            words = "Nothing to measure: choose bicubic, full precision or a run above, beside the reference."
        self.none.setText(words)
        self._stack.setCurrentWidget(self.none)

    def set_playhead(self, frame: int) -> None:
        """Mark the frame that is shown."""
        self._playhead.setValue(frame + 1)

    def _tell_means(self, figure: Figure) -> None:
        """Means over the frames that all versions have: others would not compare."""
        known = [curve for curve in self._curves if curve.values]
        frames = set.intersection(*(set(curve.values) for curve in known)) if known else set()
        if not frames:
            self.means.setText("")
            self.means.setToolTip("")
            return
        parts, lines = [], []
        for curve in known:
            value = f"{curve.mean(frames):.{figure.digits}f}"
            colour = self._tokens.series[curve.slot % len(self._tokens.series)]
            parts.append(
                f'<span style="color:{colour}">\u25cf</span>&nbsp;{curve.slot + 1}&nbsp;&nbsp;{value}'
            )
            lines.append(f"{curve.slot + 1}  {curve.label}: {value} {figure.unit}")
        count = "1 frame" if len(frames) == 1 else f"{len(frames)} frames"
        self.means.setText(f"{'&nbsp;&nbsp;&nbsp; '.join(parts)}&nbsp;&nbsp;&nbsp; mean of {count}")
        self.means.setToolTip(
            "\n".join((*lines, f"Mean of {count} that all have; {figure.better} is better"))
        )

    def _fill(self, figure: Figure) -> None:
        frames = sorted({frame for curve in self._curves for frame in curve.values})
        columns = ("Frame", *(f"{curve.slot + 1} {curve.label}" for curve in self._curves))
        if columns != self.model.columns():
            self.model.set_columns(columns)
            for column in range(len(columns)):
                self.table.view.setColumnWidth(column, 80 if column == 0 else 200)
        values = [(f + 1, *(curve.values.get(f) for curve in self._curves)) for f in frames]
        shown = [
            (str(line[0]), *("" if v is None else f"{v:.{figure.digits}f}" for v in line[1:]))
            for line in values
        ]
        self.model.set_rows(values, shown)

    def _clicked(self, event: Any) -> None:
        if event.button() != Qt.MouseButton.LeftButton:
            return
        item: Any = self.plot.getPlotItem()
        box = item.getViewBox()
        where = event.scenePos()
        if box.sceneBoundingRect().contains(where):
            self.sought.emit(max(round(box.mapSceneToView(where).x()) - 1, 0))


def _with_gaps(values: Mapping[int, float]) -> tuple[np.ndarray, np.ndarray]:
    """Frame numbers from 1 and values; NaN where frames are missing, so that no line crosses the gap."""
    x: list[float] = []
    y: list[float] = []
    for frame in sorted(values):
        if x and frame + 1 != x[-1] + 1:
            x.append(frame + 0.5)
            y.append(math.nan)
        x.append(frame + 1)
        y.append(values[frame])
    return np.asarray(x, float), np.asarray(y, float)

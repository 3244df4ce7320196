"""Charts: numbers of log axes never touch, the wheel scrolls where it should, a double click shows all."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from quantvsr_gui.widgets.chart import Chart
from quantvsr_gui.widgets.log_axis import LogAxis, log_ticks


@given(
    st.floats(-6, 3),
    st.floats(1e-3, 8).map(lambda width: round(width, 4)),
    st.integers(min_value=2, max_value=40),
)
def test_numbers_lie_inside_and_have_room(low: float, width: float, most: int) -> None:
    ticks = log_ticks(low, low + width, most)
    assert all(low - 1e-9 <= tick <= low + width + 1e-9 for tick in ticks)
    assert ticks == sorted(set(ticks))
    # Ticks of even values (below a decade) crowd at most towards the upper end, at most five of them.
    near = [b - a for a, b in itertools.pairwise(ticks)]
    assert len(ticks) <= 6 or min(near) >= width / most - 1e-9


@pytest.mark.parametrize(
    ("low", "high", "most", "wanted"),
    [
        (-3, 0, 6, [0.001, 0.01, 0.1, 1]),
        (-2, 0, 12, [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1]),
        (-0.7, 0.05, 30, [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]),
        (math.log10(0.21), math.log10(0.24), 8, [0.21, 0.22, 0.23, 0.24]),
        (-8, 0, 4, [1e-8, 1e-6, 1e-4, 1e-2, 1]),
    ],
)
def test_numbers_are_round(low: float, high: float, most: int, wanted: list[float]) -> None:
    assert [10**tick for tick in log_ticks(low, high, most)] == pytest.approx(wanted)


def test_a_log_axis_shows_the_values_themselves(qtbot: QtBot) -> None:
    axis = LogAxis("left")
    values = [-6.0, math.log10(3e-4), -3.0, -2.0, math.log10(0.5), 3.0, 5.0]
    assert axis.tickStrings(values, 1.0, 1.0) == ["1e-6", "3e-4", "0.001", "0.01", "0.5", "1000", "1e5"]
    ((_, ticks),) = axis.tickValues(-2, 0, 200)
    assert all(b - a >= 22 / 200 * 2 - 1e-9 for a, b in itertools.pairwise(ticks))
    assert axis.tickValues(1, 1, 200) == []


def wheel(chart: Chart, keys: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> bool:
    """Whether the chart took it."""
    place = QPointF(chart.rect().center())
    event = QWheelEvent(
        place,
        place,
        QPoint(),
        QPoint(0, 240),
        Qt.MouseButton.NoButton,
        keys,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    event.ignore()
    QApplication.sendEvent(chart.viewport(), event)
    return event.isAccepted()


@pytest.fixture
def chart(qtbot: QtBot) -> Chart:
    made = Chart("Values")
    made.plot_item.plot([0, 1, 2], [0, 1, 4])
    qtbot.addWidget(made)
    made.resize(400, 300)
    made.show()
    made.fit()
    return made


def test_a_double_click_shows_everything_again(chart: Chart, qtbot: QtBot) -> None:
    before = chart.view_box.viewRange()
    assert wheel(chart)
    assert chart.view_box.viewRange() != before
    qtbot.mouseDClick(chart.viewport(), Qt.MouseButton.LeftButton, pos=chart.rect().center())
    assert chart.view_box.viewRange() == [pytest.approx(side) for side in before]


def test_where_the_wheel_scrolls_it_zooms_with_ctrl_only(chart: Chart) -> None:
    chart.wheel_with_ctrl = True
    before = chart.view_box.viewRange()
    wheel(chart)
    assert chart.view_box.viewRange() == before
    wheel(chart, Qt.KeyboardModifier.ControlModifier)
    assert chart.view_box.viewRange() != before

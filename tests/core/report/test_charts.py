"""Numbers, axes and charts."""

import itertools
import math
import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantvsr.report.chart import Frame, legend, text_width
from quantvsr.report.columns import places
from quantvsr.report.data import Layers, Stage
from quantvsr.report.html import Html, join, tag
from quantvsr.report.layer_charts import (
    complexity_chart,
    loss_chart,
    rank_chart,
    sensitivity_chart,
    series_of,
)
from quantvsr.report.numbers import compact, duration, linear_ticks, log_limits, log_ticks, shown, size


def parts(chart, name):
    """Elements of a chart by tag; parsing shows that it is well-formed."""
    assert chart is not None
    return list(ElementTree.fromstring(str(chart)).iter(name))


def test_text_is_escaped_once_and_markup_is_kept():
    inner = tag("b", "a < b & c", title='say "x"')
    assert inner == '<b title="say &quot;x&quot;">a &lt; b &amp; c</b>'
    assert tag("p", inner, 3, None) == f"<p>{inner}3</p>"
    assert tag("img", src="x", alt=None) == '<img src="x">'
    assert isinstance(join("a", inner), Html)
    assert tag("a", class_="k", aria_label="l") == '<a class="k" aria-label="l"></a>'


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (28.456, "dB", "28.46"),
        (0.15146, "1e-3", "0.151"),
        (0.89, "", "0.8900"),
        (-0.5, "dB", "−0.50"),
        (None, "", "–"),
    ],
)
def test_figures_have_the_digits_of_their_unit(value, unit, text):
    assert shown(value, unit) == text


def test_sizes_times_and_small_numbers():
    assert [size(v) for v in (None, 900, 44184192, 2.5e9)] == ["–", "0.9 kB", "44.18 MB", "2.50 GB"]
    assert [duration(v) for v in (None, 0.05, 3, 130, 7200)] == ["–", "50 ms", "3.0 s", "2.2 min", "2.0 h"]
    assert [compact(v) for v in (0, 0.25, 1e-6, 2.5e-5, -3, 1e6)] == [
        "0",
        "0.25",
        "10⁻⁶",
        "2.5·10⁻⁵",
        "−3",
        "10⁶",
    ]


@given(low=st.floats(-1e6, 1e6), span=st.floats(1e-3, 1e6), most=st.integers(2, 12))
def test_linear_ticks_are_round_and_lie_inside(low, span, most):
    ticks = linear_ticks(low, low + span, most)
    assert 2 <= len(ticks) <= max(most, 5) + 1
    room = span * 1e-6
    assert all(low - room <= tick <= low + span + room for tick in ticks)
    steps = {round(b - a, 9) for a, b in itertools.pairwise(ticks)}
    assert len(steps) <= 1 or max(steps) - min(steps) < 1e-6 * span


@given(values=st.lists(st.floats(1e-9, 1e9), min_size=1, max_size=9))
def test_log_axes_hold_all_values_and_have_ticks(values):
    low, high = log_limits(values)
    assert low < min(values) and max(values) < high
    ticks = log_ticks(low, high)
    assert ticks == sorted(ticks) and len(ticks) <= 20
    assert all(low * 0.999 <= tick <= high * 1.001 for tick in ticks)
    assert ticks


def test_log_limits_of_nothing():
    assert log_limits([0.0, math.nan, -1.0]) == (0.1, 10.0)


@given(a=st.floats(0.1, 10), b=st.floats(0.1, 10), log=st.booleans())
def test_axes_keep_the_order_and_stay_inside(a, b, log):
    frame = Frame(50, 20, 450, 320, (0.1, 10), (0.1, 10), x_log=log, y_log=log)
    assert 50 <= frame.x(a) <= 450 and 20 <= frame.y(a) <= 320
    if a < b:
        assert frame.x(a) <= frame.x(b) and frame.y(a) >= frame.y(b)
    assert frame.x(99) == 450 and frame.y(-5) == 320


def test_an_axis_without_extent_is_no_error():
    frame = Frame(0, 0, 100, 100, (1, 1), (2, 2))
    assert frame.x(1) == frame.y(2) == 50
    frame.axes("x", "y")


def test_a_legend_takes_more_lines_where_it_is_long():
    _, one = legend(0, 0, ["a", "b"], 500)
    _, more = legend(0, 0, ["a rather long name"] * 9, 500)
    assert more > one == 20
    assert text_width("wide") > text_width("ill")


LAYERS = Layers(
    "m",
    ("down.conv1", "down.conv2", "up.temporal.conv"),
    ("conv", "conv", "temporal"),
    (4, 8, 16),
    spatial=(0.5, 1.0, math.nan),
    temporal=(0.2, 0.4, 0.3),
    thresholds=(0.6, 0.9, 0.25, 0.35),
)


def test_a_dot_for_each_observed_layer_tells_its_name_and_rank():
    chart = complexity_chart(LAYERS)
    titles = [each.text for each in parts(chart, "title")]
    assert titles == [
        "down.conv1: spatial 0.5, temporal 0.2, rank 4",
        "down.conv2: spatial 1, temporal 0.4, rank 8",
    ]
    first, second = (each for each in parts(chart, "circle") if each.find("title") is not None)
    assert float(first.get("cx")) < float(second.get("cx")) and float(first.get("cy")) > float(
        second.get("cy")
    )
    assert len([each for each in parts(chart, "line") if each.get("class") == "mark"]) == 4


def test_bars_are_as_high_as_ranks():
    bars = [each for each in parts(rank_chart(LAYERS), "rect")]
    heights = [float(each.get("height")) for each in bars]
    assert heights[1] == pytest.approx(2 * heights[0], rel=0.01)
    assert heights[2] == pytest.approx(4 * heights[0], rel=0.01)
    assert bars[0].get("class") == bars[1].get("class") != bars[2].get("class")


def test_without_data_there_is_no_chart():
    assert complexity_chart(Layers("m")) is None
    assert rank_chart(Layers("m", ("a",), ("conv",), (0,))) is None
    assert loss_chart(()) is None
    assert loss_chart((Stage("low-rank", (math.nan, 0.0)),)) is None
    assert sensitivity_chart({"layers": [{"name": "a", "gain": None, "kind": "conv"}]}) is None


def test_losses_of_stages_follow_each_other():
    stages = (Stage("low-rank", (1.0, math.nan, 0.5), ((0, 1.0), (3, 0.6))), Stage("bias", (0.4,)))
    chart = loss_chart(stages)
    curves = [each for each in parts(chart, "path") if each.get("class").startswith("curve")]
    assert [each.get("d").count("L") + 1 for each in curves] == [2, 1]
    ends = [float(each.get("d").split()[0][1:]) for each in curves]
    assert ends[0] < ends[1]
    rings = [each for each in parts(chart, "circle") if each.get("class").startswith("ring")]
    assert [each.find("title").text for each in rings] == [
        "held out after 0 updates: 1",
        "held out after 3 updates: 0.6",
    ]


def test_the_layers_that_gain_most_come_first_and_losses_point_left():
    layers = [
        {"name": f"layer{i}", "kind": "conv", "rank": 4, "gain": gain, "alone": 40.0 + i}
        for i, gain in enumerate((3.0, 1.0, -0.5))
    ]
    chart = sensitivity_chart({"layers": layers})
    bars = parts(chart, "rect")
    widths = [float(each.get("width")) for each in bars]
    assert widths[0] == pytest.approx(3 * widths[1], rel=0.02)
    assert float(bars[2].get("x")) < float(bars[0].get("x"))
    words = [each.text for each in parts(chart, "text")]
    assert "+3.00 dB" in words and "−0.50 dB" in words and "alone 40.0 dB" in words


def test_rare_sorts_of_layers_share_a_colour():
    kinds = [chr(97 + i) for i in range(12)] + ["a"] * 5
    series = series_of(kinds)
    assert len(series) == 8 and series[0] == "a" and series[-1] == "other"


@pytest.mark.parametrize(
    ("values", "goal", "expected"),
    [
        ([1.0, 3.0, 2.0], "higher", [None, 1, 2]),
        ([1.0, 3.0, 2.0], "lower", [1, None, 2]),
        ([-0.1, 0.5, 0.2], "zero", [1, None, 2]),
        ([2.0, 2.0, 1.0], "higher", [1, 1, 2]),
        ([2.0, None, 1.0], "higher", [1, None, 2]),
        ([2.0, None], "higher", [None, None]),
        ([], "higher", []),
    ],
)
def test_best_and_second_best(values, goal, expected):
    assert places(values, goal) == expected

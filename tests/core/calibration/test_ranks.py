import json
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantvsr.calibration.cost import CostModel, LayerShape
from quantvsr.calibration.rank_default import rank_limits, step_quantile
from quantvsr.calibration.ranks import Allocation, RankSettings, allocate, rule_names
from quantvsr.calibration.table import ComplexityTable
from quantvsr.errors import BadInput
from quantvsr.quant.config import default, reference


def shapes_of(sizes: list[tuple[int, int]]) -> list[LayerShape]:
    return [LayerShape(f"layer{i}", "linear", out, columns) for i, (out, columns) in enumerate(sizes)]


def random_table(layers: int, samples: int, seed: int = 0, spread: float = 1.0) -> ComplexityTable:
    draw = np.random.default_rng(seed)
    level = draw.normal(size=layers) * spread
    return ComplexityTable.from_layers(
        {
            f"layer{i}": (
                np.exp(level[i] + draw.normal(size=samples)),
                np.exp(level[i] + draw.normal(size=samples)),
            )
            for i in range(layers)
        }
    )


sizes = st.lists(st.tuples(st.integers(1, 400), st.integers(1, 3000)), min_size=1, max_size=8)
rank_settings = st.builds(
    lambda p, low, more, multiple, shares, extra: RankSettings(
        "default", p, low, low + more, multiple, min(shares), max(shares), extra
    ),
    st.floats(0, 0.5),
    st.integers(0, 40),
    st.integers(0, 100),
    st.integers(1, 16),
    st.tuples(st.floats(0, 1), st.floats(0, 1)),
    st.one_of(st.none(), st.floats(0, 8)),
)


@given(sizes, rank_settings, st.integers(0, 99))
def test_default_ranks_stay_inside_their_limits(sizes, settings, seed):
    shapes = shapes_of(sizes)
    found = allocate(random_table(len(shapes), 5, seed), settings, cost=CostModel(shapes))
    for shape in shapes:
        rank, (low, high) = found.ranks[shape.name], found.limits[shape.name]
        assert low <= rank <= high <= shape.size
        assert rank <= settings.max_rank
        assert rank >= min(settings.min_rank, shape.size)
        # A multiple, unless none lies inside the limits.
        assert rank % settings.multiple == 0 or low == high


@given(sizes, rank_settings, st.integers(0, 99), st.floats(0, 4), st.floats(0, 4))
def test_no_layer_loses_when_the_budget_grows(sizes, settings, seed, first, second):
    shapes, table = shapes_of(sizes), random_table(len(sizes), 5, seed)
    small, large = (
        allocate(
            table,
            RankSettings.from_json(settings.to_json() | {"extra_bits": bits}),
            cost=CostModel(shapes),
        )
        for bits in sorted((first, second))
    )
    assert all(small.ranks[name] <= large.ranks[name] for name in small.ranks)


@given(sizes, rank_settings, st.integers(0, 99))
def test_the_budget_holds_or_the_lowest_ranks_are_given(sizes, settings, seed):
    shapes = shapes_of(sizes)
    model = CostModel(shapes)
    found = allocate(random_table(len(shapes), 5, seed), settings, cost=model)
    assert found.effective_bits == pytest.approx(model.estimate(found.ranks).effective_bits)
    if settings.extra_bits is None:
        assert found.within_budget
    elif found.within_budget:
        assert found.effective_bits <= 4 + settings.extra_bits + 1e-9
    else:
        assert all(found.ranks[name] == low for name, (low, _) in found.limits.items())


@given(sizes, rank_settings, st.integers(0, 99), st.integers(2, 9))
def test_order_and_repetition_of_samples_do_not_matter(sizes, settings, seed, samples):
    shapes = shapes_of(sizes)
    table = random_table(len(shapes), samples, seed)
    order = np.random.default_rng(seed).permutation(samples)
    values = {name: table.layer(name) for name in table.names}
    shuffled = ComplexityTable.from_layers({n: (a[order], b[order]) for n, (a, b) in values.items()})
    doubled = ComplexityTable.from_layers({n: (np.tile(a, 2), np.tile(b, 2)) for n, (a, b) in values.items()})
    # Even one layer alone may be seen twice as often.
    uneven = ComplexityTable.from_layers(
        {
            n: (np.tile(a, 1 + (i == 0)), np.tile(b, 1 + (i == 0)))
            for i, (n, (a, b)) in enumerate(values.items())
        }
    )
    wanted = allocate(table, settings, cost=CostModel(shapes))
    for other in (shuffled, doubled, uneven):
        assert allocate(other, settings, cost=CostModel(shapes)).ranks == wanted.ranks


def test_complex_layers_get_more_than_flat_ones_of_the_same_size():
    flat, busy = np.full(10, 0.1), np.full(10, 2.0)
    middle = np.linspace(0.5, 1.0, 10)
    table = ComplexityTable.from_layers(
        {"layer0": (flat, flat), "layer1": (middle, middle), "layer2": (busy, busy)}
    )
    cost = CostModel(shapes_of([(256, 256)] * 3))
    for extra in (None, 3.0):
        found = allocate(table, RankSettings(extra_bits=extra), cost=cost)
        assert found.ranks["layer0"] < found.ranks["layer1"] < found.ranks["layer2"]
    assert [found.raw[f"layer{i}"] for i in range(3)] == [-1.0, 0.0, 1.0]


def test_ranks_grow_with_the_layer():
    table = random_table(1, 4)
    values = table.layer("layer0")
    same = ComplexityTable.from_layers({f"layer{i}": values for i in range(3)})
    found = allocate(
        same, RankSettings(extra_bits=None), cost=CostModel(shapes_of([(64, 576), (128, 1152), (256, 2304)]))
    )
    ranks = list(found.ranks.values())
    assert ranks == sorted(ranks)
    assert ranks[2] >= 3 * ranks[0]


def test_scores_are_shares_and_not_counts():
    for samples in (10, 1000):
        found = allocate(random_table(4, samples), cost=CostModel(shapes_of([(64, 64)] * 4)))
        assert all(-1 <= score <= 1 for score in found.raw.values())


def test_layers_without_statistics_are_average_ones():
    table = random_table(2, 6)
    cost = CostModel(shapes_of([(128, 128)] * 3))
    found = allocate(table, RankSettings(extra_bits=None), cost=cost)
    low, high = found.limits["layer2"]
    assert found.raw["layer2"] is None
    assert found.wish["layer2"] == (low + high) / 2


def test_no_branch_no_ranks():
    cost = CostModel(shapes_of([(128, 128)] * 3), default().replace(low_rank=False))
    found = allocate(random_table(3, 6), cost=cost)
    assert set(found.ranks.values()) == {0}
    assert found.effective_bits == cost.estimate({}).effective_bits


def test_values_that_are_not_numbers_are_left_out():
    good = random_table(3, 6)
    values = {name: good.layer(name) for name in good.names}
    spoilt = ComplexityTable.from_layers(
        {n: (np.append(a, np.nan), np.append(b, 1.0)) for n, (a, b) in values.items()}
        | {"layer3": ([np.nan], [np.nan])}
    )
    cost = CostModel(shapes_of([(128, 128)] * 4))
    assert allocate(spoilt, cost=cost).ranks == allocate(good, cost=cost).ranks
    assert allocate(spoilt, cost=cost).raw["layer3"] is None


def test_still_images_are_ranked_by_their_spatial_complexity_alone():
    draw = np.random.default_rng(0)
    table = ComplexityTable.from_layers(
        {f"layer{i}": (draw.uniform(i, i + 0.5, 10), np.zeros(10)) for i in range(4)}
    )
    found = allocate(table, cost=CostModel(shapes_of([(128, 128)] * 4)))
    assert found.raw["layer0"] < 0 < found.raw["layer3"]


def test_nothing_to_tell_layers_apart_gives_equal_ranks():
    table = ComplexityTable.from_layers({f"layer{i}": ([1.0] * 3, [2.0] * 3) for i in range(3)})
    found = allocate(table, RankSettings(extra_bits=None), cost=CostModel(shapes_of([(128, 128)] * 3)))
    assert len(set(found.ranks.values())) == 1
    assert set(found.raw.values()) == {0.0}
    empty = allocate(ComplexityTable.from_layers({}), cost=CostModel(shapes_of([(64, 64)])))
    assert set(empty.ranks) == {"layer0"}


def test_ranks_set_by_hand_hold_and_are_paid_for():
    table, cost = random_table(4, 6), CostModel(shapes_of([(256, 256)] * 4))
    plain = allocate(table, RankSettings(extra_bits=1.2), cost=cost)
    found = allocate(table, RankSettings(extra_bits=1.2, overrides={"layer1": 61, "layer2": 999}), cost=cost)
    assert found.ranks["layer1"] == 61
    assert found.ranks["layer2"] == 256
    assert found.ranks["layer0"] < plain.ranks["layer0"]
    with pytest.raises(BadInput, match="nosuch"):
        allocate(table, RankSettings(overrides={"nosuch": 3}), cost=cost)
    published = RankSettings.from_json(RankSettings.reference().to_json() | {"overrides": {"layer3": 24}})
    assert allocate(table, published).ranks["layer3"] == 24


@pytest.mark.parametrize(
    "wrong",
    [
        {"rule": "nosuch"},
        {"percentile": 0.6},
        {"min_rank": 9, "max_rank": 8},
        {"multiple": 0},
        {"max_share": 1.5},
        {"extra_bits": -1.0},
        {"overrides": {"a": -1}},
    ],
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(BadInput, match="cannot be used"):
        RankSettings(**wrong)


def test_limits_without_a_multiple_inside():
    settings = RankSettings(min_rank=10, max_rank=12, multiple=8, max_share=1.0)
    low, high = rank_limits(np.array([5, 11, 100]), settings)
    assert low.tolist() == high.tolist() == [5, 10, 10]


def test_step_quantile_weighs_values():
    values = np.array([3, 1, 2], np.float32)
    assert step_quantile(values, None, 1 / 3) == 1
    assert step_quantile(values, np.ones(3), 1 / 3) == 1
    assert step_quantile(values, np.array([0.5, 0.1, 0.4]), 0.25) == 2
    assert np.isnan(step_quantile(values[:0], None, 0.5))


def measured_table(layers: int, ranks: int, seed: int = 0) -> ComplexityTable:
    """A table with expected errors that fall with the rank, by amounts of their own."""
    draw = np.random.default_rng(seed)
    plain = random_table(layers, 5, seed)
    falls = np.sort(draw.exponential(size=(layers, ranks)) * 10 ** draw.normal(size=(layers, 1)), 1)[:, ::-1]
    errors = np.cumsum(np.concatenate([falls, np.zeros((layers, 1))], 1)[:, ::-1], 1)[:, ::-1]
    return ComplexityTable.from_layers(
        {name: plain.layer(name) for name in plain.names},
        errors={name: errors[i] for i, name in enumerate(plain.names)},
    )


@given(st.integers(1, 8), st.integers(0, 99), st.floats(0, 3), st.floats(0, 1))
def test_with_expected_errors_the_budget_holds_and_more_of_it_takes_from_nobody(layers, seed, extra, more):
    shapes = shapes_of([(64, 96)] * layers)
    cost, table = CostModel(shapes), measured_table(layers, 64, seed)
    less, much = (allocate(table, RankSettings(extra_bits=bits), cost=cost) for bits in (extra, extra + more))
    assert all(much.ranks[name] >= rank for name, rank in less.ranks.items())
    for found in (less, much):
        assert found.within_budget == (found.effective_bits <= 4 + found.settings.extra_bits + 1e-9)
        assert all(low <= found.ranks[name] <= high for name, (low, high) in found.limits.items())


@given(st.integers(0, 99))
def test_no_other_ranks_of_the_same_bytes_save_more_error(seed):
    """Layers of one size, so that bytes are ranks and every exchange of a step can be tried."""
    shapes, step = shapes_of([(64, 64)] * 4), 4
    table = measured_table(4, 64, seed)
    # Every layer as complex as the next: the errors alone decide.
    settings = RankSettings(min_rank=0, percentile=0.0, multiple=step, extra_bits=3.0)
    found = allocate(table, settings, cost=CostModel(shapes))
    weigh = {name: 2.0 ** (found.raw[name] or 0) for name in found.ranks}
    error = {
        name: {r: weigh[name] * table.errors[i, r] for r in range(65)} for i, name in enumerate(table.names)
    }
    total = sum(error[name][rank] for name, rank in found.ranks.items())
    for giver, given_up in found.ranks.items():
        for taker, taken in found.ranks.items():
            high = found.limits[taker][1]
            if giver != taker and given_up >= step and taken + step <= high:
                changed = {**found.ranks, giver: given_up - step, taker: taken + step}
                assert sum(error[name][rank] for name, rank in changed.items()) >= total * (1 - 1e-6)


def test_complex_layers_count_more_than_their_expected_error():
    shapes = shapes_of([(64, 64)] * 2)
    values = {"layer0": ([1.0, 1.0], [1.0, 1.0]), "layer1": ([5.0, 5.0], [5.0, 5.0])}
    falling = np.linspace(1, 0, 65)
    table = ComplexityTable.from_layers(values, errors={"layer0": falling, "layer1": falling})
    ranks = allocate(table, RankSettings(extra_bits=4.0), cost=CostModel(shapes)).ranks
    assert ranks["layer1"] > ranks["layer0"]


def test_allocation_survives_json():
    found = allocate(
        random_table(3, 5), RankSettings(overrides={"layer1": 7}), cost=CostModel(shapes_of([(64, 64)] * 3))
    )
    assert Allocation.from_json(json.loads(json.dumps(found.to_json()))) == found
    with pytest.raises(BadInput, match="no saved rank allocation"):
        Allocation.from_json({"layers": {"a": {}}})


def test_rules_are_registered():
    assert set(rule_names()) >= {"default", "reference"}


def test_a_slider_can_move_smoothly():
    cost = CostModel(shapes_of([(320, 2880)] * 500), reference())
    plain, measured = random_table(500, 100), measured_table(500, 128)
    for table, settings in (
        (plain, RankSettings()),
        (measured, RankSettings()),
        (plain, RankSettings.reference()),
    ):
        allocate(table, settings, cost=cost)
        seconds = []
        for _ in range(5):
            start = time.process_time()
            allocate(table, settings, cost=cost)
            seconds.append(time.process_time() - start)
        assert min(seconds) < 0.010


def test_ranks_and_cost_do_not_pull_torch_in():
    code = (
        "import sys, quantvsr.calibration.ranks, quantvsr.calibration.cost, quantvsr.calibration.table;"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0

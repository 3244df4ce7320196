import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_analysis import make_measured
from quantvsr.calibration.allocation import RankSettings
from quantvsr.calibration.cost import CostModel, LayerShape, estimate
from quantvsr.calibration.ranks import allocate
from quantvsr.errors import BadInput
from quantvsr.jobs.options import Bits
from quantvsr.quant.config import default
from quantvsr_gui.pages.complexity.data import KINDS, Measured, kind_of, share_at
from quantvsr_gui.pages.complexity.plan import Choice, Planner


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("down0.1.conv2", "Convolution"),
        ("input_blocks.1.0.in_layers.2", "Convolution"),
        ("middle.0.temporal.conv", "Temporal"),
        ("attention.0.to_qkv", "Attention"),
        ("input_blocks.4.1.transformer_blocks.0.attn1.to_k", "Attention"),
        ("input_blocks.4.1.transformer_blocks.0.ff.net.2", "Feed-forward"),
        ("attention.0.ff_in", "Feed-forward"),
        ("downsample1", "Resampling"),
        ("output_blocks.5.2.op", "Resampling"),
        ("up1.0.skip", "Shortcut"),
        ("input_blocks.1.0.skip_connection", "Shortcut"),
        ("input_blocks.1.0.emb_layers.1", "Embedding"),
    ],
)
def test_types_of_blocks_are_told_by_names(name, kind):
    assert kind_of(LayerShape(name, "conv2d", 4, 4, (3, 3))) == kind
    assert kind_of(LayerShape("x", "linear", 4, 4)) == "Other"


def test_an_analysis_is_read_back(measured, tmp_path):
    measured.table.save(tmp_path / "complexity.npz")
    content = {"shapes": [shape.to_json() for shape in measured.shapes]}
    (tmp_path / "ranks.json").write_text(json.dumps(content))
    found = Measured.load(tmp_path)
    assert found.names == measured.names
    np.testing.assert_array_equal(found.spatial, measured.spatial)
    assert np.isnan(found.spatial[1])  # the vector layer
    assert KINDS[found.kinds[1]] == "Embedding"
    assert found.groups[0] == ("down", 0, 3)
    assert found.groups[-1] == ("up", 9, 12)


@pytest.mark.parametrize("damage", ["no ranks", "no shapes", "no table", "other layers"])
def test_a_damaged_analysis_is_named(measured, tmp_path, damage):
    content = {"shapes": [shape.to_json() for shape in measured.shapes]}
    if damage == "no shapes":
        content = {"layers": {}}
    elif damage == "other layers":
        content["shapes"] = content["shapes"][:2]
    if damage != "no ranks":
        (tmp_path / "ranks.json").write_text(json.dumps(content))
    if damage != "no table":
        measured.table.save(tmp_path / "complexity.npz")
    with pytest.raises(BadInput, match=tmp_path.name):
        Measured.load(tmp_path)


def test_values_by_timestep_are_means_over_windows(measured):
    cells = measured.by_step("temporal")
    assert cells.shape == (4, 12)
    assert np.isnan(cells[:, 1]).all()
    spatial, temporal = measured.table.layer("middle.0.conv1")
    where = measured.names.index("middle.0.conv1")
    np.testing.assert_allclose(cells[:, where], temporal.reshape(3, 4).mean(0), rtol=1e-6)
    np.testing.assert_allclose(measured.by_step("spatial")[2, where], spatial[2::4].mean(), rtol=1e-6)


def test_excluded_layers_leave_the_table_and_the_sizes(measured):
    rest = measured.without(("down.*", "upsample"))
    assert rest.names == tuple(n for n in measured.names if not n.startswith("down.") and n != "upsample")
    for name in rest.table.names:
        for found, wanted in zip(rest.table.layer(name), measured.table.layer(name), strict=True):
            np.testing.assert_array_equal(found, wanted)
        np.testing.assert_array_equal(rest.errors(name), measured.errors(name))
    assert measured.without(("nothing",)) is measured


@given(st.floats(0.02, 0.48), st.sampled_from(["spatial", "temporal"]), st.booleans())
def test_a_line_at_a_threshold_gives_its_percentile(share, which, above):
    measured = make_measured()
    points = allocate(measured.table, RankSettings(percentile=share), cost=_cost(measured)).thresholds
    value = getattr(points, f"{which}_{'high' if above else 'low'}")
    found = share_at(measured.table, which, value, above=above)
    # Every value is one step of the distribution.
    assert share - 1e-9 <= found <= share + 1 / len(measured.table.spatial) + 1e-9


def _cost(measured):
    return CostModel(measured.shapes)


def choice(**changes):
    values = {
        "layer": default,
        "bits": Bits(4, 4),
        "ranks": RankSettings(),
        "by_hand": {},
        "bits_by_hand": {},
    }
    return Choice(**{**values, **changes})


def test_a_plan_is_what_the_engine_would_do(measured):
    plan = Planner(measured).plan(choice())
    wanted = allocate(measured.table, RankSettings(), cost=_cost(measured))
    assert plan.allocation.ranks == wanted.ranks
    assert plan.cost.total_bytes == estimate(measured.shapes, wanted.ranks).total_bytes
    assert not plan.by_hand.any()


def test_what_is_set_by_hand_holds_and_counts(measured):
    planner = Planner(measured)
    plain = planner.plan(choice())
    hand = planner.plan(
        choice(
            by_hand={"upsample": 20, "gone": 3}, bits_by_hand={"downsample": Bits(8, 6), "gone": Bits(8, 8)}
        )
    )
    i, j = measured.index["upsample"], measured.index["downsample"]
    assert hand.ranks[i] == 20
    assert (hand.weight_bits[j], hand.activation_bits[j]) == (8, 6)
    assert np.flatnonzero(hand.by_hand).tolist() == [j, i]
    codes = hand.cost.bytes["codes"] - plain.cost.bytes["codes"]
    assert codes[j] == plain.cost.bytes["codes"][j]  # twice as many bits
    assert codes[np.arange(len(codes)) != j].tolist() == [0] * (len(codes) - 1)
    assert planner.plan(choice()).cost.total_bytes == plain.cost.total_bytes

"""Charts: drawn for any input, inside their picture, with every colour, and without touching global state."""

import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from quantvsr.errors import BadInput
from quantvsr.upscale.charts import (
    PALETTE,
    LossCurve,
    QualityPanel,
    complexity_scatter,
    loss_curves,
    quality_bars,
    rank_bars,
)

KINDS = [
    "3x3 convolution",
    "1x1 convolution",
    "temporal convolution",
    "self-attention",
    "feed-forward",
    "time embedding",
]


def drawn(path):
    """The picture, after checking its size and that no text or mark runs out of it."""
    with Image.open(path) as image:
        assert image.size == (1200, 700)
        pixels = np.asarray(image.convert("RGB"))
    for edge in (pixels[:3], pixels[-3:], pixels[:, :3], pixels[:, -3:]):
        assert (edge == 255).all()
    return pixels


def has_colour(pixels, colour):
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return (np.abs(pixels.astype(int) - wanted).max(-1) <= 2).sum() > 30


def layers(count, kinds=6):
    rng = np.random.default_rng(0)
    parts = ("time_embed", "down_blocks", "downsample0", "middle", "up_blocks", "conv_out")
    names = [f"{parts[6 * i // count]}.{i}" for i in range(count)]
    chosen = [KINDS[i % 6] if kinds <= 6 else f"type {i % kinds}" for i in range(count)]
    return names, chosen, 10 ** rng.normal(0, 0.5, count), 10 ** rng.normal(-1, 0.5, count)


def test_complexity_shows_every_type_and_the_thresholds(tmp_path):
    names, kinds, spatial, temporal = layers(70)
    thresholds = (*np.quantile(spatial, [0.25, 0.75]), *np.quantile(temporal, [0.25, 0.75]))
    path = complexity_scatter(tmp_path / "c.png", names, spatial, temporal, kinds, thresholds=thresholds)
    pixels = drawn(path)
    assert all(has_colour(pixels, colour) for colour in PALETTE[:6])
    assert has_colour(pixels, "#DDECF8") and has_colour(pixels, "#FBEBD0")
    plain = drawn(complexity_scatter(tmp_path / "p.png", names, spatial, temporal, kinds))
    assert not has_colour(plain, "#DDECF8")


def test_complexity_copes_with_zeros_and_missing_values(tmp_path):
    names, kinds, spatial, temporal = layers(12)
    temporal[:3] = 0.0
    spatial[4:6] = np.nan
    drawn(complexity_scatter(tmp_path / "c.png", names, spatial, temporal, kinds))
    drawn(complexity_scatter(tmp_path / "z.png", names, spatial * 0, temporal * 0, kinds))
    drawn(complexity_scatter(tmp_path / "n.png", names, spatial * np.nan, temporal, kinds))
    drawn(complexity_scatter(tmp_path / "e.png", [], [], [], []))
    nan = (np.nan,) * 4
    drawn(complexity_scatter(tmp_path / "t.png", names, spatial, temporal, kinds, thresholds=nan))


@pytest.mark.parametrize("count", [1, 12, 70, 700])
def test_ranks_of_small_and_large_networks(tmp_path, count):
    names, kinds, _, _ = layers(count)
    ranks = [4 + 4 * (i % 8) for i in range(count)]
    pixels = drawn(rank_bars(tmp_path / "r.png", names, ranks, kinds, low=4, high=64))
    assert all(has_colour(pixels, colour) for colour in PALETTE[: min(count, 6)])


def test_more_types_than_colours_are_gathered(tmp_path):
    names, kinds, spatial, temporal = layers(60, kinds=15)
    pixels = drawn(rank_bars(tmp_path / "r.png", names, [8] * 60, kinds))
    assert all(has_colour(pixels, colour) for colour in PALETTE)
    drawn(complexity_scatter(tmp_path / "c.png", names, spatial, temporal, kinds))


def test_long_names_stay_inside(tmp_path):
    names = [f"a_part_with_an_exceedingly_long_name_{i}.conv" for i in range(9)]
    drawn(rank_bars(tmp_path / "r.png", names, [123456] * 9, ["x"] * 9, low=1, high=123456))


@given(
    stages=st.lists(
        st.lists(st.one_of(st.floats(0, 10), st.just(float("nan")), st.just(float("inf")))), max_size=3
    ),
    untrained=st.one_of(st.none(), st.floats(0, 10)),
)
@settings(max_examples=8)
def test_any_losses_can_be_drawn(tmp_path_factory, stages, untrained):
    path = tmp_path_factory.mktemp("loss") / "l.png"
    drawn(loss_curves(path, [LossCurve(f"stage {i}", s) for i, s in enumerate(stages)], untrained=untrained))


def test_loss_shows_both_stages_and_the_untrained_level(tmp_path):
    rng = np.random.default_rng(0)
    curves = [
        LossCurve("low-rank branch", (rng.random(200) + 1).tolist(), every=2),
        LossCurve("bias", [0.9] * 50),
    ]
    pixels = drawn(loss_curves(tmp_path / "l.png", curves, untrained=4.0))
    assert has_colour(pixels, PALETTE[0]) and has_colour(pixels, PALETTE[1])
    # The dashed line is ink in a row where the chart without it is empty.
    bare = drawn(loss_curves(tmp_path / "b.png", curves))
    longest = [(each < 120).all(-1).sum(1).max() for each in (pixels, bare)]
    assert longest[0] > 500 and longest[1] < 400


def test_quality_compares_versions_by_metric(tmp_path):
    versions = ("full precision", "QuantVSR W4A4", "min-max W4A4")
    panels = [
        QualityPanel("PSNR to ground truth", dict(zip(versions, (26.7, 26.6, 22.9), strict=True)), "dB"),
        QualityPanel("SSIM", dict(zip(versions, (0.82, 0.81, None), strict=True)), digits=3),
        QualityPanel("Warping error", dict(zip(versions, (1.2, 1.3, 7.9), strict=True)), "1e-3", "lower"),
    ]
    pixels = drawn(quality_bars(tmp_path / "q.png", panels, note="bundled clip, seed 0"))
    assert all(has_colour(pixels, colour) for colour in PALETTE[:3])


@pytest.mark.parametrize(("metrics", "versions"), [(1, 1), (4, 3), (5, 7), (8, 9)])
def test_quality_with_few_and_many_bars(tmp_path, metrics, versions):
    values = {f"method {i}": float("nan") if i == 5 else 0.1 * i - 0.2 for i in range(versions)}
    drawn(quality_bars(tmp_path / "q.png", [QualityPanel(f"metric {i}", values) for i in range(metrics)]))


def test_bad_numbers_of_values_are_refused_and_leave_no_file(tmp_path):
    for call in (
        lambda: complexity_scatter(tmp_path / "x.png", ["a"], [1, 2], [1], ["k"]),
        lambda: rank_bars(tmp_path / "x.png", ["a"], [1, 2], ["k"]),
        lambda: quality_bars(tmp_path / "x.png", []),
        lambda: quality_bars(tmp_path / "x.png", [QualityPanel("m", {"a": 1.0})] * 9),
    ):
        with pytest.raises(BadInput):
            call()
    assert list(tmp_path.iterdir()) == []


def test_the_same_chart_is_the_same_file_and_a_larger_one_is_sharper(tmp_path):
    names, kinds, _, _ = layers(20)
    a, b = (rank_bars(tmp_path / f"{i}.png", names, [4] * 20, kinds) for i in "ab")
    assert a.read_bytes() == b.read_bytes()
    with Image.open(rank_bars(tmp_path / "c.png", names, [4] * 20, kinds, dpi=200)) as image:
        assert image.size == (2400, 1400)


def test_no_global_state_and_nothing_imported_before_it_is_needed(tmp_path):
    before = dict(mpl.rcParams)
    loss_curves(tmp_path / "l.png", [LossCurve("s", [1.0, 0.5])], untrained=2.0)
    assert dict(mpl.rcParams) == before
    code = (
        "import sys, quantvsr.upscale.charts as c, quantvsr.upscale.render, quantvsr.upscale.slices, "
        "quantvsr.upscale.difference, quantvsr.metrics\n"
        "assert 'matplotlib' not in sys.modules and 'torch' not in sys.modules\n"
        f"c.loss_curves({str(tmp_path / 'm.png')!r}, [c.LossCurve('s', [1.0])])\n"
        "assert 'matplotlib.pyplot' not in sys.modules and 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

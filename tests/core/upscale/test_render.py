"""Comparison frames, difference pictures and slices: what they show, and that their text can be read."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantvsr.errors import BadInput
from quantvsr.upscale.difference import difference_picture
from quantvsr.upscale.labels import chip, fit, paste, text_width
from quantvsr.upscale.render import ComparisonRenderer, Pane, Region, busiest_region
from quantvsr.upscale.slices import Slice, slice_picture

FIGURES = (("PSNR", "26.06 dB"), ("SSIM", "0.793"))


def picture(height=270, width=480, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def contrast(a, b):
    """WCAG contrast of two sRGB colours, 1 to 21."""

    def luminance(colour):
        c = np.asarray(colour, float) / 255
        return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]

    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("grey", [0, 90, 128, 255])
def test_labels_can_be_read_on_any_background(grey):
    ground = np.full((60, 200, 3), grey, np.uint8)
    paste(ground, chip("Full precision", 20, 190), 5, 5)
    patch = ground[9:28, 12:40].reshape(-1, 3)
    order = patch.sum(1).argsort()
    # WCAG asks for 4.5 for normal text.
    assert contrast(patch[order[-1]], patch[order[len(order) // 4]]) > 7


def test_long_labels_are_set_smaller_then_cut_and_never_stick_out():
    text, size = fit("4-bit QuantVSR", 30, 150)
    assert text == "4-bit QuantVSR" and size < 30 and text_width(text, size) <= 150
    text, size = fit("a name that is much too long for so narrow a picture", 30, 60)
    assert text.endswith("...") and text_width(text, size) <= 60
    assert chip("anything", 20, 2).size == 0
    for width in range(4, 120, 7):
        assert chip("Ground truth", 20, width).shape[1] <= width


def test_panes_hold_the_pictures_unchanged_below_the_label():
    a, b = picture(seed=1), picture(seed=2)
    draw = ComparisonRenderer([Pane("FP", FIGURES), Pane("4-bit")], 270, 480, layout="row")
    frame = draw.render([a, b])
    assert frame.shape == (*draw.size, 3) and frame.dtype == np.uint8
    np.testing.assert_array_equal(frame[60:270, :480], a[60:])
    np.testing.assert_array_equal(frame[60:270, 486:966], b[60:])
    # Floats are rounded, not cut off.
    np.testing.assert_array_equal(draw.render([a / 255.0, b / 255.0]), frame)
    assert draw.render([a, b]) is not frame


def test_the_strip_below_shows_figures_only_where_there_are_some():
    flat = np.full((270, 480, 3), 128, np.uint8)
    draw = ComparisonRenderer([Pane("FP", FIGURES), Pane("LQ")], 270, 480, layout="row")
    strip = draw.render([flat, flat])[270:]
    assert strip[:, :480].max() > 200 and strip[:, 486:].max() < 40
    assert ComparisonRenderer([Pane("a"), Pane("b")], 270, 480, layout="row").size == (270, 966)


def test_a_smaller_picture_is_enlarged_as_the_pane_says():
    low = picture(60, 120)
    panes = [Pane("nearest"), Pane("bicubic", enlarge="bicubic")]
    frame = ComparisonRenderer(panes, 240, 480, layout="row").render([low, low])
    np.testing.assert_array_equal(frame[80:240, :480], low.repeat(4, 0).repeat(4, 1)[80:])
    smooth = frame[80:240, 486:966].astype(int)
    assert np.abs(np.diff(smooth, axis=1)).mean() < 0.6 * np.abs(np.diff(low.astype(int), axis=1)).mean()


def test_small_clips_grow_by_a_whole_factor():
    tiny = picture(32, 64)
    frame = ComparisonRenderer([Pane("a"), Pane("b")], 32, 64, layout="row").render([tiny, tiny])
    np.testing.assert_array_equal(frame[100:256, :512], tiny.repeat(8, 0).repeat(8, 1)[100:])


def test_the_detail_is_the_region_magnified_in_the_far_corner():
    image = picture(270, 480)
    for x, corner in ((10, 480), (420, 0)):
        frame = ComparisonRenderer([Pane("a")], 270, 480, zoom=Region(20, x, 30, 40)).render([image])
        detail = image[20:50, x : x + 40].repeat(4, 0).repeat(4, 1)
        half = frame[:, 240:480] if corner else frame[:, :240]
        found = [
            (y, left)
            for y in range(half.shape[0] - detail.shape[0] + 1)
            for left in range(half.shape[1] - detail.shape[1] + 1)
            if (half[y, left : left + 160] == detail[0]).all()
        ]
        # Four equal rows make one row of the detail.
        assert len(found) == 4
        y, left = found[0]
        np.testing.assert_array_equal(half[y : y + 120, left : left + 160], detail)


@given(
    count=st.integers(1, 4),
    height=st.integers(1, 300),
    width=st.integers(1, 300),
    layout=st.sampled_from(["auto", "row", "column", "grid"]),
)
def test_any_size_and_number_gives_even_frames_within_the_limit(count, height, width, layout):
    panes = [Pane(f"version {i}", FIGURES) for i in range(count)]
    zoom = Region(height // 2, width // 2, (height + 1) // 2, (width + 1) // 2)
    draw = ComparisonRenderer(panes, height, width, layout=layout, zoom=zoom, title="t", largest=(1000, 800))
    frame = draw.render([np.zeros((height, width, 3))] * count)
    assert frame.shape == (*draw.size, 3)
    assert draw.size[0] % 2 == draw.size[1] % 2 == 0
    # Text comes on top of the limit, which is for the pictures.
    assert draw.size[1] <= 1000 + 8 and draw.size[0] <= 800 + 8 + 60 + 200 * count


@pytest.mark.parametrize(
    ("count", "height", "width", "grid"),
    [
        (2, 720, 1280, (1, 2)),
        (4, 720, 1280, (2, 2)),
        (3, 512, 512, (1, 3)),
        (2, 300, 1200, (2, 1)),
        (1, 9, 9, (1, 1)),
    ],
)
def test_auto_layout_makes_the_best_of_a_wide_screen(count, height, width, grid):
    rows, columns = grid
    draw = ComparisonRenderer([Pane("x")] * count, height, width, largest=(10**6, 10**6))
    assert draw.size[1] // columns >= width and draw.size[0] // rows >= height
    assert draw.size[1] < (columns + 1) * max(width, 480 + width) and draw.size[0] / draw.size[
        1
    ] == pytest.approx(rows * height / (columns * width), rel=0.03)


def test_bad_comparisons_are_one_sentence():
    for count in (0, 5):
        with pytest.raises(BadInput, match=f"not {count}"):
            ComparisonRenderer([Pane("x")] * count, 8, 8)
    with pytest.raises(BadInput, match="8x8"):
        ComparisonRenderer([Pane("x")], 8, 8, zoom=Region(4, 4, 5, 2))
    with pytest.raises(BadInput, match="2 panes but got 1"):
        ComparisonRenderer([Pane("x")] * 2, 8, 8).render([picture(8, 8)])


def test_the_busiest_region_is_where_the_texture_is():
    image = np.full((100, 160, 3), 0.5)
    image[60:80, 100:130] = np.random.default_rng(0).random((20, 30, 3))
    region = busiest_region(image, 20, 30)
    assert abs(region.y - 60) <= 1 and abs(region.x - 100) <= 1
    assert busiest_region(image, 999, 999) == Region(0, 0, 100, 160)
    assert busiest_region(np.zeros((1, 1, 3)), 4, 4) == Region(0, 0, 1, 1)


def test_equal_pictures_have_a_black_difference_and_larger_ones_are_lighter():
    a = np.full((8, 8, 3), 0.4)
    base = difference_picture(a, a, bar=False)
    assert base.shape == (8, 8, 3) and base.max() <= 4
    steps = [difference_picture(a, a + d, full_scale=0.2, bar=False)[0, 0] for d in np.linspace(0, 0.2, 9)]
    lightness = [s @ np.array([0.2126, 0.7152, 0.0722]) for s in steps]
    assert lightness == sorted(lightness) and lightness[-1] > 230
    # Only one channel differs, the other way round, in 8 bits: the same colour.
    b = (a * 255).astype(np.uint8)
    c = b.copy()
    c[..., 1] -= 20
    np.testing.assert_array_equal(difference_picture(b, c, bar=False), difference_picture(c, b, bar=False))
    # Above full scale nothing changes any more.
    np.testing.assert_array_equal(
        difference_picture(a, a + 0.3, full_scale=0.1, bar=False), difference_picture(a, a + 0.1, bar=False)
    )


def test_the_difference_tells_its_scale_where_there_is_room():
    a = np.zeros((200, 300, 3))
    assert difference_picture(a, a).max() > 200
    small = np.zeros((8, 8, 3))
    np.testing.assert_array_equal(
        difference_picture(small, small), difference_picture(small, small, bar=False)
    )


def test_bad_differences_are_refused():
    with pytest.raises(BadInput, match="9x8 and 8x8"):
        difference_picture(np.zeros((8, 9, 3)), np.zeros((8, 8, 3)))
    for scale in (0.0, -1.0, float("nan")):
        with pytest.raises(BadInput, match="full scale"):
            difference_picture(np.zeros((8, 8, 3)), np.zeros((8, 8, 3)), full_scale=scale)


def test_slices_follow_one_line_through_time():
    clip = [picture(20, 30, seed) for seed in range(6)]
    row, column, middle = Slice(4), Slice(7, "column"), Slice()
    for frame in clip:
        for part in (row, column, middle):
            part.add(frame)
    np.testing.assert_array_equal(row.result(), np.stack([frame[4] for frame in clip]))
    np.testing.assert_array_equal(column.result(), np.stack([frame[:, 7] for frame in clip]))
    np.testing.assert_array_equal(middle.result(), np.stack([frame[10] for frame in clip]))


@given(frames=st.integers(1, 200), largest=st.integers(2, 16))
def test_long_clips_are_thinned_evenly(frames, largest):
    part = Slice(0, largest=largest)
    for i in range(frames):
        part.add(np.full((1, 1, 3), i, np.uint8))
    kept = part.result()[:, 0, 0].tolist()
    assert kept == list(range(0, frames, part.stride)) and len(kept) <= largest
    assert frames <= largest or len(kept) >= largest // 2


def test_slices_do_not_hold_on_to_frames():
    tracemalloc.start()
    part = Slice(0)
    for i in range(50):
        part.add(np.full((400, 100, 3), i, np.uint8))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1e6


def test_slice_pictures_stack_versions_and_stretch_short_clips():
    a, b = picture(12, 480, 1), picture(12, 480, 2)
    drawn = slice_picture({"FP": a, "4-bit": b})
    assert drawn.shape == (120 + 6 + 120, 480, 3)
    np.testing.assert_array_equal(drawn[60:120], a.repeat(10, 0)[60:])
    np.testing.assert_array_equal(drawn[186:], b.repeat(10, 0)[60:])


def test_bad_slices_are_one_sentence():
    with pytest.raises(BadInput, match="no row 9"):
        Slice(9).add(picture(8, 8))
    with pytest.raises(BadInput, match="1 lines"):
        Slice(largest=1)
    part = Slice(0)
    part.add(picture(8, 8))
    with pytest.raises(BadInput, match="size changes"):
        part.add(picture(8, 9))
    for slices in ({}, {"FP": Slice().result()}):
        with pytest.raises(BadInput, match="no frames"):
            slice_picture(slices)

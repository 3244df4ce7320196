"""What is drawn: geometry, differences, frames mapped into memory."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QPointF, QRect
from PySide6.QtGui import QColor

from quantvsr.preview.store import FrameStore, compress
from quantvsr_gui.pages.compare.canvas import CompareCanvas
from quantvsr_gui.pages.compare.choice import Choice
from quantvsr_gui.pages.compare.difference import GAINS, difference, heat_colours, legend_colours
from quantvsr_gui.pages.compare.frames import Frames, Lru, picture_of, pixels_of
from quantvsr_gui.pages.compare.loupe import value_at
from quantvsr_gui.pages.compare.place import Place, places
from quantvsr_gui.pages.compare.slot import Difference, Looks, Slot
from quantvsr_gui.pages.compare.state import View, next_zoom
from quantvsr_gui.shell.tokens import LIGHT


def bgrx(height=12, width=16, seed=0):
    made = np.random.default_rng(seed).integers(0, 256, (height, width, 4), np.uint8)
    made[..., 3] = 255
    return made


@pytest.fixture
def frames(tmp_path):
    store = FrameStore(tmp_path)
    for index in range(5):
        store.version("a").write(index, bgrx(seed=index)[..., 2::-1])
    return Frames(tmp_path)


# Frames


def test_a_frame_is_mapped_not_copied_and_equals_what_was_written(frames):
    picture = frames.picture("a", 3)
    assert np.array_equal(picture.pixels, bgrx(seed=3))
    assert isinstance(picture.pixels.base, np.memmap) or isinstance(picture.pixels, np.memmap)
    assert frames.picture("a", 3) is picture
    assert QColor(picture.image.pixel(2, 1)).getRgb()[:3] == tuple(int(v) for v in bgrx(seed=3)[1, 2, 2::-1])
    assert frames.picture("a", 9) is None
    assert frames.picture("b", 0) is None


def test_packed_frames_are_shown_too(frames, tmp_path):
    compress(FrameStore(tmp_path).version("a"), quality=100)
    frames.rescan()
    picture = frames.picture("a", 0)
    assert picture.size == (16, 12)
    assert np.abs(picture.pixels.astype(int) - bgrx(seed=0)).mean() < 4


def test_a_frame_whose_file_went_away_is_no_frame(frames):
    stored = frames.indices("a")[1]
    stored.path.unlink()
    assert frames.picture("a", 1) is None
    assert 1 not in frames.indices("a")


def test_computed_pictures_take_a_bounded_memory():
    kept = Lru(most=9, memory=3 * 12 * 16 * 4)
    pictures = [kept.get(n, lambda n=n: picture_of(bgrx(seed=n), n)) for n in range(5)]
    assert kept.get(4, lambda: None) is pictures[4]
    assert kept.get(2, lambda: None) is pictures[2]
    made = []
    kept.get(1, lambda: made.append(1) or picture_of(bgrx(seed=1), 1))
    assert made == [1]


def test_qt_and_numpy_agree_on_pixels():
    made = bgrx(5, 7)
    assert np.array_equal(pixels_of(picture_of(made, "x").image), made)


# Differences


@pytest.mark.parametrize("gain", GAINS)
@pytest.mark.parametrize("kind", ["absolute", "signed", "heat"])
def test_differences_are_what_they_say(kind, gain):
    a, b = bgrx(seed=1), bgrx(seed=2)
    found = difference(a, b, kind, gain)
    apart = a[..., :3].astype(int) - b[..., :3]
    if kind == "absolute":
        assert np.array_equal(found[..., :3], np.minimum(np.abs(apart) * gain, 255))
    elif kind == "signed":
        assert np.array_equal(found[..., :3], np.clip(np.floor_divide(apart * gain, 2) + 128, 0, 255))
    else:
        level = np.minimum(np.abs(apart).max(-1) * gain, 255)
        assert np.array_equal(found.view(np.uint32)[..., 0], heat_colours()[level])
    assert (found[..., 3] == 255).all()


@pytest.mark.parametrize("step", [1, 2, 3])
@pytest.mark.parametrize("kind", ["absolute", "signed", "heat"])
def test_a_difference_is_computed_only_where_and_as_finely_as_it_is_seen(kind, step):
    a, b = bgrx(30, 44, 1), bgrx(30, 44, 2)
    whole = difference(a, b, kind, 4)
    slot = Slot("a", picture_of(a, "a"), Difference(picture_of(b, "b"), kind, 4))
    part = Looks().part(slot, QRect(6, 3, 60, 20), step)
    assert np.array_equal(pixels_of(part), whole[3:23:step, 6::step])


def test_a_shrunk_difference_at_rest_is_that_of_all_pixels(canvas):
    a, b = bgrx(80, 160, 1), bgrx(80, 160, 2)
    slot = Slot("a", picture_of(a, "a"), Difference(picture_of(b, "b"), "absolute", 1))
    canvas.set_slots({0: slot}, (160, 80))
    canvas.set_view(View(mode="single", zoom=0.25))
    moving = drawn(canvas)
    canvas._calm.stop()
    rest = drawn(canvas)
    whole = canvas.places()[0].target().toRect()
    part = (slice(whole.top() + 10, whole.bottom()), slice(whole.left() + 30, whole.right()))
    mean = np.abs(a[..., :3].astype(int) - b[..., :3]).mean()
    assert rest[part][..., :3].mean() == pytest.approx(mean, abs=4)
    # All pixels are averaged at rest; in motion some are picked.
    assert rest[part][..., :3].std() < 0.6 * moving[part][..., :3].std()


def test_no_difference_is_black_grey_or_violet():
    a = bgrx()
    assert not difference(a, a, "absolute", 16)[..., :3].any()
    assert (difference(a, a, "signed", 16)[..., :3] == 128).all()
    assert (difference(a, a, "heat", 16).view(np.uint32)[..., 0] == heat_colours()[0]).all()


def test_lightness_of_the_heat_map_only_rises():
    colours = heat_colours().view(np.uint8).reshape(-1, 4).astype(float)
    light = colours[:, 2] * 0.2126 + colours[:, 1] * 0.7152 + colours[:, 0] * 0.0722
    assert (np.diff(light) > -0.5).all()  # rounded to bytes
    assert (np.diff(light[::8]) > 2).all()


@pytest.mark.parametrize("gain", GAINS)
@pytest.mark.parametrize("kind", ["absolute", "signed", "heat"])
def test_the_scale_has_the_colours_of_the_difference(kind, gain):
    # One picture holds every difference from -255 to 255, in all channels alike.
    apart = np.arange(-255, 256)
    a, b = (np.full((1, 511, 4), 255, np.uint8) for _ in range(2))
    a[0, :, :3] = np.maximum(apart, 0)[:, None]
    b[0, :, :3] = np.maximum(-apart, 0)[:, None]
    found = difference(a, b, kind, gain).view(np.uint32)[0, :, 0]
    level = (
        np.clip(apart * gain // 2 + 128, 0, 255) if kind == "signed" else np.minimum(abs(apart) * gain, 255)
    )
    assert np.array_equal(found, legend_colours(kind)[level])


def test_a_difference_is_drawn_with_its_scale(canvas):
    a, b = bgrx(80, 160, 1), bgrx(80, 160, 2)
    slot = Slot("a", picture_of(a, "a"), Difference(picture_of(b, "b"), "heat", 4))
    canvas.set_view(View(mode="single", zoom=0.25))
    canvas.set_slots({0: slot}, (160, 80))
    corner = drawn(canvas)[-32:-8, -160:].view(np.uint32)[..., 0]
    scale = set(legend_colours("heat").tolist())
    assert len(scale & set(corner.ravel().tolist())) > 60
    canvas.set_slots({0: Slot("a", picture_of(a, "a"))}, (160, 80))
    corner = drawn(canvas)[-32:-8, -160:].view(np.uint32)[..., 0]
    assert not scale & set(corner.ravel().tolist())


def test_words_that_do_not_fit_a_choice_end_in_dots(qtbot):
    choice = Choice("Version", least=4)
    qtbot.addWidget(choice)
    choice.addItem("W" * 40)
    narrow = choice.sizeHint().width()
    choice.addItem("i")
    assert choice.sizeHint().width() == narrow
    choice.resize(narrow, choice.sizeHint().height())
    whole = pixels_of(choice.grab().toImage())
    choice.setItemText(0, "W" * 60)
    # Longer words look no different: they end in the same place.
    assert np.array_equal(pixels_of(choice.grab().toImage()), whole)
    choice.show()
    choice.showPopup()
    assert choice.view().width() > choice.width()
    choice.hidePopup()
    choice.close()


# Geometry


@given(
    st.integers(1, 4),
    st.integers(80, 1600),
    st.integers(80, 1200),
    st.integers(16, 4000),
    st.integers(16, 4000),
    st.sampled_from([None, 0.1, 1.0, 6.0]),
    st.sampled_from([1.0, 1.5, 2.0]),
)
def test_pictures_lie_inside_beside_each_other_in_the_middle(count, width, height, w, h, zoom, ratio):
    found = places(View(zoom=zoom), range(count), (w, h), (width, height), ratio)
    boxes = [place.box for place in found.values()]
    assert len(boxes) == count
    space = QRect(0, 0, width, height)
    assert all(space.contains(box) for box in boxes)
    assert not any(a.intersects(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert len({(box.width(), box.height()) for box in boxes}) == 1
    whole = QRect().united(boxes[0]).united(boxes[-1])
    for box in boxes:
        whole = whole.united(box)
    assert abs(whole.center().x() - space.center().x()) <= 1
    assert abs(whole.center().y() - space.center().y()) <= 1
    # No room is left around a picture that could be shown.
    place = found[0]
    assert place.box.width() <= place.target().width() + 1
    assert place.box.height() <= place.target().height() + 1
    if zoom is None:
        assert place.zoom * w / ratio <= place.box.width() + 1
        assert place.zoom * h / ratio <= place.box.height() + 1


@given(
    st.integers(8, 400),
    st.integers(8, 400),
    st.sampled_from([0.3, 1.0, 2.0, 7.0]),
    st.floats(0, 1),
    st.floats(0, 1),
    st.sampled_from([1.0, 1.5, 2.0]),
)
def test_a_pixel_is_found_where_it_is_drawn(width, height, zoom, x, y, ratio):
    place = Place(QRect(10, 20, 200, 150), width, height, zoom, x, y, ratio)
    source, target = place.part(width, height)
    assert source.width() >= 1
    assert target.left() * ratio == pytest.approx(round(target.left() * ratio), abs=1e-3) or source.left() > 0
    middle = QPointF(
        target.left() + target.width() * (0.5 / source.width()), target.top() + 0.5 * zoom / ratio
    )
    if place.box.contains(middle.toPoint()):
        assert place.pixel(middle) == (int(source.left()), int(source.top()))


def test_zoom_steps_go_there_and_back():
    zoom = 0.37
    for _ in range(40):
        zoom = next_zoom(zoom, 1)
    assert zoom == 32
    assert next_zoom(1.0, 1) == 2.0
    assert next_zoom(next_zoom(4.0, 1), -1) == 4.0
    assert next_zoom(0.01, -1) == 0.0625


# The canvas


@pytest.fixture
def canvas(qtbot):
    made = CompareCanvas()
    qtbot.addWidget(made)
    made.resize(320, 180)
    made.show()
    qtbot.waitExposed(made)
    yield made
    made.close()


def drawn(canvas):
    return pixels_of(canvas.grab().toImage())


def slots(*seeds):
    return {n: Slot(f"v{n}", picture_of(bgrx(40, 60, seed), (n, seed))) for n, seed in enumerate(seeds)}


def test_one_to_one_is_exact_and_above_it_every_pixel_is_a_block(canvas):
    canvas.set_slots(slots(1), (60, 40))
    canvas.set_view(View(mode="single", zoom=1.0))
    whole = canvas.places()[0].target()
    left, top = int(whole.left()), int(whole.top())
    part = drawn(canvas)[top : top + 40, left : left + 60]
    # The label covers the top.
    assert np.array_equal(part[33:], bgrx(40, 60, 1)[33:])
    canvas.set_view(View(mode="single", zoom=4.0, x=0.5, y=1.0))
    source, target = canvas.places()[0].part(60, 40)
    picture = drawn(canvas)
    # Between the label and the frame around what has the focus.
    for row in range(12, 36):
        y = int(target.top()) + 4 * row
        for column in (3, 9):
            x = int(target.left()) + 4 * column
            block = picture[y : y + 4, x : x + 4][:, :, :3]
            want = bgrx(40, 60, 1)[int(source.top()) + row, int(source.left()) + column, :3]
            assert (block == want).all()


def test_blinking_shows_one_version_after_the_other_and_nothing_between(canvas, qtbot):
    canvas.set_slots(slots(1, 2), (60, 40))
    canvas.set_view(View(mode="single", zoom=1.0, active=0))
    seen = []
    canvas.view_changed.connect(lambda view: seen.append(view.active))
    first = drawn(canvas)
    qtbot.keyClick(canvas, "2")
    second = drawn(canvas)
    qtbot.keyClick(canvas, "1")
    assert seen == [1, 0]
    assert np.array_equal(drawn(canvas), first)
    assert not np.array_equal(second[85:95], first[85:95])
    qtbot.keyClick(canvas, "4")
    assert seen == [1, 0]


def test_an_empty_place_has_the_ground_of_the_canvas(canvas):
    canvas.set_tokens(LIGHT)
    canvas.set_slots(slots(1, 2) | {2: Slot("v2", reason="Not rendered yet")}, (60, 40))
    canvas.set_view(View())
    picture, box = drawn(canvas), canvas.places()[2].box
    ground = picture[box.top() + 60, box.left() - 2]  # between two places
    # Where neither its label nor its words are: the words must stand out from it.
    assert np.array_equal(picture[box.bottom() - 4, box.right() - 4], ground)


def test_a_wipe_shows_both_sides_of_the_line(canvas):
    canvas.set_slots(slots(1, 2), (60, 40))
    canvas.set_view(View(mode="wipe", zoom=2.0, left=0, active=1, wipe=0.5))
    whole = canvas.places()[0].target()
    picture = drawn(canvas)
    y = int(whole.top()) + 60
    want = [bgrx(40, 60, seed) for seed in (1, 2)]
    assert (picture[y, int(whole.left()) + 20] == want[0][30, 10]).all()
    assert (picture[y, int(whole.left()) + 100] == want[1][30, 50]).all()


def test_dragging_moves_all_pictures_and_the_wheel_keeps_the_place(canvas, qtbot):
    canvas.set_slots(slots(1, 2), (60, 40))
    canvas.set_view(View(zoom=8.0))
    before = canvas.places()[0].pixel(QPointF(30, 50))
    canvas.show_zoom(16.0, QPointF(30, 50))
    assert canvas.places()[0].pixel(QPointF(30, 50)) == before
    canvas.set_view(View(zoom=8.0))
    from PySide6.QtCore import QPoint, Qt

    qtbot.mousePress(canvas, Qt.MouseButton.LeftButton, pos=QPoint(30, 50))
    qtbot.mouseMove(canvas, QPoint(46, 50))
    qtbot.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=QPoint(46, 50))
    assert canvas.places()[0].pixel(QPointF(46, 50)) == before
    second = canvas.places()[1].box.x()
    assert canvas.places()[1].pixel(QPointF(second + 46, 50)) == before


def test_the_pixel_under_the_pointer_is_told(canvas, qtbot):
    canvas.set_slots(slots(1), (60, 40))
    canvas.set_view(View(zoom=2.0))
    told = []
    canvas.pointed.connect(told.append)
    whole = canvas.places()[0].target()
    from PySide6.QtCore import QPoint

    qtbot.mouseMove(canvas, QPoint(int(whole.left()) + 21, int(whole.top()) + 31))
    assert told[-1] == (10, 15)
    picture = canvas.slots[0].picture
    assert value_at(picture, (10, 15), (60, 40)) == tuple(int(v) for v in bgrx(40, 60, 1)[15, 10, 2::-1])
    small = picture_of(bgrx(10, 15, 5), "small")
    assert value_at(small, (59, 39), (60, 40)) == tuple(int(v) for v in bgrx(10, 15, 5)[9, 14, 2::-1])

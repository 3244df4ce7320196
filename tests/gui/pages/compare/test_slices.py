"""The line and what is seen along it through time: geometry, sampling, dragging, keys."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QPoint, QPointF, Qt

from quantvsr.preview.store import FrameStore
from quantvsr_gui.pages.compare.canvas import CompareCanvas
from quantvsr_gui.pages.compare.frames import Frames, picture_of
from quantvsr_gui.pages.compare.gestures import ends
from quantvsr_gui.pages.compare.line import Line, luma_along
from quantvsr_gui.pages.compare.slice_panel import SlicePanel
from quantvsr_gui.pages.compare.slice_view import SliceView
from quantvsr_gui.pages.compare.slices import Slice, common_scale, grey, slice_through
from quantvsr_gui.pages.compare.slot import Slot
from quantvsr_gui.pages.compare.state import View

WIDTH, HEIGHT = 80, 60
part = st.floats(0, 1, allow_nan=False)
lines = st.builds(Line, part, part, part, part)


def wave(x, y, frame=0):
    """A plane wave that moves 3 pixels to the right and 1 down each frame: brightness at places in pixels."""
    return 127.5 + 100 * np.sin(2 * np.pi * ((x - 3 * frame) / 24 + (y - frame) / 40))


def picture(frame):
    """The wave as an (H, W, 3) grey picture; its pixels' middles are at 0.5, 1.5, ..."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    return np.rint(np.repeat(wave(x, y, frame)[..., None], 3, axis=2)).astype(np.uint8)


@pytest.fixture
def frames(tmp_path):
    store = FrameStore(tmp_path)
    for frame in range(8):
        store.version("a").write(frame, picture(frame))
        store.version("small").write(frame, picture(frame)[::4, ::4])
    return Frames(tmp_path)


# The line


@given(lines, st.floats(-2, 2), st.floats(-2, 2))
def test_a_line_moves_as_a_whole_and_stays_on_the_picture(line, dx, dy):
    moved = line.moved(dx, dy)
    assert moved.x1 - moved.x0 == pytest.approx(line.x1 - line.x0)
    assert moved.y1 - moved.y0 == pytest.approx(line.y1 - line.y0)
    assert all(-1e-9 <= each <= 1 + 1e-9 for each in (moved.x0, moved.y0, moved.x1, moved.y1))


@given(lines, st.sampled_from([0, 1]))
def test_a_snapped_line_has_a_multiple_of_45_degrees(line, end):
    snapped = line.snapped(end, WIDTH, HEIGHT)
    dx, dy = (snapped.x1 - snapped.x0) * WIDTH, (snapped.y1 - snapped.y0) * HEIGHT
    assert min(abs(dx), abs(dy), abs(abs(dx) - abs(dy))) == pytest.approx(0, abs=1e-6)
    kept = (line.x0, line.y0) if end else (line.x1, line.y1)
    assert kept == ((snapped.x0, snapped.y0) if end else (snapped.x1, snapped.y1))


def test_level_and_upright_go_through_the_middle():
    line = Line(0.2, 0.1, 0.6, 0.5)
    assert line.level() == Line(0.0, 0.3, 1.0, 0.3)
    assert line.upright() == Line(0.4, 0.0, 0.4, 1.0)
    assert not line.level().steep(WIDTH, HEIGHT)
    assert line.upright().steep(WIDTH, HEIGHT)
    # As steep as it is seen, not as the numbers say.
    assert Line(0, 0, 0.5, 0.6).steep(100, 100)
    assert not Line(0, 0, 0.5, 0.6).steep(200, 100)


# Along the line


@given(st.integers(0, HEIGHT - 1), st.integers(0, WIDTH - 1))
def test_a_row_and_a_column_are_the_pixels_themselves(row, column):
    made = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 4), np.uint8)
    luma = made[..., :3].astype(np.float64) @ (0.0722, 0.7152, 0.2126)
    level = Line(0, (row + 0.5) / HEIGHT, 1, (row + 0.5) / HEIGHT)
    assert luma_along(made, level) == pytest.approx(luma[row], abs=0.01)
    upright = Line((column + 0.5) / WIDTH, 0, (column + 0.5) / WIDTH, 1)
    assert luma_along(made, upright) == pytest.approx(luma[:, column], abs=0.01)


@given(lines)
def test_any_line_finds_the_wave_that_is_there(line):
    pixels = np.dstack([picture(0), np.full((HEIGHT, WIDTH), 255, np.uint8)])
    found = luma_along(pixels, line)
    length = np.hypot((line.x1 - line.x0) * WIDTH, (line.y1 - line.y0) * HEIGHT)
    assert len(found) == max(round(length), 2)
    along = (np.arange(len(found)) + 0.5) / len(found)
    # At the border, half a pixel, the outermost pixels are continued.
    x = np.clip((line.x0 + (line.x1 - line.x0) * along) * WIDTH, 0.5, WIDTH - 0.5)
    y = np.clip((line.y0 + (line.y1 - line.y0) * along) * HEIGHT, 0.5, HEIGHT - 0.5)
    # The largest error of bilinear interpolation of a sine: 100 (2 pi)^2 / 8 (1 / 24^2 + 1 / 40^2), rounding.
    assert np.abs(found - wave(x, y)).max() < 1.9


@pytest.mark.parametrize("line", [Line(0.1, 0.2, 0.9, 0.7), Line(0.8, 0.9, 0.3, 0.05), Line(0, 0.5, 1, 0.5)])
def test_a_slice_shows_how_the_pattern_moves(frames, line):
    values = slice_through(frames, "a", range(8), line)
    along = (np.arange(values.shape[1]) + 0.5) / values.shape[1]
    x = np.clip((line.x0 + (line.x1 - line.x0) * along) * WIDTH, 0.5, WIDTH - 0.5)
    y = np.clip((line.y0 + (line.y1 - line.y0) * along) * HEIGHT, 0.5, HEIGHT - 0.5)
    for frame in range(8):
        assert np.abs(values[frame] - wave(x, y, frame)).max() < 1.9


def test_missing_frames_and_smaller_versions(frames):
    values = slice_through(frames, "a", [0, 2, 99], Line())
    assert values.shape == (3, WIDTH)
    assert np.isnan(values[2]).all()
    assert slice_through(frames, "small", [0], Line()).shape == (1, WIDTH // 4)
    assert slice_through(frames, "none", [0], Line()).size == 0


def test_all_slices_have_one_grey_scale():
    dark = Slice("a", 0, np.asarray([[20, 60], [np.nan, np.nan]], np.float32))
    light = Slice("b", 1, np.asarray([[100, 220]], np.float32))
    scale = common_scale([dark, light])
    assert scale == (20, 220)
    pixels = grey(dark.values, scale, 0xFF123456)
    assert pixels[0].tolist() == [[0, 0, 0, 255], [51, 51, 51, 255]]
    assert pixels[1, 0].tolist() == [0x56, 0x34, 0x12, 255]
    assert grey(light.values, scale, 0)[0, 1].tolist() == [255, 255, 255, 255]
    low, high = common_scale([Slice("c", 0, np.full((2, 2), 50, np.float32))])
    assert high - low == 8


# In the widgets


@pytest.mark.parametrize("steep", [False, True])
def test_a_click_on_a_slice_seeks(qtbot, frames, steep):
    view = SliceView()
    qtbot.addWidget(view)
    view.resize(200, 100)
    values = slice_through(frames, "a", range(5), Line())
    view.show_slices([Slice("A", 0, values), Slice("B", 1, values)], range(5), steep)
    # Across the picture time runs down; down the picture, to the right.
    assert view.pictures[0].size == ((5, WIDTH) if steep else (WIDTH, 5))
    with qtbot.waitSignal(view.sought) as sought:
        qtbot.mouseClick(view, Qt.MouseButton.LeftButton, pos=QPoint(90, 75))
    assert sought.args == [4 if steep else 3]
    with qtbot.waitSignal(view.stepped) as stepped:
        qtbot.keyClick(view, Qt.Key.Key_Down)
    assert stepped.args == [1]
    view.grab()


@pytest.fixture
def canvas(qtbot):
    made = CompareCanvas()
    qtbot.addWidget(made)
    made.resize(330, 140)
    made.show()
    qtbot.waitExposed(made)
    pixels = np.full((HEIGHT, WIDTH, 4), 128, np.uint8)
    made.set_slots({n: Slot(f"v{n}", picture_of(pixels, n)) for n in (0, 1)}, (WIDTH, HEIGHT))
    made.set_view(View(sliced=True, line=Line(0.25, 0.25, 0.75, 0.5)))
    yield made
    made.close()


def drag(qtbot, canvas, start, by, modifier=Qt.KeyboardModifier.NoModifier):
    start, goal = start.toPoint(), (start + by).toPoint()
    qtbot.mousePress(canvas, Qt.MouseButton.LeftButton, pos=start)
    qtbot.mouseMove(canvas, goal)
    qtbot.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=goal)


@pytest.mark.parametrize("slot", [0, 1])
def test_the_line_and_both_its_ends_can_be_dragged_on_any_picture(canvas, qtbot, slot):
    whole = canvas.places()[slot].target()
    begin, end = ends(canvas.view.line, canvas.places()[slot])
    step = QPointF(0.1 * whole.width(), 0.2 * whole.height())
    near = pytest.approx
    drag(qtbot, canvas, end, step)
    line = canvas.view.line
    assert (line.x0, line.y0) == (0.25, 0.25)
    assert (line.x1, line.y1) == (near(0.85, abs=0.02), near(0.7, abs=0.02))
    drag(qtbot, canvas, begin, -step)
    line = canvas.view.line
    assert (line.x0, line.y0) == (near(0.15, abs=0.02), near(0.05, abs=0.02))
    begin, end = ends(line, canvas.places()[slot])
    drag(qtbot, canvas, (begin + end) / 2, step / 2)
    moved = canvas.view.line
    assert (moved.x0, moved.y1) == (near(line.x0 + 0.05, abs=0.02), near(line.y1 + 0.1, abs=0.02))
    assert moved.x1 - moved.x0 == near(line.x1 - line.x0)
    assert moved.y1 - moved.y0 == near(line.y1 - line.y0)
    # Beside the line the picture is moved.
    drag(qtbot, canvas, whole.bottomLeft() + QPointF(6, -6), QPointF(9, -9))
    assert canvas.view.line == moved
    assert canvas.view.zoom is not None


def test_keys_move_the_line_and_bring_it_back_to_a_row(canvas, qtbot):
    shift, far = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.ControlModifier
    qtbot.keyClick(canvas, Qt.Key.Key_Right, shift)
    assert canvas.view.line.x0 == pytest.approx(0.25 + 1 / WIDTH)
    qtbot.keyClick(canvas, Qt.Key.Key_Up, shift | far)
    assert canvas.view.line.y0 == pytest.approx(0.25 - 10 / HEIGHT)
    qtbot.keyClick(canvas, Qt.Key.Key_V)
    assert canvas.view.line.upright() == canvas.view.line
    qtbot.keyClick(canvas, Qt.Key.Key_H)
    assert canvas.view.line == Line(0, 0.5, 1, 0.5)
    stepped = []
    canvas.stepped.connect(stepped.append)
    canvas.set_view(View())
    qtbot.keyClick(canvas, Qt.Key.Key_Right, shift)
    assert stepped == [1]
    assert canvas.view.line == Line()


def test_the_line_can_be_typed(qtbot):
    panel = SlicePanel()
    qtbot.addWidget(panel)
    panel.show_line(Line(0.25, 0.5, 0.75, 0.1), (WIDTH, HEIGHT))
    assert [field.value() for field in panel.fields.values()] == [20, 30, 60, 6]
    told = []
    panel.moved.connect(told.append)
    panel.fields["y1"].setValue(60)
    assert told == [Line(0.25, 0.5, 0.75, 1.0)]
    panel.level.click()
    assert told[-1] == Line(0, 0.3, 1, 0.3)


def test_slices_of_the_page_follow_the_line(page, qtbot):
    page.viewing.set_view(sliced=True)
    assert page.view.tabs.currentIndex() == page.view.SLICES
    view = page.view.slices.view
    qtbot.waitUntil(lambda: len(view.slices) == 3)
    assert [each.label for each in view.slices] == ["Low-quality input", "Full precision", "Ground truth"]
    line = Line(0.1, 0.9, 0.8, 0.2)
    page.viewing.set_view(line=line)
    want = luma_along(page.screen.frames.picture(page.screen.key("fp"), 3).pixels, line)
    qtbot.waitUntil(lambda: view.slices[1].values.shape == (6, len(want)))
    assert np.array_equal(view.slices[1].values[3], want)
    assert "frames 1 to 6" in page.view.slices.words.toolTip()
    view.sought.emit(4)
    assert page.screen.frame == 4
    page.view.slices.upright.click()
    assert page.view.canvas.view.line == line.upright()
    # Taken away, and found in the same place when its tab is chosen again.
    page.view.slice.setChecked(False)
    page.view.tabs.setCurrentIndex(0)
    page.view.tabs.setCurrentIndex(page.view.SLICES)
    assert page.view.canvas.view.sliced
    assert page.view.canvas.view.line == line.upright()

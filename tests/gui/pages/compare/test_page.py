"""The page: what is shown, time, rendering, figures, changed layers. The engine is a stand-in."""

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, QRect, Qt

from quantvsr.jobs import PreviewJob, QuantizeJob
from quantvsr.preview.store import FrameStore
from quantvsr.project import RunState
from quantvsr_gui.pages.compare import build
from quantvsr_gui.pages.compare.curves import Curve, CurvesPanel
from quantvsr_gui.pages.compare.frames import pixels_of
from quantvsr_gui.pages.compare.line import Line
from quantvsr_gui.pages.compare.playback import Playback
from quantvsr_gui.pages.compare.timeline import Scrubber


def shown(page, slot=0):
    return page.view.canvas.slots[slot]


def jobs(page):
    return [handle.job for handle in page.context.engines.preview.submitted]


def pixels(version, frame, width=64, height=48):
    seed = {"lq": 1, "bicubic": 2, "fp": 3, "gt": 4}.get(version, 9)
    picture = np.random.default_rng(seed).integers(0, 200, (height, width, 3), np.uint8)
    return picture + np.uint8(frame)


def test_without_clips_the_page_says_what_to_do(qtbot, context):
    made = build(context)
    qtbot.addWidget(made.page)
    assert made.view.stack.currentWidget() is made.view.empty
    assert made.job() is None


def test_input_full_precision_and_truth_are_chosen_first(page):
    assert page.screen.chosen == {0: "lq", 1: "fp", 2: "gt"}
    assert [shown(page, slot).label for slot in range(3)] == [
        "Low-quality input",
        "Full precision",
        "Ground truth",
    ]
    assert np.array_equal(shown(page, 1).picture.pixels[..., 2::-1], pixels("fp", 0))


def test_the_newest_run_is_offered_and_chosen(qtbot, context, clip, add_run, render):
    add_run("W5A5")
    checkpoint = add_run("W4A4")
    render("run", range(2), source=checkpoint)
    context.project.change("add a clip", clips=(clip,))
    made = build(context)
    qtbot.addWidget(made.page)
    assert made.screen.chosen == {0: "lq", 1: "fp", 2: "run:w4a4", 3: "gt"}
    assert np.array_equal(shown(made, 2).picture.pixels[..., 2::-1], pixels("run", 0))


def test_scrubbing_shows_frames_and_leaves_the_last_one_where_none_is(page):
    page.seek(4)
    assert np.array_equal(shown(page, 1).picture.pixels[..., 2::-1], pixels("fp", 4))
    page.seek(9)
    assert np.array_equal(shown(page, 1).picture.pixels[..., 2::-1], pixels("fp", 4))
    assert shown(page, 1).note == "still frame 5"
    assert page.view.time_label.text().startswith("10 of 12")
    page.seek(99)
    assert page.screen.frame == 11


def test_the_scrubber_marks_what_is_rendered_and_seeks(page, qtbot):
    scrubber = page.view.scrubber
    assert scrubber.spans() == [(0, 6)]
    x = (scrubber.width() - 16) * (3.5 / 12) + 8
    qtbot.mouseClick(scrubber, Qt.MouseButton.LeftButton, pos=QPoint(int(x), scrubber.height() // 2))
    assert page.screen.frame == 3
    qtbot.keyClick(scrubber, Qt.Key.Key_End)
    assert page.screen.frame == 11


def test_frame_at_a_place_is_the_one_drawn_there(qtbot):
    scrubber = Scrubber()
    qtbot.addWidget(scrubber)
    scrubber.resize(216, 28)
    scrubber.set_range(10, 30)
    assert [scrubber.frame_at(x) for x in (-50, 8, 17, 18, 207, 500)] == [10, 10, 10, 11, 29, 29]


def test_what_needs_no_model_is_rendered_by_itself(page, qtbot):
    page.seek(8)
    qtbot.waitUntil(lambda: len(jobs(page)) == 1)
    job = jobs(page)[0]
    assert isinstance(job, PreviewJob)
    assert job.versions == ("lq", "gt")
    assert (job.start, job.frames, job.measure) == (6, 5, False)


def test_rendering_shows_each_frame_when_it_is_whole(page, qtbot, render):
    page.seek(7)
    page.rendering.here()
    handle = page.context.engines.preview.submitted[-1]
    assert handle.job.versions == ("lq", "fp", "gt")
    assert (handle.job.start, handle.job.frames, handle.job.measure) == (5, 5, True)
    assert handle.job.first == 0
    handle.begin()
    handle.report(0.1, "render fp", "opening the model")
    assert shown(page, 1).note == "still frame 1"
    key = render("fp", range(7, 8))
    handle.report(0.5, "render fp", "frame 8", version="fp", key=key, frame=7)
    assert np.array_equal(shown(page, 1).picture.pixels[..., 2::-1], pixels("fp", 7))
    assert page.view.progress.value() == 500
    handle.succeed({"rendered": 1, "seconds": 0.5})
    assert not page.renderer.busy
    assert page.view.render_button.isEnabled()


def test_a_failure_is_said_in_place_and_can_be_tried_again(page):
    page.rendering.here()
    page.context.engines.preview.submitted[-1].fail("There is not enough memory.")
    assert page.view.messages.texts() == ["There is not enough memory."]
    assert not page.renderer.busy
    page.rendering.here()
    assert page.view.messages.texts() == []


def test_a_crash_is_left_to_the_window_to_tell(page):
    page.rendering.here()
    handle = page.context.engines.preview.submitted[-1]
    handle.begin()
    handle.report(0.5, "render fp", "frame 8")
    handle.fail("The engine crashed.", crashed=True)
    assert page.view.messages.texts() == [] and page.view.status.text() == ""
    assert page.view.render_button.isEnabled()


def test_a_newer_wish_replaces_the_older(page):
    page.rendering.here()
    first = page.context.engines.preview.submitted[-1]
    page.seek(4)
    page.rendering.here()
    assert ("cancel", first) in page.context.engines.preview.asked
    assert page.renderer.handle is page.context.engines.preview.submitted[-1]


def test_the_whole_clip_is_a_long_job(page):
    page.rendering.whole()
    handle = page.context.engines.work.submitted[-1]
    assert (handle.job.start, handle.job.frames) == (0, None)
    assert page.renderer.handle is handle
    assert not page.view.render_button.isVisible()
    assert page.view.cancel_button.isVisible()
    page.view.cancel_button.click()
    assert ("cancel", handle) in page.context.engines.work.asked
    assert page.view.render_button.isVisible()


def test_the_command_is_that_of_the_button(page):
    page.seek(3)
    page.rendering.here()
    job = page.job()
    sent = jobs(page)[-1]
    assert job.command().startswith("quantvsr preview ")
    assert (job.versions, job.start, job.frames) == (sent.versions, sent.start, sent.frames)


def test_a_difference_is_taken_against_the_chosen_version(page):
    page.viewing.set_view(difference="absolute", gain=2, reference=1)
    want = np.minimum(np.abs(pixels("gt", 0).astype(int) - pixels("fp", 0)) * 2, 255)
    made = page.view.canvas.looks.part(shown(page, 2), QRect(0, 0, 64, 48))
    assert np.array_equal(pixels_of(made)[..., 2::-1], want)
    assert shown(page, 1).difference is None
    assert shown(page, 1).note == "reference"
    assert shown(page, 0).difference is None
    assert shown(page, 0).note == "other size"
    assert page.view.gain.isVisible()
    page.viewing.set_view(difference="off")
    assert shown(page, 2).difference is None
    assert not page.view.gain.isVisible()


def test_buttons_follow_keys(page, qtbot):
    qtbot.keyClick(page.view.canvas, "2")
    assert page.view.mode_buttons["single"].isChecked()
    qtbot.mouseClick(page.view.mode_buttons["wipe"], Qt.MouseButton.LeftButton)
    assert page.view.canvas.view.mode == "wipe"
    qtbot.keyClick(page.view.canvas, "0")
    assert page.view.zoom_label.text() == "100%"
    qtbot.keyClick(page.view.canvas, Qt.Key.Key_F)
    assert page.view.canvas.view.zoom is None
    qtbot.keyClick(page.view.canvas, Qt.Key.Key_Right)
    assert page.screen.frame == 1


def test_pixel_values_of_all_versions_are_shown(page, qtbot):
    canvas = page.view.canvas
    place = canvas.places()[1]
    where = place.target().center()
    qtbot.mouseMove(canvas, where.toPoint())
    x, y = place.pixel(QPointF(where.toPoint()))
    red, green, blue = (int(v) for v in pixels("fp", 0)[y, x])
    assert f"x {x}  y {y}" in canvas.hint
    assert f"2  {red} {green} {blue}" in canvas.hint
    page.seek(3)
    red, green, blue = (int(v) for v in pixels("fp", 3)[y, x])
    assert f"2  {red} {green} {blue}" in canvas.hint


def test_curves_come_from_the_kept_figures_and_a_click_seeks(page, qtbot, render):
    project = page.context.project.project
    store = FrameStore(project.cache / "frames")
    gt, fp = page.screen.key("gt"), page.screen.key("fp")
    store.version(fp).add_values({f"psnr/{gt}": {0: 30.0, 1: 31.0, 4: 35.0}, f"warp_error/{gt}": {1: 2.5}})
    page.screen.forget_values()
    page._show_all()
    curves = page.view.curves
    assert "32.00" in curves.means.text()
    assert "2  Full precision: 32.00 dB" in curves.means.toolTip()
    curves.as_table.setChecked(True)
    assert [curves.model.value(line) for line in range(3)] == [
        (
            1,
            30.0,
        ),
        (2, 31.0),
        (5, 35.0),
    ]
    curves.as_table.setChecked(False)
    item = curves.plot.getPlotItem()
    qtbot.wait(20)
    curves.grab()
    where = item.vb.mapViewToScene(QPointF(5.1, 33))
    with qtbot.waitSignal(curves.sought):
        qtbot.mouseClick(
            curves.plot.viewport(), Qt.MouseButton.LeftButton, pos=curves.plot.mapFromScene(where)
        )
    assert page.screen.frame == 4
    curves.figure.setCurrentIndex(curves.figure.findData("warp_error"))
    assert "2.500" in curves.means.text()
    assert not curves.reference.isVisible()


def test_means_are_over_the_frames_that_all_versions_have(qtbot):
    panel = CurvesPanel()
    qtbot.addWidget(panel)
    panel.set_curves([Curve("A", 0, {0: 10.0, 1: 20.0, 2: 90.0}), Curve("B", 1, {1: 30.0, 0: 20.0})])
    assert panel.means.toolTip().splitlines()[:2] == ["1  A: 15.00 dB", "2  B: 25.00 dB"]
    assert "mean of 2 frames" in panel.means.text()
    panel.set_curves([Curve("A", 0, {}), Curve("B", 1, {})])
    assert panel.means.text() == ""
    assert "Measure rendered frames" in panel.none.text()
    panel.set_curves([])
    assert "choose bicubic" in panel.none.text()


def test_measured_means_are_kept_with_the_run(page, add_run, render):
    checkpoint = add_run("W4A4")
    key = render("run", range(4), source=checkpoint)
    page.screen.chosen[3] = "run:w4a4"
    page.choosing.refill()
    store = FrameStore(page.context.project.project.cache / "frames")
    gt, fp = page.screen.key("gt"), page.screen.key("fp")
    store.version(key).add_values({f"psnr/{gt}": {0: 30.0, 1: 31.0}, f"ssim/{fp}": {1: 0.5, 2: 0.7}})
    page.rendering.here()
    page.context.engines.preview.submitted[-1].succeed({"rendered": 0})
    assert page.context.project.run("w4a4").extra["figures"] == {
        "compare_psnr_gt": 30.5,
        "compare_ssim_fp": pytest.approx(0.6),
        "compare_frames": 3.0,
    }


def test_playing_follows_the_time_stamps(qtbot):
    playback = Playback()
    seen = []
    playback.frame_due.connect(lambda frame: seen.append((frame, playback)))
    times = [0.0, 0.02, 0.08, 0.1]
    playback.set_clip(times, 0, 4)
    playback.loop = False
    import time

    began = time.perf_counter()
    with qtbot.waitSignal(playback.changed, check_params_cb=lambda on: not on, timeout=5000):
        playback.play(0)
    took = time.perf_counter() - began
    assert seen[0][0] == 0
    assert [frame for frame, _ in seen] == sorted({frame for frame, _ in seen})
    assert took >= 0.115
    playback.loop = True
    seen.clear()
    playback.play(2)
    qtbot.waitUntil(lambda: len([f for f, _ in seen if f <= 1]) > 0)
    playback.pause()
    assert not playback.playing


def test_only_rendered_frames_are_played_around_the_playhead(page, qtbot):
    page.transport.play_or_pause()
    assert page.view.play_button.text() == "Pause"
    qtbot.waitUntil(lambda: page.screen.frame == 5)
    qtbot.waitUntil(lambda: page.screen.frame < 5)
    page.hidden()
    assert page.view.play_button.text() == "Play"
    assert not page.transport.playback.playing


def test_a_run_under_way_does_not_disturb_playing(page, add_run, qtbot):
    add_run("W4A4")
    project = page.context.project
    project.add_run("w5a5", "W5A5", QuantizeJob())
    page.transport.play_or_pause()
    for step in range(3):
        project.update_run("w5a5", state=RunState.RUNNING, message=f"step {step}")
    assert page.transport.playback.playing
    project.update_run("w4a4", name="renamed")
    assert page.transport.playback.playing
    page.transport.play_or_pause()
    assert page.view.slot_choices[0].findText("renamed") >= 0


def test_what_was_shown_last_is_shown_again(page, qtbot, context):
    page.seek(3)
    page.viewing.set_view(mode="wipe", wipe=0.25, difference="heat", gain=8, line=Line(0.25, 0, 1, 0.75))
    page.view.slot_choices[3].setCurrentIndex(page.view.slot_choices[3].findData("bicubic"))
    again = build(context)
    qtbot.addWidget(again.page)
    assert again.screen.frame == 3
    assert again.screen.chosen == {0: "lq", 1: "fp", 2: "gt", 3: "bicubic"}
    view = again.view.canvas.view
    assert (view.mode, view.wipe, view.difference, view.gain) == ("wipe", 0.25, "heat", 8)
    assert view.line == Line(0.25, 0, 1, 0.75)
    assert not view.sliced


@pytest.mark.parametrize(
    "kept",
    [
        {"view": {"mode": "cinema", "zoom": "x"}},
        {"view": {"line": [0.5, 2, "x", 1]}},
        {"slots": {"9": "lq", "a": 3}},
        {"frame": "x"},
    ],
)
def test_a_damaged_memory_does_no_harm(qtbot, context, clip, kept):
    context.project.change("add a clip", clips=(clip,))
    context.project.set_view("compare", **kept)
    made = build(context)
    qtbot.addWidget(made.page)
    assert made.view.canvas.view.mode == "side"
    assert made.view.canvas.view.line == Line()


def test_everything_has_an_accessible_name(page):
    from PySide6.QtWidgets import QAbstractButton, QComboBox, QSlider, QSpinBox

    page.viewing.set_view(mode="wipe", difference="heat", sliced=True)
    for kind in (QAbstractButton, QComboBox, QSlider, QSpinBox):
        for widget in page.page.findChildren(kind):
            named = widget.accessibleName() or (isinstance(widget, QAbstractButton) and widget.text())
            assert named or not widget.isVisible(), widget


def test_the_pixel_text_tells_how_far_versions_are_apart(page, qtbot):
    page.viewing.set_view(difference="signed", reference=1)
    want = pixels("gt", 0)[20, 30].astype(int) - pixels("fp", 0)[20, 30]
    words = page.screen.pixel_text((30, 20), page.view.canvas.slots)
    assert f"({' '.join(f'{each:+d}' if each else '0' for each in want)})" in words
    assert words.count("(") == 1


def test_a_wipe_between_any_two_versions(page, qtbot):
    page.viewing.set_view(mode="wipe")
    assert page.view.left.isVisible()
    page.view.left.setCurrentIndex(page.view.left.findData(2))
    page.view.active.setCurrentIndex(page.view.active.findData(0))
    assert page.view.canvas.visible_slots() == [2, 0]
    # The digit of the left one changes sides.
    qtbot.keyClick(page.view.canvas, "3")
    assert page.view.canvas.visible_slots() == [0, 2]
    page.viewing.set_view(mode="single")
    assert page.view.active.isVisible()
    assert not page.view.left.isVisible()


def test_one_version_alone_has_nothing_to_be_compared_with(page):
    for slot in (0, 2):
        page.view.slot_choices[slot].setCurrentIndex(0)
    assert page.screen.chosen == {1: "fp"}
    for made in (page.view.mode_buttons["wipe"], page.view.difference):
        assert not made.isEnabled()
        assert made.toolTip() == "Choose a second version above first"
    page.view.slot_choices[0].setCurrentIndex(1)
    assert page.view.mode_buttons["wipe"].isEnabled()


def test_a_file_that_went_away_is_said_in_place_and_found_again(page, clip, tmp_path):
    Path(clip.gt).rename(tmp_path / "elsewhere")
    page.shown()
    words = f"The ground truth is not where it was: {clip.gt}"
    assert shown(page, 2).reason == words
    assert page.view.messages.texts() == [f"{words}. Put it back, or choose another."]
    assert shown(page, 1).picture is not None
    # The others can still be rendered, and measured against what is there.
    assert page.job().versions == ("lq", "fp")
    (tmp_path / "elsewhere").rename(clip.gt)
    page.shown()
    assert page.view.messages.texts() == []
    assert shown(page, 2).picture is not None


def test_without_the_clip_nothing_is_shown_but_why(qtbot, context, clip):
    Path(clip.path).unlink()
    context.project.change("add a clip", clips=(clip,))
    made = build(context)
    qtbot.addWidget(made.page)
    assert made.view.canvas.empty_text == f"The clip is not where it was: {clip.path}"
    assert made.job() is None
    assert not made.view.render_button.isEnabled()


def test_frames_of_another_device_are_shown_until_newer_ones_come(page, render):
    project = page.context.project.project
    old, new = (page.screen.key("fp") + each for each in ("-cpu", "-cuda"))
    store = FrameStore(project.cache / "frames")
    (store.folder / page.screen.key("fp")).rename(store.folder / old)
    page.shown()
    assert page.screen.key("fp") == old
    assert np.array_equal(shown(page, 1).picture.pixels[..., 2::-1], pixels("fp", 0))
    page.rendering.here()
    store.version(new).write(0, pixels("cuda", 0))
    store.touch(new)
    handle = page.context.engines.preview.submitted[-1]
    handle.begin()
    handle.report(0.5, "render fp", "frame 1", version="fp", key=new, frame=0)
    assert np.array_equal(shown(page, 1).picture.pixels[..., 2::-1], pixels("cuda", 0))
    page.renderer.cancel()

"""The page: what is shown, time, rendering, figures, changed layers. The engine is a stand-in."""

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt

from quantvsr.jobs import PreviewJob, QuantizeJob, RepackJob
from quantvsr.jobs.options import Bits, LayerBits, LayerRank
from quantvsr.preview.store import FrameStore
from quantvsr.project import RunState
from quantvsr_gui.pages.compare import build
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
    page.set_view(difference="absolute", gain=2, reference=1)
    want = np.minimum(np.abs(pixels("gt", 0).astype(int) - pixels("fp", 0)) * 2, 255)
    assert np.array_equal(shown(page, 2).shown.pixels[..., 2::-1], want)
    assert shown(page, 1).shown is None
    assert shown(page, 0).shown is None
    assert "other size" in shown(page, 0).note
    assert page.view.gain.isVisible()
    page.set_view(difference="off")
    assert shown(page, 2).shown is None
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


def test_curves_come_from_the_kept_figures_and_a_click_seeks(page, qtbot, render):
    project = page.context.project.project
    store = FrameStore(project.cache / "frames")
    gt, fp = page.screen.key("gt"), page.screen.key("fp")
    store.version(fp).add_values({f"psnr/{gt}": {0: 30.0, 1: 31.0, 4: 35.0}, f"warp_error/{gt}": {1: 2.5}})
    page.screen.forget_values()
    page._show_all()
    curves = page.view.curves
    assert "2 Full precision: 32.00" in curves.means.text()
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


def test_measured_means_are_kept_with_the_run(page, add_run, render):
    checkpoint = add_run("W4A4")
    key = render("run", range(4), source=checkpoint)
    page.screen.chosen[3] = "run:w4a4"
    page._refill()
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


def test_slices_follow_the_dragged_line(page, qtbot):
    page.set_view(line=0.5)
    assert page.view.tabs.currentIndex() == 1
    qtbot.waitUntil(lambda: len(page.view.slices.strips()) == 3)
    canvas = page.view.canvas
    place = canvas.places()[1].target()
    start = QPoint(int(place.center().x()), int(place.top() + place.height() / 2))
    goal = QPoint(start.x(), int(place.top() + place.height() * 0.8))
    qtbot.mousePress(canvas, Qt.MouseButton.LeftButton, pos=start)
    qtbot.mouseMove(canvas, goal)
    qtbot.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=goal)
    assert canvas.view.line == pytest.approx(0.8, abs=0.02)
    row = int(canvas.view.line * 48)

    def right():
        strip = page.view.slices.strips()[1].picture.pixels
        return strip.shape == (6, 64, 4) and np.array_equal(strip[3, :, 2::-1], pixels("fp", 3)[row])

    qtbot.waitUntil(right)


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
    page.play_or_pause()
    assert page.view.play_button.text() == "Pause"
    qtbot.waitUntil(lambda: page.screen.frame == 5)
    qtbot.waitUntil(lambda: page.screen.frame < 5)
    page.hidden()
    assert page.view.play_button.text() == "Play"
    assert not page.playback.playing


def test_changed_layers_are_packed_again_and_the_same_frames_rendered(page, add_run, render, qtbot):
    context = page.context
    checkpoint = add_run("W4A4", layer_ranks=(LayerRank("b", 8),))
    render("run", range(6), source=checkpoint)
    page.screen.chosen[3] = "run:w4a4"
    page._refill()
    page.seek(2)
    assert page.view.messages.texts() == []
    context.project.change("set ranks", rank_overrides={"a": 16, "b": 8})
    context.project.change("set bits", bit_overrides={"c": Bits(8, 8)})
    assert page.view.messages.texts() == [
        "2 layers changed since W4A4 was made. See what it does to these frames:"
    ]
    page.trials.run()
    repack = jobs(page)[-1]
    assert isinstance(repack, RepackJob)
    assert repack.checkpoint == checkpoint
    assert repack.layer_ranks == (LayerRank("a", 16),)
    assert repack.layer_bits == (LayerBits("c", Bits(8, 8)),)
    before = shown(page, 3).picture
    trial = Path(repack.out) / "checkpoint.safetensors"
    trial.parent.mkdir(parents=True)
    trial.write_bytes(b"trial")
    context.engines.preview.submitted[-1].succeed({"checkpoint": str(trial), "changed": ["a", "c"]})
    # The picture of before stays until the new one is whole.
    assert shown(page, 3).picture is before
    assert shown(page, 3).label == "W4A4, 2 layers changed"
    assert shown(page, 3).note == "being rendered again"
    frames = jobs(page)[-1]
    assert isinstance(frames, PreviewJob)
    assert frames.versions == ("lq", "fp", "gt", str(trial))
    assert (frames.start, frames.frames) == (0, 5)
    key = render("trial", range(2, 3), source=str(trial))
    context.engines.preview.submitted[-1].report(0.9, "", "frame 3", version=str(trial), key=key, frame=2)
    assert np.array_equal(shown(page, 3).picture.pixels[..., 2::-1], pixels("trial", 2))
    assert not page.trials.possible
    context.engines.preview.submitted[-1].succeed({"rendered": 5, "seconds": 1})
    assert page.view.messages.texts() == ["W4A4 is shown with its changed layers, not trained."]
    page.trials.run(updates=30)
    longer = jobs(page)[-1]
    assert isinstance(longer, RepackJob)
    assert (longer.checkpoint, longer.updates) == (checkpoint, 30)
    assert longer.out != repack.out
    page.renderer.cancel()
    page.trials.back()
    assert shown(page, 3).label == "W4A4"
    assert page.trials.possible


def test_a_run_under_way_does_not_disturb_playing(page, add_run, qtbot):
    add_run("W4A4")
    project = page.context.project
    project.add_run("w5a5", "W5A5", QuantizeJob())
    page.play_or_pause()
    for step in range(3):
        project.update_run("w5a5", state=RunState.RUNNING, message=f"step {step}")
    assert page.playback.playing
    project.update_run("w4a4", name="renamed")
    assert not page.playback.playing
    assert page.view.slot_choices[0].findText("renamed") >= 0


def test_a_run_of_today_has_nothing_to_try(page, add_run):
    page.context.project.change("set ranks", rank_overrides={"a": 16})
    add_run("W4A4", layer_ranks=(LayerRank("a", 16),))
    page.screen.chosen[3] = "run:w4a4"
    assert not page.trials.possible
    assert isinstance(page.context.project.run("w4a4").request(), QuantizeJob)


def test_what_was_shown_last_is_shown_again(page, qtbot, context):
    page.seek(3)
    page.set_view(mode="wipe", wipe=0.25, difference="heat", gain=8)
    page.view.slot_choices[3].setCurrentIndex(page.view.slot_choices[3].findData("bicubic"))
    again = build(context)
    qtbot.addWidget(again.page)
    assert again.screen.frame == 3
    assert again.screen.chosen == {0: "lq", 1: "fp", 2: "gt", 3: "bicubic"}
    view = again.view.canvas.view
    assert (view.mode, view.wipe, view.difference, view.gain) == ("wipe", 0.25, "heat", 8)


@pytest.mark.parametrize(
    "kept", [{"view": {"mode": "cinema", "zoom": "x"}}, {"slots": {"9": "lq", "a": 3}}, {"frame": "x"}]
)
def test_a_damaged_memory_does_no_harm(qtbot, context, clip, kept):
    context.project.change("add a clip", clips=(clip,))
    context.project.set_view("compare", **kept)
    made = build(context)
    qtbot.addWidget(made.page)
    assert made.view.canvas.view.mode == "side"


def test_everything_has_an_accessible_name(page):
    from PySide6.QtWidgets import QAbstractButton, QComboBox, QSlider

    for kind in (QAbstractButton, QComboBox, QSlider):
        for widget in page.page.findChildren(kind):
            named = widget.accessibleName() or (isinstance(widget, QAbstractButton) and widget.text())
            assert named or not widget.isVisible(), widget

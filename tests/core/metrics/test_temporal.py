"""Motion, warping error, temporal difference and flicker, on scenes whose motion is known."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantvsr.errors import BadInput
from quantvsr.metrics import DisMotion, Meter, Motion, get_metric, luma, measure
from quantvsr.metrics.motion import sample, visible

TEMPORAL = ["warp_error", "temporal_difference"]


def scene(height=96, width=128, seed=0):
    """A smooth random picture in 0..1, (H, W, 3)."""
    rng = np.random.default_rng(seed)
    picture = cv2.GaussianBlur(rng.random((height, width, 3)), (0, 0), 2.0)
    return ((picture - picture.min()) / np.ptp(picture)).astype(np.float32)


def moving(frames=4, step=2, height=96, width=128):
    """A camera that moves right by `step` pixels a frame over a scene that is wider than the frame."""
    wide = scene(height, width + step * frames)
    return [wide[:, step * i : step * i + width] for i in range(frames)]


def test_dis_finds_a_known_motion():
    motion = DisMotion()
    assert motion.add(moving()[0]) is None
    found = motion.add(moving()[1])
    assert found is not None and found.flow.dtype == np.float32
    # The camera moves right, so the picture moves left; the band that leaves the frame is not visible.
    inside = found.flow[8:-8, 12:-8]
    np.testing.assert_allclose(np.median(inside, axis=(0, 1)), [-2, 0], atol=0.05)
    assert not found.visible[:, 0].any()
    assert found.visible[8:-8, 12:-8].mean() > 0.95


def test_motion_of_a_pair_does_not_depend_on_earlier_pairs():
    clip = moving(4)
    whole, short = DisMotion(), DisMotion()
    results = [whole.add(frame) for frame in clip]
    short.add(clip[2])
    again = short.add(clip[3])
    assert again is not None and results[3] is not None
    np.testing.assert_array_equal(again.flow, results[3].flow)


def test_warp_error_follows_motion_and_sees_flicker():
    clip = moving(4)
    steady = measure(clip, names=TEMPORAL)
    assert steady["warp_error"] < 0.05  # Interpolation and flow leave a little.
    assert steady["temporal_difference"] > 5
    bright = [np.clip(frame * 0.8 + (0.1 if i % 2 else 0.0), 0, 1) for i, frame in enumerate(clip)]
    flickering = measure(bright, clip, ["warp_error"])
    # A step of 0.1 on every pixel is an error of 0.01, ten thousandths.
    assert flickering["warp_error"] == pytest.approx(10.0, rel=0.05)


def test_independent_noise_adds_twice_its_variance():
    clip = [frame * 0.6 + 0.2 for frame in moving(6)]
    rng = np.random.default_rng(5)
    noisy = [frame + rng.normal(0, 0.05, frame.shape).astype(np.float32) for frame in clip]
    # Whole-pixel motion: hardly any averaging by interpolation; var 0.0025 twice is 5e-3.
    assert measure(noisy, clip, ["warp_error"])["warp_error"] == pytest.approx(5.0, rel=0.1)


def test_the_flow_is_that_of_the_reference():
    clip = moving(3)
    still = [clip[0]] * 3
    # A still picture judged along a moving reference is wrong, judged alone it is perfect.
    assert measure(still, clip, ["warp_error"])["warp_error"] > 1.0
    assert measure(still, None, ["warp_error"])["warp_error"] == 0.0


def test_occluded_pixels_do_not_count():
    back, patch = scene(96, 128, 1), scene(32, 32, 2)
    clip = []
    for i in range(2):
        frame = back.copy()
        frame[32:64, 20 + 8 * i : 52 + 8 * i] = patch
        clip.append(frame)
    motion = DisMotion()
    motion.add(clip[0])
    found = motion.add(clip[1])
    assert found is not None
    covered = found.visible[36:60, 53:59]  # Background that the patch hides in the later frame.
    assert covered.mean() < 0.5
    assert found.visible[70:90, 20:100].mean() > 0.9


def test_the_visibility_tests_one_by_one():
    still = np.zeros((8, 8, 2), np.float32)
    assert visible(still, still).all()
    out = still.copy()
    out[..., 0] = 3.0
    seen = visible(out, -out)
    assert seen[:, :5].all() and not seen[:, 5:].any()
    # No way back: |3 + 0|^2 = 9 > 0.01 * 9 + 0.5.
    assert not visible(out, still).any()
    torn = still.copy()
    torn[:, 4:, 1] = 0.5  # A step of half a pixel is a motion boundary.
    assert not visible(torn, -torn)[:, 3:5].any()
    assert visible(torn, -torn)[:4, 6:].all()


def test_sampling_is_bilinear():
    ramp = np.tile(np.arange(6, dtype=np.float32)[None, :, None] / 8, (4, 1, 3))
    flow = np.full((4, 6, 2), (0.5, 0.25), np.float32)
    np.testing.assert_allclose(sample(ramp, flow)[:, :5], ramp[:, :5] + 0.5 / 8, atol=1e-6)


def test_temporal_difference_and_flicker_are_mean_absolute_steps_of_luma():
    flat = np.full((8, 8, 3), 0.2, np.float32)
    steps = [flat, flat + np.float32(0.1), flat]
    assert measure(steps, names=["temporal_difference"])["temporal_difference"] == pytest.approx(
        21.9, abs=1e-3
    )
    assert measure(steps, [flat] * 3, ["flicker"])["flicker"] == pytest.approx(21.9, abs=1e-3)
    # An error that stands still is no flicker.
    assert measure([x + np.float32(0.3) for x in steps], steps, ["flicker"])["flicker"] == pytest.approx(
        0, abs=1e-4
    )


def test_one_frame_has_no_temporal_value():
    frame = scene(16, 16)
    assert measure([frame], [frame], [*TEMPORAL, "flicker"]) == dict.fromkeys([*TEMPORAL, "flicker"])


@given(height=st.integers(1, 40), width=st.integers(1, 40))
@settings(max_examples=15)
def test_every_size_can_be_measured(height, width):
    clip = [np.full((height, width, 3), 0.5, np.float32)] * 2
    assert measure(clip, clip, ["warp_error", "flicker"]) == {"warp_error": 0.0, "flicker": 0.0}


def test_the_border_is_left_out():
    clip = [np.full((16, 16, 3), 0.5, np.float32) for _ in range(2)]
    clip[1][:4] = clip[1][-4:] = 1.0
    clip[1][:, :4] = clip[1][:, -4:] = 1.0
    still = [np.full((16, 16, 3), 0.5, np.float32)] * 2
    got = measure(clip, still, ["warp_error", "flicker"], border=4)
    assert got == {"warp_error": 0.0, "flicker": 0.0}
    assert measure(clip, still, ["warp_error"])["warp_error"] > 100
    assert measure(clip, still, ["warp_error", "flicker"], border=8) == {"warp_error": None, "flicker": None}


def test_a_size_change_inside_a_clip_is_bad_input():
    clip = [scene(32, 32), scene(32, 40)]
    for name in TEMPORAL:
        with pytest.raises(BadInput, match="size changes"):
            measure(clip, names=[name])


def test_motion_of_another_size_or_none_is_bad_input():
    small = Motion(np.zeros((8, 8, 2), np.float32), np.ones((8, 8), bool))
    for motion, words in ((small, "different sizes"), (None, "motion")):
        part = get_metric("warp_error").function()
        part.add(scene(16, 16))
        with pytest.raises(BadInput, match=words):
            part.add(scene(16, 16), None, motion)


def test_a_hard_cut_has_little_say():
    a, b = scene(seed=1), scene(seed=2)
    meter = Meter(["warp_error"])
    values = [meter.add(frame)["warp_error"] for frame in (a, a, b, b)]
    assert values[0] is None and values[1] == values[3] == 0.0
    assert luma(a).shape == (96, 128)
    assert meter.result()["warp_error"] is not None

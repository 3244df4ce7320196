import numpy as np
import pytest

from quantvsr.calibration.clips import ArrayClip
from quantvsr.calibration.selection import busyness, choose_windows
from quantvsr.errors import BadInput


def clip(name: str, frames: int = 12, height: int = 40, width: int = 60, seed: int = 0) -> ArrayClip:
    """Left half flat and still, right half textured and moving."""
    array = np.full((frames, height, width, 3), 0.5, np.float32)
    array[:, :, width // 2 :] = np.random.default_rng(seed).random((frames, height, width - width // 2, 3))
    return ArrayClip(name, array)


CLIPS = [clip("a"), clip("b", frames=30, seed=1), clip("c", frames=3, seed=2)]


def test_one_seed_gives_one_choice():
    first, again = (choose_windows(CLIPS, 9, crop=16, seed=3) for _ in range(2))
    assert first == again
    assert choose_windows(CLIPS, 9, crop=16, seed=4) != first


def test_choices_lie_inside_their_clips():
    for choice in choose_windows(CLIPS, 20, crop=16, multiple=4):
        array = CLIPS[choice.clip].array
        assert 0 <= choice.start <= max(len(array) - 5, 0)
        assert 0 <= choice.y <= array.shape[1] - choice.height
        assert 0 <= choice.x <= array.shape[2] - choice.width
        assert choice.height == choice.width == 16


def test_every_clip_is_used_and_any_first_part_is_spread():
    choices = choose_windows(CLIPS, 9, crop=16)
    for part in (3, 6, 9):
        assert sorted(c.clip for c in choices[:part]) == sorted([0, 1, 2] * (part // 3))


def test_windows_are_spread_over_time():
    starts = sorted(c.start for c in choose_windows([clip("long", frames=105)], 10, crop=16))
    assert all(10 * i <= start < 10 * (i + 1) + 1 for i, start in enumerate(starts))


def test_busy_crops_are_favoured_but_flat_ones_are_included():
    choices = choose_windows([clip("half", frames=20)], 40, crop=12)
    busy = sum(c.x >= 30 for c in choices)
    flat = sum(c.x + c.width <= 30 for c in choices)
    assert busy > flat >= 4


def test_small_clips_are_taken_whole():
    choice = choose_windows([clip("small", height=22, width=13)], 1, crop=64, multiple=4)[0]
    assert (choice.height, choice.width) == (20, 12)
    with pytest.raises(BadInput, match="tiny is 3 x 8 pixels"):
        choose_windows([clip("tiny", height=8, width=3)], 1, multiple=4)
    with pytest.raises(BadInput, match="at least one clip"):
        choose_windows([], 1)


def test_more_clips_than_windows():
    assert len(choose_windows(CLIPS, 2, crop=16)) == 2


def test_busyness_sees_texture_and_motion_apart():
    still = np.random.default_rng(0).random((1, 8, 8, 3)).astype(np.float32)
    texture, motion = busyness(np.repeat(still, 3, 0))
    assert texture.mean() > 0.1
    assert motion.max() == 0
    texture, motion = busyness(
        np.linspace(0, 1, 4, dtype=np.float32)[:, None, None, None] * np.ones((4, 8, 8, 3), np.float32)
    )
    assert texture.max() == pytest.approx(0, abs=1e-6)
    assert motion == pytest.approx(1 / 3, rel=1e-5)
    assert busyness(still)[1].max() == 0


def test_reading_past_the_end_repeats_the_last_frame():
    short = CLIPS[2]
    window = short.read(1, 5)
    assert len(window) == 5
    np.testing.assert_array_equal(window[2:], np.stack([short.array[2]] * 3))
    assert short.digest != CLIPS[0].digest

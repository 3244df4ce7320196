"""Windows never mix scenes, and every frame comes out exactly once."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantvsr.media import CutDetector, Frame, TemporalWindow, blend_windows, iter_windows, open_clip

from .cases import OURS


def frames(count: int, scenes: tuple[int, ...] = ()) -> list[Frame]:
    """Tiny frames; the grey level jumps where a scene begins and else creeps."""
    level, result = 0.1, []
    for index in range(count):
        if index in scenes:
            level = 1.0 - level
        picture = np.full((4, 4, 3), level + index * 1e-4, np.float32)
        result.append(Frame(index, picture, Fraction(index, 24)))
    return result


settings_of_windows = st.integers(1, 7).flatmap(
    lambda length: st.tuples(st.just(length), st.integers(0, length - 1))
)


@given(st.integers(0, 40), settings_of_windows, st.sets(st.integers(1, 39)))
def test_every_frame_comes_out_once_in_order(count: int, setting: tuple[int, int], cuts: set[int]) -> None:
    length, overlap = setting
    given_frames = frames(count, tuple(cuts))
    windows = list(iter_windows(iter(given_frames), length, overlap))
    shares = np.zeros(count)
    scene_of = np.searchsorted(sorted(cuts), np.arange(count), side="right")
    for window in windows:
        assert window.length == len(window.indices) == len(window.weights) == len(window.frames) == length
        assert window.start == window.indices[0]
        assert all(0 <= step <= 1 for step in np.diff(window.indices))
        assert len({scene_of[index] for index in window.indices}) == 1
        for index, weight in zip(window.indices, window.weights, strict=True):
            shares[index] += weight
    np.testing.assert_allclose(shares, 1)
    blended = list(blend_windows((window, window.stack()) for window in windows))
    assert [frame.index for frame, _ in blended] == list(range(count))
    for frame, picture in blended:
        np.testing.assert_allclose(picture, frame.rgb, atol=1e-6)


@pytest.mark.parametrize(
    ("count", "starts"),
    [(1, [0]), (4, [0]), (5, [0]), (6, [0, 1]), (9, [0, 4]), (11, [0, 4, 6]), (13, [0, 4, 8])],
)
def test_windows_of_five_overlapping_by_one(count: int, starts: list[int]) -> None:
    assert [window.start for window in iter_windows(frames(count))] == starts


def test_short_clip_is_padded_by_repetition() -> None:
    (window,) = iter_windows(frames(2))
    assert window.indices == (0, 1, 1, 1, 1)
    assert window.weights == (1, 1, 0, 0, 0)


def test_overlap_is_shared_by_weight() -> None:
    first, second = iter_windows(frames(9))
    assert first.weights == (1, 1, 1, 1, 0.5)
    assert second.weights == (0.5, 1, 1, 1, 1)


def test_few_frames_are_held_at_a_time() -> None:
    given_out = 0

    def source() -> Iterator[Frame]:
        nonlocal given_out
        for frame in frames(200):
            given_out += 1
            yield frame

    ahead = [given_out - window.indices[0] for window in iter_windows(source(), 5, 1)]
    assert max(ahead) <= 15


def test_hard_cuts_part_the_windows() -> None:
    windows = list(iter_windows(open_clip(OURS / "cuts.mp4")))
    assert [window.indices for window in windows] == [
        (0, 1, 2, 3, 4),
        (2, 3, 4, 5, 6),
        (7, 8, 9, 10, 11),
        (9, 10, 11, 12, 13),
    ]
    together = list(iter_windows(open_clip(OURS / "cuts.mp4"), find_cuts=False))
    assert (4, 5, 6, 7, 8) in [window.indices for window in together]


def test_cut_detector_on_real_footage(media_folder: Path) -> None:
    def cuts(path: Path) -> list[int]:
        detector = CutDetector()
        return [frame.index for frame in open_clip(path, stop=48) if detector.is_cut(frame.rgb)]

    assert cuts(media_folder / "awkward" / "hard_cuts_every_7.mp4") == [7, 14]
    assert cuts(media_folder / "awkward" / "heavy_noise.mp4") == []
    assert cuts(media_folder / "building_lq.mp4") == []
    assert cuts(media_folder / "hk_tram_lq") == []


@pytest.mark.parametrize(("length", "overlap"), [(0, 0), (5, 5), (5, -1)])
def test_senseless_windows_are_refused(length: int, overlap: int) -> None:
    with pytest.raises(ValueError):
        list(iter_windows(frames(3), length, overlap))


def test_results_must_fit_the_window() -> None:
    window: TemporalWindow = next(iter(iter_windows(frames(5))))
    with pytest.raises(ValueError):
        list(blend_windows([(window, window.stack()[:4])]))

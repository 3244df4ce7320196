from fractions import Fraction

import numpy as np
import pytest

from quantvsr.errors import BadInput, QuantVSRError
from quantvsr.jobs.work import clips
from quantvsr.jobs.work.clips import LearnClip, Piece, bundled_clips, learn_clips, likely_frames
from quantvsr.media import probe


def read(piece):
    with piece.open() as reader:
        return list(piece.frames(reader))


def test_a_piece_has_its_own_numbers_and_the_clips_times(clip):
    whole, part = read(Piece(clip)), read(Piece(clip, start=2, count=3))
    assert [frame.index for frame in part] == [0, 1, 2]
    assert [frame.time for frame in part] == [frame.time for frame in whole[2:5]]
    assert all(np.array_equal(a.rgb, b.rgb) for a, b in zip(part, whole[2:5], strict=True))


def test_a_piece_is_cut_to_its_region(clip):
    whole, part = read(Piece(clip)), read(Piece(clip, region=(3, 5, 8, 6)))
    assert np.array_equal(part[0].rgb, whole[0].rgb[3:11, 5:11])
    with Piece(clip, region=(3, 5, 8, 6)).open() as reader:
        assert Piece(clip, region=(3, 5, 8, 6)).size(reader) == (8, 6)


def test_pictures_get_a_frame_rate(clip):
    assert read(Piece(clip, frame_rate=Fraction(10)))[3].time == Fraction(3, 10)


def test_what_decides_the_frames_is_in_the_key(clip, make_clip):
    keys = [
        Piece(clip).to_json(),
        Piece(clip, start=1).to_json(),
        Piece(clip, count=2).to_json(),
        Piece(clip, region=(0, 0, 4, 4)).to_json(),
        Piece(clip, frame_rate=Fraction(24)).to_json(),
        Piece(make_clip("other", seed=3)).to_json(),
    ]
    assert all(a != b for i, a in enumerate(keys) for b in keys[i + 1 :])
    assert Piece(make_clip("same")).to_json() == keys[0]


def test_a_window_past_the_end_repeats_the_last_frame(clip):
    learned = LearnClip(clip)
    assert learned.frames == 6
    window = learned.read(4, 5)
    assert window.shape == (5, 16, 16, 3)
    assert np.array_equal(window[1], window[4])
    assert not np.array_equal(window[0], window[1])


def test_of_a_long_clip_only_the_beginning_is_looked_at(clip, monkeypatch):
    monkeypatch.setattr(clips, "_LEARN_FRAMES", 4)
    assert LearnClip(clip).frames == 4


def test_a_clip_cannot_be_given_twice(clip):
    with pytest.raises(BadInput, match="twice"):
        learn_clips([str(clip), str(clip)])


def test_the_shown_bundled_clip_is_left_out():
    first, *others = bundled_clips()
    assert [learned.path for learned in learn_clips((), without=first.lq)] == [clip.lq for clip in others]


def test_missing_bundled_clips_are_said(tmp_path, monkeypatch):
    monkeypatch.setattr(clips, "resource", lambda name: tmp_path)
    with pytest.raises(QuantVSRError, match="install the program again"):
        bundled_clips()


def test_each_bundled_clip_has_its_ground_truth():
    for clip in bundled_clips():
        low, truth = probe(clip.lq), probe(clip.gt)
        assert (truth.width, truth.height) == (4 * low.width, 4 * low.height)
        assert len(read(Piece(clip.lq))) == truth.frames
        assert max(clip.lq.stat().st_size, clip.gt.stat().st_size) < 1_000_000


def test_the_likely_number_of_frames():
    # The lossless bundled clips are in a container that has no count, only a duration.
    clip = bundled_clips()[0].lq
    for piece, count in (
        (Piece(clip), 24),
        (Piece(clip, 20), 4),
        (Piece(clip, 2, 5), 5),
        (Piece(clip, 20, 9), 4),
    ):
        with piece.open() as reader:
            assert likely_frames(reader) == count

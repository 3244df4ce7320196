"""Writing in segments: whatever is interrupted, the finished file is the same."""

from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from folders import DATA
from quantvsr.errors import BadInput
from quantvsr.media import open_clip, open_writer, probe, segment_writer
from quantvsr.media.parts import PartsFolder, read_segment
from quantvsr.media.segment_writer import _Clock, check_written

ENDINGS = {"h264": ".mp4", "h265": ".mkv", "av1": ".webm", "ffv1": ".mkv", "prores": ".mov"}


@pytest.fixture(autouse=True)
def short_segments(monkeypatch):
    monkeypatch.setattr(segment_writer, "SEGMENT_FRAMES", 4)


def pictures(count=11, height=64, width=64):
    yy, xx = np.mgrid[:height, :width].astype(np.float32)
    for i in range(count):
        plane = 0.5 + 0.4 * np.sin((xx + 3 * i) / 7) * np.cos((yy + i) / 9)
        yield np.stack([plane, 1 - plane, plane * plane], -1).astype(np.float32)


def times(count=11):
    """Uneven: every third frame is shown twice as long."""
    at = Fraction(0)
    for i in range(count):
        length = Fraction(2 if i % 3 == 2 else 1, 25)
        yield at, length
        at += length


def write(path, stop=None, key="k", codec="h264", late=Fraction(0), **details):
    """Write what is missing, or stop before frame `stop` as a crash would."""
    parts = PartsFolder(path, key)
    writer = open_writer(path, 64, 64, codec=codec, frame_rate=Fraction(25), parts=parts, **details)
    with writer:
        for number, (picture, timing) in enumerate(zip(pictures(), times(), strict=True)):
            if number < writer.finished:
                continue
            if number == stop:
                raise KeyboardInterrupt
            writer.write(picture, timing[0] + late, timing[1])
    return writer


def packets(path):
    with av.open(str(path)) as container:
        return [(p.pts, p.dts, p.is_keyframe, bytes(p)) for p in container.demux(video=0) if p.size]


def decoded(path):
    with open_clip(path) as reader:
        return [(frame.time, np.rint(frame.rgb * 255).astype(np.uint8)) for frame in reader]


@pytest.mark.parametrize("codec", ENDINGS)
def test_a_stopped_run_gives_the_same_file_as_one_that_was_not(codec, tmp_path):
    a, b = tmp_path / f"a{ENDINGS[codec]}", tmp_path / f"b{ENDINGS[codec]}"
    write(a, codec=codec)
    with pytest.raises(KeyboardInterrupt):
        write(b, 9, codec=codec)
    assert not b.exists()
    assert len(PartsFolder(b, "k").segments()) == 2
    writer = write(b, codec=codec)
    assert (writer.finished, writer.frames) == (9, 11)
    if codec == "h265":  # does not repeat itself to the bit
        assert [p[:3] for p in packets(a)] == [p[:3] for p in packets(b)]
    else:
        assert packets(a) == packets(b)
    assert codec not in ("h264", "prores") or a.read_bytes() == b.read_bytes()  # Matroska draws a number
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([a.name, b.name])
    found = check_written(b, 11, writer.duration)
    assert found.frames == 11
    assert found.seconds == pytest.approx(14 / 25, abs=0.005)
    expected = [float(at) for at, _ in times()]
    assert [float(at) for at, _ in decoded(b)] == pytest.approx(expected, abs=0.001)


def test_pictures_are_those_that_were_given(tmp_path):
    write(tmp_path / "a.mkv", codec="ffv1")
    for (_, got), want in zip(decoded(tmp_path / "a.mkv"), pictures(), strict=True):
        assert np.array_equal(got, np.rint(want * 255).astype(np.uint8))


def test_images_are_taken_over_one_by_one(tmp_path):
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        write(out, 7, codec="png")
    first = (tmp_path / "out.parts" / "frames" / "frame_000001.png").stat().st_mtime_ns
    writer = write(out, codec="png")
    assert writer.finished == 7
    assert len(list(out.iterdir())) == 11
    assert (out / "frame_000001.png").stat().st_mtime_ns == first
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert check_written(out, 11, None).frames == 11


def test_other_settings_begin_anew(tmp_path):
    out = tmp_path / "out.mp4"
    with pytest.raises(KeyboardInterrupt):
        write(out, 9)
    assert write(out, key="other").finished == 0


def test_nothing_is_left_of_a_run_that_wrote_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "out.mp4", 0)
    assert list(tmp_path.iterdir()) == []


def test_a_crash_between_segment_and_clearing_does_no_harm(tmp_path, monkeypatch):
    out = tmp_path / "out.mkv"
    with monkeypatch.context() as patch:
        patch.setattr(PartsFolder, "forget_pictures", lambda self: None)
        with pytest.raises(KeyboardInterrupt):
            write(out, 6, codec="ffv1")
    assert len(list((tmp_path / "out.mkv.parts").glob("*.picture"))) == 6
    writer = write(out, codec="ffv1")
    assert writer.finished == 6
    for (_, got), want in zip(decoded(out), pictures(), strict=True):
        assert np.array_equal(got, np.rint(want * 255).astype(np.uint8))


def test_a_folder_of_somebody_else_is_left_alone(tmp_path):
    (tmp_path / "out.mp4.parts").mkdir()
    (tmp_path / "out.mp4.parts" / "letter.txt").write_text("dear")
    with pytest.raises(BadInput, match=r"out\.mp4\.parts"):
        write(tmp_path / "out.mp4")
    assert (tmp_path / "out.mp4.parts" / "letter.txt").read_text() == "dear"


def test_a_damaged_segment_is_said(tmp_path):
    out = tmp_path / "out.mp4"
    with pytest.raises(KeyboardInterrupt):
        write(out, 9)
    segment = PartsFolder(out, "k").segments()[1]
    segment.write_bytes(segment.read_bytes()[:-1])
    with pytest.raises(BadInput, match=segment.name):
        write(out)


def test_a_damaged_picture_is_said(tmp_path):
    out = tmp_path / "out.mp4"
    with pytest.raises(KeyboardInterrupt):
        write(out, 3)
    picture = tmp_path / "out.mp4.parts" / "000001.picture"
    picture.write_bytes(picture.read_bytes()[:-1])
    with pytest.raises(BadInput, match=picture.name):
        write(out)


def test_sound_is_copied_once_for_all_segments(tmp_path):
    source = DATA / "media" / "sound_and_tags.mp4"
    info = probe(source)
    out = tmp_path / "out.mp4"
    with open_clip(source) as reader:
        writer = open_writer(out, info.width, info.height, source=reader, parts=PartsFolder(out, "k"))
        with writer:
            for frame in reader:
                writer.write(frame.rgb, frame.time, frame.duration)
    with av.open(str(source)) as a, av.open(str(out)) as b:
        sound = [[bytes(p) for p in c.demux(c.streams.audio[0]) if p.size] for c in (a, b)]
    assert sound[0] == sound[1]
    assert check_written(out, writer.frames, writer.duration).frames == writer.frames


@pytest.mark.parametrize("stop", [0, 2, 9])
@pytest.mark.parametrize("codec", ["h264", "ffv1"])
def test_pictures_may_begin_after_the_sound(codec, stop, tmp_path):
    out = tmp_path / f"a{ENDINGS[codec]}"
    with pytest.raises(KeyboardInterrupt):
        write(out, stop, codec=codec, late=Fraction(1, 5))
    writer = write(out, codec=codec, late=Fraction(1, 5))
    found = check_written(out, 11, writer.duration)
    assert found.seconds == pytest.approx(14 / 25, abs=0.005)
    with av.open(str(out)) as container:
        assert float(next(container.decode(video=0)).time) == pytest.approx(0.2, abs=0.001)


@pytest.mark.parametrize("count", range(4, 20))
def test_after_a_hole_in_the_times_the_last_picture_is_shown_to_its_end(count, tmp_path, monkeypatch):
    monkeypatch.setattr(segment_writer, "SEGMENT_FRAMES", 120)  # long enough for pictures out of order
    out = tmp_path / "a.mp4"
    # Moving noise, so that the encoder reorders; with some counts the last picture is the last decoded too.
    wide = np.random.default_rng(0).random((64, 64 + count, 3)).astype(np.float32) / 2
    with open_writer(out, 64, 64, frame_rate=Fraction(24), parts=PartsFolder(out, "k")) as writer:
        for number in range(count):
            at = Fraction(number + (6 if number else 0), 24)
            writer.write(wide[:, number : number + 64], at, Fraction(1, 24))
    assert check_written(out, count, writer.duration).seconds == pytest.approx((count + 6) / 24, abs=0.001)


def test_a_result_that_lost_a_frame_is_not_believed(tmp_path):
    writer = write(tmp_path / "a.mp4")
    with pytest.raises(BadInput, match="11 pictures"):
        check_written(tmp_path / "a.mp4", 12, writer.duration)
    with pytest.raises(BadInput, match=r"0\.56 s"):
        check_written(tmp_path / "a.mp4", 11, Fraction(1))


@given(st.lists(st.permutations(range(6)), min_size=1, max_size=4), st.integers(1, 9))
def test_decoding_times_rise_and_are_never_late(orders, step):
    pts = [(6 * i + place) * step for i, order in enumerate(orders) for place in order]
    clock = _Clock(pts)
    dts = [clock.next() for _ in pts]
    assert all(a < b for a, b in pairwise(dts))
    assert all(d <= p for d, p in zip(dts, pts, strict=True))


def test_a_segment_reads_back(tmp_path):
    out = tmp_path / "out.mp4"
    with pytest.raises(KeyboardInterrupt):
        write(out, 5)
    segment = read_segment(PartsFolder(out, "k").segments()[0])
    assert segment.frames == len(segment.packets) == 4
    assert segment.packets[0].keyframe
    assert segment.end == Fraction(5, 25)

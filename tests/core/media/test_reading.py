"""Every awkward clip is read as its line in the table says."""

import errno
import tracemalloc
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from quantvsr.errors import BadInput
from quantvsr.media import open_clip, probe, source

from .cases import AWKWARD, OURS, OWN, Case, awkward_folder, clips


@pytest.mark.parametrize(("path", "case"), clips(readable=True))
def test_clip_reads_as_expected(path: Path, case: Case) -> None:
    reader = open_clip(path)
    info = reader.info
    times: list[Fraction] = []
    end = Fraction(0)
    for number, frame in enumerate(reader):
        assert frame.index == number
        assert frame.rgb.shape == (case.size[1], case.size[0], 3)
        assert frame.rgb.dtype == np.float32
        assert frame.rgb.min() >= 0 and frame.rgb.max() <= 1
        assert frame.duration is not None and frame.duration > 0
        times.append(frame.time)
        end = frame.time + frame.duration
    assert len(times) == case.frames
    assert times == sorted(set(times))
    assert float(times[0]) == pytest.approx(case.start, abs=1e-5)
    if case.end is not None:
        assert float(end) == pytest.approx(case.end, abs=2e-3)
    assert (info.width, info.height) == case.size
    assert info.frame_rate == case.rate
    assert (info.audio_streams, info.subtitle_streams) == (case.audio, case.subtitles)
    assert info.sample_aspect_ratio == case.sar
    assert info.bit_depth == case.bits
    if case.exact:
        assert info.frames == case.frames
    assert len(reader.warnings) == len(case.notes), reader.warnings
    for words, warning in zip(case.notes, reader.warnings, strict=True):
        assert words in warning


@pytest.mark.parametrize(("path", "case"), clips(readable=False))
def test_unusable_clip_is_refused_in_one_sentence(path: Path, case: Case) -> None:
    with pytest.raises(BadInput) as caught:
        open_clip(path)
    text = str(caught.value)
    assert case.error in text
    assert str(path) in text
    assert "\n" not in text and text.endswith(".")


def test_table_names_every_awkward_file(media_folder: Path) -> None:
    folder = awkward_folder()
    assert folder is not None
    assert {path.name for path in folder.iterdir()} - {"README.md"} == set(AWKWARD)


def test_table_names_every_file_of_ours() -> None:
    assert {path.name for path in OURS.iterdir()} == set(OWN)


@pytest.mark.parametrize(
    ("start", "stop", "expected"), [(0, None, range(12)), (3, 7, range(3, 7)), (10, 99, range(10, 12))]
)
def test_part_of_a_clip(start: int, stop: int | None, expected: range) -> None:
    everything = list(open_clip(OURS / "sound_and_tags.mp4"))
    part = list(open_clip(OURS / "sound_and_tags.mp4", start=start, stop=stop))
    assert [frame.index for frame in part] == list(expected)
    for frame in part:
        assert frame.time == everything[frame.index].time
        np.testing.assert_array_equal(frame.rgb, everything[frame.index].rgb)


@pytest.mark.parametrize("name", ["sound_and_tags.mp4", "images_gap"])
def test_part_behind_the_end_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match="counted from 0; start before frame"):
        list(open_clip(OURS / name, start=100))


@pytest.mark.parametrize(("start", "stop"), [(-1, None), (4, 4), (4, 2)])
def test_empty_range_is_refused(start: int, stop: int | None) -> None:
    with pytest.raises(BadInput, match="choose 0 <= start < stop"):
        open_clip(OURS / "sound_and_tags.mp4", start=start, stop=stop)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"nothing\.mp4 does not exist"):
        open_clip(tmp_path / "nothing.mp4")


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile http://127.0.0.1:9/a.mp4\n",
    ],
)
def test_playlist_never_reaches_for_the_network(tmp_path: Path, text: str) -> None:
    path = tmp_path / "list.mp4"
    path.write_text(text)
    with pytest.raises(BadInput, match=r"list\.mp4"):
        open_clip(path)


def test_unreadable_rest_ends_the_clip() -> None:
    """Reading fails again and again, as on a bad disk: what came before counts."""

    class BadDisk:
        def __init__(self, container: av.container.InputContainer) -> None:
            self._packets = container.demux(container.streams.video[0])

        def demux(self, _: object) -> Iterator[av.Packet]:
            for _number, packet in zip(range(5), self._packets, strict=False):
                yield packet
            self._packets = iter(())
            raise av.error.OSError(errno.EIO, "bad disk")

    damage = source.Damage()
    with source.open_input(OURS / "sound_and_tags.mp4") as container:
        stream = source.picture_stream(container, OURS)
        frames = list(source.decode(BadDisk(container), stream, damage))
    assert 0 < len(frames) <= 5
    assert damage.ended


def test_reader_can_be_used_again_and_closed_early() -> None:
    with open_clip(OURS / "sound_and_tags.mp4") as reader:
        first = next(iter(reader))
        again = next(iter(reader))
    np.testing.assert_array_equal(first.rgb, again.rgb)
    assert reader.warnings == []


def test_expected_frames_follow_the_range() -> None:
    assert open_clip(OURS / "sound_and_tags.mp4").expected_frames == 12
    assert open_clip(OURS / "sound_and_tags.mp4", start=4, stop=50).expected_frames == 8
    assert open_clip(OURS / "tracks.mkv").expected_frames == 12
    assert open_clip(OURS / "bare.264").expected_frames is None
    assert open_clip(OURS / "bare.264", start=2, stop=5).expected_frames == 3


def test_rate_of_untimed_clips_can_be_given() -> None:
    for name in ("bare.264", "images_16bit"):
        reader = open_clip(OURS / name, frame_rate=Fraction(10))
        assert [frame.time for frame in reader][:2] == [0, Fraction(1, 10)]


def test_uneven_times_are_kept_exactly() -> None:
    times = [frame.time for frame in open_clip(OURS / "uneven.mp4")]
    stamps = [0, 512, 700, 2300, 2400, 4000, 7000, 7100, 9000]
    assert times == [Fraction(stamp, 12288) for stamp in stamps]


def test_hidden_frames_of_an_edit_list_are_dropped() -> None:
    # The square has moved on by four frames when the shown part begins.
    whole = list(open_clip(OURS / "sound_and_tags.mp4"))
    shown = next(iter(open_clip(OURS / "edit_list.mp4")))
    assert np.abs(shown.rgb - whole[4].rgb).mean() < 0.01
    assert np.abs(shown.rgb - whole[0].rgb).mean() > 0.01


def test_deinterlacing_leaves_no_comb() -> None:
    for frame in open_clip(OURS / "interlaced.mpg"):
        region = frame.rgb[26:34, :, 0]
        comb = np.abs(region[1:-1] - (region[:-2] + region[2:]) / 2).max()
        assert comb < 0.15


def test_memory_does_not_grow_with_length(media_folder: Path) -> None:
    frame_bytes = 64 * 48 * 3 * 4
    tracemalloc.start()
    try:
        count = sum(1 for _ in open_clip(media_folder / "awkward" / "long_1000_frames_64x48.mp4"))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 1000
    assert peak < 60 * frame_bytes


def test_info_becomes_json() -> None:
    value = probe(OURS / "wide_pixels.mp4").to_json()
    assert value["sample_aspect_ratio"] == "16/11"
    assert value["frame_rate"] == "24/1"
    assert value["colour"] == {
        "primaries": "bt709",
        "transfer": "bt709",
        "matrix": "bt709",
        "full_range": False,
        "tagged": True,
    }

"""What is written reads back the same, or nothing is left behind."""

import dataclasses
import errno
import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from quantvsr.errors import BadInput, DiskFull
from quantvsr.media import CODECS, ClipInfo, ColourInfo, check_output_size, open_clip, open_writer, probe
from quantvsr.media.codecs import container_for, find_codec

from .cases import OURS
from .make_clips import picture

ENDINGS = {"h264": ".mp4", "h265": ".mp4", "av1": ".mp4", "ffv1": ".mkv", "prores": ".mov", "png": ""}
VIDEO_CODECS = [name for name in CODECS if name != "png"]


def source_info(**changes: object) -> ClipInfo:
    """A video clip as it may be read."""
    info = ClipInfo(
        path=OURS / "bt601.mp4",
        kind="video",
        width=64,
        height=48,
        frames=4,
        frame_rate=Fraction(24),
        duration=None,
        time_base=Fraction(1, 12288),
        codec="h264",
        pixel_format="yuv420p",
        bit_depth=8,
    )
    return dataclasses.replace(info, **changes)


def write(path: Path, codec: str, pictures: list[np.ndarray], **options: object) -> list[str]:
    height, width = pictures[0].shape[:2]
    with open_writer(path, width, height, codec=codec, **options) as writer:
        for rgb in pictures:
            writer.write(rgb)
    return writer.notes


def left_behind(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("size", [(64, 48), (16, 16), (65, 33), (18, 66)])
def test_every_codec_keeps_count_size_times_and_colours(
    tmp_path: Path, codec: str, size: tuple[int, int]
) -> None:
    path = tmp_path / f"out{ENDINGS[codec]}"
    pictures = [picture(i, *size) for i in range(4)]
    if min(size) < CODECS[codec].min_side:
        with pytest.raises(BadInput, match="at least"):
            open_writer(path, *size, codec=codec)
        return
    write(path, codec, pictures, quality=4, frame_rate=Fraction(30000, 1001))
    frames = list(open_clip(path, frame_rate=Fraction(30000, 1001)))
    # MKV knows milliseconds only.
    close = 6e-4 if path.suffix == ".mkv" else 0
    times = [float(frame.time) for frame in frames]
    assert times == pytest.approx([i * 1001 / 30000 for i in range(4)], abs=close, rel=0)
    assert float(frames[-1].duration) == pytest.approx(1001 / 30000, abs=2 * close)
    for frame, rgb in zip(frames, pictures, strict=True):
        assert frame.rgb.shape == rgb.shape
        error = np.abs(frame.rgb - rgb / 255)
        assert np.median(error) < 0.01 and error.mean() < 0.03
        if CODECS[codec].lossless:
            np.testing.assert_array_equal(np.rint(frame.rgb * 255), rgb)
    assert left_behind(tmp_path) == [path.name]


@pytest.mark.parametrize("codec", VIDEO_CODECS)
@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv", ".webm", ".m4v"])
def test_every_container(tmp_path: Path, codec: str, ending: str) -> None:
    path = tmp_path / f"out{ending}"
    if ending not in CODECS[codec].containers:
        with pytest.raises(BadInput, match="end the name with one of"):
            write(path, codec, [picture(0)])
        return
    write(path, codec, [picture(i) for i in range(3)], frame_rate=Fraction(25))
    info = probe(path)
    times = [float(frame.time) for frame in open_clip(path)]
    assert times == pytest.approx([0, 0.04, 0.08], abs=6e-4)
    assert info.frame_rate == 25


@pytest.mark.parametrize("codec", VIDEO_CODECS)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_very_short_clips(tmp_path: Path, codec: str, count: int) -> None:
    for attempt in range(3 if codec == "h265" else 1):
        path = tmp_path / f"{attempt}{ENDINGS[codec]}"
        write(path, codec, [picture(i) for i in range(count)])
        frames = list(open_clip(path))
        assert [frame.time for frame in frames] == [Fraction(i, 25) for i in range(count)]


@pytest.mark.parametrize(
    ("codec", "bits", "expected"),
    [
        ("h264", 8, 8),
        ("h264", 10, 10),
        ("h265", 10, 10),
        ("av1", 10, 10),
        ("prores", 8, 10),
        ("ffv1", 8, 8),
        ("ffv1", 10, 10),
        ("ffv1", 12, 12),
        ("ffv1", 16, 16),
        ("h265", 16, 10),
        ("png", 10, 16),
        ("png", 8, 8),
    ],
)
def test_bit_depth_follows_the_source(tmp_path: Path, codec: str, bits: int, expected: int) -> None:
    path = tmp_path / f"out{ENDINGS[codec]}"
    ramp = np.broadcast_to(np.linspace(0.2, 0.3, 64, dtype=np.float32)[None, :, None], (48, 64, 3))
    source = source_info(bit_depth=bits)
    notes = write(path, codec, [np.ascontiguousarray(ramp)], source=source, copy_streams=False)
    reader = open_clip(path)
    assert reader.info.bit_depth == expected
    levels = len(np.unique(next(iter(reader)).rgb[24, :, 1]))
    assert (levels > 40) == (expected > 8)
    assert any("bits per sample" in note for note in notes) == (bits > expected)


@pytest.mark.parametrize("codec", ["h264", "h265", "av1", "prores"])
@pytest.mark.parametrize(
    "colour",
    [
        ColourInfo("bt709", "bt709", "bt709", tagged=True),
        ColourInfo("smpte170m", "smpte170m", "smpte170m", tagged=True),
        ColourInfo("bt470bg", "gamma28", "bt470bg", tagged=True),
        ColourInfo("bt2020", "bt2020-10", "bt2020nc", tagged=True),
        ColourInfo("bt2020", "smpte2084", "bt2020nc", tagged=True),
    ],
)
def test_colour_is_tagged_as_it_is_encoded(tmp_path: Path, codec: str, colour: ColourInfo) -> None:
    path = tmp_path / f"out{ENDINGS[codec]}"
    rgb = np.full((48, 64, 3), (0.8, 0.2, 0.1), np.float32)
    write(path, codec, [rgb] * 3, source=source_info(colour=colour), copy_streams=False, quality=4)
    reader = open_clip(path)
    expected = ColourInfo(tagged=True) if colour.transfer == "smpte2084" else colour
    assert reader.info.colour == expected
    assert np.abs(next(iter(reader)).rgb - rgb).max() < 0.012


def test_pixel_shape_is_carried(tmp_path: Path) -> None:
    source = source_info(sample_aspect_ratio=Fraction(16, 11))
    for name in ("out.mp4", "out.mkv"):
        write(tmp_path / name, "h264", [picture(0)], source=source, copy_streams=False)
        assert probe(tmp_path / name).sample_aspect_ratio == Fraction(16, 11)


@pytest.mark.parametrize("codec", VIDEO_CODECS)
def test_uneven_times_are_kept(tmp_path: Path, codec: str) -> None:
    path = tmp_path / f"out{ENDINGS[codec]}"
    stamps = [0, 512, 700, 2300, 2400, 4000, 7000, 7100, 9000]
    times = [Fraction(stamp, 12288) for stamp in stamps]
    with open_writer(path, 64, 48, codec=codec, source=source_info(), copy_streams=False) as writer:
        for i, time in enumerate(times):
            writer.write(picture(i), time, Fraction(1, 4) if i == 8 else None)
    frames = list(open_clip(path))
    exact = path.suffix != ".mkv"
    for frame, time in zip(frames, times, strict=True):
        assert float(frame.time) == pytest.approx(float(time), abs=1e-9 if exact else 6e-4)
    if exact:
        assert frames[-1].duration == Fraction(1, 4)


def test_float_and_byte_pictures_are_the_same(tmp_path: Path) -> None:
    write(tmp_path / "a.mkv", "ffv1", [picture(0)])
    write(tmp_path / "b.mkv", "ffv1", [picture(0).astype(np.float32) / 255])
    first, second = (next(iter(open_clip(tmp_path / name))).rgb for name in ("a.mkv", "b.mkv"))
    np.testing.assert_array_equal(first, second)


def test_values_outside_are_cut_off(tmp_path: Path) -> None:
    rgb = np.full((8, 8, 3), 1.7, np.float32)
    rgb[:4] = -0.5
    write(tmp_path / "a.mkv", "ffv1", [rgb])
    np.testing.assert_array_equal(next(iter(open_clip(tmp_path / "a.mkv"))).rgb, np.clip(rgb, 0, 1))


# Refusals before any work


@pytest.mark.parametrize(
    ("codec", "size", "words"),
    [
        ("h264", (15360, 8640), "choose ffv1 or prores or png"),
        ("h265", (16388, 64), "at most 16384 pixels a side"),
        ("av1", (8192, 8192), "choose ffv1 or prores or png"),
        ("h265", (8, 8), "at least 16 pixels"),
        ("av1", (24, 66), "at least 32 pixels"),
        ("xvid", (64, 48), "choose h264, h265"),
    ],
)
def test_size_and_codec_are_checked_first(
    tmp_path: Path, codec: str, size: tuple[int, int], words: str
) -> None:
    with pytest.raises(BadInput, match=words):
        check_output_size(codec, *size)
    with pytest.raises(BadInput, match=words):
        open_writer(tmp_path / "out.mp4", *size, codec=codec)
    assert left_behind(tmp_path) == []


def test_largest_usual_size_is_allowed() -> None:
    for codec in CODECS:
        check_output_size(codec, 7680, 4320)


@pytest.mark.parametrize("quality", [-1, 52])
def test_quality_out_of_range(tmp_path: Path, quality: int) -> None:
    with pytest.raises(BadInput, match="choose 0"):
        open_writer(tmp_path / "out.mp4", 64, 48, quality=quality)


@pytest.mark.parametrize("name", ["yuv411p", "nonsense", "gbrp16le"])
def test_unsuitable_pixel_format(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput, match="choose one of yuv420p"):
        open_writer(tmp_path / "out.mp4", 64, 48, pixel_format=name)


def test_the_clip_itself_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes((OURS / "bt601.mp4").read_bytes())
    other = tmp_path / "folder" / ".." / "clip.mp4"
    (tmp_path / "folder").mkdir()
    for name in (path, other):
        with pytest.raises(BadInput, match="is the clip itself"):
            open_writer(name, 64, 48, source=probe(path), overwrite=True)


def test_existing_file_stays_unless_told_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    path.write_text("old")
    with pytest.raises(BadInput, match="exists already"):
        open_writer(path, 64, 48)
    assert path.read_text() == "old"
    write(path, "h264", [picture(0)], overwrite=True)
    assert probe(path).frames == 1


def test_folder_for_images_must_be_empty_or_ours(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    write(tmp_path / "empty", "png", [picture(0)])
    with pytest.raises(BadInput, match="holds images already"):
        open_writer(tmp_path / "empty", 64, 48, codec="png")
    write(tmp_path / "empty", "png", [picture(0)] * 2, overwrite=True)
    assert left_behind(tmp_path / "empty") == ["frame_000001.png", "frame_000002.png"]
    (tmp_path / "empty" / "holiday.jpg").write_text("precious")
    with pytest.raises(BadInput, match="holds other files"):
        open_writer(tmp_path / "empty", 64, 48, codec="png", overwrite=True)
    for name in ("holiday.jpg", "new.png"):
        with pytest.raises(BadInput, match="names a file"):
            open_writer(tmp_path / "empty" / name, 64, 48, codec="png")


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="is a file, so"):
        open_writer(tmp_path / "file" / "out.mp4", 64, 48)
    with pytest.raises(BadInput, match="is a folder"):
        (tmp_path / "out.mp4").mkdir()
        open_writer(tmp_path / "out.mp4", 64, 48)
    with pytest.raises(BadInput, match=r"is a folder; .* such as .*video\.mov"):
        container_for(find_codec("prores"), tmp_path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_folder_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(BadInput, match="cannot be written to"):
        open_writer(tmp_path / "out.mp4", 64, 48)


def test_missing_folder_is_made(tmp_path: Path) -> None:
    write(tmp_path / "a" / "b" / "out.mp4", "h264", [picture(0)])
    assert left_behind(tmp_path / "a" / "b") == ["out.mp4"]


@pytest.mark.skipif(os.name == "nt", reason="names that Windows does not allow")
@pytest.mark.parametrize("name", ["-dash", "12:30", "http:x", "%03d", "a b'c\"d&", "日本", "pipe|x", "a\nb"])
def test_odd_names_in_the_current_folder(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path(f"{name}.mp4"), "h264", [picture(0)])
    reader = open_clip(f"{name}.mp4")
    with open_writer(f"{name}.mkv", 64, 48, source=reader) as writer:
        for frame in reader:
            writer.write(frame.rgb, frame.time)
    assert probe(f"{name}.mkv").width == 64
    write(Path(name), "png", [picture(0)] * 2)
    assert len(list(open_clip(name))) == 2
    assert left_behind(tmp_path) == sorted([name, f"{name}.mkv", f"{name}.mp4"])


# Nothing half-written


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_nothing_is_left_after_an_exception(tmp_path: Path, codec: str, failure: type[BaseException]) -> None:
    path = tmp_path / f"out{ENDINGS[codec]}"
    with pytest.raises(failure), open_writer(path, 64, 48, codec=codec) as writer:
        writer.write(picture(0))
        raise failure
    assert left_behind(tmp_path) == []


def test_old_file_survives_an_exception(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    path.write_text("old")
    with pytest.raises(RuntimeError), open_writer(path, 64, 48, overwrite=True) as writer:
        writer.write(picture(0))
        raise RuntimeError
    assert path.read_text() == "old"
    assert left_behind(tmp_path) == ["out.mp4"]


def test_no_pictures_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="was given no pictures"), open_writer(tmp_path / "out.mp4", 64, 48):
        pass
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize(
    ("rgb", "time"),
    [
        (picture(0)[:, :-1], None),
        (picture(0)[..., 0], None),
        (np.full((48, 64, 3), np.nan, np.float32), None),
        (picture(0), Fraction(0)),
    ],
)
def test_wrong_pictures_are_refused(tmp_path: Path, rgb: np.ndarray, time: Fraction | None) -> None:
    with pytest.raises(ValueError), open_writer(tmp_path / "out.mp4", 64, 48) as writer:
        writer.write(picture(0), Fraction(0))
        writer.write(rgb, time)
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize("codec", ["h264", "png"])
def test_full_disk_is_said(tmp_path: Path, codec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    writer = open_writer(tmp_path / f"out{ENDINGS[codec]}", 64, 48, codec=codec)
    monkeypatch.setattr(Path, "write_bytes", full)
    if codec == "h264":
        monkeypatch.setattr(type(writer), "_mux", full)
    with pytest.raises(DiskFull, match="is full"), writer:
        writer.write(picture(0))
    assert left_behind(tmp_path) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a system with /dev/full")
def test_real_full_device_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FFmpeg itself meets the full disk: the temporary name leads to /dev/full."""
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    writer = open_writer(tmp_path / "out.mkv", 64, 48)
    opened = av.open
    monkeypatch.setattr(
        "quantvsr.media.video_writer.av.open", lambda *a, **k: opened("/dev/full", *a[1:], **k)
    )
    with pytest.raises(DiskFull, match="is full"), writer:
        for i in range(3):
            writer.write(picture(i))
    assert left_behind(tmp_path) == []


def test_two_writers_to_one_name_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "out.mkv"
    with open_writer(path, 64, 48, codec="ffv1") as first:
        first.write(picture(0))
        with open_writer(path, 64, 48, codec="ffv1") as second:
            second.write(picture(1))
            second.write(picture(2))
    assert len(list(open_clip(path))) == 1
    assert left_behind(tmp_path) == ["out.mkv"]

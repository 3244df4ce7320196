"""Read, enlarge four times, write, read back: frames, times, sound and tags are those of the source."""

import dataclasses
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from quantvsr.media import CODECS, open_clip, open_writer, probe
from quantvsr.media.source import clip_start, open_input

from .cases import OURS, Case, clips


@pytest.fixture(autouse=True)
def quick_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same encoder at its fastest: these tests are not about its quality."""
    quick = dataclasses.replace(CODECS["h264"], options=lambda quality: {"crf": "20", "preset": "ultrafast"})
    monkeypatch.setitem(CODECS, "h264", quick)


def enlarge(rgb: np.ndarray) -> np.ndarray:
    codes = np.rint(rgb * 255).astype(np.uint8)
    return codes.repeat(4, axis=0).repeat(4, axis=1)


def upscale(
    path: Path, target: Path, codec: str = "h264", **part: int | None
) -> tuple[list[Fraction], list[str]]:
    """Times of the frames written, and the writer's notes."""
    reader = open_clip(path, **part)
    times = []
    with open_writer(
        target, reader.info.width * 4, reader.info.height * 4, codec=codec, source=reader
    ) as writer:
        for frame in reader:
            writer.write(enlarge(frame.rgb), frame.time, frame.duration)
            times.append(frame.time)
    return times, writer.notes


def sound(path: Path, number: int = 0) -> Iterator[tuple[float, np.ndarray, int]]:
    """Decoded sound: seconds from the clip's start, samples -1..1 of the first channel, rate."""
    with open_input(path) as container:
        stream = container.streams.audio[number]
        start = clip_start(container)
        resampler = av.AudioResampler("flt", "mono", stream.rate)
        time = 0.0
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                continue
            for piece in (piece for frame in frames for piece in resampler.resample(frame)):
                if piece.pts is not None:
                    time = float(piece.pts * piece.time_base - start)
                yield time, piece.to_ndarray()[0], piece.sample_rate
                time += piece.samples / piece.sample_rate


def sound_end(path: Path, number: int = 0) -> float:
    """Where decoded sound ends, seconds from the clip's start."""
    return max((time + len(samples) / rate for time, samples, rate in sound(path, number)), default=0.0)


def onsets(events: Iterator[tuple[float, float]], level: float, gap: float = 0.3) -> list[float]:
    """Times at which a value rises above a level after a pause."""
    found, last = [], -1.0
    for time, value in events:
        if value > level:
            if time - last > gap:
                found.append(time)
            last = time
    return found


def beeps(path: Path) -> list[float]:
    samples = (
        (time + i / rate, abs(float(value)))
        for time, block, rate in sound(path)
        for i, value in enumerate(block)
    )
    return onsets(samples, 0.05)


def flashes(path: Path) -> list[float]:
    return onsets(((float(f.time), float(f.rgb.mean())) for f in open_clip(path)), 0.5)


@pytest.mark.parametrize(("path", "case"), clips(readable=True, fast=True))
def test_frames_times_and_sound_survive(path: Path, case: Case, tmp_path: Path) -> None:
    source = probe(path)
    times, _ = upscale(path, tmp_path / "out.mp4")
    out = open_clip(tmp_path / "out.mp4")
    frames = [(frame.time, frame.rgb.mean()) for frame in out]
    assert len(frames) == case.frames
    assert (out.info.width, out.info.height) == (4 * case.size[0], 4 * case.size[1])
    assert out.info.sample_aspect_ratio == case.sar
    assert out.info.rotation == 0
    assert out.warnings == []
    # Times count from where the sound begins; of WMA's, the decoder drops the first 46 ms.
    shift = frames[0][0] - times[0]
    assert abs(shift) < (0.05 if path.suffix == ".wmv" else 5e-5)
    for (shown, _), time in zip(frames, times, strict=True):
        assert abs(shown - time - shift) < 2e-5
    assert out.info.audio_streams == source.audio_streams
    for number in range(source.audio_streams):
        before, after = sound_end(path, number), sound_end(tmp_path / "out.mp4", number)
        # A codec's frame (1024 samples) may be added or lost at the end.
        assert after - float(shift) == pytest.approx(before, abs=0.15)


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".mov"])
def test_flash_and_beep_stay_together(media_folder: Path, tmp_path: Path, ending: str) -> None:
    source = media_folder / "awkward" / "av_sync_flash_beep.mp4"
    upscale(source, tmp_path / f"out{ending}")
    light, noise = flashes(tmp_path / f"out{ending}"), beeps(tmp_path / f"out{ending}")
    assert len(light) == len(noise) == 3
    assert light == pytest.approx(noise, abs=0.04)
    assert np.diff(light) == pytest.approx([1, 1], abs=2e-3)


@pytest.mark.parametrize(("start", "stop"), [(20, None), (20, 40), (0, 30)])
@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
def test_sound_is_cut_with_the_pictures(
    media_folder: Path, tmp_path: Path, start: int, stop: int | None, ending: str
) -> None:
    source = media_folder / "awkward" / "av_sync_flash_beep.mp4"
    target = tmp_path / f"out{ending}"
    upscale(source, target, start=start, stop=stop)
    light, noise = flashes(target), beeps(target)
    assert len(light) == len(noise) >= 1
    assert light == pytest.approx(noise, abs=0.04)
    seconds = ((stop or 75) - start) / 25
    assert sound_end(target) == pytest.approx(seconds, abs=0.06)
    assert len(list(open_clip(target))) == (stop or 75) - start


def test_delay_of_sound_is_kept(media_folder: Path, tmp_path: Path) -> None:
    source = media_folder / "awkward" / "audio_delayed_pcm.mov"
    _, notes = upscale(source, tmp_path / "out.mp4")
    assert notes == ["MP4 does not hold this pcm_s16le sound; it is converted to AAC."]
    first = [
        onsets(((t, float(np.abs(s).max())) for t, s, _ in sound(p)), 0.01)[0]
        for p in (source, tmp_path / "out.mp4")
    ]
    assert first[0] == pytest.approx(0.4, abs=0.01)
    assert first[1] == pytest.approx(0.4, abs=0.03)
    _, notes = upscale(source, tmp_path / "out.mov", "prores")
    assert notes == []


@pytest.mark.parametrize(
    ("ending", "codecs", "text", "words"),
    [
        (".mkv", ["aac", "pcm_s16le"], "subrip", []),
        (
            ".mp4",
            ["aac", "aac"],
            "mov_text",
            ["pcm_s16le sound; it is converted to AAC", "converted to mov_text"],
        ),
        (".mov", ["aac", "pcm_s16le"], "mov_text", ["converted to mov_text"]),
    ],
)
def test_tracks_chapters_and_tags(
    tmp_path: Path, ending: str, codecs: list[str], text: str, words: list[str]
) -> None:
    target = tmp_path / f"out{ending}"
    _, notes = upscale(OURS / "tracks.mkv", target)
    for note, part in zip(notes, words, strict=True):
        assert part in note
    with open_input(target) as container:
        assert [s.codec_context.codec.canonical_name for s in container.streams.audio] == codecs
        # MOV has a list of languages of its own.
        expected = ["eng", None if ending == ".mov" else "deu"]
        assert [s.language for s in container.streams.audio] == expected
        (subtitles,) = container.streams.subtitles
        assert subtitles.codec_context.codec.canonical_name == text
        start = clip_start(container)
        chapters = [(c["start"] * c["time_base"], c["metadata"]["title"]) for c in container.chapters()]
        assert [title for _, title in chapters] == ["One", "Two"]
        assert [float(time) for time, _ in chapters] == pytest.approx([0, 0.5], abs=0.03)
        shown = [p for p in container.demux(subtitles) if p.size > 2]
        assert len(shown) == 1 and b"Hello" in bytes(shown[0])
        assert float(shown[0].pts * shown[0].time_base - start) == pytest.approx(0.3, abs=0.15)


def test_tags_of_the_file_are_kept(tmp_path: Path) -> None:
    for ending in (".mp4", ".mkv"):
        upscale(OURS / "sound_and_tags.mp4", tmp_path / f"out{ending}")
        with open_input(tmp_path / f"out{ending}") as container:
            tags = {key.lower(): value for key, value in container.metadata.items()}
            assert tags["title"] == "A title" and tags["comment"] == "A comment"


def test_cover_and_attachments(media_folder: Path, tmp_path: Path) -> None:
    folder = media_folder / "awkward"
    for name in ("cover_art.mp4", "multi_audio_subs_chapters.mkv"):
        target = tmp_path / f"{name}.mkv"
        _, notes = upscale(folder / name, target)
        assert notes == ["The cover picture is left out."]
        assert len(list(open_clip(target))) == 24


def test_streams_can_be_left_out(tmp_path: Path) -> None:
    reader = open_clip(OURS / "tracks.mkv")
    target = tmp_path / "out.mkv"
    with open_writer(target, 64, 48, source=reader, copy_streams=False) as writer:
        for frame in reader:
            writer.write(frame.rgb, frame.time, frame.duration)
    info = probe(target)
    assert (info.audio_streams, info.subtitle_streams) == (0, 0)


def test_refused_streams_are_converted_then_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container that refuses the copied sound in its header."""
    start = av.container.OutputContainer.start_encoding
    refusals = 0

    class Refusing:
        def __init__(self, container: av.container.OutputContainer) -> None:
            self._container = container

        def __getattr__(self, name: str) -> object:
            return getattr(self._container, name)

        def start_encoding(self) -> None:
            nonlocal refusals
            if self._container.streams.audio:
                refusals += 1
                raise av.error.ArgumentError(22, "no")
            start(self._container)

    opened = av.open

    def open_refusing(name: str, mode: str = "r", **options: object) -> object:
        return Refusing(opened(name, mode, **options)) if mode == "w" else opened(name, **options)

    monkeypatch.setattr(av, "open", open_refusing)
    _, notes = upscale(OURS / "sound_and_tags.mp4", tmp_path / "out.mp4")
    assert refusals == 2
    assert any("left out" in note for note in notes)
    assert probe(tmp_path / "out.mp4").audio_streams == 0

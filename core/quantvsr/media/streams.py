"""Carrying sound, subtitles, chapters and tags from the source clip into the output, in step with its pictures."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.stream import Stream
from av.subtitles.stream import SubtitleStream

from quantvsr.media.source import clip_start, open_input


@dataclass(frozen=True)
class ContainerRules:
    """What a container keeps as it is.

    Attributes:
        title: As shown.
        audio: Audio codecs that players expect in it; None for any that the muxer takes.
        subtitles: Subtitle codecs likewise.
        audio_encoder: What other sound is converted to.
        subtitle_encoder: What other text subtitles are converted to, or None.
    """

    title: str
    audio: frozenset[str] | None
    subtitles: frozenset[str] | None
    audio_encoder: str
    subtitle_encoder: str | None


_PCM = frozenset(
    f"pcm_{kind}" for kind in ("s16le", "s16be", "s24le", "s24be", "s32le", "s32be", "f32le", "f32be", "u8", "s8")
)
RULES: Mapping[str, ContainerRules] = {
    "mp4": ContainerRules(
        "MP4",
        frozenset({"aac", "mp3", "ac3", "eac3", "alac", "opus", "flac"}),
        frozenset({"mov_text"}),
        "aac",
        "mov_text",
    ),
    "mov": ContainerRules(
        "MOV", frozenset({"aac", "mp3", "ac3", "eac3", "alac"}) | _PCM, frozenset({"mov_text"}), "aac", "mov_text"
    ),
    "matroska": ContainerRules("MKV", None, None, "aac", "subrip"),
    "webm": ContainerRules(
        "WebM", frozenset({"opus", "vorbis"}), frozenset({"webvtt"}), "libopus", "webvtt"
    ),
}
_TEXT_SUBTITLES = frozenset({"subrip", "srt", "ass", "ssa", "mov_text", "webvtt", "text"})
# Tags of the old file that would be wrong in the new one.
_STALE_TAGS = frozenset(
    {
        "encoder", "major_brand", "minor_version", "compatible_brands", "duration", "rotate", "bps",
        "number_of_frames", "number_of_bytes", "alpha_mode", "vendor_id",
    }
)


def _fresh(tags: Mapping[str, str]) -> dict[str, str]:
    return {
        key: value
        for key, value in tags.items()
        if key.lower() not in _STALE_TAGS and not key.upper().startswith("_STATISTICS")
    }


class _Track:
    """One stream on its way into the output."""

    def __init__(self, source: Stream, target: Stream) -> None:
        self.source = source
        self.target = target
        self.started = False

    def convert(self, packet: av.Packet, begin: Fraction) -> list[av.Packet]:
        """Packets for the output, their times counted from `begin` seconds on the source's clock."""
        raise NotImplementedError

    def finish(self, begin: Fraction) -> list[av.Packet]:
        """What is left at the end."""
        return []

    def _shift(self, packet: av.Packet, begin: Fraction) -> None:
        base = packet.time_base
        offset = round(begin / base)
        if packet.pts is not None:
            packet.pts -= offset
        if packet.dts is not None:
            packet.dts -= offset


class _Copy(_Track):
    """Packets pass as they are."""

    def convert(self, packet: av.Packet, begin: Fraction) -> list[av.Packet]:
        self._shift(packet, begin)
        packet.stream = self.target
        return [packet]


class _Recode(_Track):
    """Sound is decoded and encoded anew."""

    source: AudioStream
    target: AudioStream

    def __init__(self, source: AudioStream, target: AudioStream) -> None:
        super().__init__(source, target)
        self._resampler: AudioResampler | None = None
        self._next: Fraction | None = None

    def convert(self, packet: av.Packet, begin: Fraction) -> list[av.Packet]:
        try:
            frames = self.source.codec_context.decode(packet)
        except av.error.FFmpegError:
            return []  # A damaged packet: the time stamps keep the rest in step.
        packets: list[av.Packet] = []
        for frame in frames:
            if frame.pts is not None and frame.time_base:
                frame.pts = round((frame.pts * frame.time_base - begin) / frame.time_base)
            packets += self._encode(frame)
        return packets

    def finish(self, begin: Fraction) -> list[av.Packet]:
        if self._resampler is None:
            return []
        packets = [p for frame in self._resampler.resample(None) for p in self.target.encode(frame)]
        return packets + self.target.encode(None)

    def _encode(self, frame: av.AudioFrame) -> list[av.Packet]:
        context = self.target.codec_context
        if self._resampler is None:
            self._resampler = AudioResampler(
                context.format, context.layout, context.rate, frame_size=context.frame_size or None
            )
        return [p for piece in self._resampler.resample(frame) for p in self.target.encode(piece)]


@dataclass
class CopyPlan:
    """What was decided for the streams of a source.

    Attributes:
        notes: One sentence each on what is converted or left out.
    """

    notes: list[str]


class StreamCopier:
    """Reads the source's other streams and muxes them up to the time the pictures have reached.

    Args:
        path: The source clip.
        output: The container being written; its picture stream exists, its header is not written yet.
        container: FFmpeg's name of the output container, a key of `RULES`.
    """

    def __init__(self, path: Path, output: OutputContainer, container: str) -> None:
        self.notes: list[str] = []
        self._input: InputContainer = open_input(path)
        self._output = output
        self._rules = RULES[container]
        self._tracks: dict[int, _Track] = {}
        self._start = clip_start(self._input)
        self._begin = self._start
        self._packets: Iterator[av.Packet] | None = None
        self._held: av.Packet | None = None
        try:
            for stream in self._input.streams:
                self._add(stream)
            output.metadata.update(_fresh(self._input.metadata))
        except BaseException:
            self._input.close()
            raise

    def _add(self, stream: Stream) -> None:
        if isinstance(stream, AudioStream):
            track = self._add_audio(stream)
        elif isinstance(stream, SubtitleStream):
            track = self._add_subtitles(stream)
        elif stream.type == "attachment" and self._rules.title == "MKV":
            self._output.add_stream_from_template(stream)
            return
        elif stream.type in ("data", "attachment", "unknown"):
            self.notes.append(f"Stream {stream.index} ({stream.type}) is left out.")
            return
        else:
            return
        if track is not None:
            track.target.metadata.update(_fresh(stream.metadata))
            track.target.disposition = stream.disposition
            self._tracks[stream.index] = track

    def _add_audio(self, stream: AudioStream) -> _Track | None:
        context = stream.codec_context
        if context is None:
            self.notes.append(f"Sound stream {stream.index} is of an unknown kind and is left out.")
            return None
        name = context.codec.canonical_name
        if self._rules.audio is None or name in self._rules.audio:
            try:
                return _Copy(stream, self._output.add_stream_from_template(stream))
            except ValueError:
                pass
        try:
            target = self._new_audio(stream)
        except (ValueError, av.error.FFmpegError) as error:
            self.notes.append(f"Sound stream {stream.index} ({name}) cannot be converted ({error}); it is left out.")
            return None
        kind = target.codec_context.codec.canonical_name.upper()
        self.notes.append(f"{self._rules.title} does not hold {name} sound; it is converted to {kind}.")
        return _Recode(stream, target)

    def _new_audio(self, stream: AudioStream) -> AudioStream:
        source = stream.codec_context
        rates = av.codec.Codec(self._rules.audio_encoder, "w").audio_rates or [source.rate]
        rate = source.rate if source.rate in rates else 48000
        target: Any = self._output.add_stream(self._rules.audio_encoder, rate=rate)
        target.codec_context.layout = source.layout
        target.codec_context.bit_rate = 96_000 * max(1, min(source.channels, 8))
        target.codec_context.time_base = Fraction(1, rate)
        return target

    def _add_subtitles(self, stream: SubtitleStream) -> _Track | None:
        context = stream.codec_context
        name = context.codec.canonical_name if context is not None else "unknown"
        if context is not None and (self._rules.subtitles is None or name in self._rules.subtitles):
            try:
                return _Copy(stream, self._output.add_stream_from_template(stream))
            except ValueError:
                pass
        self.notes.append(f"{self._rules.title} does not hold {name} subtitles; they are left out (MKV keeps them).")
        return None

    def begin(self, time: Fraction) -> None:
        """Set which moment of the clip (seconds from its start) is the output's zero; before the first frame."""
        self._begin = self._start + time
        chapters = []
        for chapter in self._input.chapters():
            base = chapter["time_base"]
            offset = round(self._begin / base)
            if chapter["end"] > offset:
                start = max(chapter["start"] - offset, 0)
                chapters.append({**chapter, "start": start, "end": chapter["end"] - offset})
        if chapters:
            self._output.set_chapters(chapters)

    def advance(self, time: Fraction | None, last: bool = False) -> None:
        """Mux what starts before `time` (seconds of output); None muxes all that is left.

        Args:
            time: How far to go.
            last: No more will be asked for.
        """
        if not self._tracks:
            return
        if self._packets is None:
            self._packets = self._read()
        while True:
            packet, self._held = self._held or next(self._packets, None), None
            if packet is None:
                break
            at = self._time_of(packet)
            if time is not None and at is not None and at >= time:
                self._held = packet
                break
            self._mux(packet, at)
        if last:
            for track in self._tracks.values():
                if track.started:
                    self._output.mux(track.finish(self._begin))

    def _time_of(self, packet: av.Packet) -> Fraction | None:
        stamp = packet.pts if packet.pts is not None else packet.dts
        return None if stamp is None else stamp * packet.time_base - self._begin

    def _mux(self, packet: av.Packet, at: Fraction | None) -> None:
        track = self._tracks[packet.stream_index]
        length = (packet.duration or 0) * packet.time_base
        cut = self._begin > self._start
        if at is None or (cut and at + length <= 0):
            return
        track.started = True
        self._output.mux(track.convert(packet, self._begin))

    def _read(self) -> Iterator[av.Packet]:
        wanted = [track.source for track in self._tracks.values()]
        try:
            for packet in self._input.demux(wanted):
                if packet.size:
                    yield packet
        except av.error.EOFError:
            return
        except av.error.FFmpegError:
            self.notes.append("The sound ends early because the source is damaged.")

    def close(self) -> None:
        """Close the source."""
        self._input.close()

"""Carrying sound, subtitles, chapters and tags from the source clip into the output, in step."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import av.error
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.stream import Stream
from av.subtitles.stream import SubtitleStream
from av.video.stream import VideoStream

from quantvsr.files import is_disk_full
from quantvsr.media.source import clip_start, is_cover, open_input
from quantvsr.media.tracks import CopyTrack, RecodeTrack, TextTrack, Track, add_encoded_audio, add_text


@dataclass(frozen=True)
class ContainerRules:
    """What a container keeps as it is.

    Attributes:
        title: As shown.
        audio: Audio codecs that players expect in it; None for any that the muxer takes.
        subtitles: Subtitle codecs likewise.
        audio_encoder: What other sound is converted to.
        subtitle_encoder: What other text subtitles are converted to.
    """

    title: str
    audio: frozenset[str] | None
    subtitles: frozenset[str] | None
    audio_encoder: str
    subtitle_encoder: str


_PCM_KINDS = ("s16le", "s16be", "s24le", "s24be", "s32le", "s32be", "f32le", "f32be", "u8", "s8")
_PCM = frozenset(f"pcm_{kind}" for kind in _PCM_KINDS)
RULES: Mapping[str, ContainerRules] = {
    "mp4": ContainerRules(
        "MP4",
        frozenset({"aac", "mp3", "ac3", "eac3", "alac", "opus", "flac"}),
        frozenset({"mov_text"}),
        "aac",
        "mov_text",
    ),
    "mov": ContainerRules(
        "MOV",
        frozenset({"aac", "mp3", "ac3", "eac3", "alac"}) | _PCM,
        frozenset({"mov_text"}),
        "aac",
        "mov_text",
    ),
    "matroska": ContainerRules("MKV", None, None, "aac", "subrip"),
    "webm": ContainerRules("WebM", frozenset({"opus", "vorbis"}), frozenset({"webvtt"}), "libopus", "webvtt"),
}
_TEXT_SUBTITLES = frozenset({"subrip", "srt", "ass", "ssa", "mov_text", "webvtt", "text"})
# Tags of the old file that would be wrong in the new one.
_STALE_TAGS = frozenset(
    {
        "encoder",
        "major_brand",
        "minor_version",
        "compatible_brands",
        "duration",
        "rotate",
        "bps",
        "number_of_frames",
        "number_of_bytes",
        "alpha_mode",
        "vendor_id",
    }
)


def fresh_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags that are still true in a new file."""
    return {
        key: value
        for key, value in tags.items()
        if key.lower() not in _STALE_TAGS and not key.upper().startswith("_STATISTICS")
    }


class StreamCopier:
    """Reads the source's other streams and muxes them up to the time the pictures have reached.

    Args:
        path: The source clip.
        output: The container being written; its picture stream exists, its header is not written yet.
        container: FFmpeg's name of the output container, a key of `RULES`.
        recode: Convert all sound, where copying it was refused.

    Attributes:
        notes: One sentence each on what is converted or left out; grows.
    """

    def __init__(self, path: Path, output: OutputContainer, container: str, recode: bool = False) -> None:
        self.notes: list[str] = []
        self._output = output
        self._rules = RULES[container]
        self._recode = recode
        self._tracks: dict[int, Track] = {}
        self._packets: Iterator[av.Packet] | None = None
        self._held: av.Packet | None = None
        self._input = open_input(path)
        self._start = self._begin = clip_start(self._input)
        try:
            for stream in self._input.streams:
                self._add(stream)
            output.metadata.update(fresh_tags(self._input.metadata))
        except BaseException:
            self._input.close()
            raise

    def _add(self, stream: Stream) -> None:
        if isinstance(stream, AudioStream):
            track = self._add_audio(stream)
        elif isinstance(stream, SubtitleStream):
            track = self._add_subtitles(stream)
        elif isinstance(stream, VideoStream):
            if is_cover(stream):
                self.notes.append("The cover picture is left out.")
            return
        elif stream.type == "attachment" and self._rules.title == "MKV":
            self._output.add_stream_from_template(stream)
            return
        else:
            self.notes.append(f"Stream {stream.index} ({stream.type}) is left out.")
            return
        if track is not None:
            track.target.metadata.update(fresh_tags(stream.metadata))
            track.target.disposition = stream.disposition
            self._tracks[stream.index] = track

    def _add_audio(self, stream: AudioStream) -> Track | None:
        context = stream.codec_context
        if context is None:
            self.notes.append(f"Sound stream {stream.index} is of an unknown kind and is left out.")
            return None
        name = context.codec.canonical_name
        if not self._recode and (self._rules.audio is None or name in self._rules.audio):
            with contextlib.suppress(ValueError):  # The muxer does not take it after all.
                return CopyTrack(stream, self._output.add_stream_from_template(stream))
        try:
            target = add_encoded_audio(self._output, self._rules.audio_encoder, context)
        except (ValueError, av.error.FFmpegError) as error:
            self.notes.append(
                f"Sound stream {stream.index} ({name}) cannot be converted ({error}); it is left out."
            )
            return None
        kind = target.codec_context.codec.canonical_name.upper()
        self.notes.append(f"{self._rules.title} does not hold this {name} sound; it is converted to {kind}.")
        return RecodeTrack(stream, target)

    def _add_subtitles(self, stream: SubtitleStream) -> Track | None:
        context = stream.codec_context
        name = context.codec.canonical_name if context is not None else "unknown"
        if context is not None and (self._rules.subtitles is None or name in self._rules.subtitles):
            with contextlib.suppress(ValueError):  # The muxer does not take it after all.
                return CopyTrack(stream, self._output.add_stream_from_template(stream))
        title, encoder = self._rules.title, self._rules.subtitle_encoder
        if name in _TEXT_SUBTITLES:
            with contextlib.suppress(av.error.FFmpegError, ValueError):
                track = TextTrack(stream, add_text(self._output, encoder, stream))
                self.notes.append(f"{title} does not hold {name} subtitles; they are converted to {encoder}.")
                return track
        self.notes.append(f"{title} does not hold {name} subtitles; they are left out (MKV keeps them).")
        return None

    def begin(self, time: Fraction, length: Fraction | None) -> None:
        """Set which part of the clip is written; before the header.

        Args:
            time: Moment of the clip (seconds from its start) that is the output's zero.
            length: Seconds that will be written, about; None to the end.
        """
        self._begin = self._start + time
        chapters = []
        for chapter in self._input.chapters():
            base = chapter["time_base"]
            if not base:
                continue
            offset = round(self._begin / base)
            start, end = max(chapter["start"] - offset, 0), chapter["end"] - offset
            if length is not None:
                end = min(end, round(length / base))
            if start < end:
                chapters.append({**chapter, "start": start, "end": end})
        if chapters:
            self._output.set_chapters(chapters)

    def advance(self, time: Fraction | None) -> None:
        """Mux what starts before `time` (seconds of output); None muxes all that is left."""
        if not self._tracks:
            return
        if self._packets is None:
            self._packets = self._read()
        while True:
            packet, self._held = self._held or next(self._packets, None), None
            if packet is None:
                return
            at = self._time_of(packet)
            if time is not None and at is not None and at >= time:
                self._held = packet
                return
            self._carry(packet, at)

    def finish(self) -> None:
        """Mux what converters still hold."""
        for track in self._tracks.values():
            self._mux(track.finish())

    def _time_of(self, packet: av.Packet) -> Fraction | None:
        stamp = packet.pts if packet.pts is not None else packet.dts
        return None if stamp is None else stamp * packet.time_base - self._begin

    def _carry(self, packet: av.Packet, at: Fraction | None) -> None:
        track = self._tracks[packet.stream_index]
        length = (packet.duration or 0) * packet.time_base
        is_cut = self._begin > self._start
        if at is None or (is_cut and at + length <= 0):
            return
        track.started = True
        self._mux(track.convert(packet, self._begin))

    def _mux(self, packets: list[av.Packet]) -> None:
        for packet in packets:
            try:
                self._output.mux(packet)
            except av.error.FFmpegError as error:
                if is_disk_full(error):
                    raise
                self._note("Some damaged pieces of sound or subtitles are left out.")

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def _read(self) -> Iterator[av.Packet]:
        wanted = [track.source for track in self._tracks.values()]
        try:
            for packet in self._input.demux(wanted):
                if packet.size:
                    yield packet
        except av.error.EOFError:
            return
        except av.error.FFmpegError:
            self._note("The sound ends early because the source is damaged.")

    def close(self) -> None:
        """Close the source."""
        self._input.close()

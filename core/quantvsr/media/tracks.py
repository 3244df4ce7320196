"""One sound or subtitle stream on its way from the source clip into the output."""

import contextlib
from fractions import Fraction
from typing import Any

import av
import av.error
from av.audio.codeccontext import AudioCodecContext
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.codec import Codec
from av.container import OutputContainer
from av.stream import Stream
from av.subtitles.stream import SubtitleStream

_USUAL_LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 8: "7.1"}


class Track:
    """One stream being carried over.

    Attributes:
        source: Where packets come from.
        target: Where they go.
        started: Whether a packet came.
    """

    def __init__(self, source: Stream, target: Stream) -> None:
        self.source = source
        self.target = target
        self.started = False

    def convert(self, packet: av.Packet, begin: Fraction) -> list[av.Packet]:
        """Packets for the output, their times counted from `begin` seconds on the source's clock."""
        raise NotImplementedError

    def finish(self) -> list[av.Packet]:
        """What is left at the end."""
        return []


def _shift(packet: av.Packet, begin: Fraction) -> None:
    offset = round(begin / packet.time_base)
    if packet.pts is not None:
        packet.pts -= offset
    if packet.dts is not None:
        packet.dts -= offset


class CopyTrack(Track):
    """Packets pass as they are; decoding times are made to rise, which muxers insist on."""

    def __init__(self, source: Stream, target: Stream) -> None:
        super().__init__(source, target)
        self._last: int | None = None

    def convert(self, packet: av.Packet, begin: Fraction) -> list[av.Packet]:
        """See `Track`."""
        _shift(packet, begin)
        pts = packet.pts if packet.pts is not None else packet.dts
        if pts is None:
            return []
        if isinstance(self.source, SubtitleStream) and pts < 0:
            # A text that is on when a cut-out part begins.
            packet.duration = (packet.duration or 0) + pts
            pts = 0
            packet.dts = None
        dts = packet.dts if packet.dts is not None else pts
        if self._last is not None and dts <= self._last:
            dts = self._last + 1
        self._last = dts
        packet.dts = dts
        packet.pts = max(pts, dts)
        packet.stream = self.target
        return [packet]


class RecodeTrack(Track):
    """Sound is decoded and encoded anew."""

    source: AudioStream
    target: AudioStream

    def __init__(self, source: AudioStream, target: AudioStream) -> None:
        super().__init__(source, target)
        context = target.codec_context
        self._resampler = AudioResampler(
            context.format, context.layout, context.rate, frame_size=context.frame_size or None
        )
        self._next: Fraction | None = None

    def convert(self, packet: av.Packet, begin: Fraction) -> list[av.Packet]:
        """See `Track`; a damaged packet leaves a gap, the time stamps keep the rest in step."""
        return self._recode(packet, begin)

    def finish(self) -> list[av.Packet]:
        """See `Track`."""
        if not self.started:
            return []
        rest = self._recode(None, Fraction(0))
        return rest + self._encode(None) + self.target.encode(None)

    def _recode(self, packet: av.Packet | None, begin: Fraction) -> list[av.Packet]:
        try:
            frames = self.source.codec_context.decode(packet)
        except av.error.FFmpegError:
            return []
        packets: list[av.Packet] = []
        for frame in frames:
            base = frame.time_base
            if not base:
                continue
            if frame.pts is not None:
                frame.pts -= round(begin / base)
            elif self._next is not None:
                # What a decoder still held at the end carries no time stamp.
                frame.pts = round(self._next / base)
            if frame.pts is not None:
                self._next = frame.pts * base + Fraction(frame.samples, frame.sample_rate)
            packets += self._encode(frame)
        return packets

    def _encode(self, frame: av.AudioFrame | None) -> list[av.Packet]:
        return [p for piece in self._resampler.resample(frame) for p in self.target.encode(piece)]


class TextTrack(Track):
    """Text subtitles are written anew in another codec; their style is lost, their times are not."""

    source: SubtitleStream
    target: SubtitleStream

    def convert(self, packet: av.Packet, begin: Fraction) -> list[av.Packet]:
        """See `Track`."""
        try:
            text = self.source.codec_context.decode2(packet)
            if text is None or not len(text):
                return []
            converted = self.target.codec_context.encode_subtitle(text)
        except (av.error.FFmpegError, ValueError):
            return []
        _shift(packet, begin)
        pts, duration = packet.pts or 0, packet.duration or 0
        converted.time_base, converted.stream = packet.time_base, self.target
        converted.pts = converted.dts = max(pts, 0)
        converted.duration = duration + min(pts, 0)
        return [converted]


def add_encoded_audio(output: OutputContainer, encoder: str, source: AudioCodecContext) -> AudioStream:
    """Add a stream that sound of `source` can be converted to, its encoder open.

    Raises:
        av.error.FFmpegError: The encoder takes none of the channel layouts that are tried.
    """
    rates = Codec(encoder, "w").audio_rates or [source.rate]
    rate = source.rate if source.rate in rates else 48000
    layout = _layout_that_opens(encoder, rate, source)
    target: Any = output.add_stream(encoder, rate=rate)
    _set_up_audio(target.codec_context, rate, layout)
    # Opened now, so that the frame size is known.
    target.codec_context.open(strict=False)
    return target


def _set_up_audio(context: Any, rate: int, layout: str) -> None:
    context.sample_rate = rate
    context.layout = layout
    context.bit_rate = 96_000 * min(context.channels, 8)
    context.time_base = Fraction(1, rate)


def _layout_that_opens(encoder: str, rate: int, source: AudioCodecContext) -> str:
    """The source's own channel layout, else the usual one for its number of channels, else stereo."""
    for layout in (source.layout.name, _USUAL_LAYOUTS.get(source.channels, "stereo")):
        trial = av.CodecContext.create(encoder, "w")
        with contextlib.suppress(av.error.FFmpegError, ValueError):
            _set_up_audio(trial, rate, layout)
            trial.open()
            return layout
    return "stereo"


def add_text(output: OutputContainer, encoder: str, source: SubtitleStream) -> SubtitleStream:
    """Add a stream that text subtitles of `source` can be converted to.

    Raises:
        av.error.FFmpegError, ValueError: They cannot.
    """
    # The decoder makes the header that the encoder needs.
    source.codec_context.open(strict=False)
    target: Any = output.add_stream(encoder)
    target.codec_context.subtitle_header = source.codec_context.subtitle_header
    return target

"""Opening video files safely, choosing their picture stream and decoding it in spite of damage."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import av.error
from av.container import InputContainer
from av.stream import Disposition, Stream
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from quantvsr.errors import BadInput

_NOT_THE_PICTURE = Disposition.attached_pic | Disposition.timed_thumbnails
# A file that cannot be read is given up after so many errors; what came before it counts.
_MOST_ERRORS = 1000


def check_readable(path: Path) -> None:
    """Raise BadInput unless `path` exists and may be read."""
    if not path.exists():
        raise BadInput(f"{path} does not exist; check the path.")
    if not os.access(path, os.R_OK):
        raise BadInput(f"{path} may not be read; change its permissions or copy it elsewhere.")
    if path.is_file() and path.stat().st_size == 0:
        raise BadInput(f"{path} is empty (0 bytes); copy or download it again.")


def open_input(path: Path) -> InputContainer:
    """Open a media file by its content, whatever its name.

    Raises:
        BadInput: Missing, unreadable, empty, or no media file.
    """
    check_readable(path)
    try:
        # The prefix and the list keep a name or a playlist inside from being taken for a network address.
        return av.open(f"file:{path}", metadata_errors="replace", options={"protocol_whitelist": "file"})
    except av.error.FFmpegError as error:
        raise BadInput(
            f"{path} cannot be opened as a video ({_reason(error)}); it is cut off, damaged or not a video."
        ) from error


def _reason(error: av.error.FFmpegError) -> str:
    return (error.strerror or "unknown reason").rstrip(".")


def is_cover(stream: Stream) -> bool:
    """Whether a video stream is only a picture of the whole, such as cover art."""
    return bool(stream.disposition & _NOT_THE_PICTURE)


def picture_stream(container: InputContainer, path: Path) -> VideoStream:
    """The stream to read: the largest that is no cover art.

    Raises:
        BadInput: There is none, or nothing here decodes it.
    """
    streams = [s for s in container.streams.video if not is_cover(s)]
    if not streams:
        what = "only sound" if container.streams.audio else "no video stream"
        raise BadInput(f"{path} has no video ({what}); choose a file with a video stream.")
    usable = [s for s in streams if s.codec_context is not None]
    if not usable:
        raise BadInput(f"{path} uses a video codec that is not supported; convert it to H.264 first.")
    # Broken streams have no size.
    return max(usable, key=lambda s: (s.codec_context.width or 0) * (s.codec_context.height or 0))


def stream_duration(stream: VideoStream) -> float | None:
    """Seconds of the picture stream, where the file tells it for this stream."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    tag = stream.metadata.get("DURATION", "")
    if tag.count(":") == 2:
        hours, minutes, seconds = tag.split(":")
        end = int(hours) * 3600 + int(minutes) * 60 + float(seconds)
        start = float((stream.start_time or 0) * (stream.time_base or 0))
        return max(end - start, 0.0)
    return None


def decoder_for(stream: VideoStream) -> VideoCodecContext:
    """The decoder of a stream; FFmpeg's own VP8 and VP9 decoders drop transparency, libvpx keeps it."""
    context = stream.codec_context
    # FFmpeg conceals damage in H.264 only without slice threads, and alike in every run only without threads.
    context.thread_type = "NONE"
    context.thread_count = 1
    libvpx = {"vp8": "libvpx", "vp9": "libvpx-vp9"}.get(context.name)
    if libvpx and stream.metadata.get("alpha_mode") == "1" and libvpx in av.codecs_available:
        decoder = av.CodecContext.create(libvpx, "r")
        assert isinstance(decoder, VideoCodecContext)
        return decoder
    return context


@dataclass
class Damage:
    """What went wrong while decoding; grows.

    Attributes:
        bad_packets: Packets that gave an error.
        bad_frames: Frames the decoder mended itself and marked.
        hidden: Packets the container says are not to be shown (edit list).
        ended: The file could not be read to its end.
    """

    bad_packets: int = 0
    bad_frames: int = 0
    hidden: int = 0
    ended: bool = False


def decode(container: InputContainer, stream: VideoStream, damage: Damage) -> Iterator[av.VideoFrame]:
    """All frames of a stream in display order, going on after damaged packets as the ffmpeg program does."""
    decoder = decoder_for(stream)
    for packet in _packets(container, stream, damage):
        damage.hidden += bool(packet.is_discard)
        try:
            frames = decoder.decode(packet)
        except av.error.EOFError:
            continue
        except av.error.FFmpegError:
            damage.bad_packets += 1
            continue
        for frame in frames:
            damage.bad_frames += bool(frame.is_corrupt)
            yield frame


def _packets(container: InputContainer, stream: VideoStream, damage: Damage) -> Iterator[av.Packet]:
    for _ in range(_MOST_ERRORS):
        try:
            yield from container.demux(stream)
            return
        except av.error.EOFError:
            return
        except av.error.FFmpegError:
            # The generator is spent; a new one reads on behind the bad place.
            damage.ended = True


def clip_start(container: InputContainer) -> Fraction:
    """The earliest start of video or sound, seconds on the container's own clock.

    Exact, where the container's own figure is rounded to microseconds.
    """
    starts = [
        s.start_time * s.time_base
        for s in (*container.streams.video, *container.streams.audio)
        if s.start_time is not None and s.time_base and not is_cover(s)
    ]
    return min(starts, default=Fraction(0))

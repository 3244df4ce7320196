"""Writers that can be stopped at any moment and go on later: finished parts wait beside the output.

A video is encoded in segments that begin with a key frame; at the end their packets are put together without
being encoded again. Pictures of the segment under way are kept as the encoder takes them. Segments begin at
fixed frames, so a run that was stopped gives the same packets as one that was not (as far as the encoder
repeats itself: x265 does not always).
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.codec.context import Flags

from quantvsr.errors import BadInput
from quantvsr.files import atomic_bytes, make_folder, write_errors
from quantvsr.media.clip_writer import WriteJob
from quantvsr.media.colour import PIXEL_LAYOUTS, tag_frame
from quantvsr.media.image_writer import ImageWriter
from quantvsr.media.parts import PartsFolder, Segment, StoredPacket, StoredPicture, read_segment
from quantvsr.media.source import open_input, picture_stream, stream_duration
from quantvsr.media.video_writer import VideoWriter

SEGMENT_FRAMES = 120
"""Pictures in a segment. Fewer cost file size, by key frames; more cost disk, for pictures that wait."""


class SegmentedVideoWriter(VideoWriter):
    """Writes one video file in segments.

    Args:
        job: What is to be written.
        parts: Where segments are kept until the file is finished.
        how: As for `VideoWriter`.
    """

    def __init__(self, job: WriteJob, parts: PartsFolder, **how: Any) -> None:
        super().__init__(job, **how)
        self._parts = parts
        self._encoder: Any = None
        self._packets: list[StoredPacket] = []
        self._in_segment = 0
        self._waiting: list[StoredPicture] = []
        self._restore()

    def _restore(self) -> None:
        for file in self._parts.segments():
            segment = read_segment(file)
            self._time_base, self._zero = segment.time_base, segment.zero
            self._end = segment.end
            shown = [packet.pts for packet in segment.packets]
            self._first = min(shown) if self._first is None else self._first
            self._last = max(shown)
            self.finished += segment.frames
        # Pictures of the segment under way are encoded again, with those to come.
        while (picture := self._parts.picture(self.finished)) is not None:
            self._waiting.append(picture)
            self._zero, self._end, self._last = picture.zero, picture.end, picture.pts
            self._first = picture.pts if self._first is None else self._first
            self.finished += 1
        self.frames = self.finished

    def _open(self, temporary: Path) -> None:
        # Only to find out now whether the encoder takes the pictures.
        self._encoder = self._new_encoder()
        for picture in self._waiting:
            self._durations[picture.pts] = picture.duration
            self._encode_next(self._refill(picture))
        self._waiting = []

    def _refill(self, picture: StoredPicture) -> av.VideoFrame:
        frame = av.VideoFrame(self.job.width, self.job.height, self._pixel_format)
        for plane, data in zip(frame.planes, picture.planes, strict=True):
            plane.update(data)
        tag_frame(frame, self.colour, PIXEL_LAYOUTS[self._pixel_format])
        frame.pts, frame.time_base = picture.pts, self._time_base
        return frame

    def _new_encoder(self) -> Any:
        codec = self.job.codec
        encoder: Any = av.CodecContext.create(codec.encoder, "w")
        encoder.options = codec.options(self._quality)
        encoder.framerate = self.job.rate
        # As for a stream of a container: quality alone decides, parameters go into the file's head.
        encoder.bit_rate, encoder.bit_rate_tolerance = 0, 128_000
        encoder.flags |= Flags.global_header
        self._open_encoder(encoder)
        return encoder

    def _write(self, rgb: np.ndarray, time: Fraction | None, duration: Fraction | None) -> None:
        time = self._end + (self._zero or 0) if time is None else time
        if self._zero is None:
            self._zero = self._zero_for(time)
        if self._encoder is None:
            self._encoder = self._new_encoder()
        frame = self._frame(rgb, time, duration)
        assert frame.pts is not None
        planes = tuple(bytes(plane) for plane in frame.planes)
        shown = self._durations[frame.pts]
        self._parts.add_picture(self.frames, StoredPicture(frame.pts, shown, self._zero, self._end, planes))
        self._encode_next(frame)

    def _encode_next(self, frame: av.VideoFrame) -> None:
        self._encode(frame)
        self._in_segment += 1
        if self._in_segment == SEGMENT_FRAMES:
            self._end_segment()

    def _encode(self, frame: av.VideoFrame | None) -> None:
        for packet in self._encoder.encode(frame):
            shown = self._durations.pop(packet.pts, packet.duration or 1)
            self._packets.append(StoredPacket(bytes(packet), packet.pts, shown, packet.is_keyframe))

    def _end_segment(self) -> None:
        self._encode(None)
        assert self._zero is not None
        extradata = bytes(self._encoder.extradata or b"")
        self._parts.add(
            Segment(self._in_segment, self._zero, self._end, self._time_base, extradata, tuple(self._packets))
        )
        self._parts.forget_pictures()
        self._encoder, self._packets, self._in_segment = None, [], 0

    def _finish(self) -> None:
        with write_errors(self.path.parent):
            if self._in_segment:
                self._end_segment()
            assert self._zero is not None
            assert self._temporary is not None
            self._open_output(self._temporary)
            self._begin(self._zero)
            self._join()
            self._close()
        self._parts.remove()

    def _join(self) -> None:
        """Mux the packets of all segments, the source's other streams in step."""
        files = self._parts.segments()
        clock = _Clock([packet.pts for file in files for packet in read_segment(file).packets])
        for file in files:
            segment = read_segment(file)
            for stored in segment.packets:
                packet = av.Packet(stored.data)
                packet.pts, packet.dts = stored.pts, clock.next()
                packet.duration, packet.time_base = stored.duration, self._time_base
                packet.is_keyframe = stored.keyframe
                packet.stream = self._stream
                self._hold(packet)
                if self._copier is not None:
                    self._copier.advance(stored.pts * self._time_base)
        self._mux_last()

    def _abandon(self) -> None:
        if self._encoder is not None and self._in_segment:
            # SVT-AV1 complains on the terminal when it is let go in the middle.
            self._encoder.encode(None)
        self._encoder = None
        super()._abandon()
        self._parts.remove_if_empty()


class _Clock:
    """Decoding times for packets in decoding order, over all segments: they rise and are never late.

    The n-th packet is decoded when the picture is shown that comes `delay` places before the n-th in the
    order of showing; `delay` is the least for which no picture is shown before it is decoded.
    """

    def __init__(self, pts: list[int]) -> None:
        shown = sorted(pts)
        place = {value: rank for rank, value in enumerate(shown)}
        delay = max(number - place[value] for number, value in enumerate(pts))
        step = shown[1] - shown[0] if len(shown) > 1 else 1
        before = [shown[0] - step * (delay - i) for i in range(delay)]
        self._times: Iterator[int] = itertools.chain(before, shown)

    def next(self) -> int:
        return next(self._times)


class ResumableImageWriter(ImageWriter):
    """Writes a folder of images; those that an interrupted run has left are taken over."""

    def __init__(self, job: WriteJob, parts: PartsFolder) -> None:
        super().__init__(job)
        self._parts = parts
        self._folder = parts.path / "frames"
        while (self._folder / self.name(self.finished)).is_file():
            self.finished += 1
        self.frames = self.finished

    def _open(self, temporary: Path) -> None:
        self._set_depth()

    def _keep(self, name: str, data: bytes) -> None:
        if not self._folder.is_dir():
            self._parts.remember()
            make_folder(self._folder)
        atomic_bytes(self._folder / name, data)

    def _finish(self) -> None:
        assert self._temporary is not None
        for file in self._folder.iterdir():
            if file.name not in {self.name(i) for i in range(self.frames)}:
                file.unlink()
        self._folder.replace(self._temporary)
        self._parts.remove()

    def _abandon(self) -> None:
        self._parts.remove_if_empty()


@dataclass(frozen=True)
class Written:
    """What a finished output really holds.

    Attributes:
        frames: Pictures.
        seconds: From the first picture's start to the last one's end; None for a folder of images.
    """

    frames: int
    seconds: float | None


def check_written(path: Path, frames: int, seconds: Fraction | None) -> Written:
    """Read a finished output back: count its pictures, measure how long they are shown.

    Args:
        path: Video, or folder of images.
        frames: Pictures that were written.
        seconds: How long they are shown; None is not compared.

    Raises:
        BadInput: The output holds something else.
    """
    if path.is_dir():
        found = Written(sum(1 for _ in path.glob("*.png")), None)
    else:
        with open_input(path) as container:
            stream = picture_stream(container, path)
            told = stream_duration(stream)
            times = [
                (p.pts * p.time_base, (p.pts + (p.duration or 0)) * p.time_base)
                for p in container.demux(stream)
                if p.size and p.pts is not None and not p.is_discard
            ]
        begin, end = min(t[0] for t in times), max(t[1] for t in times)
        # MP4 packets last until the next one is decoded, which is not how long their pictures are shown.
        found = Written(len(times), float(end - begin) if told is None else told)
    # Containers round times, Matroska to milliseconds.
    late = seconds is not None and found.seconds is not None and abs(found.seconds - seconds) > 0.02
    if found.frames != frames or late:
        held = f"{found.frames} pictures" + ("" if found.seconds is None else f" in {found.seconds:.2f} s")
        wanted = f"{frames}" + ("" if seconds is None else f" in {float(seconds):.2f} s")
        raise BadInput(f"{path} holds {held} where {wanted} were written; delete it and write it again.")
    return found

"""Writing one video file."""

import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np

from quantvsr.errors import BadInput
from quantvsr.files import is_disk_full, write_errors
from quantvsr.media.clip_writer import ClipWriter, WriteJob
from quantvsr.media.colour import PIXEL_LAYOUTS, output_colour, rgb_to_frame
from quantvsr.media.streams import StreamCopier

# SVT-AV1 writes to the terminal unless told not to (1: errors only).
os.environ.setdefault("SVT_LOG", "1")
# What happens to the source's other streams: each is tried when the container refuses the one before.
_COPIED, _RECODED, _LEFT_OUT = "copied", "recoded", "left out"
_FALLBACK = {_COPIED: _RECODED, _RECODED: _LEFT_OUT}
# x265 leaves decoding times unset in clips this short.
_NEVER_REORDERED = 2
_FINEST_CLOCK = 10**9  # ticks per second that fit the containers' 32 bits


def _fine_grid(rate: Fraction) -> Fraction:
    """A time base that holds every frame of a rate exactly and is fine enough for others."""
    ticks = rate.numerator
    while ticks < 10_000:
        ticks *= 2
    return Fraction(1, min(ticks, _FINEST_CLOCK))


class VideoWriter(ClipWriter):
    """Writes one video file.

    Args:
        job: What is to be written.
        container: FFmpeg's name.
        quality: 0 to 51.
        pixel_format: One of `PIXEL_LAYOUTS`.
        time_base: Grid of the time stamps, seconds; None takes the source's.
        copy_streams: Whether sound, subtitles, chapters and tags of the source are carried over.

    Attributes:
        colour: How the pictures' colour is encoded and tagged.
    """

    def __init__(
        self,
        job: WriteJob,
        *,
        container: str,
        quality: float,
        pixel_format: str,
        time_base: Fraction | None = None,
        copy_streams: bool = True,
    ) -> None:
        super().__init__(job)
        source = job.source
        self._container = container
        self._quality = quality
        self._pixel_format = pixel_format
        carries = copy_streams and source is not None and source.kind == "video"
        self._streams = _COPIED if carries else _LEFT_OUT
        source_grid = source.time_base if source is not None and source.kind == "video" else None
        self._time_base = time_base or source_grid or _fine_grid(job.rate)
        self.colour = output_colour(source.colour if source else None, job.width, job.height)
        self._output: Any = None
        self._stream: Any = None
        self._copier: StreamCopier | None = None
        self._zero: Fraction | None = None
        self._first: int | None = None
        self._last = -1
        self._end = Fraction(0)
        self._durations: dict[int, int] = {}
        self._held: Any = None
        self._delay = 0

    @property
    def duration(self) -> Fraction:
        """Seconds from where the first picture begins (sound may come before) to where the last one ends."""
        return self._end - (self._first or 0) * self._time_base

    def _open(self, temporary: Path) -> None:
        self._open_output(temporary)

    def _open_output(self, temporary: Path) -> None:
        options = {}
        if self._container in ("mp4", "mov"):
            # The index at the head lets players begin at once; the fine clock keeps offsets exact.
            clock = _fine_grid(1 / self._time_base).denominator
            options = {"movflags": "+faststart", "movie_timescale": str(clock)}
        self._output = av.open(f"file:{temporary}", "w", format=self._container, container_options=options)
        self._add_picture_stream()
        if self._streams != _LEFT_OUT and self.job.source is not None:
            recode = self._streams == _RECODED
            self._copier = StreamCopier(self.job.source.path, self._output, self._container, recode)

    def _add_picture_stream(self) -> None:
        job, layout = self.job, PIXEL_LAYOUTS[self._pixel_format]
        options = job.codec.options(self._quality)
        self._stream = self._output.add_stream(job.codec.encoder, rate=job.rate, options=options)
        self._stream.time_base = self._time_base
        if job.source is not None and job.source.bit_depth > layout.bits:
            self.note(f"The source has {job.source.bit_depth} bits per sample, the output {layout.bits}.")
        if job.codec.name == "h264" and layout.bits > 8:
            self.note("Not every player shows H.264 with 10 bits; H.265 with 10 bits is more common.")
        self._open_encoder(self._stream.codec_context)

    def _open_encoder(self, context: Any) -> None:
        """Set an encoder up for the pictures to come."""
        job = self.job
        context.width, context.height = job.width, job.height
        context.pix_fmt = self._pixel_format
        context.time_base = self._time_base
        sample = rgb_to_frame(np.zeros((1, 1, 3), np.float32), self._pixel_format, self.colour)
        context.colorspace, context.color_range = sample.colorspace, sample.color_range
        context.color_primaries, context.color_trc = sample.color_primaries, sample.color_trc
        if self._container in job.codec.tags:
            context.codec_tag = job.codec.tags[self._container]
        if job.source is not None and job.source.sample_aspect_ratio != 1:
            context.sample_aspect_ratio = job.source.sample_aspect_ratio
        try:
            context.open(strict=False)
        except av.error.FFmpegError as error:
            raise BadInput(
                f"{job.codec.title} cannot encode {job.width}x{job.height} pictures as {self._pixel_format} "
                f"here ({error.strerror}); choose another codec."
            ) from error

    def _begin(self, zero: Fraction) -> None:
        """Write the header; where the container refuses the source's streams, carry over less of them."""
        assert self._temporary is not None
        self._zero = zero
        while True:
            if self._copier is not None:
                self._copier.begin(zero, self.job.cut_length)
            try:
                self._output.start_encoding()
                return
            except av.error.FFmpegError as error:
                if self._copier is None or is_disk_full(error):
                    raise
                self._abandon()
                self._streams = _FALLBACK[self._streams]
                self.note(
                    f"The container refused the source's streams as they are; they are {self._streams}."
                )
                self._copier = None
                self._open_output(self._temporary)

    def _write(self, rgb: np.ndarray, time: Fraction | None, duration: Fraction | None) -> None:
        time = self._end + (self._zero or 0) if time is None else time
        if self._zero is None:
            self._begin(self._zero_for(time))
        frame = self._frame(rgb, time, duration)
        self._mux(frame)
        if self._copier is not None:
            assert self._zero is not None
            self._copier.advance(time - self._zero)

    def _zero_for(self, first: Fraction) -> Fraction:
        """The source's time that is the output's zero, given the time of the first picture."""
        return first if self.job.cut_start else min(first, Fraction(0))

    def _frame(self, rgb: np.ndarray, time: Fraction, duration: Fraction | None) -> av.VideoFrame:
        """A picture with its time stamp; its duration is remembered by it."""
        assert self._zero is not None
        at = time - self._zero
        shown = duration or 1 / self.job.rate
        self._end = at + shown
        # Times that fall together on a coarse grid are moved on by one tick.
        self._last = pts = max(round(at / self._time_base), self._last + 1)
        self._first = pts if self._first is None else self._first
        frame = rgb_to_frame(rgb, self._pixel_format, self.colour)
        frame.pts = pts
        frame.time_base = self._time_base
        # Encoders drop durations.
        self._durations[pts] = max(round(shown / self._time_base), 1)
        return frame

    def _mux(self, frame: av.VideoFrame | None) -> None:
        """Encode a picture, or None at the end; the newest packet is held back."""
        for packet in self._stream.encode(frame):
            if frame is None and self.frames <= _NEVER_REORDERED:
                packet.dts = packet.pts
            packet.duration = self._durations.pop(packet.pts, packet.duration)
            self._hold(packet)
        if frame is None:
            self._mux_last()

    def _hold(self, packet: Any) -> None:
        """Mux the packet before, keep this one."""
        if self._held is None:
            self._delay = packet.pts - packet.dts
        else:
            self._output.mux(self._held)
        self._held = packet

    def _mux_last(self) -> None:
        # Containers add up decoding times: the last packet's length decides where the last picture ends.
        end = round(self._end / self._time_base)
        # Its own picture is shown as long as it should be, also where a hole in the times upsets that sum.
        self._held.duration = max(end - self._delay - self._held.dts, self._held.duration, 1)
        self._output.mux(self._held)

    def _finish(self) -> None:
        with write_errors(self.path.parent):
            self._mux(None)
            self._close()

    def _close(self) -> None:
        """Carry over the rest of the other streams and finish the file."""
        if self._copier is not None:
            self._copier.advance(None if self.job.cut_length is None else self._end)
            self._copier.finish()
            self._copier.close()
            for text in self._copier.notes:
                self.note(text)
        self._output.close()

    def _abandon(self) -> None:
        if self._copier is not None:
            self._copier.close()
        if self._output is not None:
            self._output.close()

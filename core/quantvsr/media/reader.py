"""Reading clips: any video FFmpeg opens, a folder of images, or one image."""

import dataclasses
import itertools
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.sidedata.sidedata import Type as SideDataType
from av.video.stream import VideoStream

from quantvsr.errors import BadInput
from quantvsr.media import images
from quantvsr.media.colour import HDR_TRANSFERS, FrameConverter, colour_of
from quantvsr.media.deinterlace import Deinterlacer
from quantvsr.media.orientation import Orientation, from_display_matrix
from quantvsr.media.siting import mark_chroma
from quantvsr.media.source import (
    Damage,
    clip_start,
    decode,
    is_cover,
    open_input,
    picture_stream,
    stream_duration,
)
from quantvsr.media.types import ClipInfo, Frame
from quantvsr.words import counted

# Rates outside of this are a container's notion of its clock, not a rate of pictures.
_RATES = (Fraction(1, 1000), Fraction(1000))


def probe(path: str | Path, *, frame_rate: Fraction | None = None) -> ClipInfo:
    """Describe a clip; decodes one frame at most.

    Args:
        path: Video, image or folder of images.
        frame_rate: For images and streams without time stamps, frames per second.

    Raises:
        BadInput: Missing, unreadable, or nothing that can be read as pictures.
    """
    return open_clip(path, frame_rate=frame_rate).info


def open_clip(
    path: str | Path, *, start: int = 0, stop: int | None = None, frame_rate: Fraction | None = None
) -> "ClipReader":
    """Open a clip for reading.

    Args:
        path: Video, image or folder of images.
        start: First frame to give, counted from 0.
        stop: Frame to stop before; None reads to the end.
        frame_rate: For images and streams without time stamps, frames per second.

    Raises:
        BadInput: Missing, unreadable, nothing that can be read as pictures, or a range that holds no frame.
    """
    if start < 0 or (stop is not None and stop <= start):
        raise BadInput(f"frames {start} to {stop} of {path} are none; choose 0 <= start < stop.")
    clip = Path(path)
    if clip.is_dir() or _is_still_image(clip):
        info, files = images.probe_images(clip, frame_rate)
        if start >= len(files):
            raise _starts_late(clip, len(files))
        return ImageReader(info, files, start, stop)
    return VideoReader(*_probe_video(clip, frame_rate), start, stop)


def _starts_late(clip: Path, frames: int) -> BadInput:
    return BadInput(f"{clip} has {counted(frames, 'frame')}, counted from 0; start before frame {frames}.")


def _is_still_image(path: Path) -> bool:
    if path.suffix.lower() not in images.SUFFIXES or not path.is_file():
        return False
    header = images.read_header(path)
    if header.moving and header.format == "webp":
        raise BadInput(f"{path} is an animated WebP, which is not read; convert it to PNG images or a video.")
    return not header.moving


class ClipReader:
    """Frames of a clip, one after another; use it in a `with` statement or a `for` loop (also repeatedly).

    Attributes:
        info: What was known before reading.
        warnings: Sentences on what is odd; grows while frames are read.
        start: First frame given.
        stop: Frame it stops before, or None.
    """

    def __init__(self, info: ClipInfo, start: int, stop: int | None) -> None:
        self.info = info
        self.start = start
        self.stop = stop
        self.warnings: list[str] = list(info.warnings)
        self._running: list[Iterator[Frame]] = []

    @property
    def expected_frames(self) -> int | None:
        """How many frames will come, about; None if nothing tells. For progress, not for counting."""
        total = self.info.frames
        if total is None and self.info.duration is not None:
            total = max(round(self.info.duration * self.info.frame_rate), 1)
        ends = [end for end in (total, self.stop) if end is not None]
        return max(min(ends) - self.start, 0) if ends else None

    def __iter__(self) -> Iterator[Frame]:
        frames = self._frames()
        self._running.append(frames)
        return frames

    def __enter__(self) -> "ClipReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; iterating again opens it again."""
        for frames in self._running:
            frames.close()  # type: ignore[attr-defined]
        self._running.clear()

    def _frames(self) -> Iterator[Frame]:
        raise NotImplementedError

    def _warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)


class ImageReader(ClipReader):
    """Reads image files."""

    def __init__(self, info: ClipInfo, files: list[Path], start: int, stop: int | None) -> None:
        super().__init__(info, start, stop)
        self.files = files

    def _frames(self) -> Iterator[Frame]:
        step = 1 / self.info.frame_rate
        for index, file in enumerate(self.files[self.start : self.stop], self.start):
            rgb, had_alpha = images.read_image(file)
            if had_alpha:
                self._warn("Transparent parts are laid over black.")
            yield Frame(index, rgb, index * step, step)


def _rate_of(stream: VideoStream) -> Fraction | None:
    """Frames per second: the mean rate before the guess, which for uneven streams is the clock's rate."""
    for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate):
        if rate is not None and _RATES[0] <= rate <= _RATES[1]:
            return rate
    return None


def _duration_of(container: InputContainer, stream: VideoStream) -> float | None:
    """Seconds of the picture stream, or of the whole file."""
    duration = stream_duration(stream)
    if duration is None and container.duration:
        return container.duration / av.time_base
    return duration


def _frame_count(stream: VideoStream) -> int | None:
    """The container's count of shown frames."""
    if stream.frames <= 0:
        return None
    # Frames before an edit list's start are coded but not shown.
    entries = stream.index_entries
    if len(entries) == stream.frames:
        return stream.frames - sum(entry.is_discard for entry in entries)
    return stream.frames


def _orientation_of(frame: av.VideoFrame) -> Orientation:
    # PyAV's stubs take this for a mapping of names.
    items: Any = frame.side_data
    for data in items:
        if data.type == SideDataType.DISPLAYMATRIX:
            return from_display_matrix(np.frombuffer(bytes(data), dtype=np.int32).tolist())
    return Orientation()


def _probe_video(path: Path, frame_rate: Fraction | None) -> tuple[ClipInfo, Orientation]:
    with open_input(path) as container:
        stream = picture_stream(container, path)
        damage = Damage()
        frame = next(decode(container, stream, damage), None)
        if frame is None:
            raise BadInput(f"{path} holds no picture that can be decoded; it is cut off or damaged.")
        return _describe(path, container, stream, frame, frame_rate)


def _describe(
    path: Path,
    container: InputContainer,
    stream: VideoStream,
    frame: av.VideoFrame,
    frame_rate: Fraction | None,
) -> tuple[ClipInfo, Orientation]:
    notes: list[str] = []
    rate = _rate_of(stream)
    if frame.pts is None:
        rate = frame_rate or stream.guessed_rate or rate
        rate = rate or images.DEFAULT_RATE
        notes.append(f"The file has no time stamps; {rate} frames per second are assumed.")
    rate = rate or images.DEFAULT_RATE
    colour = colour_of(frame, stream.codec_context)
    if colour.transfer in HDR_TRANSFERS:
        notes.append("HDR (BT.2020 PQ or HLG) is tone-mapped to SDR BT.709.")
    if frame.interlaced_frame:
        notes.append("The video is interlaced; it is deinterlaced, one frame per frame.")
    if sum(not is_cover(s) for s in container.streams.video) > 1:
        notes.append(f"The file has several video streams; number {stream.index} is used.")
    orientation = _orientation_of(frame)
    width, height = frame.width, frame.height
    aspect = stream.sample_aspect_ratio or Fraction(1)
    if orientation.transpose:
        width, height, aspect = height, width, 1 / aspect
    info = ClipInfo(
        path=path,
        kind="video",
        width=width,
        height=height,
        frames=_frame_count(stream),
        frame_rate=rate,
        duration=_duration_of(container, stream),
        time_base=stream.time_base or 1 / rate,
        codec=stream.codec_context.codec.canonical_name,
        pixel_format=frame.format.name,
        bit_depth=max(component.bits for component in frame.format.components),
        colour=colour,
        sample_aspect_ratio=aspect,
        rotation=orientation.degrees,
        interlaced=bool(frame.interlaced_frame),
        audio_streams=len(container.streams.audio),
        subtitle_streams=len(container.streams.subtitles),
        warnings=tuple(notes),
    )
    return info, orientation


class _Clock:
    """Makes rising time stamps, seconds from the clip's start, from what the file has."""

    def __init__(self, start: Fraction, rate: Fraction) -> None:
        self._start = start
        self._step = 1 / rate
        self._last: Fraction | None = None
        self.mended = 0

    def time(self, frame: av.VideoFrame) -> Fraction:
        last = self._last
        if frame.pts is not None and frame.time_base:
            time = frame.pts * frame.time_base - self._start
            if last is not None and time <= last:
                self.mended += 1
                time = last + min(self._step, frame.time_base)
        elif last is None:
            time = Fraction(0)
        else:
            time = last + self._step
        self._last = time
        return time


def _with_durations(frames: Iterator[Frame], info: ClipInfo) -> Iterator[Frame]:
    """Set durations to the step to the next frame; what files say is wrong where uneven frames are reordered.

    The last frame lasts to the stream's end if all frames came, else as it says itself, else one mean step.
    """
    held: Frame | None = None
    first = Fraction(0)
    for frame in frames:
        if held is None:
            first = frame.time
        else:
            yield dataclasses.replace(held, duration=frame.time - held.time)
        held = frame
    if held is None:
        return
    mean = 1 / info.frame_rate
    # Streams without time stamps say one tick of a very fine clock.
    step = held.duration if held.duration and held.duration > mean / 10 else mean
    if info.duration is not None and held.index + 1 == info.frames:
        rest = first + Fraction(info.duration).limit_denominator(10**6) - held.time
        # Containers round their durations.
        if rest > 0 and abs(rest - step) > Fraction(1, 500):
            step = rest
    yield dataclasses.replace(held, duration=step)


class VideoReader(ClipReader):
    """Reads a video stream."""

    def __init__(self, info: ClipInfo, orientation: Orientation, start: int, stop: int | None) -> None:
        super().__init__(info, start, stop)
        self._orientation = orientation
        self._odd_size: tuple[int, int] | None = None

    def _frames(self) -> Iterator[Frame]:
        with open_input(self.info.path) as container:
            stream = picture_stream(container, self.info.path)
            damage = Damage()
            shown = 0
            end: Fraction | None = None
            frames = _with_durations(self._all(container, stream, damage), self.info)
            for frame in itertools.islice(frames, self.stop):
                shown += 1
                end = frame.time + (frame.duration or 0)
                if frame.index >= self.start:
                    yield frame
            if shown <= self.start:
                raise _starts_late(self.info.path, shown)
            if self.stop is None or shown < self.stop:
                # The whole file's duration may be that of its sound.
                alone = self.info.audio_streams == 0
                promised = self.info.duration if alone else stream_duration(stream)
                self._report(damage, shown, end, promised)

    def _all(self, container: InputContainer, stream: VideoStream, damage: Damage) -> Iterator[Frame]:
        """Every shown frame; those before `start` carry an empty picture."""
        converter = FrameConverter()
        clock = _Clock(clip_start(container), self.info.frame_rate)
        deinterlacer = Deinterlacer(stream.codec_context)
        decoded = decode(container, stream, damage)
        for index, frame in enumerate(deinterlacer.run(mark_chroma(decoded, self.info.codec))):
            time = clock.time(frame)
            duration = frame.duration * frame.time_base if frame.duration and frame.time_base else None
            if index < self.start:
                yield Frame(index, np.empty((0, 0, 3), np.float32), time, duration)
                continue
            colour = deinterlacer.colour or colour_of(frame, stream.codec_context)
            rgb = np.ascontiguousarray(self._orientation.apply(converter.to_rgb(frame, colour)))
            if converter.had_alpha:
                self._warn("Transparent parts are laid over black.")
            yield Frame(index, self._same_size(rgb, index), time, duration)
        if deinterlacer.used:
            self._warn("The video is interlaced; it is deinterlaced, one frame per frame.")
        if clock.mended:
            self._warn(f"{clock.mended} time stamp(s) did not rise and were moved behind the one before.")

    def _same_size(self, rgb: np.ndarray, index: int) -> np.ndarray:
        height, width = rgb.shape[:2]
        if (width, height) == (self.info.width, self.info.height):
            return rgb
        if self._odd_size != (width, height):
            self._odd_size = (width, height)
            self._warn(
                f"The picture changes to {width}x{height} at frame {index}; "
                f"it is scaled to the first size, {self.info.width}x{self.info.height}."
            )
        larger = width * height > self.info.width * self.info.height
        method = cv2.INTER_AREA if larger else cv2.INTER_CUBIC
        return np.clip(cv2.resize(rgb, (self.info.width, self.info.height), interpolation=method), 0, 1)

    def _report(self, damage: Damage, shown: int, end: Fraction | None, promised: float | None) -> None:
        """Say what was missing, once the end is reached."""
        claim = self.info.frames
        # A rate that wanders or a rounded duration is no damage.
        slack = max(0.1, 3 / float(self.info.frame_rate))
        if claim is not None and shown < claim:
            self._warn(f"Only {shown} of {claim} frames could be decoded; the file is cut off or damaged.")
        elif claim is None and promised and end is not None and float(end) + slack < promised:
            self._warn(
                f"The pictures end at {float(end):.2f} s of {promised:.2f} s; the file is cut off or damaged."
            )
        elif damage.bad_packets or damage.bad_frames or damage.ended:
            count = damage.bad_packets + damage.bad_frames
            self._warn(f"{max(count, 1)} damaged place(s) in the video were concealed.")

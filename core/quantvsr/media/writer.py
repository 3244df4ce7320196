"""Writing clips: a video file with the source's sound and tags, or a folder of PNG images."""

import contextlib
import os
import re
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import av.error
import cv2
import numpy as np

from quantvsr.errors import BadInput
from quantvsr.files import atomic_path, write_errors
from quantvsr.media.codecs import OutputCodec, check_output_size, container_for, find_codec
from quantvsr.media.colour import PIXEL_LAYOUTS, output_colour, rgb_to_frame
from quantvsr.media.reader import ClipReader
from quantvsr.media.streams import StreamCopier
from quantvsr.media.types import ClipInfo, ColourInfo

_IMAGE_NAME = "frame_{:06d}.png"
_OUR_IMAGE = re.compile(r"frame_\d{6,}\.png")
# SVT-AV1 writes to the terminal unless told not to (1: errors only).
os.environ.setdefault("SVT_LOG", "1")


def open_writer(
    path: str | Path,
    width: int,
    height: int,
    *,
    codec: str = "h264",
    quality: float = 18,
    frame_rate: Fraction | None = None,
    source: ClipInfo | ClipReader | None = None,
    copy_streams: bool = True,
    pixel_format: str | None = None,
    time_base: Fraction | None = None,
    overwrite: bool = False,
) -> "ClipWriter":
    """Prepare to write a clip; all that can be known to fail fails here, before any work.

    Args:
        path: The file, or for codec "png" the folder.
        width: Of the pictures to come, pixels.
        height: Of the pictures to come, pixels.
        codec: One of `quantvsr.media.codecs.CODECS`.
        quality: 0 (best) to 51, as x264's CRF; of no effect for ffv1, prores and png.
        frame_rate: Frames per second (the mean); the source's by default, else 25.
        source: The clip the pictures were made from. Its time grid, pixel aspect, colour tags and bit depth are
            taken over, and its sound, subtitles, chapters and tags copied. Give the reader rather than its info
            where only a part of the clip is read: the sound is then cut to that part.
        copy_streams: False leaves sound, subtitles, chapters and tags out.
        pixel_format: FFmpeg's name, to overrule the choice (see `PIXEL_LAYOUTS`).
        time_base: Grid of the time stamps in seconds, to overrule the choice.
        overwrite: Whether an existing file or folder of our images may be replaced.

    Raises:
        BadInput: An argument or the place does not do, with the reason.
    """
    target = Path(path)
    chosen = find_codec(codec)
    check_output_size(codec, width, height)
    reader = source if isinstance(source, ClipReader) else None
    info = source.info if isinstance(source, ClipReader) else source
    if not 0 <= quality <= 51:
        raise BadInput(f"quality {quality:g} is out of range; choose 0 (best) to 51.")
    _check_place(target, chosen, info, overwrite)
    common = {
        "path": target,
        "size": (width, height),
        "codec": chosen,
        "info": info,
        "rate": frame_rate or (info.frame_rate if info else Fraction(25)),
        "trim": (bool(reader and reader.start), bool(reader and reader.stop is not None)),
    }
    if chosen.name == "png":
        return ImageWriter(**common)
    container = container_for(chosen, target)
    name = pixel_format or chosen.pixel_format(info.bit_depth if info else 8, width, height)
    allowed = [f.name for f in av.codec.Codec(chosen.encoder, "w").video_formats or []]
    if name not in PIXEL_LAYOUTS or name not in allowed:
        names = ", ".join(n for n in PIXEL_LAYOUTS if n in allowed)
        raise BadInput(f"{name} cannot be written as {chosen.title}; choose one of {names}.")
    return VideoWriter(
        **common,
        container=container,
        quality=quality,
        pixel_format=name,
        time_base=time_base,
        copy_streams=copy_streams and info is not None and info.kind == "video",
    )


def _check_place(target: Path, codec: OutputCodec, info: ClipInfo | None, overwrite: bool) -> None:
    if info is not None and target.exists() and target.samefile(info.path):
        raise BadInput(f"{target} is the clip itself; choose another name for the output.")
    folder = target.parent
    existing = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    if not existing.is_dir():
        raise BadInput(f"{existing} is a file, so {target} cannot be written; choose another folder.")
    if not os.access(existing, os.W_OK):
        raise BadInput(f"{existing} cannot be written to; choose a folder you may write to.")
    if codec.name == "png":
        _check_image_folder(target, overwrite)
        return
    if target.is_dir():
        raise BadInput(f"{target} is a folder; give a file name, or choose png to write images.")
    if target.exists() and not overwrite:
        raise BadInput(f"{target} exists already; choose another name or allow overwriting.")


def _check_image_folder(target: Path, overwrite: bool) -> None:
    if target.is_file():
        raise BadInput(f"{target} is a file; give a folder for the images.")
    if not target.is_dir():
        return
    names = [file.name for file in target.iterdir()]
    if names and not all(_OUR_IMAGE.fullmatch(name) for name in names):
        raise BadInput(f"{target} holds other files; choose a new or empty folder for the images.")
    if names and not overwrite:
        raise BadInput(f"{target} holds images already; choose another folder or allow overwriting.")


class ClipWriter:
    """Writes pictures one after another; use it in a `with` statement.

    Leaving the statement in the usual way finishes the file and gives it its name; an exception (Ctrl-C, too)
    leaves nothing behind.

    Attributes:
        path: Where the result will be.
        notes: Sentences on what was converted or left out; complete when the statement is left.
        frames: Pictures written so far.
    """

    def __init__(
        self,
        path: Path,
        size: tuple[int, int],
        codec: OutputCodec,
        info: ClipInfo | None,
        rate: Fraction,
        trim: tuple[bool, bool],
    ) -> None:
        self.path = path
        self.size = size
        self.codec = codec
        self.notes: list[str] = []
        self.frames = 0
        self._info = info
        self._rate = rate
        self._trim = trim
        self._stack = contextlib.ExitStack()
        self._temporary: Path | None = None

    def __enter__(self) -> "ClipWriter":
        with self._stack:
            self._temporary = self._stack.enter_context(atomic_path(self.path))
            self._open(self._temporary)
            self._stack = self._stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            # The stack sees the exception, so the temporary file goes.
            with contextlib.suppress(Exception):
                self._abandon()
            self._stack.__exit__(kind, error, trace)
            return
        with self._stack:
            try:
                if self.frames == 0:
                    raise BadInput(f"{self.path} was given no pictures; nothing is written.")
                self._finish()
            except BaseException:
                with contextlib.suppress(Exception):
                    self._abandon()
                raise

    def write(
        self, rgb: np.ndarray, time: Fraction | None = None, duration: Fraction | None = None
    ) -> None:
        """Append one picture.

        Args:
            rgb: (height, width, 3), uint8 or float 0..1 (clipped).
            time: Seconds from the source clip's start, rising; by default evenly after the one before.
            duration: Seconds it is shown; matters for the last one only.

        Raises:
            ValueError: The picture's shape is wrong or it holds NaN, or the time does not rise.
            DiskFull: No space left.
        """
        width, height = self.size
        if rgb.shape != (height, width, 3):
            raise ValueError(f"expected a picture of shape {(height, width, 3)}, got {rgb.shape}")
        if self._temporary is None:
            raise ValueError("use the writer in a with statement")
        if rgb.dtype.kind == "f" and not np.isfinite(rgb).all():
            raise ValueError(f"picture {self.frames} for {self.path} holds NaN or infinity")
        with write_errors(self.path.parent):
            self._write(rgb, time, duration)
        self.frames += 1

    def note(self, text: str) -> None:
        """Add a sentence to `notes`, once."""
        if text not in self.notes:
            self.notes.append(text)

    def _open(self, temporary: Path) -> None:
        raise NotImplementedError

    def _write(self, rgb: np.ndarray, time: Fraction | None, duration: Fraction | None) -> None:
        raise NotImplementedError

    def _finish(self) -> None:
        raise NotImplementedError

    def _abandon(self) -> None:
        """Let go of the unfinished file."""


class ImageWriter(ClipWriter):
    """Writes frame_000001.png and so on."""

    def _open(self, temporary: Path) -> None:
        temporary.mkdir()
        if self._info is not None and self._info.audio_streams:
            self.note("PNG images hold no sound; it is left out.")
        self._deep = self._info is not None and self._info.bit_depth > 8

    def _write(self, rgb: np.ndarray, time: Fraction | None, duration: Fraction | None) -> None:
        assert self._temporary is not None
        if rgb.dtype == np.uint8 and not self._deep:
            codes = rgb
        else:
            values = rgb.astype(np.float32) / np.float32(255) if rgb.dtype == np.uint8 else rgb
            top, dtype = (65535, np.uint16) if self._deep else (255, np.uint8)
            codes = np.rint(np.clip(values, 0, 1) * np.float32(top)).astype(dtype)
        done, data = cv2.imencode(".png", np.ascontiguousarray(codes[..., ::-1]))
        if not done:
            raise BadInput(f"{self.path} cannot hold pictures of {self.size[0]}x{self.size[1]} as PNG.")
        (self._temporary / _IMAGE_NAME.format(self.frames + 1)).write_bytes(data.tobytes())

    def _finish(self) -> None:
        pass


def _fine_grid(rate: Fraction) -> Fraction:
    """A time base that holds every frame of a rate exactly and is fine enough for others."""
    den = rate.numerator
    while den < 10_000:
        den *= 2
    return Fraction(1, den)


class VideoWriter(ClipWriter):
    """Writes one video file."""

    def __init__(
        self,
        *,
        container: str,
        quality: float,
        pixel_format: str,
        time_base: Fraction | None,
        copy_streams: bool,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self._container_name = container
        self._quality = quality
        self._pixel_format = pixel_format
        self._copy_streams = copy_streams
        source_grid = self._info.time_base if self._info and self._info.kind == "video" else None
        self._time_base = time_base or source_grid or _fine_grid(self._rate)
        self.colour: ColourInfo = output_colour(self._info.colour if self._info else None, *self.size)
        self._output: Any = None
        self._stream: Any = None
        self._copier: StreamCopier | None = None
        self._zero: Fraction | None = None
        self._last: int | None = None
        self._end = Fraction(0)

    def _open(self, temporary: Path) -> None:
        self._output = av.open(
            f"file:{temporary}",
            "w",
            format=self._container_name,
            options={"movflags": "+faststart"} if self._container_name in ("mp4", "mov") else {},
        )
        try:
            self._add_picture_stream()
            if self._copy_streams and self._info is not None:
                self._copier = StreamCopier(self._info.path, self._output, self._container_name)
        except BaseException:
            self._abandon()
            raise

    def _add_picture_stream(self) -> None:
        stream: Any = self._output.add_stream(
            self.codec.encoder, rate=self._rate, options=self.codec.options(self._quality)
        )
        stream.width, stream.height = self.size
        stream.pix_fmt = self._pixel_format
        stream.time_base = self._time_base
        context = stream.codec_context
        context.time_base = self._time_base
        if self._info is not None and self._info.sample_aspect_ratio != 1:
            context.sample_aspect_ratio = self._info.sample_aspect_ratio
        sample = rgb_to_frame(np.zeros((1, 1, 3), np.float32), self._pixel_format, self.colour)
        context.colorspace, context.color_range = sample.colorspace, sample.color_range
        context.color_primaries, context.color_trc = sample.color_primaries, sample.color_trc
        if self._container_name in self.codec.tags:
            context.codec_tag = self.codec.tags[self._container_name]
        self._stream = stream
        if self._info is not None and self._info.bit_depth > PIXEL_LAYOUTS[self._pixel_format].bits:
            bits = PIXEL_LAYOUTS[self._pixel_format].bits
            self.note(f"The source has {self._info.bit_depth} bits, the output {bits}.")

    def _write(self, rgb: np.ndarray, time: Fraction | None, duration: Fraction | None) -> None:
        if time is None:
            time = self._end + (self._zero or 0)
        if self._zero is None:
            self._zero = time if self._trim[0] else min(time, Fraction(0))
            if self._copier is not None:
                self._copier.begin(self._zero)
                self.notes += self._copier.notes
        pts = round((time - self._zero) / self._time_base)
        if self._last is not None and pts <= self._last:
            raise ValueError(f"time {float(time)} of picture {self.frames} does not rise")
        self._last = pts
        shown = duration or 1 / self._rate
        self._end = time - self._zero + shown
        frame = rgb_to_frame(rgb, self._pixel_format, self.colour)
        frame.pts = pts
        frame.time_base = self._time_base
        frame.duration = max(round(shown / self._time_base), 1)
        self._mux(frame)
        if self._copier is not None:
            self._copier.advance(time - self._zero)

    def _mux(self, frame: av.VideoFrame | None) -> None:
        self._output.mux(self._stream.encode(frame))

    def _finish(self) -> None:
        with write_errors(self.path.parent):
            self._mux(None)
            if self._copier is not None:
                self._copier.advance(self._end if self._trim[1] else None, last=True)
                self._copier.close()
            self._output.close()

    def _abandon(self) -> None:
        if self._copier is not None:
            self._copier.close()
        if self._output is not None:
            self._output.close()

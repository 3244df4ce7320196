"""Choosing and checking how a clip is written."""

import dataclasses
from fractions import Fraction
from pathlib import Path
from typing import Any

from av.codec import Codec

from quantvsr.errors import BadInput
from quantvsr.files import check_place
from quantvsr.media.clip_writer import ClipWriter, WriteJob
from quantvsr.media.codecs import OutputCodec, check_output_size, container_for, find_codec
from quantvsr.media.colour import PIXEL_LAYOUTS
from quantvsr.media.image_writer import OUR_NAME, ImageWriter
from quantvsr.media.images import DEFAULT_RATE, SUFFIXES
from quantvsr.media.parts import PartsFolder
from quantvsr.media.reader import ClipReader
from quantvsr.media.segment_writer import ResumableImageWriter, SegmentedVideoWriter
from quantvsr.media.types import ClipInfo
from quantvsr.media.video_writer import VideoWriter


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
    parts: PartsFolder | None = None,
) -> ClipWriter:
    """Prepare to write a clip; all that can be known to fail fails here, before any work.

    Args:
        path: The file, or for codec "png" the folder.
        width: Of the pictures to come, pixels.
        height: Of the pictures to come, pixels.
        codec: One of `quantvsr.media.codecs.CODECS`.
        quality: 0 (best) to 51, as x264's CRF; of no effect for ffv1, prores and png.
        frame_rate: Frames per second (the mean); the source's by default, else 25.
        source: The clip the pictures were made from. Its time grid, pixel aspect, colour tags and bit depth
            are taken over, and its sound, subtitles, chapters and tags copied. Give the reader rather than
            its info where only a part of the clip is read: the sound is then cut to that part.
        copy_streams: False leaves sound, subtitles, chapters and tags out.
        pixel_format: FFmpeg's name, to overrule the choice (see `PIXEL_LAYOUTS`).
        time_base: Grid of the time stamps in seconds, to overrule the choice.
        overwrite: Whether an existing file or folder of our images may be replaced.
        parts: Where finished parts are kept until all is written, so that a stopped run can go on; see the
            writer's `finished`.

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
    job = WriteJob(
        path=target,
        width=width,
        height=height,
        codec=chosen,
        rate=frame_rate or (info.frame_rate if info else DEFAULT_RATE),
        source=info,
    )
    if reader is not None:
        length = None if reader.stop is None else (reader.stop - reader.start) / job.rate
        job = dataclasses.replace(job, cut_start=reader.start > 0, cut_length=length)
    if chosen.name == "png":
        return ImageWriter(job) if parts is None else ResumableImageWriter(job, parts)
    container = container_for(chosen, target)
    name = pixel_format or chosen.pixel_format(info.bit_depth if info else 8, width, height)
    allowed = [f.name for f in Codec(chosen.encoder, "w").video_formats or []]
    if name not in PIXEL_LAYOUTS or name not in allowed:
        names = ", ".join(n for n in PIXEL_LAYOUTS if n in allowed)
        raise BadInput(f"{name} cannot be written as {chosen.title}; choose one of {names}.")
    how: dict[str, Any] = {
        "container": container,
        "quality": quality,
        "pixel_format": name,
        "time_base": time_base,
        "copy_streams": copy_streams,
    }
    return VideoWriter(job, **how) if parts is None else SegmentedVideoWriter(job, parts, **how)


def _check_place(target: Path, codec: OutputCodec, info: ClipInfo | None, overwrite: bool) -> None:
    if info is not None and target.exists() and target.samefile(info.path):
        raise BadInput(f"{target} is the clip itself; choose another name for the output.")
    check_place(target)
    if codec.name == "png":
        _check_image_folder(target, overwrite)
        return
    if target.is_dir():
        raise BadInput(f"{target} is a folder; give a file name, or choose png to write images.")
    if target.exists() and not overwrite:
        raise BadInput(f"{target} exists already; choose another name, or give --overwrite.")


def _check_image_folder(target: Path, overwrite: bool) -> None:
    if target.is_file() or target.suffix.lower() in SUFFIXES:
        raise BadInput(f"{target} names a file; give a folder for the images.")
    if not target.is_dir():
        return
    names = [file.name for file in target.iterdir()]
    if names and not all(OUR_NAME.fullmatch(name) for name in names):
        raise BadInput(f"{target} holds other files; choose a new or empty folder for the images.")
    if names and not overwrite:
        raise BadInput(f"{target} holds images already; choose another folder, or give --overwrite.")

"""The values that media code passes on: colour description, clip description, frame."""

import dataclasses
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np


@dataclass(frozen=True)
class ColourInfo:
    """How the stored samples of a clip encode colour; names as in ITU-T H.273 and FFmpeg.

    Attributes:
        primaries: For example "bt709", or "unknown".
        transfer: For example "bt709", "smpte2084" (PQ), "arib-std-b67" (HLG), or "unknown".
        matrix: The matrix used for reading: "bt709", "smpte170m", ...; "rgb" where none is needed.
        full_range: Whether luma 0 is black (else 16 of 255).
        tagged: Whether the file names the matrix; if not, it was assumed from the size.
    """

    primaries: str = "bt709"
    transfer: str = "bt709"
    matrix: str = "bt709"
    full_range: bool = False
    tagged: bool = False


@dataclass(frozen=True)
class ClipInfo:
    """What is known of a clip before its frames are read.

    Attributes:
        path: The file or folder.
        kind: "video" or "images" (a folder of images or one image).
        width: Pixels, as shown (after rotation).
        height: Pixels, as shown.
        frames: Exact for images and where the container holds an index; else the container's claim, or None.
        frame_rate: Frames per second; the mean where the rate varies.
        duration: Seconds, or None if unknown.
        time_base: Grid of the time stamps in seconds.
        codec: FFmpeg's name, or the image format.
        pixel_format: FFmpeg's name of the stored format.
        bit_depth: Bits per stored sample.
        colour: Colour of the stored samples.
        sample_aspect_ratio: Width over height of a pixel, as shown.
        rotation: Degrees clockwise that reading turns the stored picture: 0, 90, 180 or 270.
        interlaced: Whether the first frame is interlaced (reading deinterlaces).
        audio_streams: Count.
        subtitle_streams: Count.
        warnings: One sentence each on what is odd or converted.
    """

    path: Path
    kind: Literal["video", "images"]
    width: int
    height: int
    frames: int | None
    frame_rate: Fraction
    duration: float | None
    time_base: Fraction
    codec: str
    pixel_format: str
    bit_depth: int
    colour: ColourInfo = ColourInfo()
    sample_aspect_ratio: Fraction = Fraction(1)
    rotation: int = 0
    interlaced: bool = False
    audio_streams: int = 0
    subtitle_streams: int = 0
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """A JSON-able dictionary; fractions become "a/b"."""
        value: dict[str, object] = {}
        for field in dataclasses.fields(self):
            item = getattr(self, field.name)
            if isinstance(item, Fraction):
                item = f"{item.numerator}/{item.denominator}"
            elif isinstance(item, Path):
                item = str(item)
            elif isinstance(item, ColourInfo):
                item = dataclasses.asdict(item)
            elif isinstance(item, tuple):
                item = list(item)
            value[field.name] = item
        return value


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a clip.

    Attributes:
        index: Count of shown frames from the start of the clip.
        rgb: float32 (height, width, 3), gamma-encoded, 0..1, upright.
        time: Seconds from the clip's start (where its earliest video or sound starts).
        duration: Seconds the frame is shown, or None if unknown.
    """

    index: int
    rgb: np.ndarray
    time: Fraction
    duration: Fraction | None = None

"""Clips made of image files: a folder in natural order, or one image."""

import contextlib
import itertools
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from quantvsr.errors import BadInput
from quantvsr.media.orientation import Orientation, from_exif
from quantvsr.media.source import check_readable
from quantvsr.media.types import ClipInfo, ColourInfo

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")
DEFAULT_RATE = Fraction(25)
_EXIF_ORIENTATION = 274
_TIFF_BITS = 258


def natural_key(name: str) -> list[tuple[int, int | str]]:
    """Sort key that reads digits as numbers: 2 before 10; ties by case."""
    parts = re.split(r"(\d+)", name)
    key: list[tuple[int, int | str]] = [
        (0, int(part)) if part.isdigit() else (1, part.casefold()) for part in parts if part
    ]
    return [*key, (1, name)]


@dataclass(frozen=True)
class ImageHeader:
    """What the head of an image file says.

    Attributes:
        width: As shown, after its EXIF orientation.
        height: As shown.
        bits: Per sample.
        format: For example "png".
        mode: Pillow's mode.
        orientation: To turn it upright.
        moving: Whether it is an animation.
    """

    width: int
    height: int
    bits: int
    format: str
    mode: str
    orientation: Orientation
    moving: bool


def _open(path: Path) -> Image.Image:
    check_readable(path)
    try:
        with warnings.catch_warnings():
            # Large pictures are what this program makes.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return Image.open(path)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BadInput(f"{path} cannot be opened as an image; it is damaged or of another kind.") from error


@contextlib.contextmanager
def _damage(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise BadInput(f"{path} is a damaged image ({error}); write it again or leave it out.") from error


def read_header(path: Path) -> ImageHeader:
    """Read the head of an image.

    Raises:
        BadInput: Missing, or no image.
    """
    with _open(path) as image, _damage(path):
        kind = (image.format or "").lower()
        bits = {"1": 1, "I;16": 16, "I;16B": 16, "I": 16, "F": 32}.get(image.mode, 8)
        # Pillow would decode a whole PNG to look for a tag behind the pixels.
        tag = None if kind == "png" and "exif" not in image.info else image.getexif().get(_EXIF_ORIENTATION)
        if kind == "png":
            with path.open("rb") as file:
                bits = max(bits, file.read(25)[24])  # IHDR, PNG specification section 11.2.2
        elif kind == "tiff":
            stored = image.tag_v2.get(_TIFF_BITS, (8,))  # type: ignore[attr-defined]
            bits = max(stored) if isinstance(stored, tuple) else int(stored)
        orientation = from_exif(tag)
        width, height = image.size
        if orientation.transpose:
            width, height = height, width
        moving = bool(getattr(image, "is_animated", False)) and kind != "tiff"
        return ImageHeader(width, height, bits, kind, image.mode, orientation, moving)


def read_image(path: Path) -> tuple[np.ndarray, bool]:
    """Read one image upright.

    Returns:
        float32 RGB (height, width, 3) in 0..1 with transparency laid over black, and whether there was any.

    Raises:
        BadInput: The file is damaged or of a kind that is not read.
    """
    header = read_header(path)
    if header.bits > 8:
        pixels = _read_deep(path, header)
    else:
        with _open(path) as image, _damage(path):
            alpha = "A" in image.getbands() or "transparency" in image.info
            codes = np.asarray(image.convert("RGBA" if alpha else "RGB"), dtype=np.float32)
        pixels = header.orientation.apply(codes / np.float32(255))
    if pixels.shape[2] == 4:
        alpha_plane = pixels[..., 3:]
        return np.ascontiguousarray(pixels[..., :3] * alpha_plane), bool(alpha_plane.min() < 1)
    return np.ascontiguousarray(pixels), False


def _read_deep(path: Path, header: ImageHeader) -> np.ndarray:
    # Pillow reads 16-bit colour as 8 bits.
    data = np.fromfile(path, dtype=np.uint8)
    pixels = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise BadInput(f"{path} is a damaged image; write it again or leave it out.")
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    if pixels.dtype.kind == "u":
        scaled = pixels.astype(np.float32) / np.float32(256**pixels.itemsize - 1)
    else:
        scaled = np.clip(np.nan_to_num(pixels.astype(np.float32)), 0, 1)
    order = [2, 1, 0] if scaled.shape[2] == 3 else [2, 1, 0, 3]
    return header.orientation.apply(scaled[..., order])


def list_images(folder: Path) -> list[Path]:
    """The image files of a folder in natural order; other and hidden files are ignored.

    Raises:
        BadInput: There is none.
    """
    check_readable(folder)
    files = [
        file
        for file in folder.iterdir()
        if file.suffix.lower() in SUFFIXES and not file.name.startswith(".") and file.is_file()
    ]
    if not files:
        kinds = "PNG, JPEG, TIFF, BMP or WebP"
        raise BadInput(f"{folder} holds no images; choose a folder with {kinds} files or a video.")
    return sorted(files, key=lambda file: natural_key(file.name))


def _gap_warning(files: list[Path]) -> str | None:
    """A sentence on missing numbers, where the files are numbered one by one."""
    numbers: list[int] = []
    for file in files:
        digits = re.findall(r"\d+", file.stem)
        if not digits:
            return None
        numbers.append(int(digits[-1]))
    steps = [after - before for before, after in itertools.pairwise(numbers)]
    if not steps or min(steps) != 1 or max(steps) == 1:
        return None
    first = next(before + 1 for before, step in zip(numbers, steps, strict=False) if step > 1)
    missing = sum(step - 1 for step in steps)
    return f"{missing} image number(s) missing, the first is {first}; the images are taken as neighbours."


def probe_images(path: Path, frame_rate: Fraction | None) -> tuple[ClipInfo, list[Path]]:
    """Look at every image's head.

    Args:
        path: A folder or an image.
        frame_rate: Frames per second; 25 by default.

    Raises:
        BadInput: No images, a damaged one, or sizes that differ.
    """
    files = list_images(path) if path.is_dir() else [path]
    notes: list[str] = []
    header = read_header(files[0])
    bits = header.bits
    for file in files[1:]:
        other = read_header(file)
        bits = max(bits, other.bits)
        if (other.width, other.height) != (header.width, header.height):
            sizes = f"{other.width}x{other.height} but {files[0].name} is {header.width}x{header.height}"
            raise BadInput(f"{file} is {sizes}; make all images of the folder the same size.")
    gap = _gap_warning(files)
    if gap:
        notes.append(gap)
    rate = frame_rate or DEFAULT_RATE
    if frame_rate is None and len(files) > 1:
        notes.append(f"Images carry no frame rate; {rate} frames per second are assumed.")
    info = ClipInfo(
        path=path,
        kind="images",
        width=header.width,
        height=header.height,
        frames=len(files),
        frame_rate=rate,
        duration=float(len(files) / rate),
        time_base=1 / rate,
        codec=header.format,
        pixel_format=header.mode,
        bit_depth=bits,
        colour=ColourInfo("bt709", "iec61966-2-1", "rgb", full_range=True, tagged=True),
        rotation=header.orientation.degrees,
        warnings=tuple(notes),
    )
    return info, files

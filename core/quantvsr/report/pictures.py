"""Pictures in a page: crops of the same region, slices through time, small whole frames."""

import base64
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from quantvsr.report.data import Clip, Pictures
from quantvsr.report.html import Html, join, tag

THUMB_WIDTH = 360
Version = tuple[str, str, tuple[str, ...]]
"""Key, label and figures of a version."""


def load_picture(path: Path) -> NDArray[np.uint8] | None:
    """A picture as (H, W, 3) uint8; None where it is missing or damaged."""
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, UnidentifiedImageError):
        return None


def shrink(picture: NDArray[np.uint8], width: int = THUMB_WIDTH) -> NDArray[np.uint8]:
    """A small version for an overview; pictures that are narrow already stay."""
    height, full = picture.shape[:2]
    if full <= width:
        return picture
    size = (width, max(1, round(height * width / full)))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BOX))


def data_uri(picture: NDArray[np.uint8], *, exact: bool = True) -> str:
    """A picture as text for an `img`: lossless WebP, or JPEG where it need not be exact."""
    stream = io.BytesIO()
    image = Image.fromarray(picture)
    if exact:
        image.save(stream, format="WEBP", lossless=True, quality=40, method=3)
        kind = "webp"
    else:
        image.save(stream, format="JPEG", quality=86)
        kind = "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"


def crops(clip: Clip, versions: Sequence[Version]) -> Html | None:
    """The region of all versions, side by side.

    Args:
        clip: Whose.
        versions: What to show, in this order.
    """
    cells = []
    for key, label, below in versions:
        picture = clip.pictures.get(key, Pictures()).crop
        if picture is not None:
            cells.append(
                tag(
                    "figure",
                    tag("img", src=data_uri(picture), alt=f"{label}: crop", loading="lazy", class_="crop"),
                    tag("figcaption", tag("b", label), *(tag("span", words) for words in below)),
                )
            )
    if not cells:
        return None
    wide = max(p.crop.shape[1] for p in clip.pictures.values() if p.crop is not None)
    # Whole multiples, so that every pixel is as large as the next.
    return tag("div", *cells, class_="crops", style=f"--crop:{wide * max(1, round(230 / wide))}px")


def slices(clip: Clip, versions: Iterable[Version]) -> Html | None:
    """The same row of pixels of all versions, time running down."""
    rows = []
    for key, label, _ in versions:
        picture = clip.pictures.get(key, Pictures()).slice
        if picture is not None and picture.size:
            height = picture.shape[0] * max(1, -(-56 // picture.shape[0]))
            image = tag(
                "img",
                src=data_uri(picture),
                alt=f"{label}: slice through time",
                loading="lazy",
                style=f"height:{min(height, 320)}px",
            )
            rows.append(tag("div", tag("span", label), image))
    return tag("div", *rows, class_="slices") if rows else None


def overview(clip: Clip) -> Html | None:
    """A small whole frame with the region of the crops outlined and the row of the slices marked."""
    for key in ("gt", "fp", "lq"):
        picture = clip.pictures.get(key, Pictures()).thumb
        if picture is not None:
            break
    else:
        return None
    marks = []
    if clip.region is not None:
        y, x, height, width = clip.region
        marks.append(_box("region", y, x, height, width, clip))
    if clip.row is not None:
        marks.append(_box("row", clip.row, 0, 0, clip.width, clip))
    image = tag("img", src=data_uri(picture, exact=False), alt=f"{clip.name}: a frame")
    return tag("div", image, join(*marks), class_="overview")


def _box(class_: str, y: float, x: float, height: float, width: float, clip: Clip) -> Html:
    places = {
        "top": y / clip.height,
        "left": x / clip.width,
        "height": height / clip.height,
        "width": width / clip.width,
    }
    return tag("i", class_=class_, style=";".join(f"{name}:{share:.2%}" for name, share in places.items()))

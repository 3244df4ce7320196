"""Comparison pictures: the same moment of several versions, labelled, with figures and a magnified detail."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from quantvsr.errors import BadInput
from quantvsr.upscale.labels import (
    BACKGROUND,
    QUIET,
    TEXT,
    chip,
    fit,
    font,
    line_height,
    paste,
    text_width,
    to_bytes,
)

Layout = Literal["auto", "row", "column", "grid"]

_GAP = 6
_SMALLEST_PANE = 480
_FRAME_LIGHT, _FRAME_DARK = (255, 213, 79), (0, 0, 0)  # amber on black shows on any picture


@dataclass(frozen=True)
class Region:
    """A rectangle of the full-size picture, in its pixels."""

    y: int
    x: int
    height: int
    width: int


@dataclass(frozen=True)
class Pane:
    """One version in a comparison.

    Attributes:
        label: Shown in the upper left corner.
        figures: Pairs of name and value for the strip below, e.g. ("PSNR", "27.3 dB").
        enlarge: How a picture smaller than the others is brought to their size.
    """

    label: str
    figures: tuple[tuple[str, str], ...] = ()
    enlarge: Literal["nearest", "bicubic"] = "nearest"


def busiest_region(picture: NDArray, height: int, width: int) -> Region:
    """The rectangle with the strongest edges, for a detail that is worth looking at.

    Args:
        picture: (H, W, 3); floats in 0..1 or uint8.
        height: Of the rectangle; cut down to the picture.
        width: Of the rectangle.
    """
    full_height, full_width = picture.shape[:2]
    height, width = min(height, full_height), min(width, full_width)
    grey = to_bytes(picture).astype(np.float32).mean(axis=2)
    edges = np.abs(np.diff(grey, axis=0, append=grey[-1:]))
    edges += np.abs(np.diff(grey, axis=1, append=grey[:, -1:]))
    # Sums over all rectangles of this size from a table of sums.
    table = np.pad(edges.astype(np.float64), ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    energy = (
        table[height:, width:] - table[:-height, width:] - table[height:, :-width] + table[:-height, :-width]
    )
    y, x = np.unravel_index(int(energy.argmax()), energy.shape)
    return Region(int(y), int(x), height, width)


def _grid(count: int, layout: Layout, aspect: float) -> tuple[int, int]:
    """Rows and columns. `auto` takes the arrangement whose panes are largest on a 16:9 screen."""
    if layout == "row":
        return 1, count
    if layout == "column":
        return count, 1
    if layout == "grid":
        columns = int(np.ceil(np.sqrt(count)))
        return -(-count // columns), columns

    def pane_width(columns: int) -> float:
        rows = -(-count // columns)
        return min(16 / columns, 9 / rows * aspect)

    # Among equals the one with fewer rows: eyes compare more easily from left to right.
    columns = max(range(1, count + 1), key=lambda c: (round(pane_width(c), 6), c))
    return -(-count // columns), columns


def _resize(picture: NDArray[np.uint8], height: int, width: int, how: str) -> NDArray[np.uint8]:
    """Nearest or bicubic when growing, averaged over areas when shrinking."""
    if picture.shape[:2] == (height, width):
        return picture
    if picture.shape[0] > height or picture.shape[1] > width:
        interpolation = cv2.INTER_AREA
    else:
        interpolation = cv2.INTER_CUBIC if how == "bicubic" else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(picture, (width, height), interpolation=interpolation), np.uint8)


class ComparisonRenderer:
    """Draws comparison frames of one clip; the layout is fixed at the start, so all frames have one size.

    Args:
        panes: Two to four versions (one is allowed too), in reading order.
        height: Of the full-size pictures.
        width: Of the full-size pictures.
        layout: `auto` chooses by the picture's shape.
        zoom: A region of the full-size picture that each pane shows magnified in a corner.
        title: A line above everything; empty for none.
        largest: Greatest width and height of the frames; larger ones are shrunk (averaging), the detail is
            not.

    Attributes:
        size: Height and width of the frames, both even, as video coders want them.

    Raises:
        BadInput: No panes or more than four, or the region is not inside the picture.
    """

    def __init__(
        self,
        panes: Sequence[Pane],
        height: int,
        width: int,
        *,
        layout: Layout = "auto",
        zoom: Region | None = None,
        title: str = "",
        largest: tuple[int, int] = (3840, 2160),
    ) -> None:
        if not 1 <= len(panes) <= 4:
            raise BadInput(f"A comparison shows 1 to 4 pictures, not {len(panes)}; leave some out.")
        inside = zoom is None or (
            zoom.y >= 0
            and zoom.x >= 0
            and zoom.height > 0
            and zoom.width > 0
            and zoom.y + zoom.height <= height
            and zoom.x + zoom.width <= width
        )
        if not inside:
            raise BadInput(
                f"The magnified region {zoom} does not lie in the {width}x{height} picture; move it."
            )
        self._panes, self._full = tuple(panes), (height, width)
        rows, columns = _grid(len(panes), layout, width / height)
        factor = min(
            largest[0] / (columns * width + (columns - 1) * _GAP),
            largest[1] / (rows * height + (rows - 1) * _GAP),
        )
        if factor >= 1:
            # Small pictures grow by whole factors, so that each pixel stays what it is.
            factor = max(1, min(int(factor), -(-_SMALLEST_PANE // width)))
        self._pane = max(1, round(height * factor)), max(1, round(width * factor))
        self._zoom, self._factor = zoom, factor
        self._build(rows, columns, title)

    def _build(self, rows: int, columns: int, title: str) -> None:
        pane_height, pane_width = self._pane
        size = min(max(round(pane_width / 24), 13), 44)
        strips = [_strip(pane.figures, pane_width, max(round(size * 0.85), 12)) for pane in self._panes]
        strip_height = max(strip.shape[0] for strip in strips)
        top = 0
        total_width = columns * pane_width + (columns - 1) * _GAP
        heading = None
        if title:
            heading = _heading(title, round(size * 1.1), total_width)
            top = heading.shape[0]
        cell = pane_height + strip_height
        total_height = top + rows * cell + (rows - 1) * _GAP
        self.size = total_height + total_height % 2, total_width + total_width % 2
        self._base = np.empty((*self.size, 3), np.uint8)
        self._base[:] = BACKGROUND
        if heading is not None:
            self._base[:top, :total_width] = heading
        self._places: list[tuple[int, int]] = []
        for number, strip in enumerate(strips):
            y = top + number // columns * (cell + _GAP)
            x = number % columns * (pane_width + _GAP)
            self._places.append((y, x))
            self._base[y + pane_height : y + pane_height + strip.shape[0], x : x + pane_width] = strip
        self._margin = max(4, round(size * 0.4))
        self._chips = [chip(pane.label, size, pane_width - 2 * self._margin) for pane in self._panes]

    def render(self, pictures: Sequence[NDArray]) -> NDArray[np.uint8]:
        """One comparison frame.

        Args:
            pictures: One for each pane, RGB, floats in 0..1 or uint8; of full size, or smaller (enlarged as
                the pane says).

        Returns:
            (*size, 3) uint8, a fresh array.

        Raises:
            BadInput: Another number of pictures than panes.
        """
        if len(pictures) != len(self._panes):
            raise BadInput(f"The comparison has {len(self._panes)} panes but got {len(pictures)} pictures.")
        frame = self._base.copy()
        height, width = self._pane
        for pane, picture, (y, x), label in zip(
            self._panes, pictures, self._places, self._chips, strict=True
        ):
            full = _resize(to_bytes(picture), *self._full, pane.enlarge)
            part = frame[y : y + height, x : x + width]
            part[:] = _resize(full, height, width, "nearest")
            if self._zoom is not None:
                self._magnify(part, full, self._zoom)
            paste(part, label, self._margin, self._margin)
        return frame

    def _magnify(self, part: NDArray[np.uint8], full: NDArray[np.uint8], zoom: Region) -> None:
        """Outline the region in the pane and show it enlarged in the corner that is farthest from it."""
        height, width = self._pane
        line = max(1, round(min(height, width) / 240))
        y, x = round(zoom.y * self._factor), round(zoom.x * self._factor)
        bottom = round((zoom.y + zoom.height) * self._factor)
        right = round((zoom.x + zoom.width) * self._factor)
        factor = min(0.46 * height / zoom.height, 0.46 * width / zoom.width)
        if factor < 1.25 * self._factor:
            return  # The region is so large that nothing would be magnified.
        if factor >= 2:
            factor = int(factor)
        inset_height, inset_width = max(1, round(zoom.height * factor)), max(1, round(zoom.width * factor))
        cut = full[zoom.y : zoom.y + zoom.height, zoom.x : zoom.x + zoom.width]
        detail = _resize(np.ascontiguousarray(cut), inset_height, inset_width, "nearest")
        _outline(part, y, x, bottom, right, line)
        # Below, since the label is above; on the other side than the region.
        margin = self._margin + 2 * line
        top = height - inset_height - margin
        left = margin if (x + right) / 2 > width / 2 else width - inset_width - margin
        if top < 0 or left < 0 or left + inset_width > width:
            return
        part[top : top + inset_height, left : left + inset_width] = detail
        _outline(part, top, left, top + inset_height, left + inset_width, line)


def _outline(picture: NDArray[np.uint8], top: int, left: int, bottom: int, right: int, line: int) -> None:
    """A light frame with a dark rim just outside of a rectangle."""
    for grown, colour in ((2 * line, _FRAME_DARK), (line, _FRAME_LIGHT)):
        for y0, x0, y1, x1 in (
            (top - grown, left - grown, top - grown + line, right + grown),
            (bottom + grown - line, left - grown, bottom + grown, right + grown),
            (top - grown, left - grown, bottom + grown, left - grown + line),
            (top - grown, right + grown - line, bottom + grown, right + grown),
        ):
            picture[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)] = colour


def _strip(figures: Sequence[tuple[str, str]], width: int, size: int) -> NDArray[np.uint8]:
    """Names (quiet) and values (bright) side by side, on as many lines as needed: (h, width, 3)."""
    if not figures:
        return np.zeros((0, width, 3), np.uint8)
    pad, gap = round(size * 0.6), round(size * 1.2)
    space = text_width(" ", size) + 1
    lines: list[list[tuple[str, str, int]]] = [[]]
    x = pad
    for name, value in figures:
        need = text_width(name, size) + space + text_width(value, size)
        if lines[-1] and x + need > width - pad:
            lines.append([])
            x = pad
        lines[-1].append((name, value, x))
        x += need + gap
    step = line_height(size)
    image = Image.new("RGB", (width, step * len(lines) + 2 * round(size * 0.4)), BACKGROUND)
    draw = ImageDraw.Draw(image)
    for number, line in enumerate(lines):
        y = round(size * 0.4) + number * step + (step - size) // 2
        for name, value, left in line:
            whole, fitted = fit(f"{name} {value}", size, width - left - 2)
            draw.text((left, y), name if whole.startswith(name) else whole, font=font(fitted), fill=QUIET)
            if whole.startswith(name):
                start = left + text_width(name, fitted) + space
                draw.text((start, y), whole[len(name) :].lstrip(), font=font(fitted), fill=TEXT)
    return np.asarray(image)


def _heading(title: str, size: int, width: int) -> NDArray[np.uint8]:
    pad = round(size * 0.6)
    title, size = fit(title, size, width - 2 * pad)
    image = Image.new("RGB", (width, line_height(size) + pad), BACKGROUND)
    draw = ImageDraw.Draw(image)
    draw.text((pad, (image.height - size) // 2 - size // 8), title, font=font(size), fill=TEXT)
    return np.asarray(image)

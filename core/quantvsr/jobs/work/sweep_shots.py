"""Small pictures of a clip for tables and reports: a crop, a slice through time, a small whole frame."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from quantvsr.files import atomic_path, make_folder
from quantvsr.upscale.labels import to_bytes
from quantvsr.upscale.render import Region
from quantvsr.upscale.slices import Slice

_THUMB_WIDTH = 480


class Shots:
    """Small pictures of a clip for reports: a crop, an x-t slice and a small whole frame.

    Args:
        region: Of the crop.
        frame: Number of the frame that crop and small picture show.
        row: Of the slice.
    """

    def __init__(self, region: Region, frame: int, row: int) -> None:
        self.region, self.frame = region, frame
        self._slice = Slice(row)
        self._count = 0
        self._pictures: dict[str, NDArray[np.uint8]] = {}

    def add(self, picture: NDArray) -> None:
        """Take the next frame, (H, W, 3)."""
        self._slice.add(picture)
        if self._count == self.frame:
            whole, r = to_bytes(picture), self.region
            self._pictures["crop"] = whole[r.y : r.y + r.height, r.x : r.x + r.width]
            height, width = whole.shape[:2]
            shrunk = min(_THUMB_WIDTH, width)
            size = (shrunk, max(1, round(height * shrunk / width)))
            small = cv2.resize(whole, size, interpolation=cv2.INTER_AREA)
            self._pictures["thumb"] = np.asarray(small, np.uint8)
        self._count += 1

    def save(self, folder: Path, prefix: str = "") -> dict[str, Path]:
        """Write the pictures; returns their places by kind."""
        self._pictures["xt"] = self._slice.result()
        found = {kind: make_folder(folder) / f"{prefix}{kind}.png" for kind in self._pictures}
        for kind, path in found.items():
            with atomic_path(path) as temporary:
                Image.fromarray(self._pictures[kind]).save(temporary, format="PNG")
        return found


def shot_files(folder: Path, prefix: str = "") -> dict[str, Path]:
    """Where `Shots.save` writes."""
    return {kind: folder / f"{prefix}{kind}.png" for kind in ("crop", "thumb", "xt")}

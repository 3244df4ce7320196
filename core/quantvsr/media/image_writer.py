"""Writing a folder of PNG images."""

import re
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from quantvsr.errors import BadInput
from quantvsr.media.clip_writer import ClipWriter

_NAME = "frame_{:06d}.png"
OUR_NAME = re.compile(r"frame_\d{6,}\.png")


class ImageWriter(ClipWriter):
    """Writes frame_000001.png and so on; 16 bits per sample where the source has more than 8."""

    @staticmethod
    def name(number: int) -> str:
        """Name of a picture's file, counted from 0."""
        return _NAME.format(number + 1)

    def _open(self, temporary: Path) -> None:
        temporary.mkdir()
        self._set_depth()

    def _set_depth(self) -> None:
        source = self.job.source
        self._deep = source is not None and source.bit_depth > 8
        if source is not None and source.kind == "video":
            self.note("Images hold no sound and no time stamps; they are left out.")

    def _write(self, rgb: np.ndarray, time: Fraction | None, duration: Fraction | None) -> None:
        if rgb.dtype == np.uint8 and not self._deep:
            codes = rgb
        else:
            values = rgb.astype(np.float32) / np.float32(255) if rgb.dtype == np.uint8 else rgb
            top, dtype = (65535, np.uint16) if self._deep else (255, np.uint8)
            codes = np.rint(np.clip(values, 0, 1) * np.float32(top)).astype(dtype)
        done, data = cv2.imencode(".png", np.ascontiguousarray(codes[..., ::-1]))
        if not done:
            raise BadInput(f"{self.path} cannot hold pictures of {self.job.width}x{self.job.height} as PNG.")
        self._keep(self.name(self.frames), data.tobytes())

    def _keep(self, name: str, data: bytes) -> None:
        assert self._temporary is not None
        (self._temporary / name).write_bytes(data)

    def _finish(self) -> None:
        """Every image is complete already."""

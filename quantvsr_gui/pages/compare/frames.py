"""Rendered frames as pictures to draw: mapped into memory, copied only where something is computed."""

import contextlib
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PySide6.QtGui import QImage

from quantvsr.errors import BadInput
from quantvsr.preview.store import FrameStore, StoredFrame, map_frame

# Each mapped frame keeps a file open, of which some systems allow 256; others cost memory.
_MAPPED = 96
_MEMORY = 256 * 2**20


@dataclass(frozen=True)
class Picture:
    """One frame, ready to draw.

    Attributes:
        key: Stands for its content: two pictures of the same key are equal.
        pixels: (H, W, 4): blue, green, red, 255.
        image: The same memory as a Qt image.
    """

    key: Hashable
    pixels: NDArray[np.uint8]
    image: QImage

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.pixels.shape[1], self.pixels.shape[0]


def picture_of(pixels: NDArray[np.uint8], key: Hashable) -> Picture:
    """A picture over an array, which lives as long as the picture does."""
    height, width = pixels.shape[:2]
    pixels = np.ascontiguousarray(pixels)
    # Qt only looks at the memory; `pixels` in the same value keeps it alive.
    return Picture(key, pixels, QImage(pixels.data, width, height, 4 * width, QImage.Format.Format_RGB32))


class Lru:
    """The last few pictures by key.

    Args:
        most: How many.
        memory: Bytes that they may take together; the newest stays in any case.
    """

    def __init__(self, most: int, memory: int | None = None) -> None:
        self._most, self._memory = most, memory
        self._kept: OrderedDict[Hashable, Picture] = OrderedDict()
        self._bytes = 0

    def get(self, key: Hashable, make: Callable[[], Picture]) -> Picture:
        """The value, made if it is not there."""
        found = self._kept.pop(key, None)
        if found is None:
            found = make()
            self._bytes += found.pixels.nbytes
            while self._kept and (len(self._kept) >= self._most or self._full()):
                self._bytes -= self._kept.popitem(last=False)[1].pixels.nbytes
        self._kept[key] = found
        return found

    def _full(self) -> bool:
        return self._memory is not None and self._bytes > self._memory


class Frames:
    """All rendered frames of one cache folder.

    Args:
        folder: The project's `cache/frames`; None while no project is open.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._store = FrameStore(folder) if folder is not None else None
        self._index: dict[str, dict[int, StoredFrame]] = {}
        self._folders: dict[str, str] = {}
        self._mapped = Lru(_MAPPED)
        self._decoded = Lru(_MAPPED, _MEMORY)

    @property
    def store(self) -> FrameStore | None:
        """The folder behind it."""
        return self._store

    def rescan(self, key: str = "") -> None:
        """Look again at which frames there are: of one version, or of all."""
        self._folders.clear()
        if key:
            self._index.pop(key, None)
        else:
            self._index.clear()

    def folder(self, content: str) -> str:
        """The key of the frames of a version (`version_key`) that were rendered last, on whatever device."""
        if self._store is None or not content:
            return content
        if content not in self._folders:
            self._folders[content] = self._store.latest(content)
        return self._folders[content]

    def indices(self, key: str) -> dict[int, StoredFrame]:
        """The frames of a version that are there."""
        if self._store is None or not key:
            return {}
        if key not in self._index:
            self._index[key] = self._store.version(key).scan()
        return self._index[key]

    def picture(self, key: str, index: int) -> Picture | None:
        """A frame of a version; None where it is not rendered, or its file went away."""
        frame = self.indices(key).get(index)
        if frame is None:
            return None
        name = (str(frame.path), key, index)
        with contextlib.suppress(BadInput):
            if frame.raw:
                return self._mapped.get(name, lambda: picture_of(map_frame(frame), name))
            return self._decoded.get(name, lambda: _decode(frame, name))
        self.rescan(key)
        return None


def _decode(frame: StoredFrame, key: Hashable) -> Picture:
    image = QImage(str(frame.path))
    if image.isNull():
        raise BadInput(f"{frame.path} cannot be read; render the frame again.")
    return picture_of(pixels_of(image), key)


def pixels_of(image: QImage) -> NDArray[np.uint8]:
    """A Qt image's pixels as an array of its own, (H, W, 4)."""
    plain = image.convertToFormat(QImage.Format.Format_RGB32)
    rows = np.frombuffer(plain.constBits(), np.uint8).reshape(plain.height(), plain.bytesPerLine())
    return rows[:, : 4 * plain.width()].reshape(plain.height(), plain.width(), 4).copy()

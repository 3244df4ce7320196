"""Clips in memory, as calibration reads them."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class ArrayClip:
    """A clip in memory (a `ClipSource`).

    Attributes:
        name: For people.
        array: (frames, h, w, 3), float32, 0..1.
    """

    name: str
    array: NDArray[np.float32]

    @property
    def frames(self) -> int:
        """Number of frames."""
        return len(self.array)

    @cached_property
    def digest(self) -> str:
        """Hash of shape and values."""
        data = np.ascontiguousarray(self.array, np.float32)
        return hashlib.sha256(repr(data.shape).encode() + data.tobytes()).hexdigest()

    def read(self, start: int, count: int) -> NDArray[np.float32]:
        """`count` frames from `start`, (count, h, w, 3); the last one repeats past the end."""
        return self.array[np.minimum(np.arange(start, start + count), len(self.array) - 1)]

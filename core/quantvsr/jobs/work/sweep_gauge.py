"""Measuring one version of a clip against stored references, with motion that was computed once for all."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from quantvsr.metrics import Accumulator, DisMotion, Motion, Picture, Resources, get_metric


class Gauge:
    """All metrics of one version, fed frame by frame.

    Args:
        metrics: Names of metrics.
        references: Names of what it is compared with.
        resources: Where weights and packages are.
    """

    def __init__(
        self, metrics: Sequence[str], references: Sequence[str], resources: Resources | None = None
    ) -> None:
        self._parts: dict[str, tuple[str | None, Accumulator]] = {}
        for name in metrics:
            metric = get_metric(name)
            if "reference" not in metric.needs:
                self._parts[name] = (None, metric.make(0, resources))
                continue
            for reference in references:
                self._parts[f"{name}_{reference}"] = (reference, metric.make(0, resources))

    def add(self, frame: Picture, references: Mapping[str, Picture], motion: Motion | None) -> None:
        """Take the next frame, the same moment of each reference, and the motion from the frame before."""
        for reference, part in self._parts.values():
            part.add(frame, None if reference is None else references[reference], motion)

    def result(self) -> dict[str, float | None]:
        """Means over the clip: `METRIC_REFERENCE`, or `METRIC` where none is needed."""
        values = {name: part.result() for name, (_, part) in self._parts.items()}
        # More digits than anybody can see, fewer than float noise.
        return {name: None if value is None else round(value, 5) for name, value in values.items()}


class StoredMotion:
    """The motion of a clip on disk: `flow.npy`, (T - 1, H, W, 2) float32, and `visible.npy`.

    Args:
        folder: Where the two files are.
    """

    FILES = ("flow.npy", "visible.npy")

    def __init__(self, folder: Path) -> None:
        self._flow, self._visible = (np.load(folder / name, mmap_mode="r") for name in self.FILES)

    def to(self, frame: int) -> Motion | None:
        """The motion to frame `frame` from the one before; None for the first."""
        if frame == 0:
            return None
        return Motion(np.array(self._flow[frame - 1]), np.array(self._visible[frame - 1]))


class MotionWriter:
    """Computes the motion of a clip frame by frame and writes it.

    Args:
        folder: Where the files go; they count only when the stage that writes them has ended.
        frames: Number of frames.
        height: Of a frame.
        width: Of a frame.
    """

    def __init__(self, folder: Path, frames: int, height: int, width: int) -> None:
        # An empty file cannot be mapped: a single frame leaves room for one motion, which is not used.
        shape = (max(frames - 1, 1), height, width)
        flow, visible = (folder / name for name in StoredMotion.FILES)
        self._flow = open_memmap(flow, mode="w+", dtype=np.float32, shape=(*shape, 2))
        self._visible = open_memmap(visible, mode="w+", dtype=np.bool_, shape=shape)
        self._dis, self._count = DisMotion(), 0

    def add(self, frame: Picture) -> Motion | None:
        """Take the next frame; returns the motion to it."""
        motion = self._dis.add(frame)
        if motion is not None:
            self._flow[self._count - 1] = motion.flow
            self._visible[self._count - 1] = motion.visible
        self._count += 1
        return motion

    def close(self) -> None:
        """Write what is not on disk yet."""
        self._flow.flush()
        self._visible.flush()


def as_pictures(frames: Mapping[str, NDArray]) -> dict[str, Picture]:
    """Frames by name as pictures that metrics share."""
    return {name: Picture(frame, f"The frame of {name!r}") for name, frame in frames.items()}

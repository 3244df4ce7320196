"""What a report shows, wherever it was read from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Figures = Mapping[str, float | None]
"""Values by `METRIC_gt`, `METRIC_fp` (against the ground truth, full precision) or `METRIC` (of one clip)."""


@dataclass(frozen=True)
class Pictures:
    """What is shown of one version of a clip; each (H, W, 3) uint8, or None.

    Attributes:
        crop: The region that all versions show.
        slice: An x-t slice, time running down.
        thumb: A small whole frame.
    """

    crop: NDArray[np.uint8] | None = None
    slice: NDArray[np.uint8] | None = None
    thumb: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class Clip:
    """A clip that was enlarged.

    Attributes:
        id: Key in figures.
        name: For a person.
        frames, width, height: Of the result.
        has_gt: Whether there is a ground truth.
        learned: Whether calibration saw it.
        sha256: Of the clip's file; None where unknown.
        region: (y, x, height, width) of the crops, pixels of the result.
        frame: Number of the frame that crops show, from 0.
        row: Row of the slices.
        pictures: By version: `lq`, `gt`, `bicubic`, or an entry's key.
    """

    id: str
    name: str
    frames: int
    width: int
    height: int
    has_gt: bool
    learned: bool = False
    sha256: str | None = None
    region: tuple[int, int, int, int] | None = None
    frame: int | None = None
    row: int | None = None
    pictures: Mapping[str, Pictures] = field(default_factory=dict)


@dataclass(frozen=True)
class Entry:
    """A version of the clips: full precision, a yardstick, or a method with some bits.

    Attributes:
        key: Unique.
        label: For a person, without the bits.
        bits: `W4A4`; empty for full precision and yardsticks.
        method: Its name, with the switches turned; empty where unknown.
        ablation: A method with a switch turned.
        figures: By clip's id.
        mean: Over all clips; empty where one is missing.
        bytes_fp32, bytes_lowbit, effective_bits, layers: Of the quantized layers.
        seconds: By what took them.
        checkpoint: SHA-256 of the checkpoint.
        error: One sentence where it failed or was not reached.
    """

    key: str
    label: str
    bits: str = ""
    method: str = ""
    ablation: bool = False
    figures: Mapping[str, Figures] = field(default_factory=dict)
    mean: Figures = field(default_factory=dict)
    bytes_fp32: int | None = None
    bytes_lowbit: int | None = None
    effective_bits: float | None = None
    layers: int | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    checkpoint: str | None = None
    error: str | None = None

    @property
    def title(self) -> str:
        """Label with the bits."""
        return f"{self.label} {self.bits}".strip()


@dataclass(frozen=True)
class Stage:
    """A stage of a training: losses of its updates, and those on held-out samples by updates done."""

    name: str
    losses: tuple[float, ...]
    held_out: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class Layers:
    """What is known about the layers of one quantized model.

    Attributes:
        title: Which model.
        names: In network order.
        kinds: Sort of each layer.
        ranks: Of each; None where ranks were not allocated.
        limits: Lowest and highest rank of any layer, where known.
        spatial, temporal: Mean complexity of each, NaN where not observed; None without a table.
        thresholds: s_low, s_high, t_low, t_high, where known.
        stages: Of the training.
    """

    title: str
    names: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    ranks: tuple[int, ...] | None = None
    limits: tuple[int, int] | None = None
    spatial: tuple[float, ...] | None = None
    temporal: tuple[float, ...] | None = None
    thresholds: tuple[float, float, float, float] | None = None
    stages: tuple[Stage, ...] = ()


@dataclass(frozen=True)
class Report:
    """Everything a report shows.

    Attributes:
        title: Heading.
        subtitle: One line below it.
        measured: When the figures were written.
        clips: In order.
        entries: Full precision first, then methods in order; yardsticks have no bits.
        metrics: Of each metric: title, unit, direction, conventions, licence.
        methods: Of each method: title, summary, source, simplified.
        layers: One for each model worth showing.
        sensitivity: Content of sensitivity.json; None without.
        facts: How it was made, as (label, value).
        command: The command line; empty where unknown.
        hashes: What was hashed, as (label, SHA-256).
        notes: What went wrong or is missing, one sentence each.
    """

    title: str
    subtitle: str
    measured: datetime | None = None
    clips: tuple[Clip, ...] = ()
    entries: tuple[Entry, ...] = ()
    metrics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    methods: tuple[Mapping[str, str], ...] = ()
    layers: tuple[Layers, ...] = ()
    sensitivity: Mapping[str, Any] | None = None
    facts: tuple[tuple[str, str], ...] = ()
    command: str = ""
    hashes: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


def written(path: Path) -> datetime:
    """When a file was written, with the time zone of this machine."""
    return datetime.fromtimestamp(path.stat().st_mtime).astimezone()

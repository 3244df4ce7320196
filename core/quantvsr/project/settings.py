"""What a person sets up in a project: frozen values with a JSON round trip. Every edit makes a new value."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from quantvsr.errors import BadInput
from quantvsr.jobs.options import Bits
from quantvsr.jobs.settings import BUNDLED, METHOD_DEFAULT


@dataclass(frozen=True)
class ClipEntry:
    """A clip of the project.

    Attributes:
        path: Absolute path of the video or folder of pictures.
        start: First frame used.
        stop: Frame after the last one used; None for the clip's end.
        learn: Whether the calibration learns from it.
        gt: Absolute path of its ground truth, if there is one.
    """

    path: str
    start: int = 0
    stop: int | None = None
    learn: bool = True
    gt: str | None = None

    def __post_init__(self) -> None:
        if self.start < 0 or (self.stop is not None and self.stop <= self.start):
            raise BadInput(
                f"{self.path}: the range {self.start} to {self.stop} holds no frame; set it again."
            )

    def to_json(self) -> dict[str, Any]:
        """All values by name."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "ClipEntry":
        """Read what `to_json` wrote; unknown keys are ignored."""
        return cls(**{item.name: value[item.name] for item in dataclasses.fields(cls) if item.name in value})


@dataclass(frozen=True)
class Settings:
    """All settings of a project that a person can edit, undo and redo.

    Attributes:
        model: The VSR model as the jobs take it: `bundled`, or a path.
        device: `auto`, `cpu`, `cuda`, ...
        seed: Seed of everything random.
        steps: Sampling steps; None for the model's own number.
        exclude: Layers left in full precision by hand, besides those the model's family names.
        clips: Clips in the order of the page.
        bits: Bits of weights and activations of all layers.
        preset: Calibration budget.
        method: Name of the method, see `quantvsr.methods`.
        samples: Calibration samples in all; None for the preset's.
        keep_steps: Recorded sampling steps of each window; None for the preset's.
        crop: Edge of recorded windows in LQ pixels; None for the preset's.
        min_rank, max_rank, percentile, extra_bits: Of the rank rule; None for the profile's.
        rank_overrides: Ranks set by hand, by layer.
        bit_overrides: Bits set by hand, by layer.
    """

    model: str = BUNDLED
    device: str = "auto"
    seed: int = 42
    steps: int | None = None
    exclude: tuple[str, ...] = ()
    clips: tuple[ClipEntry, ...] = ()
    bits: Bits = Bits(4, 4)  # noqa: RUF009  (frozen)
    preset: str = "quick"
    method: str = METHOD_DEFAULT
    samples: int | None = None
    keep_steps: int | None = None
    crop: int | None = None
    min_rank: int | None = None
    max_rank: int | None = None
    percentile: float | None = None
    extra_bits: float | None = None
    rank_overrides: Mapping[str, int] = field(default_factory=dict)
    bit_overrides: Mapping[str, Bits] = field(default_factory=dict)

    def replace(self, **changes: Any) -> "Settings":
        """A copy with other values."""
        return dataclasses.replace(self, **changes)

    def changed(self, other: "Settings") -> frozenset[str]:
        """Names of the fields in which two settings differ."""
        names = [item.name for item in dataclasses.fields(self)]
        return frozenset(name for name in names if getattr(self, name) != getattr(other, name))

    def learning_clips(self) -> tuple[ClipEntry, ...]:
        """The clips that the calibration learns from."""
        return tuple(clip for clip in self.clips if clip.learn)

    def to_json(self) -> dict[str, Any]:
        """A JSON-able dictionary; `from_json` reads it."""
        value = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}
        return {
            **value,
            "exclude": list(self.exclude),
            "clips": [clip.to_json() for clip in self.clips],
            "bits": str(self.bits),
            "rank_overrides": dict(self.rank_overrides),
            "bit_overrides": {name: str(bits) for name, bits in self.bit_overrides.items()},
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Settings":
        """Read what `to_json` wrote; missing keys take their defaults, unknown ones are ignored.

        Raises:
            BadInput: A value has the wrong type or is not allowed.
        """
        known = {item.name: value[item.name] for item in dataclasses.fields(cls) if item.name in value}
        try:
            readers = {
                "exclude": tuple,
                "clips": lambda clips: tuple(ClipEntry.from_json(clip) for clip in clips),
                "bits": Bits.parse,
                "rank_overrides": lambda ranks: {str(name): int(rank) for name, rank in ranks.items()},
                "bit_overrides": lambda bits: {str(name): Bits.parse(text) for name, text in bits.items()},
            }
            for name, read in readers.items():
                if name in known:
                    known[name] = read(known[name])
            return cls(**known)
        except (TypeError, ValueError, AttributeError) as error:
            raise BadInput(f"The settings cannot be read ({error}); restore them from a copy.") from error

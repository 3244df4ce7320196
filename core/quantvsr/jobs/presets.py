"""How much work calibration does: a name, and the numbers behind it."""

from dataclasses import dataclass, replace
from typing import Any, Protocol

from quantvsr.calibration.refine_config import PRESETS, RefineConfig
from quantvsr.errors import BadInput


@dataclass(frozen=True)
class Preset:
    """A calibration budget.

    Attributes:
        name: What the user calls it.
        samples: Calibration samples over all clips, at least; a window gives one for each recorded step.
        keep_steps: Sampling steps recorded of each window, spread evenly; None for all.
        crop: Width and height of a recorded window in LQ pixels (less where the clip is smaller).
        refine: How long the low-rank branch and the bias are trained.
    """

    name: str
    samples: int
    keep_steps: int | None
    crop: int
    refine: RefineConfig

    def windows(self, steps: int) -> int:
        """Windows to record with a model that takes so many sampling steps."""
        return -(-self.samples // min(self.keep_steps or steps, steps))


_presets: dict[str, Preset] = {}


def add(preset: Preset) -> None:
    """Make a preset known under its name; a later one of the same name replaces the earlier."""
    _presets[preset.name] = preset


# Within three minutes on two cores for the bundled model.
add(Preset("quick", samples=24, keep_steps=None, crop=32, refine=PRESETS["quick"]))
# Six and a half minutes there.
add(Preset("medium", samples=48, keep_steps=None, crop=32, refine=PRESETS["medium"]))
# Five times as much training, on larger crops; not timed.
add(Preset("standard", samples=96, keep_steps=None, crop=48, refine=PRESETS["standard"]))
# The reference's budget: 1800 samples, 900 updates of 4 samples in each of the two stages.
add(Preset("paper", samples=1800, keep_steps=10, crop=64, refine=PRESETS["paper"]))


class Budgeted(Protocol):
    """The part of a job that says how much calibration does."""

    @property
    def preset(self) -> str: ...  # noqa: D102
    @property
    def samples(self) -> int | None: ...  # noqa: D102
    @property
    def keep_steps(self) -> int | None: ...  # noqa: D102
    @property
    def crop(self) -> int | None: ...  # noqa: D102


def budget_of(job: Budgeted) -> Preset:
    """A job's preset with the numbers that the job gives itself.

    Raises:
        BadInput: There is no such preset.
    """
    given: dict[str, Any] = {"samples": job.samples, "keep_steps": job.keep_steps, "crop": job.crop}
    return replace(preset(job.preset), **{name: value for name, value in given.items() if value is not None})


def preset_names() -> tuple[str, ...]:
    """Names of all presets, smallest budget first."""
    return tuple(_presets)


def preset(name: str) -> Preset:
    """The preset of that name.

    Raises:
        BadInput: There is none.
    """
    try:
        return _presets[name]
    except KeyError:
        raise BadInput(f"There is no preset '{name}'; choose one of {', '.join(_presets)}.") from None

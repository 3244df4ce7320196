"""The losses of one run, gathered from what the engine reports and from what it left on disk. No Qt."""

import contextlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantvsr.calibration.results import StageResult
from quantvsr.calibration.snapshot_list import list_snapshots
from quantvsr.errors import BadInput
from quantvsr.files import read_json

TITLES = {"layers": "Layer by layer", "low-rank": "Low-rank branch", "bias": "Bias"}
SHORT = {"layers": "Layers", "low-rank": "Low rank", "bias": "Bias"}
Values = NDArray[np.float64]


def snapshot_folder(run_folder: Path) -> Path:
    """Where a run keeps its snapshots."""
    return run_folder / "work" / "snapshots"


@dataclass
class LossHistory:
    """Losses by stage, in the order of the stages.

    Attributes:
        stages: What each stage did so far; a loss that was not heard of is NaN.
        totals: Updates that each stage will have, where known.
    """

    stages: list[StageResult] = field(default_factory=list)
    totals: dict[str, int] = field(default_factory=dict)

    @classmethod
    def load(cls, run_folder: Path) -> "LossHistory":
        """What a run left: the whole training, or what its newest snapshot knows; empty without either."""
        with contextlib.suppress(BadInput, KeyError, TypeError, ValueError, AttributeError):
            value: Any = read_json(run_folder / "refinement.json")
            return cls([StageResult.from_json(stage) for stage in value["stages"]])
        found = list_snapshots(snapshot_folder(run_folder))
        return cls(list(found[-1].stages) if found else [])

    def add(self, payload: Mapping[str, Any]) -> bool:
        """Take a report of the engine; False where it is none about the training."""
        try:
            name, step, loss = str(payload["stage"]), int(payload["step"]), float(payload["loss"])
            rate = float(payload["learning_rate"])
        except (KeyError, TypeError, ValueError):
            return False
        stage = next((stage for stage in self.stages if stage.name == name), None)
        if stage is None:
            stage = StageResult(name)
            self.stages.append(stage)
        # A training that was continued tells some updates again; others come too fast to be reported.
        for values in (stage.losses, stage.rates):
            del values[step - 1 :]
            values.extend([math.nan] * (step - 1 - len(values)))
        stage.losses.append(loss)
        stage.rates.append(rate)
        held = payload.get("held_out")
        if isinstance(held, int | float) and (not stage.held_out or stage.held_out[-1][1] != held):
            stage.held_out.append((step - 1, float(held)))
        if isinstance(payload.get("steps"), int):
            self.totals[name] = payload["steps"]
        return True

    @property
    def updates(self) -> int:
        """Updates done in all stages."""
        return sum(len(stage.losses) for stage in self.stages)

    @property
    def starts(self) -> list[tuple[str, int]]:
        """(stage, updates done before it)."""
        found, before = [], 0
        for stage in self.stages:
            found.append((stage.name, before))
            before += len(stage.losses)
        return found

    def losses(self) -> tuple[Values, Values]:
        """Number of each update and its loss, NaN left out; both (N,)."""
        values = np.array([loss for stage in self.stages for loss in stage.losses], float)
        numbers = np.arange(1, len(values) + 1, dtype=float)
        good = np.isfinite(values)
        return numbers[good], values[good]

    def held_out(self) -> tuple[Values, Values]:
        """Updates done and the loss on held-out samples; both (N,)."""
        before = dict(self.starts)
        pairs = [(before[stage.name] + step, loss) for stage in self.stages for step, loss in stage.held_out]
        return np.array([x for x, _ in pairs], float), np.array([y for _, y in pairs], float)

    def rates(self) -> tuple[Values, Values]:
        """Number of each update and its learning rate, NaN left out; both (N,)."""
        values = np.array([rate for stage in self.stages for rate in stage.rates], float)
        numbers = np.arange(1, len(values) + 1, dtype=float)
        good = np.isfinite(values)
        return numbers[good], values[good]

    @property
    def untrained(self) -> float | None:
        """The loss before any training: on held-out samples, or else of the first update."""
        _, held = self.held_out()
        _, seen = self.losses()
        first = held if len(held) else seen
        return float(first[0]) if len(first) else None

    @property
    def best(self) -> float | None:
        """The least loss on held-out samples; of the updates where there are none."""
        _, held = self.held_out()
        _, seen = self.losses()
        found = held if len(held) else seen
        return float(found.min()) if len(found) else None

    @property
    def last(self) -> float | None:
        """Loss of the last update."""
        _, seen = self.losses()
        return float(seen[-1]) if len(seen) else None

    def rows(self) -> list[tuple[int, str, float | None, float | None, float | None]]:
        """Update, stage, loss, loss on held-out samples after it, learning rate."""
        found: list[tuple[int, str, float | None, float | None, float | None]] = []
        for stage, (_, before) in zip(self.stages, self.starts, strict=True):
            held = dict(stage.held_out)
            title = SHORT.get(stage.name, stage.name)
            if 0 in held and not before:
                found.append((0, title, None, held[0], None))
            for step, (loss, rate) in enumerate(zip(stage.losses, stage.rates, strict=False), 1):
                found.append((before + step, title, _known(loss), held.get(step), _known(rate)))
        return found


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def smoothed(values: Values, share: float = 0.08) -> Values:
    """Running mean of the logarithm over a share of the curve, itself not longer or shorter."""
    width = max(round(share * len(values)), 1)
    if width < 2 or (values <= 0).any():
        return values
    logs = np.log(values)
    padded = np.concatenate([np.full(width // 2, logs[0]), logs, np.full(width - 1 - width // 2, logs[-1])])
    return np.exp(np.convolve(padded, np.ones(width) / width, "valid"))

"""What a refinement did, stage by stage. Imports no torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class StageResult:
    """What one stage did.

    Attributes:
        name: "layers", "low-rank" or "bias".
        losses: Mean loss of the samples of each update (unweighted, undivided).
        sample_losses: Loss of each sample of each update.
        rates: Learning rate of the main group at each update.
        held_out: (updates done, loss on the held-out samples).
        best_step: Updates done in the state that was kept; None if the last one was kept.
        seconds: Time spent, over all runs.
    """

    name: str
    losses: list[float] = field(default_factory=list)
    sample_losses: list[list[float]] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    held_out: list[tuple[int, float]] = field(default_factory=list)
    best_step: int | None = None
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """All values by name."""
        return {**vars(self), "held_out": [list(pair) for pair in self.held_out]}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "StageResult":
        """Inverse of `to_json`."""
        return cls(**{**value, "held_out": [(int(step), float(loss)) for step, loss in value["held_out"]]})


@dataclass(frozen=True)
class RefineResult:
    """What the refinement did.

    Attributes:
        stages: Stages in order, those of earlier runs included.
        resumed: Updates that were taken over from a snapshot.
    """

    stages: tuple[StageResult, ...]
    resumed: int = 0

    def stage(self, name: str) -> StageResult:
        """The stage of that name (KeyError if it did not run)."""
        found = {stage.name: stage for stage in self.stages}
        return found[name]

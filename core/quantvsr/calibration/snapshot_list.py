"""What snapshots of a refinement lie in a folder. Imports no torch: the desktop app lists them as they come.

The newest two are whole (a refinement goes on from them); older ones keep only the trained values, enough to
make a checkpoint of them.
"""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantvsr.calibration.results import StageResult
from quantvsr.errors import BadInput
from quantvsr.files import read_json

WHOLE, LIGHT = "snapshot-", "light-"


@dataclass(frozen=True)
class SnapshotInfo:
    """One snapshot, without its tensors.

    Attributes:
        folder: Where it is.
        number: Updates done in all stages together.
        stages: What the stages had done by then, the last one perhaps not finished.
        whole: Whether a refinement can go on from it.
        loss: Its loss: on held-out samples where there are any, else of the last update; None where it was
            not measured.
    """

    folder: Path
    number: int
    stages: tuple[StageResult, ...]
    whole: bool
    loss: float | None

    @property
    def stage(self) -> str:
        """Name of the stage it was taken in."""
        return self.stages[-1].name if self.stages else ""


def stages_of(state: dict[str, Any]) -> tuple[StageResult, ...]:
    """The stages in the JSON part of a snapshot.

    Raises:
        KeyError, TypeError, ValueError: It is no such part.
    """
    found = [StageResult.from_json(value) for value in state["done"]]
    if "current" in state:
        found.append(StageResult.from_json(state["current"]))
    return tuple(found)


def loss_of(state: dict[str, Any]) -> float | None:
    """The loss of the state that a snapshot holds (see `SnapshotInfo`)."""
    stages = stages_of(state)
    if not stages:
        return None
    last = stages[-1]
    if "current" not in state and last.held_out:
        # A stage that is over left its best state.
        return min(loss for _, loss in last.held_out)
    if last.held_out:
        step, loss = last.held_out[-1]
        return loss if step == len(last.losses) else None
    return last.losses[-1] if last.losses else None


def list_snapshots(folder: str | os.PathLike[str]) -> list[SnapshotInfo]:
    """The readable snapshots in a folder, oldest first; an empty list where there is none."""
    found: dict[int, SnapshotInfo] = {}
    place = Path(folder)
    for kind in (LIGHT, WHOLE):
        for path in sorted(place.glob(f"{kind}*")) if place.is_dir() else []:
            # Removed or damaged meanwhile: the others still count.
            with contextlib.suppress(BadInput, OSError, KeyError, TypeError, ValueError, AttributeError):
                header: Any = read_json(path / "state.json")
                state = header["state"]
                number = int(state["number"])
                found[number] = SnapshotInfo(path, number, stages_of(state), kind == WHOLE, loss_of(state))
    return [found[number] for number in sorted(found)]

"""Finished stages of a job: what is already there with the same settings is not done again.

Each finished stage leaves a small JSON file with the hash of everything that decided its result, the sizes of
the files it wrote, its figures and its seconds. A stage whose record fits and whose files are still there is
skipped.
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantvsr import __version__
from quantvsr.errors import BadInput
from quantvsr.files import atomic_json, make_folder, read_json
from quantvsr.hashing import hash_json
from quantvsr.jobs.base import plain
from quantvsr.progress import Progress

_VERSION = 1


@dataclass(frozen=True)
class Outcome:
    """A finished stage.

    Attributes:
        key: Hash of everything that decided the result; later stages build their own key on it.
        figures: What the stage found out, as JSON values.
        seconds: How long it took when it ran.
        reused: Whether an earlier run's result was taken.
    """

    key: str
    figures: dict[str, Any]
    seconds: float
    reused: bool


class Ledger:
    """The finished stages of one output folder.

    Args:
        folder: Where the records are; created when the first stage ends.
        fresh: Run every stage again.

    Attributes:
        outcomes: Stages of this run by name, in order.
    """

    def __init__(self, folder: Path, *, fresh: bool = False) -> None:
        self._folder = folder
        self._fresh = fresh
        self.outcomes: dict[str, Outcome] = {}

    def stage(
        self,
        name: str,
        settings: Mapping[str, Any],
        outputs: Sequence[Path],
        work: Callable[[Progress], Mapping[str, Any] | None],
        progress: Progress,
    ) -> Outcome:
        """Run a stage, or take what an earlier run left.

        Args:
            name: Its name, also that of its record.
            settings: Everything that decides its result, as JSON values, keys of earlier stages included.
            outputs: Files and folders it writes.
            work: Does it; returns its figures.
            progress: The stage's own progress.

        Returns:
            The outcome, which is also kept in `outcomes`.
        """
        progress.check()
        key = hash_json(
            {"stage": name, "version": _VERSION, "program": __version__, "settings": plain(settings)}
        )
        outcome = None if self._fresh else self._read(name, key)
        if outcome is None:
            progress.report(0.0, "")
            began = time.perf_counter()
            figures = plain(dict(work(progress) or {}))
            outcome = Outcome(key, figures, time.perf_counter() - began, reused=False)
            self._write(name, outcome, outputs)
        progress.report(1.0, "already done" if outcome.reused else "done")
        self.outcomes[name] = outcome
        return outcome

    def seconds(self) -> dict[str, float]:
        """Seconds of each stage of this run; of a reused one, what it took when it ran."""
        return {name: round(outcome.seconds, 3) for name, outcome in self.outcomes.items()}

    def reused(self) -> list[str]:
        """Stages of this run that were taken over."""
        return [name for name, outcome in self.outcomes.items() if outcome.reused]

    def _record(self, name: str) -> Path:
        return self._folder / f"{name}.stage.json"

    def _read(self, name: str, key: str) -> Outcome | None:
        try:
            record = read_json(self._record(name))
        except BadInput:
            # Never run, or a record that cannot be read: the stage runs (again).
            return None
        if not isinstance(record, dict) or record.get("key") != key:
            return None
        outputs, figures, seconds = record.get("outputs"), record.get("figures"), record.get("seconds")
        if (
            not isinstance(outputs, dict)
            or not isinstance(figures, dict)
            or not isinstance(seconds, int | float)
        ):
            return None
        if any(_size(self._folder / place) != size for place, size in outputs.items()):
            return None
        return Outcome(key, figures, float(seconds), reused=True)

    def _write(self, name: str, outcome: Outcome, outputs: Sequence[Path]) -> None:
        make_folder(self._folder)
        sizes = {_relative(path, self._folder): _size(path) for path in outputs}
        record = {
            "key": outcome.key,
            "outputs": sizes,
            "figures": outcome.figures,
            "seconds": outcome.seconds,
        }
        atomic_json(self._record(name), record)


def _relative(path: Path, folder: Path) -> str:
    # Results lie beside the records' folder: a project that is moved as a whole keeps its finished stages.
    return Path(os.path.relpath(path, folder)).as_posix()


def _size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder; -1 where there is nothing."""
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return path.stat().st_size if path.is_file() else -1

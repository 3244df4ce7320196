"""The folder of a project: opening, locking, saving, copying.

- `project.json`: settings, runs, exports, what was shown last
- `complexity.npz`, `ranks.json`, `work/`: of the analysis (job `analyze` with this folder as --out)
- `checkpoints/ID/`: one quantized model per run, with its snapshots until it is done; in `trials/` the same
  with changed layers
- `cache/`: frames and thumbnails; safe to delete
- `exports/`: videos and reports
- `project.lock`: locked while a program has the project open for changing
"""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from quantvsr import __version__
from quantvsr.errors import BadInput
from quantvsr.files import atomic_json, atomic_path, make_folder, read_json, write_errors
from quantvsr.lock import Lock
from quantvsr.project.portable import from_portable, to_portable
from quantvsr.project.records import ExportRecord, RunRecord, RunState
from quantvsr.project.settings import Settings

FORMAT, VERSION = "quantvsr-project", 1
FILE, SUFFIX = "project.json", ".qvsr"
LOCK_NAME = "project.lock"


class ProjectLocked(BadInput):
    """Another program has the project open."""


@dataclass(frozen=True)
class Content:
    """Everything in project.json.

    Attributes:
        settings: What a person set up.
        analysis: The finished analysis: `job` and `result` as JSON; empty before there is one.
        runs: Quantizations, oldest first.
        exports: The export queue, in its order.
        view: What each page showed last, by page key; not undone, never needed.
    """

    settings: Settings = field(default_factory=Settings)
    analysis: Mapping[str, Any] = field(default_factory=dict)
    runs: tuple[RunRecord, ...] = ()
    exports: tuple[ExportRecord, ...] = ()
    view: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """A JSON-able dictionary."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "program": __version__,
            "settings": self.settings.to_json(),
            "analysis": dict(self.analysis),
            "runs": [run.to_json() for run in self.runs],
            "exports": [export.to_json() for export in self.exports],
            "view": dict(self.view),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Content":
        """Read what `to_json` wrote. Work that was under way then is marked as interrupted.

        Raises:
            BadInput: A part is damaged.
        """
        try:
            return cls(
                Settings.from_json(value["settings"]),
                dict(value.get("analysis", {})),
                tuple(_settled(RunRecord.from_json(run)) for run in value.get("runs", ())),
                tuple(_settled(ExportRecord.from_json(item)) for item in value.get("exports", ())),
                dict(value.get("view", {})),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BadInput(f"a part is missing or damaged ({error})") from error


def _settled(record: Any) -> Any:
    if not record.state.active:
        return record
    return type(record)(**{**vars(record), "state": RunState.INTERRUPTED})


class Project:
    """An open project. `content` is replaced as a whole; `save` writes it.

    Use `create` or `open`; `close` gives the lock back.
    """

    def __init__(self, folder: Path, content: Content, lock: Lock | None) -> None:
        self.folder = folder
        self.content = content
        self._lock = lock

    @classmethod
    def create(cls, folder: str | os.PathLike[str], settings: Settings | None = None) -> "Project":
        """Make a new project and open it.

        Raises:
            BadInput: The folder holds something already, or cannot be written to.
            DiskFull: No space.
        """
        place = Path(folder).expanduser().absolute()
        if place.exists() and (not place.is_dir() or any(place.iterdir())):
            raise BadInput(f"{place} exists already; choose a new name, or open it.")
        make_folder(place)
        project = cls(place, Content(settings or Settings()), _locked(place))
        project.save()
        return project

    @classmethod
    def open(cls, folder: str | os.PathLike[str], *, read_only: bool = False) -> "Project":
        """Open a project; one that cannot be written to is opened for reading.

        Args:
            folder: The project's folder, or its project.json.
            read_only: Take no lock and never write.

        Raises:
            ProjectLocked: Another program has it open for changing.
            BadInput: It is no project, damaged, or of a newer version.
        """
        place = Path(folder).expanduser().absolute()
        if place.name == FILE:
            place = place.parent
        content = _read(place)
        if read_only or not os.access(place, os.W_OK) or not os.access(place / FILE, os.W_OK):
            return cls(place, content, None)
        lock = _locked(place)
        try:
            # Again under the lock: somebody may have saved since.
            return cls(place, _read(place), lock)
        except BadInput:
            lock.release()
            raise

    @property
    def name(self) -> str:
        """For people: the folder's name without its ending."""
        return self.folder.name.removesuffix(SUFFIX)

    @property
    def read_only(self) -> bool:
        """Whether nothing is written."""
        return self._lock is None

    @property
    def cache(self) -> Path:
        """Folder of frames and thumbnails; made when it is first written to."""
        return self.folder / "cache"

    @property
    def exports(self) -> Path:
        """Where exports go unless a person chooses another place."""
        return self.folder / "exports"

    def run_folder(self, run_id: str) -> Path:
        """Folder of a run's checkpoint and snapshots."""
        return self.folder / "checkpoints" / run_id

    def save(self) -> None:
        """Write project.json, whole or not at all; nothing where the project is open for reading.

        Raises:
            BadInput: The folder cannot be written to any more.
            DiskFull: No space.
        """
        if not self.read_only:
            atomic_json(self.folder / FILE, to_portable(self.content.to_json(), self.folder))

    def copy_to(self, folder: str | os.PathLike[str], *, cache: bool = False) -> Path:
        """Write the project with its results as another project.

        Args:
            folder: Of the copy.
            cache: Copy frames and thumbnails too.

        Returns:
            The new folder; it is not opened.

        Raises:
            BadInput: It exists already, lies inside this one, or cannot be written to.
            DiskFull: No space.
        """
        target = Path(folder).expanduser().absolute()
        if target.exists():
            raise BadInput(f"{target} exists already; choose a new name.")
        if target.is_relative_to(self.folder):
            raise BadInput(f"{target} lies inside the project itself; choose another place.")
        with atomic_path(target) as temporary:
            shutil.copytree(
                self.folder,
                temporary,
                ignore=shutil.ignore_patterns(*(() if cache else ("cache",)), LOCK_NAME, ".*.part*"),
            )
            # Paths are relative in the file; what is not yet saved belongs to the copy too.
            atomic_json(temporary / FILE, to_portable(self.content.to_json(), self.folder))
        return target

    def close(self) -> None:
        """Give the lock back; the project may not be saved after this."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None


def is_project(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder looks like a project."""
    return (Path(folder) / FILE).is_file()


def now() -> str:
    """The moment as the records keep it: ISO 8601 in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _locked(place: Path) -> Lock:
    lock = Lock(place / LOCK_NAME)
    with write_errors(place):
        if not lock.acquire():
            who = lock.holder()
            text = f"{place.name} is open in another window{f' ({who})' if who else ''}"
            raise ProjectLocked(f"{text}; close it there first, or open it for reading only.")
    return lock


def _read(place: Path) -> Content:
    if not (place / FILE).is_file():
        raise BadInput(f"{place} is no project (it holds no {FILE}); choose a folder that ends in {SUFFIX}.")
    value = from_portable(read_json(place / FILE), place)
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise BadInput(f"{place / FILE} is no project file; choose another folder.")
    version = value.get("version")
    if not isinstance(version, int) or version < 1:
        raise BadInput(f"{place / FILE} has no valid version; restore it from a copy.")
    if version > VERSION:
        maker = value.get("program", "a newer version")
        raise BadInput(
            f"{place.name} was made by a newer version of this program ({maker}); update it to open this."
        )
    try:
        return Content.from_json(value)
    except BadInput as error:
        reason = str(error).rstrip(".")
        raise BadInput(f"{place / FILE} cannot be used: {reason}; restore it from a copy.") from error

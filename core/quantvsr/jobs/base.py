"""What a user can ask for: a job is a frozen dataclass, everything that runs one calls `run(job, progress)`.

The command line, the desktop app's worker and tests all use these. Nothing here imports torch: a job can be
made, saved, opened and shown as a command in a process that never loads the engine; `run` imports the rest.
"""

import dataclasses
import errno
import inspect
import os
import shlex
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar, cast

from quantvsr.errors import BadInput, DiskFull, QuantVSRError
from quantvsr.files import is_disk_full
from quantvsr.jobs.options import Bits, FrameRange, LayerBits, LayerRank, Option, flag_of
from quantvsr.progress import Progress, Stage

FORMAT = "quantvsr-job"
GROUPS = {
    "model": "models",
    "quantize": "calibrate and quantize",
    "run": "enlarge clips",
    "compare": "measure and compare",
    "other": "other",
}
"""Steps of the work in their order, and their titles in the command line's help."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a job gives back.

    Attributes:
        warnings: What the user was told on the way.
    """

    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As a JSON object; paths and fractions become text."""
        return cast(dict[str, Any], plain(self))

    def rows(self) -> list[tuple[str, str]]:
        """The most important figures as (label, value), for a short table."""
        return []


@dataclass(frozen=True)
class Job:
    """Base of all jobs: frozen settings, each field declared with `options.option`.

    Class attributes:
        name: Its registered name, which is also its subcommand.
        version: Raised when a field changes its meaning or goes away.
        summary: One sentence for a person.
        details: More for a person, in whole lines; may be empty.
        example: A command line that works.
        group: Step of the work it belongs to, a key of `GROUPS`.
    """

    name: ClassVar[str] = ""
    version: ClassVar[int] = 1
    summary: ClassVar[str] = ""
    details: ClassVar[str] = ""
    example: ClassVar[str] = ""
    group: ClassVar[str] = "run"

    def __post_init__(self) -> None:
        for key, setting in options_of(type(self)).items():
            value = getattr(self, key)
            setting.check(flag_of(key) if not setting.positional else key, value)

    def run(self, progress: Progress) -> Result:
        """Do it. Call `run(job, progress)` of this module instead, which also explains failures."""
        raise NotImplementedError

    def to_json(self) -> dict[str, Any]:
        """As a JSON object that `job_from_json` reads back."""
        known = options_of(type(self))
        settings = {key: _dump(setting, getattr(self, key)) for key, setting in known.items()}
        return {"format": FORMAT, "job": self.name, "version": self.version, "settings": settings}

    def command(self) -> str:
        """The shell command that does the same, quoted for this system's shell."""
        arguments = ["quantvsr", self.name, *self.arguments()]
        return subprocess.list2cmdline(arguments) if os.name == "nt" else shlex.join(arguments)

    def arguments(self) -> list[str]:
        """The command line arguments after the subcommand; settings at their default are left out."""
        defaults = _defaults(type(self))
        first: list[str] = []
        rest: list[str] = []
        for key, setting in options_of(type(self)).items():
            value = getattr(self, key)
            if value is None:
                continue
            texts = [setting.kind.show(single) for single in (value if setting.many else (value,))]
            if setting.positional:
                first += texts
            # The seed is always written down: a reader of the command should see that it is fixed.
            elif value == defaults[key] and key != "seed":
                continue
            elif isinstance(value, bool):
                rest.append(flag_of(key) if value else "--no-" + key.replace("_", "-"))
            else:
                rest += [flag_of(key), *texts]
        return first + rest

    def settings_hash(self) -> str:
        """Hash of everything that decides the result (not: where it is written)."""
        from quantvsr.hashing import hash_json

        chosen = {
            key: _dump(setting, getattr(self, key))
            for key, setting in options_of(type(self)).items()
            if setting.reproducible
        }
        return hash_json({"job": self.name, "version": self.version, "settings": chosen})


JobType = TypeVar("JobType", bound=type[Job])
_registry: dict[str, type[Job]] = {}


def register(name: str) -> Callable[[JobType], JobType]:
    """Class decorator: make a job known under a name."""

    def add(kind: JobType) -> JobType:
        if name in _registry:
            raise ValueError(f"two jobs are called {name}")
        kind.name = name
        _registry[name] = kind
        return kind

    return add


def job_types() -> Mapping[str, type[Job]]:
    """All registered jobs by name, in the order in which a person meets them."""
    import quantvsr.jobs  # noqa: F401  (importing the package registers them)

    return dict(_registry)


def options_of(kind: type[Job]) -> dict[str, Option]:
    """The settings of a kind of job by field name: its own first, then those it shares with others."""
    own = inspect.get_annotations(kind)
    fields = sorted(dataclasses.fields(kind), key=lambda field: field.name not in own)
    return {field.name: field.metadata["option"] for field in fields}


def job_from_json(value: Any) -> Job:
    """Read a job.

    Raises:
        BadInput: Not a job, an unknown job or setting, a newer version, a missing setting, or a wrong type.
    """
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise BadInput("This is not a saved job; choose a file that this program wrote.")
    name, settings = value.get("job"), value.get("settings")
    kind = job_types().get(name) if isinstance(name, str) else None
    if kind is None:
        raise BadInput(f"The job '{name}' is unknown; it may need a newer version of this program.")
    version = value.get("version")
    if version != kind.version:
        newer = isinstance(version, int) and version > kind.version
        remedy = "update this program" if newer else "set it up again"
        raise BadInput(f"The {name} job has version {version}, not {kind.version}; {remedy}.")
    if not isinstance(settings, dict):
        raise BadInput(f"The {name} job has no settings; set it up again.")
    known = options_of(kind)
    unknown = sorted(set(settings) - set(known))
    if unknown:
        raise BadInput(f"The {name} job has the unknown setting '{unknown[0]}'; it may need a newer version.")
    defaults = _defaults(kind)
    absent = [key for key in known if key not in settings and defaults[key] is dataclasses.MISSING]
    if absent:
        raise BadInput(f"The {name} job lacks the setting '{absent[0]}'; set it up again.")
    values = {key: _load(kind, key, defaults[key], entry) for key, entry in settings.items()}
    return kind(**values)


def run(job: Job, progress: Progress | None = None) -> Result:
    """Run a job.

    Raises:
        QuantVSRError: Any failure that a user can cause or mend, as one sentence; `Cancelled` when stopped.
    """
    notes = _Notes(progress if progress is not None else Progress())
    try:
        result = job.run(notes)
        return dataclasses.replace(result, warnings=tuple(notes.warnings))
    except QuantVSRError:
        raise
    except Exception as error:
        # Writers outside our own (a library's temporary file, say) may also meet the full disk.
        if is_disk_full(error):
            raise DiskFull("The disk is full; free some space or choose another output folder.") from error
        if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
            text = "The memory is not enough for this; use a smaller --tile, or another --device."
            raise QuantVSRError(text) from error
        if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
            name = Path(str(error.filename)).name
            raise BadInput(f"The name {name[:40]}... is too long; choose a shorter one.") from error
        if isinstance(error, PermissionError) and error.filename is not None:
            text = f"{error.filename} may not be opened; change its permissions or choose another."
            raise BadInput(text) from error
        raise


class _Notes(Stage):
    """Keeps warnings for the result, each once, and passes everything on."""

    def __init__(self, parent: Progress) -> None:
        super().__init__(parent, "", 0.0, 1.0)
        self.warnings: list[str] = []

    def report(self, fraction: float, message: str = "", **payload: object) -> None:
        self._parent.report(fraction, message, **payload)

    def warn(self, message: str) -> None:
        if message not in self.warnings:
            self.warnings.append(message)
            self._parent.warn(message)


def plain(value: Any) -> Any:
    """A dataclass, path, fraction, tuple or mapping as plain JSON values."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        if isinstance(value, Bits | LayerBits | LayerRank | FrameRange):
            return str(value)
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)


def _defaults(kind: type[Job]) -> dict[str, Any]:
    return {field.name: field.default for field in dataclasses.fields(kind)}


def _dump(setting: Option, value: Any) -> Any:
    if value is None:
        return None
    return [setting.kind.dump(single) for single in value] if setting.many else setting.kind.dump(value)


def _load(kind: type[Job], key: str, default: Any, value: Any) -> Any:
    setting = options_of(kind)[key]
    if value is None and default is None:
        return None
    try:
        if not setting.many:
            return setting.kind.load(value)
        if not isinstance(value, list):
            raise TypeError("expected a list")
        return tuple(setting.kind.load(single) for single in value)
    except (TypeError, ValueError) as error:
        text = f"The setting '{key}' of the {kind.name} job is not usable ({error}); set it up again."
        raise BadInput(text) from error

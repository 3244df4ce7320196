"""What the app itself remembers between starts: one versioned JSON file in the user's folder."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal

from quantvsr.errors import QuantVSRError
from quantvsr.files import atomic_json, read_json

VERSION = 1
MOST_RECENT = 10


@dataclass(frozen=True)
class AppSettings:
    """The app's own settings.

    Attributes:
        theme: `system`, `dark` or `light`.
        recent: Folders of projects, newest first.
        shortcuts: Changed keyboard shortcuts by action; an empty text means none.
        tour_seen: Whether the tour was offered.
        window: Place and size of the window, as Qt's text; empty before the first close.
        log_shown: Whether the log panel is open.
    """

    theme: str = "system"
    recent: tuple[str, ...] = ()
    shortcuts: Mapping[str, str] = field(default_factory=dict)
    tour_seen: bool = False
    window: str = ""
    log_shown: bool = False

    def to_json(self) -> dict[str, Any]:
        """A JSON-able dictionary."""
        return {"version": VERSION, **dataclasses.asdict(self), "recent": list(self.recent)}

    @classmethod
    def from_json(cls, value: Any) -> "AppSettings":
        """Read what `to_json` wrote; what is missing, unknown or has another type takes its default."""
        if not isinstance(value, dict) or value.get("version") != VERSION:
            return cls()
        plain = cls()
        known: dict[str, Any] = {}
        for item in dataclasses.fields(cls):
            entry = value.get(item.name)
            if item.name == "recent" and isinstance(entry, list):
                known["recent"] = tuple(str(path) for path in entry)
            elif item.name == "shortcuts" and isinstance(entry, dict):
                known["shortcuts"] = {str(key): str(keys) for key, keys in entry.items()}
            elif type(entry) is type(getattr(plain, item.name)):
                known[item.name] = entry
        return cls(**known)


class SettingsStore(QObject):
    """The settings and their file. Changes are written a moment later, several at once.

    Args:
        path: The JSON file; one that cannot be read counts as empty, one that cannot be written is kept in
            memory for as long as the app runs.
    """

    changed = Signal()

    def __init__(self, path: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._path = path
        try:
            self._value = AppSettings.from_json(read_json(path))
        except QuantVSRError:
            self._value = AppSettings()
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(500)
        self._later.timeout.connect(self.save)

    @property
    def value(self) -> AppSettings:
        """The settings now."""
        return self._value

    def change(self, **changes: Any) -> None:
        """Set some of them."""
        new = dataclasses.replace(self._value, **changes)
        if new != self._value:
            self._value = new
            self._later.start()
            self.changed.emit()

    def add_recent(self, folder: Path) -> None:
        """Put a project at the top of the recent ones."""
        others = [path for path in self._value.recent if path != str(folder)]
        self.change(recent=(str(folder), *others)[:MOST_RECENT])

    def remove_recent(self, folder: Path) -> None:
        """Forget a project, for example because it is gone."""
        self.change(recent=tuple(path for path in self._value.recent if path != str(folder)))

    def save(self) -> None:
        """Write now what has not been written."""
        self._later.stop()
        try:
            atomic_json(self._path, self._value.to_json())
        except (QuantVSRError, OSError):
            # Not worth a message: the next start shows the defaults.
            return

"""One program at a time: locks that the system releases when the program ends."""

import contextlib
import json
import os
import socket
import sys
from pathlib import Path
from typing import IO

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


class Lock:
    """A lock, held until `release` or the end of the process, however it ends.

    Args:
        path: A file for it, which stays.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[str] | None = None

    @property
    def held(self) -> bool:
        """Whether this object holds it."""
        return self._file is not None

    def acquire(self) -> bool:
        """Take the lock; False where somebody else has it.

        Raises:
            OSError: The file cannot be made; its folder must exist.
        """
        file = self.path.open("a+", encoding="utf-8")
        try:
            _lock(file)
        except OSError:
            file.close()
            return False
        file.seek(0)
        file.truncate()
        json.dump({"process": os.getpid(), "computer": socket.gethostname()}, file)
        file.flush()
        self._file = file
        return True

    def release(self) -> None:
        """Give it back."""
        if self._file is None:
            return
        # The file stays: whoever removes it could remove the one that somebody has just locked.
        with contextlib.suppress(OSError):
            _unlock(self._file)
        self._file.close()
        self._file = None

    def holder(self) -> str:
        """Who has it, for a person; empty where the file does not say."""
        try:
            value = json.loads(self.path.read_text(encoding="utf-8"))
            return f"process {value['process']} on {value['computer']}"
        except (OSError, ValueError, KeyError, TypeError):
            return ""


if sys.platform == "win32":
    # Windows locks bytes, and forbids reading them: one far behind the text.
    _PLACE = 1 << 20

    def _lock(file: IO[str]) -> None:
        file.seek(_PLACE)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

    def _unlock(file: IO[str]) -> None:
        file.seek(_PLACE)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)

else:

    def _lock(file: IO[str]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(file: IO[str]) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)

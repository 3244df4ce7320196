"""Writing files so that a reader never meets half of one.

Everything is written to a temporary name in the same folder and renamed when complete. A full disk becomes
`DiskFull`, which names the folder.
"""

import contextlib
import errno
import itertools
import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from quantvsr.errors import BadInput, DiskFull, QuantVSRError

_counter = itertools.count()
# Quotas are not known everywhere.
_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
_FULL_WORDS = ("no space left on device", "disk quota exceeded", "os error 28")


def is_disk_full(error: BaseException) -> bool:
    """Whether an exception, or one it was raised from, says that the disk is full.

    Libraries that write through native code (safetensors, FFmpeg) wrap the system error, so its text is
    read too.
    """
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in _FULL:
            return True
        if any(words in str(seen).lower() for words in _FULL_WORDS):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


@contextlib.contextmanager
def write_errors(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Turn the system's errors while writing below `folder` into clear ones.

    Raises:
        DiskFull: The disk or the quota is full.
        BadInput: The folder cannot be written to.
    """
    try:
        yield
    except QuantVSRError:
        raise
    except PermissionError as error:
        raise BadInput(f"{folder} cannot be written to; choose a folder you may write to.") from error
    except Exception as error:
        if is_disk_full(error):
            text = f"The disk holding {folder} is full; free some space or choose another folder."
            raise DiskFull(text) from error
        raise


def make_folder(path: str | os.PathLike[str]) -> Path:
    """Create a folder (and its parents) if it is missing, and return it.

    Raises:
        BadInput: The name is taken by a file, or the place cannot be written to.
        DiskFull: No space for it.
    """
    folder = Path(path)
    with write_errors(folder.parent):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            text = f"{folder} is needed as a folder but a file has that name; choose another folder."
            raise BadInput(text) from error
    return folder


_FILES = {".csv", ".html", ".json", ".mkv", ".mov", ".mp4", ".npz", ".pt", ".pth", ".safetensors"}
"""Endings that no folder of results has; others may be part of its name, as in w4a4.v2."""


def folder_for(path: str, command: str) -> Path:
    """The folder that a command writes to, by what the user gave; not made yet.

    Raises:
        BadInput: It is a file, or is named like one.
    """
    folder = Path(path).expanduser()
    if folder.is_file() or folder.suffix.lower() in _FILES:
        raise BadInput(f"{folder} looks like a file; --out of '{command}' is a folder.")
    return folder


def file_for(path: str | os.PathLike[str], command: str, ending: str) -> Path:
    """The file that a command writes to, by what the user gave.

    Its ending is asked for, so that a clip or a result that was given by mistake is not replaced.

    Raises:
        BadInput: It is a folder, or ends otherwise.
    """
    file = Path(path).expanduser()
    if file.is_dir():
        raise BadInput(
            f"{file} is a folder; --out of '{command}' is a file such as {file / command}{ending}."
        )
    if file.suffix.lower() != ending:
        raise BadInput(f"--out of '{command}' must end in {ending}; rename {file}.")
    check_place(file)
    return file


def check_place(target: Path) -> None:
    """Say that a file or folder cannot be written where it shall be, before anything long is done for it.

    Raises:
        BadInput: Something above it is a file, or may not be written to.
    """
    folder = target.absolute().parent
    existing = next(each for each in (folder, *folder.parents) if each.exists())
    if not existing.is_dir():
        raise BadInput(f"{existing} is a file, so {target} cannot be written; choose another folder.")
    if not os.access(existing, os.W_OK):
        raise BadInput(f"{existing} cannot be written to; choose a folder you may write to.")


def remove(path: Path) -> None:
    """Remove a file or a folder with all it holds; a missing one is fine."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` at success, remove it at failure.

    What is written may be a file or a folder. The temporary name ends like `path`: some writers choose
    the format by the ending. Parent folders are created. A folder replaces an existing folder as a whole.

    Args:
        path: Where the finished file or folder shall be.

    Yields:
        The temporary path; nothing exists there yet.

    Raises:
        DiskFull: No space left.
        BadInput: The folder cannot be written to.
    """
    target = Path(path)
    folder = make_folder(target.parent)
    # Shortened: a name may have 255 bytes, and the target's own may be nearly as long.
    temporary = folder / f".{target.stem[:40]}.{os.getpid()}-{next(_counter)}.part{target.suffix}"
    try:
        with write_errors(folder):
            yield temporary
            if temporary.is_dir() and target.is_dir():
                _swap_folder(temporary, target)
            else:
                temporary.replace(target)
    except BaseException:
        remove(temporary)
        raise


def _swap_folder(temporary: Path, target: Path) -> None:
    # A folder that holds something cannot be replaced in one step: the old one moves aside first.
    old = temporary.with_name(temporary.name + ".old")
    target.replace(old)
    try:
        temporary.replace(target)
    except BaseException:
        old.replace(target)
        raise
    remove(old)


def atomic_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Write `data` to `path`, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def atomic_json(path: str | os.PathLike[str], value: object) -> None:
    """Write `value` as indented UTF-8 JSON, whole or not at all.

    NaN and infinities are refused (ValueError): they are not JSON, and hide a failed measurement.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    atomic_bytes(path, text.encode("utf-8"))


def read_json(path: str | os.PathLike[str]) -> object:
    """Read a JSON file.

    Raises:
        BadInput: The file is missing, unreadable or not JSON.
    """
    file = Path(path)
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BadInput(f"{file} does not exist; check the path.") from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        text = f"{file} is not a readable JSON file ({error}); delete it or write it again."
        raise BadInput(text) from error


def cache_folder() -> Path:
    """Where what can be made again is kept: checkpoints, compiled kernels.

    `QUANTVSR_CACHE` overrules the system's place.
    """
    given = os.environ.get("QUANTVSR_CACHE")
    if given:
        return Path(given).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "quantvsr"
    if os.name == "nt":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "quantvsr" / "cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "quantvsr"

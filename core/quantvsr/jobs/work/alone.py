"""One program at a time writes an output."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from quantvsr.errors import BadInput
from quantvsr.files import cache_folder
from quantvsr.hashing import hash_json
from quantvsr.lock import Lock


@contextlib.contextmanager
def writing_alone(target: Path) -> Iterator[None]:
    """Hold an output for this program, so that no other one takes its unfinished parts for old ones.

    The lock lies in the cache, not beside the output; without a cache that can be written to there is none.

    Args:
        target: The output; need not exist.

    Raises:
        BadInput: Another program on this computer writes it now.
    """
    lock = Lock(cache_folder() / "locks" / f"{hash_json(str(target.resolve()))[:32]}.lock")
    try:
        lock.path.parent.mkdir(parents=True, exist_ok=True)
        free = lock.acquire()
    except OSError:
        free = True
    if not free:
        who = lock.holder()
        raise BadInput(
            f"{target} is being written already{f' ({who})' if who else ''}; "
            "wait until that has ended, or choose another output."
        )
    try:
        yield
    finally:
        lock.release()

"""Models in the local cache of the Hugging Face hub, by id. Nothing is downloaded.

`hub:owner/name` stands for the newest complete copy that a tool of the user's own (`hf download owner/name`)
has put there.
"""

import os
import re
from pathlib import Path

from quantvsr.errors import BadModel

PREFIX = "hub:"
_ID = re.compile(r"[\w.-]+/[\w.-]+")


def is_id(text: str) -> bool:
    """Whether a text has the form owner/name."""
    return _ID.fullmatch(text) is not None and ".." not in text


def cache_folder() -> Path:
    """Where the hub's tools keep what they download."""
    given = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    if given:
        return Path(given).expanduser()
    home = os.environ.get("HF_HOME")
    return (Path(home).expanduser() if home else Path.home() / ".cache" / "huggingface") / "hub"


def cached(reference: str) -> Path:
    """The folder behind `hub:owner/name`.

    Raises:
        BadModel: Not such an id, or nothing of it is in the cache.
    """
    name = reference.removeprefix(PREFIX)
    if not is_id(name):
        raise BadModel(f"'{reference}' is no id of the hub; write hub:owner/name.")
    place = cache_folder() / f"models--{name.replace('/', '--')}"
    try:
        revision = (place / "refs" / "main").read_text(encoding="utf-8").strip()
    except OSError:
        revision = ""
    folder = place / "snapshots" / revision
    if not revision or not folder.is_dir():
        raise BadModel(
            f"{name} is not in the hub's cache at {cache_folder()}; this program downloads nothing: get it "
            f"with 'hf download {name}', or give its folder."
        )
    return folder

"""Paths inside a project file: kept relative to the project or the program, so that both can move."""

import os
from pathlib import Path
from typing import Any

from quantvsr.resources import resource

_PROJECT, _BUNDLED = "{project}", "{bundled}"


def to_portable(value: Any, folder: Path) -> Any:
    """A JSON value with paths below the project or the program's resources written relative to them."""
    places = ((str(folder), _PROJECT), (str(_resources()), _BUNDLED))
    return _each_text(value, lambda text: _shorten(text, places))


def from_portable(value: Any, folder: Path) -> Any:
    """Inverse of `to_portable`, for the folder where the project is now."""
    places = ((_PROJECT, str(folder)), (_BUNDLED, str(_resources())))
    return _each_text(value, lambda text: _lengthen(text, places))


def _resources() -> Path:
    return resource("clips").parent


def _shorten(text: str, places: tuple[tuple[str, str], ...]) -> str:
    for start, short in places:
        if text == start or text.startswith(start + os.sep):
            return short + text[len(start) :].replace(os.sep, "/")
    return text


def _lengthen(text: str, places: tuple[tuple[str, str], ...]) -> str:
    for short, start in places:
        if text == short or text.startswith(short + "/"):
            return start + text[len(short) :].replace("/", os.sep)
    return text


def _each_text(value: Any, change: Any) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {key: _each_text(entry, change) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_each_text(entry, change) for entry in value]
    return value

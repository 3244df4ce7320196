"""How one setting of a job is written on a command line, in JSON, and explained to a person.

Each field of a job carries an `Option` in its metadata. The command line parser, "Copy as command" and the
JSON reader are all derived from it, so they cannot disagree. Nothing here imports torch.
"""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from quantvsr.errors import BadInput
from quantvsr.methods.registry import get_method

MIN_BITS, MAX_BITS = 2, 8


@dataclass(frozen=True)
class Bits:
    """Bits of weights and of activations, each 2..8."""

    weights: int
    activations: int

    def __post_init__(self) -> None:
        for value in (self.weights, self.activations):
            if not MIN_BITS <= value <= MAX_BITS:
                raise BadInput(
                    f"{value} bits are not possible; give {MIN_BITS} to {MAX_BITS}, for example --bits 4 or "
                    "--bits W4A8."
                )

    def __str__(self) -> str:
        return f"W{self.weights}A{self.activations}"

    @classmethod
    def parse(cls, text: str) -> "Bits":
        """Read `4`, `4,8` (weights, activations) or `W4A8`.

        Raises:
            BadInput: Another form, or outside 2..8.
        """
        plain = text.strip().upper().replace("W", "").replace("A", ",").replace(" ", "")
        parts = plain.split(",")
        if len(parts) > 2 or not all(part.isascii() and part.isdigit() for part in parts):
            raise BadInput(f"'{text}' is not a number of bits; write 4, or W4A8 for weights and activations.")
        numbers = [int(part) for part in parts]
        return cls(numbers[0], numbers[-1])


@dataclass(frozen=True)
class Kind:
    """A type of setting: its readers and writers.

    Attributes:
        parse: Command line text to value; raises BadInput or ValueError.
        show: Value to command line text.
        load: JSON value to value; raises ValueError or TypeError when it has another type.
        dump: Value to JSON value.
        metavar: Placeholder in help texts.
    """

    parse: Callable[[str], Any]
    show: Callable[[Any], str]
    load: Callable[[Any], Any]
    dump: Callable[[Any], Any]
    metavar: str


def _exactly(kind: type) -> Callable[[Any], Any]:
    def load(value: Any) -> Any:
        # bool is a subclass of int; true is no number of steps.
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise TypeError(f"expected {kind.__name__}")
        return value

    return load


def _load_number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError("expected a number")
    return float(value)


def _parse_number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _parse_rate(text: str) -> Fraction:
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 0 < rate <= 1000:
        raise BadInput(f"'{text}' is not a frame rate; write 24, 23.976 or 30000/1001.")
    return rate


def _same(value: Any) -> Any:
    return value


def _show_path(value: str) -> str:
    # A command must work from any folder, and a name may begin with a dash.
    return str(Path(value).expanduser().absolute())


def _show_reference(value: str) -> str:
    return _show_path(value) if Path(value).expanduser().exists() else value


def _parse_method(text: str) -> str:
    return get_method(text).name


TEXT = Kind(str, str, _exactly(str), _same, "NAME")
PATH = Kind(str, _show_path, _exactly(str), _same, "PATH")
REFERENCE = Kind(str, _show_reference, _exactly(str), _same, "MODEL")
INTEGER = Kind(int, str, _exactly(int), _same, "N")
NUMBER = Kind(_parse_number, repr, _load_number, _same, "X")
SWITCH = Kind(str, str, _exactly(bool), _same, "")
RATE = Kind(_parse_rate, str, lambda value: _parse_rate(_exactly(str)(value)), str, "FPS")
METHOD = Kind(_parse_method, str, lambda value: _parse_method(_exactly(str)(value)), _same, "METHOD")
BITS = Kind(Bits.parse, str, lambda value: Bits.parse(_exactly(str)(value)), str, "BITS")


@dataclass(frozen=True)
class LayerBits:
    """Bits of one layer, as `NAME=W8A8`."""

    layer: str
    bits: Bits

    def __str__(self) -> str:
        return f"{self.layer}={self.bits}"

    @classmethod
    def parse(cls, text: str) -> "LayerBits":
        """Read `NAME=BITS`.

        Raises:
            BadInput: Another form, or bits outside 2..8.
        """
        layer, sign, bits = text.rpartition("=")
        if not sign or not layer:
            raise BadInput(f"'{text}' gives no layer its bits; write NAME=W8A8.")
        return cls(layer, Bits.parse(bits))


@dataclass(frozen=True)
class LayerRank:
    """Rank of one layer, as `NAME=16`."""

    layer: str
    rank: int

    def __str__(self) -> str:
        return f"{self.layer}={self.rank}"

    @classmethod
    def parse(cls, text: str) -> "LayerRank":
        """Read `NAME=RANK`.

        Raises:
            BadInput: Another form.
        """
        layer, sign, rank = text.rpartition("=")
        if not sign or not layer or not (rank.isascii() and rank.isdigit()):
            raise BadInput(f"'{text}' gives no layer its rank; write NAME=16.")
        return cls(layer, int(rank))


@dataclass(frozen=True)
class FrameRange:
    """Frames `start` to `stop` (exclusive; None for the end), as `10:50`, `10:` or `:`."""

    start: int = 0
    stop: int | None = None

    def __str__(self) -> str:
        return f"{self.start or ''}:{'' if self.stop is None else self.stop}"

    @classmethod
    def parse(cls, text: str) -> "FrameRange":
        """Read `START:STOP`, either of which may be missing.

        Raises:
            BadInput: Another form, or no frame in it.
        """
        first, sign, last = text.strip().partition(":")
        if not sign or not all(part.isascii() and part.isdigit() for part in (first, last) if part):
            raise BadInput(f"'{text}' is no range of frames; write 10:50, 10: or : for all.")
        found = cls(int(first or 0), int(last) if last else None)
        if found.stop is not None and found.stop <= found.start:
            raise BadInput(f"The range '{text}' holds no frame; write the first and the one after the last.")
        return found


def _text_kind(kind: Any, metavar: str) -> Kind:
    return Kind(kind.parse, str, lambda value: kind.parse(_exactly(str)(value)), str, metavar)


LAYER_BITS = _text_kind(LayerBits, "NAME=BITS")
LAYER_RANK = _text_kind(LayerRank, "NAME=RANK")
FRAMES = _text_kind(FrameRange, "START:STOP")


@dataclass(frozen=True)
class Option:
    """One setting of a job.

    Attributes:
        kind: Its type.
        help: One sentence for a person.
        positional: Given without a flag on the command line.
        many: A tuple of values; on the command line the flag takes several.
        choices: The allowed values, if they are few.
        least, most: Limits of numbers, inclusive.
        reproducible: False for settings that do not change the result (they are left out of settings hashes).
    """

    kind: Kind
    help: str
    positional: bool = False
    many: bool = False
    choices: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None
    reproducible: bool = True

    def check(self, name: str, value: Any) -> None:
        """Raise BadInput when a value is outside the choices or limits."""
        for single in value if self.many else (value,):
            if single is None:
                continue
            if self.choices and single not in self.choices:
                raise BadInput(f"{name} cannot be '{single}'; choose one of {', '.join(self.choices)}.")
            if self.least is not None and single < self.least:
                raise BadInput(f"{name} is {single} but must be at least {self.least:g}.")
            if self.most is not None and single > self.most:
                raise BadInput(f"{name} is {single} but must be at most {self.most:g}.")


def option(kind: Kind, help: str, *, default: Any = dataclasses.MISSING, **details: Any) -> Any:
    """A dataclass field with its `Option`; see there for the details."""
    metadata = {"option": Option(kind, help, **details)}
    if default is dataclasses.MISSING:
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def flag_of(name: str) -> str:
    """The command line flag of a field."""
    return "--" + name.replace("_", "-")

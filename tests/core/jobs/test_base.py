import dataclasses
import errno
import shlex
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantvsr.errors import BadInput, Cancelled, DiskFull, QuantVSRError
from quantvsr.jobs import base
from quantvsr.jobs.base import Job, Result, job_from_json, plain, register, run
from quantvsr.jobs.options import BITS, INTEGER, NUMBER, PATH, SWITCH, TEXT, Bits, option
from quantvsr.progress import Progress


@dataclasses.dataclass(frozen=True)
class PaintResult(Result):
    where: Path
    rate: Fraction
    bits: Bits


class Listener(Progress):
    def __init__(self, failure=None):
        super().__init__()
        self.failure = failure
        self.heard = []

    def warn(self, message):
        self.heard.append(message)


@dataclasses.dataclass(frozen=True)
class Paint(Job):
    clip: str = option(PATH, "What.", positional=True)
    out: str = option(PATH, "Where.", default="painted", reproducible=False)
    colour: str = option(TEXT, "Which.", default="red", choices=("red", "blue"))
    coats: int = option(INTEGER, "How often.", default=2, least=1, most=9)
    weight: float = option(NUMBER, "How much.", default=0.5)
    bits: Bits | None = option(BITS, "How fine.", default=None)  # noqa: RUF009  (makes a field)
    wet: bool = option(SWITCH, "Wet or dry.", default=True)
    tags: tuple[str, ...] = option(TEXT, "Words.", default=(), many=True)
    seed: int = option(INTEGER, "Luck.", default=42)

    def run(self, progress):
        for _ in range(self.coats):
            progress.stage("coat", 0, 1).warn("mind the dust")
        failure = getattr(progress._parent, "failure", None)
        if failure:
            raise failure
        return PaintResult(where=Path(self.out), rate=Fraction(1, 2), bits=Bits(4, 8))


@pytest.fixture(autouse=True)
def paint_registered(monkeypatch):
    monkeypatch.setattr(base, "_registry", dict(base._registry))
    register("paint")(Paint)


paints = st.builds(
    Paint,
    clip=st.text(min_size=1),
    colour=st.sampled_from(["red", "blue"]),
    coats=st.integers(1, 9),
    weight=st.floats(allow_nan=False, allow_infinity=False),
    bits=st.none() | st.builds(Bits, st.integers(2, 8), st.integers(2, 8)),
    wet=st.booleans(),
    tags=st.lists(st.text()).map(tuple),
    seed=st.integers(),
)


@given(paints)
def test_json_round_trip(job):
    assert job_from_json(job.to_json()) == job


def test_a_job_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Paint("a").coats = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"format": "other"}, "not a saved job"),
        ({"job": "plaster"}, "plaster"),
        ({"job": None}, "unknown"),
        ({"version": 2}, "update this program"),
        ({"version": 0}, "set it up again"),
        ({"settings": None}, "no settings"),
        ({"settings": {"clip": "a", "gloss": 1}}, "gloss"),
        ({"settings": {}}, "clip"),
        ({"settings": {"clip": 7}}, "clip"),
        ({"settings": {"clip": None}}, "clip"),
        ({"settings": {"clip": "a", "coats": True}}, "coats"),
        ({"settings": {"clip": "a", "coats": "3"}}, "coats"),
        ({"settings": {"clip": "a", "coats": 10}}, "coats"),
        ({"settings": {"clip": "a", "colour": "green"}}, "green"),
        ({"settings": {"clip": "a", "tags": "one"}}, "tags"),
        ({"settings": {"clip": "a", "bits": "W9A4"}}, "9 bits"),
    ],
)
def test_a_wrong_job_file_is_explained(change, word):
    value = {**Paint("a").to_json(), **change}
    with pytest.raises(BadInput, match=word):
        job_from_json(value)


@pytest.mark.parametrize("value", [None, [], "job", 3])
def test_what_is_no_job_at_all(value):
    with pytest.raises(BadInput, match="not a saved job"):
        job_from_json(value)


def test_the_command_quotes_and_uses_full_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    job = Paint("-it's 日本.mp4", wet=False, tags=("a b", "c"), bits=Bits(4, 8))
    words = shlex.split(job.command())
    assert words == [
        "quantvsr", "paint", str(tmp_path / "-it's 日本.mp4"), "--bits", "W4A8", "--no-wet",
        "--tags", "a b", "c", "--seed", "42",
    ]  # fmt: skip


def test_the_settings_hash_ignores_where_the_result_goes():
    assert Paint("a", out="x").settings_hash() == Paint("a", out="y").settings_hash()
    assert Paint("a", coats=1).settings_hash() != Paint("a", coats=2).settings_hash()


def test_run_gives_the_result():
    result = run(Paint("a", out="b"))
    warnings = ["mind the dust"]
    assert result.to_json() == {"where": "b", "rate": "1/2", "bits": "W4A8", "warnings": warnings}


def test_a_warning_is_said_once():
    listener = Listener()
    assert run(Paint("a", coats=3), listener).warnings == ("mind the dust",)
    assert listener.heard == ["mind the dust"]


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (Cancelled(), Cancelled),
        (OSError(errno.ENOSPC, "No space left on device"), DiskFull),
        (MemoryError(), QuantVSRError),
        (OSError(errno.ENAMETOOLONG, "File name too long", "a" * 300), BadInput),
        (PermissionError(errno.EACCES, "Permission denied", "locked.json"), BadInput),
        (ZeroDivisionError(), ZeroDivisionError),
    ],
)
def test_failures_are_explained_and_defects_are_not_hidden(failure, kind):
    with pytest.raises(kind):
        run(Paint("a"), Listener(failure))


def test_two_jobs_cannot_share_a_name():
    with pytest.raises(ValueError, match="paint"):
        register("paint")(Paint)


def test_plain_values():
    assert plain({"a": (1, None, True, Path("x"))}) == {"a": [1, None, True, "x"]}

"""Finished parts of an output that is still being written, kept beside it so that a stopped run can go on."""

import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from quantvsr.errors import BadInput
from quantvsr.files import atomic_json, atomic_path, make_folder, read_json

_PLAN = "plan.json"
_FORMAT = "quantvsr-parts"
_SEGMENT = "{:06d}.segment"
_PICTURE = "{:06d}.picture"


@dataclass(frozen=True)
class StoredPacket:
    """One encoded picture.

    Attributes:
        data: Its bytes.
        pts: When it is shown, in ticks of the output's time base.
        duration: Ticks it is shown.
        keyframe: Whether decoding can begin here.
    """

    data: bytes
    pts: int
    duration: int
    keyframe: bool


@dataclass(frozen=True)
class StoredPicture:
    """A picture that waits to be encoded with the rest of its segment.

    Attributes:
        pts: When it is shown, in ticks of the output's time base.
        duration: Ticks it is shown.
        zero: Time of the source that is the output's zero, seconds.
        end: Where it ends, seconds of output.
        planes: Its samples as the encoder takes them.
    """

    pts: int
    duration: int
    zero: Fraction
    end: Fraction
    planes: tuple[bytes, ...]


@dataclass(frozen=True)
class Segment:
    """Some consecutive pictures, encoded on their own: the first is a key frame, none looks outside.

    Attributes:
        frames: Number of pictures.
        zero: Time of the source that is the output's zero, seconds.
        end: Where the last picture ends, seconds of output.
        time_base: Seconds per tick.
        extradata: What the encoder wrote for the head of the file.
        packets: In decoding order.
    """

    frames: int
    zero: Fraction
    end: Fraction
    time_base: Fraction
    extradata: bytes
    packets: tuple[StoredPacket, ...]


class PartsFolder:
    """The folder `NAME.parts` beside an output, valid for one set of settings only.

    Args:
        target: The output.
        key: Hash of everything that decides the pictures and their coding; parts with another key are
            forgotten.

    Attributes:
        path: The folder.
        state: Small JSON values that a run wants to find again when it goes on.

    Raises:
        BadInput: A folder of that name holds something else.
    """

    def __init__(self, target: Path, key: str) -> None:
        self.path = target.with_name(target.name + ".parts")
        self.key = key
        self.state: dict[str, Any] = {}
        self._open()

    def _open(self) -> None:
        if not self.path.exists():
            return
        plan = None
        if (self.path / _PLAN).is_file():
            try:
                plan = read_json(self.path / _PLAN)
            except BadInput:
                plan = {}
        if plan is None and (not self.path.is_dir() or any(self.path.iterdir())):
            raise BadInput(f"{self.path} is needed for unfinished parts; rename it or choose another output.")
        if isinstance(plan, dict) and plan.get("format") == _FORMAT and plan.get("key") == self.key:
            self.state = dict(plan.get("state") or {})
        else:
            self.remove()

    def remember(self, **state: Any) -> None:
        """Keep small values for a run that goes on; creates the folder."""
        self.state.update(state)
        make_folder(self.path)
        atomic_json(self.path / _PLAN, {"format": _FORMAT, "key": self.key, "state": self.state})

    def remove(self) -> None:
        """Forget everything."""
        if self.path.is_dir():
            shutil.rmtree(self.path, ignore_errors=True)
        self.state = {}

    def remove_if_empty(self) -> None:
        """Leave no folder behind that holds nothing to go on from."""
        if self.path.is_dir() and {entry.name for entry in self.path.iterdir()} <= {_PLAN}:
            self.remove()

    # Segments of a video -----------------------------------------------------------------------------------

    def segments(self) -> list[Path]:
        """Files of the finished segments, in order, up to the first gap."""
        found: list[Path] = []
        while (file := self.path / _SEGMENT.format(len(found))).is_file():
            found.append(file)
        return found

    def add(self, segment: Segment) -> None:
        """Store the next segment, whole or not at all."""
        head = {
            "frames": segment.frames,
            "zero": str(segment.zero),
            "end": str(segment.end),
            "time_base": str(segment.time_base),
            "extradata": segment.extradata.hex(),
            "packets": [[len(p.data), p.pts, p.duration, p.keyframe] for p in segment.packets],
        }
        name = _SEGMENT.format(len(self.segments()))
        self._write(name, head, [packet.data for packet in segment.packets])

    def _write(self, name: str, head: dict[str, Any], parts: Iterable[bytes]) -> None:
        if not (self.path / _PLAN).is_file():
            self.remember()
        with atomic_path(self.path / name) as temporary, temporary.open("wb") as file:
            file.write(json.dumps(head).encode() + b"\n")
            for part in parts:
                file.write(part)

    # Pictures of the segment under way ---------------------------------------------------------------------

    def add_picture(self, number: int, picture: StoredPicture) -> None:
        """Store a picture, whole or not at all; `number` counts all pictures of the output from 0."""
        head = {
            "pts": picture.pts,
            "duration": picture.duration,
            "zero": str(picture.zero),
            "end": str(picture.end),
            "planes": [len(plane) for plane in picture.planes],
        }
        self._write(_PICTURE.format(number), head, picture.planes)

    def picture(self, number: int) -> StoredPicture | None:
        """A stored picture; None where there is none."""
        file = self.path / _PICTURE.format(number)
        if not file.is_file():
            return None
        try:
            with file.open("rb") as opened:
                head = json.loads(opened.readline())
                planes = tuple(_exactly(opened.read(size), size) for size in head["planes"])
            return StoredPicture(
                head["pts"], head["duration"], Fraction(head["zero"]), Fraction(head["end"]), planes
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadInput(f"{file} is damaged ({error}); delete its folder and start again.") from error

    def forget_pictures(self) -> None:
        """Remove the stored pictures: their segment is finished."""
        for file in self.path.glob("*.picture"):
            file.unlink(missing_ok=True)


def read_segment(file: Path) -> Segment:
    """Read a stored segment.

    Raises:
        BadInput: The file is damaged.
    """
    try:
        with file.open("rb") as opened:
            head = json.loads(opened.readline())
            packets = tuple(
                StoredPacket(_exactly(opened.read(size), size), pts, duration, keyframe)
                for size, pts, duration, keyframe in head["packets"]
            )
        return Segment(
            head["frames"],
            Fraction(head["zero"]),
            Fraction(head["end"]),
            Fraction(head["time_base"]),
            bytes.fromhex(head["extradata"]),
            packets,
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{file} is damaged ({error}); delete its folder and start again.") from error


def _exactly(data: bytes, size: int) -> bytes:
    if len(data) != size:
        raise ValueError(f"{len(data)} bytes where {size} are expected")
    return data

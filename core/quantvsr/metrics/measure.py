"""Metrics over whole clips: one clip against another, or several clips of the same scene side by side."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import zip_longest

from numpy.typing import NDArray

from quantvsr.errors import BadInput
from quantvsr.metrics.frames import Picture
from quantvsr.metrics.motion import DisMotion
from quantvsr.metrics.registry import Accumulator, get_metric, metrics
from quantvsr.metrics.resources import MissingMetric, Resources


class Meter:
    """Several metrics of one clip, against a reference or alone, fed frame by frame.

    Args:
        names: Names of metrics.
        border: Pixels left out on every side.
        resources: Where weights and packages are.
        missing: Told in one sentence of each metric that cannot be had here, which is then left out; without
            it, that is an error.

    Raises:
        BadInput: A name is unknown, or (`MissingMetric`) a metric's package or weights are not here.
    """

    def __init__(
        self,
        names: Sequence[str],
        *,
        border: int = 0,
        resources: Resources | None = None,
        missing: Callable[[str], None] | None = None,
    ) -> None:
        self._parts: dict[str, Accumulator] = {}
        for name in names:
            try:
                self._parts[name] = get_metric(name).make(border, resources)
            except MissingMetric as error:
                if missing is None:
                    raise
                missing(str(error))
        moving = any("motion" in get_metric(name).needs for name in self._parts)
        self._motion = DisMotion() if moving else None

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics that are measured."""
        return tuple(self._parts)

    def add(self, frame: NDArray, reference: NDArray | None = None) -> dict[str, float | None]:
        """Take the next frame, (H, W, 3) RGB, floats in 0..1 or unsigned integers, and its reference.

        Motion, where a metric needs it, is that of the reference clip, or of the clip itself where there is
        none.

        Returns:
            This frame's values by name; None where there is none.
        """
        picture = Picture(frame)
        other = None if reference is None else Picture(reference, "The reference frame")
        motion = self._motion.add(other or picture) if self._motion else None
        return {name: part.add(picture, other, motion) for name, part in self._parts.items()}

    def result(self) -> dict[str, float | None]:
        """Means over the clip by name; None where no frame had a value (clip too short, frames too small)."""
        return {name: part.result() for name, part in self._parts.items()}


def measure(
    frames_a: Iterable[NDArray],
    frames_b: Iterable[NDArray] | None = None,
    names: Sequence[str] | None = None,
    *,
    border: int = 0,
) -> dict[str, float | None]:
    """Metrics of clip a, against reference clip b where one is given.

    Args:
        frames_a: Frames (H, W, 3), RGB, gamma-encoded; floats in 0..1 or unsigned integers. Read once, one by
            one.
        frames_b: The reference clip, same length and size.
        names: Which metrics; None takes all that can be computed from what is given.
        border: Pixels left out on every side.

    Returns:
        Means over the clip by name; None where no frame had a value (clip too short, frames too small).

    Raises:
        BadInput: Lengths or sizes differ, a clip has no frames, a metric needs a reference and there is none.
    """
    at_hand = {"motion"} if frames_b is None else {"motion", "reference"}
    if names is None:
        names = [name for name, each in metrics().items() if each.needs <= at_hand]
    for name in names:
        if frames_b is None and "reference" in get_metric(name).needs:
            raise BadInput(f"The metric {name!r} compares with a reference clip; give one or leave it out.")
    meter = Meter(names, border=border)
    count = 0
    if frames_b is None:
        for frame in frames_a:
            meter.add(frame)
            count += 1
    else:
        for a, b in zip_longest(frames_a, frames_b):
            if a is None or b is None:
                which = "first" if a is None else "second"
                raise BadInput(
                    f"The compared clips differ in length: the {which} one ends after {count} frames; "
                    "trim the longer one."
                )
            meter.add(a, b)
            count += 1
    if count == 0:
        raise BadInput("The clip to be measured has no frames; choose another one.")
    return meter.result()


class Comparison:
    """Several versions of one clip measured together, with motion computed once.

    Feed `add` one picture per version and moment, by name. Every candidate is measured against every
    reference (but not against itself); metrics without a reference are measured once per clip. Motion is that
    of the first reference in `references`, the same for all clips.

    Args:
        candidates: Names of the clips under test, e.g. ("fp", "lowbit", "minmax").
        references: Names of the clips to compare with, best first, e.g. ("gt", "fp"). A reference may also be
            a candidate; it then is measured against the references before it.
        names: Names of metrics.
        border: Pixels left out on every side.
        resources: Where weights and packages are.

    Raises:
        BadInput: A metric's name is unknown, or its package or weights are not here.
    """

    def __init__(
        self,
        candidates: Sequence[str],
        references: Sequence[str],
        names: Sequence[str],
        *,
        border: int = 0,
        resources: Resources | None = None,
    ) -> None:
        self.candidates, self.references = tuple(candidates), tuple(references)
        self._versions = tuple(dict.fromkeys((*references, *candidates)))
        guide = (*references, *candidates)[:1]
        self._guide = guide[0] if guide else ""
        self._pairs: dict[tuple[str, str, str], Accumulator] = {}
        self._single: dict[tuple[str, str], Accumulator] = {}
        self._motion: DisMotion | None = None
        for name in names:
            each = get_metric(name)
            if "motion" in each.needs:
                self._motion = DisMotion()
            if "reference" not in each.needs:
                for version in self._versions:
                    self._single[name, version] = each.make(border, resources)
                continue
            for position, reference in enumerate(self.references):
                for candidate in self.candidates:
                    if candidate not in self.references[: position + 1]:
                        self._pairs[name, reference, candidate] = each.make(border, resources)

    def add(self, pictures: Mapping[str, NDArray]) -> None:
        """Take one moment: a picture (H, W, 3) for each name.

        Raises:
            BadInput: A name is missing, sizes differ, or a picture is not one.
        """
        for version in self._versions:
            if version not in pictures:
                raise BadInput(f"The clip {version!r} ends before the others; trim the longer ones.")
        shared = {name: Picture(pictures[name], f"The frame of {name!r}") for name in self._versions}
        motion = self._motion.add(shared[self._guide]) if self._motion else None
        for (_, version), part in self._single.items():
            part.add(shared[version], None, motion)
        for (_, reference, candidate), part in self._pairs.items():
            part.add(shared[candidate], shared[reference], motion)

    def result(self) -> dict[str, float | None]:
        """Flat means: `<metric>_<reference>_<candidate>` and, without a reference, `<metric>_<clip>`."""
        values = {f"{name}_{a}_{b}": part.result() for (name, a, b), part in self._pairs.items()}
        values.update({f"{name}_{version}": part.result() for (name, version), part in self._single.items()})
        return values

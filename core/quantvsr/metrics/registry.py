"""The list of metrics. A new metric is a new file with one decorated class; nothing else changes."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from numpy.typing import NDArray

from quantvsr.errors import BadInput
from quantvsr.metrics.frames import Picture

if TYPE_CHECKING:
    from quantvsr.metrics.motion import Motion
    from quantvsr.metrics.resources import Resources

Need = Literal["reference", "motion", "weights", "package", "layers"]


class Accumulator(ABC):
    """Collects one metric over a clip, frame by frame; memory does not grow with the clip.

    Args:
        border: Pixels left out on every side of every frame.

    Attributes:
        count: How many values (frames, or pairs of frames) the mean holds so far.
        last: The newest value; None while there is none (first frame of a temporal metric, frame too small).
    """

    def __init__(self, border: int = 0) -> None:
        if border < 0:
            raise BadInput(f"A border of {border} pixels cannot be left out; give 0 or more.")
        self.border = border
        self.count = 0
        self.last: float | None = None
        self._sum = 0.0

    def add(
        self,
        frame: NDArray | Picture,
        reference: NDArray | Picture | None = None,
        motion: "Motion | None" = None,
    ) -> float | None:
        """Take the next frame of the clip.

        Args:
            frame: (H, W, 3) RGB, gamma-encoded; floats in 0..1 or unsigned integers. A `Picture` if several
                metrics share it.
            reference: The same moment of the reference clip, for metrics that need "reference".
            motion: How the picture moved since the last frame, for metrics that need "motion";
                None at the first frame.

        Returns:
            This frame's value, or None where it has none.

        Raises:
            BadInput: A frame of another size, not a picture, or not finite.
        """
        other = None if reference is None else Picture.of(reference, "The reference frame")
        self.last = self._value(Picture.of(frame), other, motion)
        if self.last is not None:
            self._sum += self.last
            self.count += 1
        return self.last

    def result(self) -> float | None:
        """The mean over the clip so far; None where no frame had a value."""
        return self._sum / self.count if self.count else None

    @abstractmethod
    def _value(self, frame: Picture, reference: Picture | None, motion: "Motion | None") -> float | None: ...


@dataclass(frozen=True)
class Metric:
    """What there is to know about a metric before computing it.

    Attributes:
        name: Key in tables and files.
        title: Name for a person.
        unit: Unit, or "" for a plain number.
        direction: Which way is better; "match" means: as close as possible to the reference clip's own value.
        range: Smallest and largest value the metric can have; None is no limit.
        needs: What must be at hand: a reference clip (GT or FP), motion between frames, weights, a package,
            or the layers of a model (such a metric is not computed from frames).
        frames: How many frames a clip must have for a value.
        licence: Licence of code and weights behind the number.
        conventions: Colour, scale, border, averaging: what one must know to compare the number with another.
        function: Makes what collects it; `make` does so for metrics of clips.
    """

    name: str
    title: str
    unit: str
    direction: Literal["higher", "lower", "match"]
    range: tuple[float | None, float | None]
    needs: frozenset[Need]
    frames: int
    licence: str
    conventions: str
    function: Callable[..., Any]

    def make(self, border: int = 0, resources: "Resources | None" = None) -> Accumulator:
        """An accumulator for a clip.

        Args:
            border: Pixels left out on every side.
            resources: Where weights and packages are.

        Raises:
            MissingMetric: Its package or its weights are not on this machine.
            BadInput: It is no metric of clips.
        """
        if "layers" in self.needs:
            raise BadInput(f"{self.title} is measured on a model's layers, not on clips; leave it out here.")
        if self.needs & {"package", "weights"}:
            return self.function(border=border, resources=resources)
        return self.function(border=border)

    def to_json(self) -> dict[str, object]:
        """Everything but the function, as JSON values."""
        values = asdict(self)
        del values["function"]
        return {**values, "needs": sorted(self.needs), "range": list(self.range)}


_METRICS: dict[str, Metric] = {}
_Made = TypeVar("_Made", bound=Callable[..., Any])


def metric(
    name: str,
    *,
    title: str,
    unit: str = "",
    direction: Literal["higher", "lower", "match"],
    range: tuple[float | None, float | None],
    needs: tuple[Need, ...] = (),
    frames: int = 1,
    licence: str = "Apache-2.0",
    conventions: str,
) -> Callable[[_Made], _Made]:
    """Class decorator that puts an accumulator on the list; arguments as in `Metric`."""

    def register(function: _Made) -> _Made:
        if name in _METRICS:
            raise ValueError(f"two metrics are called {name!r}")
        _METRICS[name] = Metric(
            name, title, unit, direction, range, frozenset(needs), frames, licence, conventions, function
        )
        return function

    return register


def metrics() -> dict[str, Metric]:
    """All metrics by name, in the order in which they were registered."""
    return dict(_METRICS)


def get_metric(name: str) -> Metric:
    """The metric of that name.

    Raises:
        BadInput: There is none; the message lists what there is.
    """
    try:
        return _METRICS[name]
    except KeyError:
        raise BadInput(f"There is no metric called {name!r}; choose from {', '.join(_METRICS)}.") from None

"""Which figures a table shows, in which order, and which of several values is best."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from quantvsr.report.data import Entry, Figures

Goal = Literal["higher", "lower", "zero"]

GROUPS = {"gt": "to ground truth", "fp": "to full precision", "": "of the clip itself"}
# In the short tables, as far as they were measured; the long ones have all.
_MAIN = (
    "psnr_gt",
    "ssim_gt",
    "haarpsi_gt",
    "lpips_gt",
    "psnr_fp",
    "ssim_fp",
    "haarpsi_fp",
    "lpips_fp",
    "flicker_fp",
    "warp_error",
)


@dataclass(frozen=True)
class Column:
    """A figure of a table.

    Attributes:
        figure: `METRIC_gt`, `METRIC_fp` or `METRIC`; with `offset`, its distance from full precision's own.
        title: Name of the metric.
        group: gt, fp, or empty.
        unit: Of the values.
        goal: Which value is best.
        offset: Whether full precision's own value is subtracted.
    """

    figure: str
    title: str
    group: str
    unit: str
    goal: Goal
    offset: bool = False

    def value(self, figures: Figures, full: Figures) -> float | None:
        """The value of a version, given those of full precision."""
        found = figures.get(self.figure)
        if not self.offset or found is None:
            return found
        own = full.get(self.figure)
        return None if own is None else found - own


def columns_of(
    metrics: Mapping[str, Mapping[str, Any]], entries: Iterable[Entry], *, short: bool
) -> list[Column]:
    """Columns for all figures that any entry has, those against the ground truth first.

    Args:
        metrics: What is known about each metric, in order.
        entries: Whose figures.
        short: Only the most telling ones.
    """
    present = {
        name for entry in entries for values in _all(entry) for name, v in values.items() if v is not None
    }
    found: list[Column] = []
    for group in GROUPS:
        for name, about in metrics.items():
            figure = f"{name}_{group}" if group else name
            if figure not in present or (short and figure not in _MAIN):
                continue
            title, unit = str(about.get("title", name)), str(about.get("unit", ""))
            direction = about.get("direction")
            if direction in ("higher", "lower"):
                found.append(Column(figure, title, group, unit, direction))
            if not group:
                # A clip's own figure says most beside that of full precision.
                found.append(Column(figure, f"{title} − FP's", group, unit, "zero", offset=True))
    return found


def _all(entry: Entry) -> list[Figures]:
    return [*entry.figures.values(), entry.mean]


def places(values: Sequence[float | None], goal: Goal, digits: int = 6) -> list[int | None]:
    """Place of each value, 1 for the best and 2 for the next; equal ones share a place; None for others.

    Nothing is marked where fewer than two values can be compared.
    """
    keys = [None if value is None else _key(round(value, digits), goal) for value in values]
    ranked = sorted({key for key in keys if key is not None})
    if sum(key is not None for key in keys) < 2:
        return [None] * len(keys)
    return [None if key is None or key not in ranked[:2] else ranked.index(key) + 1 for key in keys]


def _key(value: float, goal: Goal) -> float:
    return {"higher": -value, "lower": value, "zero": abs(value)}[goal]

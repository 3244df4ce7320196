"""Charts as PNG files: complexity, ranks, loss, quality. Matplotlib is imported when one is asked for.

Only `Figure` and its Agg canvas are used, never pyplot: no global state, any thread, no display. Colours are
those of Okabe and Ito (2008), told apart by colour-blind eyes; markers differ as well.
"""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantvsr.errors import BadInput
from quantvsr.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#7F7F7F")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_INK, _QUIET, _GRID, _BAND = "#1F2430", "#5E6672", "#E3E6EA", "#F4F6F8"
_SIZE = (12.0, 7.0)  # inches; 1200 x 700 pixels at 100 dots per inch
_TINTS = {"rank up": "#DDECF8", "rank down": "#FBEBD0"}
_OTHER = "other"
_LONGEST_NAME = 12


@dataclass(frozen=True)
class LossCurve:
    """The losses of one training stage.

    Attributes:
        label: Name of the stage.
        losses: One for each update (or each `every`-th).
        every: Updates from one loss to the next.
    """

    label: str
    losses: Sequence[float]
    every: int = 1


@dataclass(frozen=True)
class QualityPanel:
    """One metric for several versions.

    Attributes:
        title: Name of the metric, e.g. "PSNR to ground truth".
        values: Version to value; None is shown as missing.
        unit: Unit of the values.
        better: Which way is better.
        digits: Digits behind the point.
    """

    title: str
    values: Mapping[str, float | None]
    unit: str = ""
    better: Literal["higher", "lower", ""] = "higher"
    digits: int = 2


def complexity_scatter(
    path: str | os.PathLike[str],
    names: Sequence[str],
    spatial: ArrayLike,
    temporal: ArrayLike,
    kinds: Sequence[str],
    *,
    thresholds: tuple[float, float, float, float] | None = None,
    title: str = "Complexity of each layer",
    dpi: int = 100,
) -> Path:
    """Temporal over spatial complexity, one point per layer, both on log axes.

    Values that are zero (a clip that stands still) have no place on a log axis and are drawn on its lower
    rim; layers with a value that is not finite are left out; both are said below the title.

    Args:
        path: PNG file to write.
        names: Layers.
        spatial: C_s of each, (L,).
        temporal: C_t of each, (L,).
        kinds: Block type of each layer; gives colour and marker.
        thresholds: s_low, s_high, t_low, t_high of the rank allocation, drawn as lines.
        title: Heading.
        dpi: 100 gives 1200 x 700 pixels.

    Returns:
        The path.

    Raises:
        BadInput: The lengths differ.
    """
    x, y = np.asarray(spatial, float), np.asarray(temporal, float)
    if not len(names) == len(x) == len(y) == len(kinds):
        raise BadInput(
            "The complexity chart needs one spatial and one temporal value and a type for each layer."
        )
    figure, axes = _figure(dpi)
    finite = np.isfinite(x) & np.isfinite(y)
    zero = finite & ((x <= 0) | (y <= 0))
    notes = [f"{int(finite.sum())} layers, mean over calibration samples"]
    if zero.any():
        notes.append(f"{int(zero.sum())} with a value of 0 on the rim")
    if not finite.all():
        notes.append(f"{int((~finite).sum())} without a value left out")
    limits = [
        _log_limits(v[finite], () if thresholds is None else thresholds[i : i + 2])
        for v, i in ((x, 0), (y, 2))
    ]
    x, y = np.clip(x, *limits[0]), np.clip(y, *limits[1])
    axes.set(xscale="log", yscale="log", xlim=limits[0], ylim=limits[1])
    axes.set_xlabel("spatial complexity  $C_s$", color=_INK, fontsize=13)
    axes.set_ylabel("temporal complexity  $C_t$", color=_INK, fontsize=13)
    axes.grid(True, which="major", color=_GRID, linewidth=0.9)
    if thresholds is not None:
        _thresholds(axes, thresholds)
    shown = _merged(kinds)
    for number, kind in enumerate(_order(shown)):
        chosen = finite & (np.asarray(shown) == kind)
        axes.scatter(
            x[chosen],
            y[chosen],
            s=72,
            marker=_MARKERS[number % len(_MARKERS)],
            color=PALETTE[number % len(PALETTE)],
            edgecolors="white",
            linewidths=0.8,
            label=f"{kind} ({int(chosen.sum())})",
            zorder=3,
            clip_on=False,
        )
    _finish(figure, axes, title, "; ".join(notes))
    return _save(figure, path, dpi)


def rank_bars(
    path: str | os.PathLike[str],
    names: Sequence[str],
    ranks: Sequence[int],
    kinds: Sequence[str],
    *,
    low: int | None = None,
    high: int | None = None,
    title: str = "Rank of each layer",
    dpi: int = 100,
) -> Path:
    """Ranks as bars in network order, with lines at the lowest and highest rank allowed.

    Args:
        path: PNG file to write.
        names: Layers in network order; the part before the first dot groups them along the axis.
        ranks: Rank of each.
        kinds: Block type of each layer; gives the colour.
        low: Lowest rank allowed.
        high: Highest rank allowed.
        title: Heading.
        dpi: 100 gives 1200 x 700 pixels.

    Returns:
        The path.

    Raises:
        BadInput: The lengths differ.
    """
    if not len(names) == len(ranks) == len(kinds):
        raise BadInput("The rank chart needs one rank and one type for each layer.")
    from matplotlib.ticker import MaxNLocator

    figure, axes = _figure(dpi)
    # Room for turned names below and for the names of the two lines at the right.
    axes.set_position((0.06, 0.185, 0.865, 0.635))
    values = np.asarray(ranks, float)
    note = f"{len(ranks)} layers in network order"
    if len(ranks):
        note += f"; ranks {min(ranks)} to {max(ranks)}, mean {values.mean():.1f}"
    count = max(len(names), 1)
    top = max([*ranks, *(v for v in (low, high) if v is not None), 1]) * 1.08
    axes.set(xlim=(-0.5, count - 0.5), ylim=(0, top))
    axes.set_ylabel("rank", color=_INK, fontsize=13)
    axes.grid(True, axis="y", color=_GRID, linewidth=0.9)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    shown = _merged(kinds)
    for number, kind in enumerate(_order(shown)):
        places = [i for i, each in enumerate(shown) if each == kind]
        axes.bar(
            places,
            values[places],
            width=0.82 if count < 200 else 1.0,
            color=PALETTE[number % len(PALETTE)],
            label=f"{kind} ({len(places)})",
            zorder=3,
        )
    _groups(axes, names)
    for value, text in ((low, "min"), (high, "max")):
        if value is not None:
            axes.axhline(value, color=_INK, linewidth=1.2, linestyle=(0, (5, 3)), zorder=4)
            axes.annotate(
                f"{text} {value}",
                (1.0, value),
                xycoords=axes.get_yaxis_transform(),
                xytext=(6, 0),
                textcoords="offset points",
                va="center",
                color=_INK,
                fontsize=12,
            )
    _finish(figure, axes, title, note)
    return _save(figure, path, dpi)


def loss_curves(
    path: str | os.PathLike[str],
    curves: Sequence[LossCurve],
    *,
    untrained: float | None = None,
    title: str = "Refinement loss",
    dpi: int = 100,
) -> Path:
    """Losses of the stages, one after the other, on a log axis; the untrained level is a dashed line.

    Single losses are drawn faint, their running median strong. Values that are not positive and finite have
    no place on a log axis and are left out.

    Args:
        path: PNG file to write.
        curves: The stages in order.
        untrained: Loss before the first update.
        title: Heading.
        dpi: 100 gives 1200 x 700 pixels.

    Returns:
        The path.
    """
    figure, axes = _figure(dpi)
    axes.set_yscale("log")
    axes.grid(True, which="major", color=_GRID, linewidth=0.9)
    axes.set_xlabel("updates", color=_INK, fontsize=13)
    axes.set_ylabel("mean squared error", color=_INK, fontsize=13)
    everything = [float(loss) for curve in curves for loss in curve.losses if _drawable(loss)]
    if untrained is not None and _drawable(untrained):
        everything.append(untrained)
    if everything:
        # Before anything is drawn: matplotlib's own limits fail where all values are alike.
        low, high = _log_limits(np.asarray(everything), ())
        axes.set_ylim(low, high)
        _log_ticks(axes, low, high)
    else:
        axes.set(xticks=[], yticks=[])
        axes.tick_params(which="minor", length=0)
    start, notes = 0, []
    for number, curve in enumerate(curves):
        losses = np.asarray(curve.losses, float)
        steps = start + curve.every * (1 + np.arange(len(losses)))
        fine = np.isfinite(losses) & (losses > 0)
        steps, losses = steps[fine], losses[fine]
        colour = PALETTE[number % len(PALETTE)]
        if number:
            axes.axvline(start, color=_QUIET, linewidth=1.0, linestyle=(0, (2, 3)), zorder=1)
        if len(losses):
            smooth = _running_median(losses, max(1, len(losses) // 20))
            axes.plot(steps, losses, color=colour, linewidth=0.8, alpha=0.28, zorder=2)
            axes.plot(
                steps,
                smooth,
                color=colour,
                linewidth=2.4,
                label=curve.label,
                zorder=3,
                marker="o" if len(losses) == 1 else None,
            )
            notes.append(
                f"{curve.label}: {curve.every * len(curve.losses)} updates, ends at {smooth[-1]:.3g}"
            )
        start += curve.every * len(curve.losses)
    axes.set_xlim(0, max(start, 1))
    if untrained is not None and _drawable(untrained):
        axes.axhline(untrained, color=_INK, linewidth=1.5, linestyle=(0, (5, 3)), zorder=4)
        axes.annotate(
            f"untrained {untrained:.3g}",
            (1.0, untrained),
            xycoords=axes.get_yaxis_transform(),
            xytext=(-4, 5),
            textcoords="offset points",
            ha="right",
            color=_INK,
            fontsize=12,
        )
    _finish(figure, axes, title, ";  ".join(notes) or "no updates")
    return _save(figure, path, dpi)


def quality_bars(
    path: str | os.PathLike[str],
    panels: Sequence[QualityPanel],
    *,
    title: str = "Quality",
    note: str = "",
    dpi: int = 100,
) -> Path:
    """A small bar chart for each metric, side by side, since units differ; versions keep their colour.

    Args:
        path: PNG file to write.
        panels: The metrics, at most 8.
        title: Heading.
        note: A quiet line below it: clip, seed, conventions.
        dpi: 100 gives 1200 x 700 pixels.

    Returns:
        The path.

    Raises:
        BadInput: No panels, or more than 8.
    """
    if not 1 <= len(panels) <= 8:
        raise BadInput(f"The quality chart shows 1 to 8 metrics, not {len(panels)}; choose some.")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE, dpi=dpi, facecolor="white")
    FigureCanvasAgg(figure)
    columns = len(panels) if len(panels) <= 4 else -(-len(panels) // 2)
    rows = -(-len(panels) // columns)
    versions = list(dict.fromkeys(version for panel in panels for version in panel.values))
    colours = {version: PALETTE[i % len(PALETTE)] for i, version in enumerate(versions)}
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes, panel in zip(grid.flat, panels, strict=False):
        _quality(axes, panel, colours, narrow=columns > 2)
    for axes in list(grid.flat)[len(panels) :]:
        axes.set_visible(False)
    figure.subplots_adjust(left=0.05, right=0.98, top=0.735, bottom=0.05, wspace=0.22, hspace=0.42)
    _words(figure, 0.05, title, note)
    _legend(figure, 0.05, [(_patch(colours[version]), version) for version in versions])
    return _save(figure, path, dpi)


def _quality(axes: "Axes", panel: QualityPanel, colours: Mapping[str, str], *, narrow: bool) -> None:
    _clean(axes)
    arrow = {"higher": "  ↑ better", "lower": "  ↓ better", "": ""}[panel.better]
    unit = f" [{panel.unit}]" if panel.unit else ""
    axes.set_title(panel.title + unit, loc="left", fontsize=12.5 if narrow else 14, color=_INK, pad=22)
    axes.annotate(
        arrow.strip(),
        (0, 1),
        xycoords="axes fraction",
        xytext=(0, 6),
        textcoords="offset points",
        color=_QUIET,
        fontsize=11,
    )
    known = [v for v in panel.values.values() if v is not None and math.isfinite(v)]
    low, high = min([0.0, *known]), max([0.0, *known])
    span = (high - low) or 1.0
    axes.set_ylim(low - (0.14 * span if low < 0 else 0), high + 0.12 * span)
    axes.set_xlim(-0.6, max(len(panel.values), 1) - 0.4)
    axes.axhline(0, color=_QUIET, linewidth=1)
    axes.set(xticks=[], yticks=[])
    axes.spines["left"].set_visible(False)
    axes.spines["bottom"].set_visible(False)
    size = 12.5 if len(panel.values) <= 3 else 10.5 if len(panel.values) <= 5 else 8.5
    for place, (version, value) in enumerate(panel.values.items()):
        if value is None or not math.isfinite(value):
            axes.annotate(
                "no value",
                (place, 0),
                ha="center",
                va="bottom",
                rotation=90,
                color=_QUIET,
                fontsize=size,
                xytext=(0, 5),
                textcoords="offset points",
            )
            continue
        axes.bar(place, value, width=0.74, color=colours[version], zorder=3)
        axes.annotate(
            f"{value:.{panel.digits}f}",
            (place, value),
            ha="center",
            va="bottom" if value >= 0 else "top",
            xytext=(0, 4 if value >= 0 else -4),
            textcoords="offset points",
            color=_INK,
            fontsize=size,
            fontweight="bold",
        )


def _figure(dpi: int) -> "tuple[Figure, Axes]":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE, dpi=dpi, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.08, 0.12, 0.88, 0.70))
    _clean(axes)
    return figure, axes


def _clean(axes: "Axes") -> None:
    axes.set_facecolor("white")
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("#B8BEC7")
    axes.tick_params(which="both", colors=_QUIET, labelsize=12, labelcolor=_INK, length=4)
    axes.tick_params(which="minor", length=2, labelsize=10)


def _words(figure: "Figure", left: float, title: str, note: str) -> None:
    figure.text(left, 0.955, title, fontsize=20, fontweight="bold", color=_INK, va="center")
    figure.text(left, 0.908, note, fontsize=12.5, color=_QUIET, va="center")


def _finish(figure: "Figure", axes: "Axes", title: str, note: str) -> None:
    """Move the axes so that all labels are inside the picture; heading and legend go above, flush left."""
    box, room = axes.get_tightbbox(), 10.0
    place = axes.get_position()
    if box is not None:
        width, height = figure.bbox.width, figure.bbox.height
        left = place.x0 + max(0.0, room - box.x0) / width
        right = place.x1 - max(0.0, box.x1 - (width - room)) / width
        bottom = place.y0 + max(0.0, room - box.y0) / height
        axes.set_position((left, bottom, max(right - left, 0.2), max(place.y1 - bottom, 0.2)))
    start = axes.get_position().x0
    _words(figure, start, title, note)
    entries = list(zip(*axes.get_legend_handles_labels(), strict=True))
    # Tints last: they explain the ground, not the layers.
    entries.sort(key=lambda entry: entry[1] in _TINTS)
    _legend(figure, start, entries)


def _legend(figure: "Figure", left: float, entries: Sequence[tuple[Any, str]]) -> None:
    """One row between heading and axes, set smaller, then two rows, until it fits."""
    for size, rows in ((12.5, 1), (11.5, 1), (10.5, 1), (10.5, 2), (9.5, 2), (8.5, 2), (7, 2)):
        columns = -(-len(entries) // rows)
        if not columns:
            return
        # Legends fill column by column; eyes read row by row.
        ordered = [entry for column in range(columns) for entry in entries[column::columns]]
        legend = figure.legend(
            [handle for handle, _ in ordered],
            [label for _, label in ordered],
            loc="center left",
            bbox_to_anchor=(left - 0.004, 0.858),
            ncols=columns,
            frameon=False,
            fontsize=size,
            labelcolor=_INK,
            handlelength=1.4,
            handleheight=1.0,
            handletextpad=0.5,
            columnspacing=1.6,
            labelspacing=0.35,
            borderaxespad=0,
            borderpad=0,
        )
        if legend.get_window_extent().x1 <= 0.985 * figure.bbox.width or size == 7:
            return
        legend.remove()


def _patch(colour: str) -> Any:
    from matplotlib.patches import Patch

    return Patch(facecolor=colour)


def _save(figure: "Figure", path: str | os.PathLike[str], dpi: int) -> Path:
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=dpi, metadata={"Software": None})
    return Path(path)


def _order(kinds: Sequence[str]) -> list[str]:
    """Types by first appearance, with the rest last: colours stay the same from chart to chart."""
    found = list(dict.fromkeys(kinds))
    return [kind for kind in found if kind != _OTHER] + [kind for kind in found if kind == _OTHER]


def _merged(kinds: Sequence[str]) -> list[str]:
    """Types, the rarest of them called `other` where there are more than colours."""
    counts = {kind: list(kinds).count(kind) for kind in dict.fromkeys(kinds)}
    if len(counts) <= len(PALETTE):
        return list(kinds)
    kept = set(sorted(counts, key=lambda kind: -counts[kind])[: len(PALETTE) - 1])
    return [kind if kind in kept else _OTHER for kind in kinds]


def _drawable(value: float | None) -> bool:
    return value is not None and math.isfinite(value) and value > 0


def _log_limits(values: NDArray, more: Sequence[float]) -> tuple[float, float]:
    """Limits of a log axis with a little room around all positive values."""
    positive = [float(v) for v in (*values, *more) if _drawable(float(v))]
    if not positive:
        return 0.1, 10.0
    low, high = math.log10(min(positive)), math.log10(max(positive))
    room = max(0.06 * (high - low), 0.1)
    # Never 0 or infinity, however strange the values.
    return 10 ** max(low - room, -300.0), 10 ** min(high + room, 300.0)


def _log_ticks(axes: "Axes", low: float, high: float) -> None:
    """Plain numbers at 1, 2, 5 where the axis spans less than two decades."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    if high / low < 100:
        axes.yaxis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _thresholds(axes: "Axes", thresholds: tuple[float, float, float, float]) -> None:
    """Lines, and a tint in the two corners that change a layer's rank."""
    s_low, s_high, t_low, t_high = thresholds
    line = {"color": _QUIET, "linewidth": 1.1, "linestyle": (0, (4, 3)), "zorder": 2}
    for value in (s_low, s_high):
        if _drawable(value):
            axes.axvline(value, **line)
    for value in (t_low, t_high):
        if _drawable(value):
            axes.axhline(value, **line)
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    corners = (
        ((s_high, right), (t_high, top), "rank up"),
        ((left, s_low), (bottom, t_low), "rank down"),
    )
    for across, (low, high), label in corners:
        if all(_drawable(value) for value in (*across, low, high)):
            axes.fill_between(across, low, high, color=_TINTS[label], linewidth=0, label=label, zorder=0)


def _groups(axes: "Axes", names: Sequence[str]) -> None:
    """Parts of the network along the axis: shaded in turn, named below where there is room."""
    axes.set_xticks([])
    start = 0
    shade = False
    count = len(names)
    last_end = -1.0
    for i in range(1, count + 1):
        group = names[start].split(".")[0]
        if i < count and names[i].split(".")[0] == group:
            continue
        if shade:
            axes.axvspan(start - 0.5, i - 0.5, color=_BAND, zorder=0)
        shade = not shade
        middle = (start + i - 1) / 2
        # About 0.8 % of the axis a letter, turned labels need 2.4 %.
        width = 0.0085 * len(group) * count
        upright = width <= (i - start) * 1.05 and middle - width / 2 > last_end
        if upright or middle - 0.012 * count > last_end:
            axes.annotate(
                group if upright or len(group) <= _LONGEST_NAME else group[: _LONGEST_NAME - 1] + "…",
                (middle, 0),
                xycoords=axes.get_xaxis_transform(),
                xytext=(0, -6),
                textcoords="offset points",
                ha="center",
                va="top",
                rotation=0 if upright else 90,
                color=_INK,
                fontsize=11,
            )
            last_end = middle + (width / 2 if upright else 0.012 * count)
        start = i


def _running_median(values: NDArray, half: int) -> NDArray:
    return np.array([np.median(values[max(0, i - half) : i + half + 1]) for i in range(len(values))])

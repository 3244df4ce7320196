"""Charts of a model's layers: complexity, ranks, losses, and what each layer does to the picture."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from quantvsr.report.chart import (
    SERIES,
    Frame,
    bar,
    legend,
    line,
    marker,
    path,
    svg,
    text,
    text_width,
)
from quantvsr.report.data import Layers, Stage
from quantvsr.report.html import Html, join
from quantvsr.report.numbers import compact, log_limits

WIDTH = 980
_SHOWN_LAYERS = 24


def series_of(kinds: Sequence[str]) -> list[str]:
    """The sorts of layers in the order of their colours, most frequent first; the rest is `other`."""
    counts = Counter(kinds)
    ordered = sorted(counts, key=lambda kind: (-counts[kind], kind))
    return ordered if len(ordered) <= SERIES else [*ordered[: SERIES - 1], "other"]


def complexity_chart(layers: Layers) -> Html | None:
    """Temporal over spatial complexity, a marker per layer; None without a table."""
    if layers.spatial is None or layers.temporal is None:
        return None
    points = [
        (number, s, t)
        for number, (s, t) in enumerate(zip(layers.spatial, layers.temporal, strict=True))
        if math.isfinite(s) and math.isfinite(t)
    ]
    if not points:
        return None
    kinds = series_of(layers.kinds)
    marks = layers.thresholds or ()
    x_limits = log_limits([s for _, s, _ in points] + [v for v in marks[:2] if math.isfinite(v)])
    y_limits = log_limits([t for _, _, t in points] + [v for v in marks[2:] if math.isfinite(v)])
    key, height = legend(70, 14, [_counted(kind, layers.kinds, kinds) for kind in kinds], WIDTH - 90)
    frame = Frame(70, 22 + height, WIDTH - 20, 430 + height, x_limits, y_limits, x_log=True, y_log=True)
    lines = [
        join(
            line(frame.x(value), frame.top, frame.x(value), frame.bottom, "mark"),
            text(frame.x(value) + 4, frame.top + 14, name, "marked"),
        )
        for value, name in zip(marks[:2], ("simple in space", "complex in space"), strict=False)
        if math.isfinite(value)
    ]
    lines += [
        join(
            line(frame.left, frame.y(value), frame.right, frame.y(value), "mark"),
            text(frame.right - 4, frame.y(value) - 5, name, "marked", "end"),
        )
        for value, name in zip(marks[2:], ("simple in time", "complex in time"), strict=False)
        if math.isfinite(value)
    ]
    dots = [
        marker(
            frame.x(s),
            frame.y(t),
            _index(layers.kinds[number], kinds),
            f"{layers.names[number]}: spatial {compact(s)}, temporal {compact(t)}"
            + ("" if layers.ranks is None else f", rank {layers.ranks[number]}"),
        )
        for number, s, t in points
    ]
    return svg(
        WIDTH,
        480 + height,
        key,
        frame.axes("spatial complexity of the input, C_s", "temporal complexity, C_t"),
        *lines,
        *dots,
        label="Temporal over spatial complexity of each layer",
    )


def rank_chart(layers: Layers) -> Html | None:
    """Ranks in network order; None where there are none."""
    if not layers.ranks or not any(layers.ranks):
        return None
    kinds = series_of(layers.kinds)
    key, height = legend(60, 14, [_counted(kind, layers.kinds, kinds) for kind in kinds], WIDTH - 80)
    count, top = len(layers.ranks), max(*layers.ranks, 1) * 1.08
    frame = Frame(60, 22 + height, WIDTH - 70, 300 + height, (0, count), (0, top))
    step = (frame.right - frame.left) / count
    bars = [
        bar(
            frame.left + number * step + step * 0.1,
            frame.y(rank),
            step * 0.8,
            frame.bottom - frame.y(rank),
            f"bar c{_index(kind, kinds)}",
            f"{name}: rank {rank}",
        )
        for number, (name, rank, kind) in enumerate(
            zip(layers.names, layers.ranks, layers.kinds, strict=True)
        )
    ]
    return svg(
        WIDTH,
        frame.bottom + 72,
        key,
        frame.axes("", "rank", x_ticks=False),
        *bars,
        _groups(layers.names, frame, step),
        label="Rank of each layer in network order",
    )


def _groups(names: Sequence[str], frame: Frame, step: float) -> Html:
    """Names of the network's parts below the bars, turned where they are long."""
    runs: list[tuple[str, int, int]] = []
    for number, name in enumerate(names):
        part = name.partition(".")[0]
        if runs and runs[-1][0] == part:
            runs[-1] = (part, runs[-1][1], number + 1)
        else:
            runs.append((part, number, number + 1))
    fits = all(text_width(part, 12) < (end - start) * step for part, start, end in runs)
    shown: list[Html] = []
    free = frame.left
    for part, start, end in runs:
        x = frame.left + (start + end) / 2 * step
        if start:
            edge = frame.left + start * step
            shown.append(line(edge, frame.bottom, edge, frame.bottom + 6, "axis"))
        if fits:
            shown.append(text(x, frame.bottom + 20, part, "tick", "middle"))
        elif x >= free:
            shown.append(text(x - 3, frame.bottom + 16, part, "tick", "start", 35))
            free = x + 15
    return join(*shown)


def loss_chart(stages: Sequence[Stage]) -> Html | None:
    """Losses of all stages one after the other on a log axis; None where nothing was trained."""
    trained = [stage for stage in stages if any(_positive(loss) for loss in stage.losses)]
    if not trained:
        return None
    values = [v for s in trained for v in (*s.losses, *(loss for _, loss in s.held_out)) if _positive(v)]
    total = sum(len(stage.losses) for stage in trained)
    names = [f"{stage.name} ({len(stage.losses)} updates)" for stage in trained]
    key, height = legend(70, 14, names, WIDTH - 320)
    frame = Frame(70, 22 + height, WIDTH - 20, 300 + height, (0, total), log_limits(values), y_log=True)
    parts: list[Html] = [
        text(WIDTH - 20, 18, "faint: each update, strong: running median, rings: held-out", "tick", "end")
    ]
    start = 0
    for number, stage in enumerate(trained):
        steps = [(start + i + 1, loss) for i, loss in enumerate(stage.losses) if _positive(loss)]
        if start:
            parts.append(line(frame.x(start), frame.top, frame.x(start), frame.bottom, "mark"))
        parts.append(path([(frame.x(i), frame.y(v)) for i, v in steps], f"faint c{number}"))
        smooth = _running_median([v for _, v in steps], max(1, len(steps) // 20))
        parts.append(
            path(
                [(frame.x(i), frame.y(v)) for (i, _), v in zip(steps, smooth, strict=True)],
                f"curve c{number}",
            )
        )
        for done, loss in stage.held_out:
            if _positive(loss):
                told = f"held out after {done} updates: {compact(loss)}"
                parts.append(marker(frame.x(start + done), frame.y(loss), 0, told, f"ring r{number}"))
        start += len(stage.losses)
    axes = frame.axes("updates", "mean squared error")
    return svg(WIDTH, frame.bottom + 50, key, axes, *parts, label="Losses of the training")


def sensitivity_chart(found: Mapping[str, Any]) -> Html | None:
    """The layers that gain most when restored, and what each does alone; None where none was measured."""
    layers = [layer for layer in found["layers"] if layer["gain"] is not None][:_SHOWN_LAYERS]
    if not layers:
        return None
    names = max(text_width(layer["name"], 12) for layer in layers) + 16
    low = min(0.0, *(layer["gain"] for layer in layers))
    high = max(0.01, *(layer["gain"] for layer in layers))
    kinds = series_of([layer["kind"] for layer in found["layers"]])
    key, top = legend(names, 14, kinds, WIDTH - names - 20)
    bottom = top + 24 + 22 * len(layers)
    frame = Frame(names, top + 14, WIDTH - 200, bottom, (low, high * 1.02), (0, 1))
    parts: list[Html] = []
    for number, layer in enumerate(layers):
        y = top + 18 + 22 * number
        a, b = sorted((frame.x(0.0), frame.x(layer["gain"])))
        told = f"{layer['name']} ({layer['kind']}, rank {layer['rank']})"
        parts += [
            text(names - 8, y + 13, layer["name"], "tick", "end"),
            bar(a, y + 2, max(b - a, 1), 15, f"bar c{_index(layer['kind'], kinds)}", told),
            text(b + 6, y + 14, f"{layer['gain']:+.2f} dB".replace("-", "−"), "tick"),
            text(WIDTH - 8, y + 14, f"alone {layer['alone']:.1f} dB", "tick", "end"),
        ]
    return svg(
        WIDTH,
        bottom + 48,
        key,
        line(frame.x(0.0), top + 14, frame.x(0.0), bottom, "axis"),
        *parts,
        text(
            (names + WIDTH - 200) / 2,
            bottom + 24,
            "gain in PSNR to full precision when restored",
            "label",
            "middle",
        ),
        label="Layers that hurt the picture most",
    )


def _counted(kind: str, kinds: Sequence[str], series: Sequence[str]) -> str:
    return f"{kind} ({sum(_index(each, series) == series.index(kind) for each in kinds)})"


def _index(kind: str, series: Sequence[str]) -> int:
    return series.index(kind) if kind in series else len(series) - 1


def _positive(value: float) -> bool:
    return math.isfinite(value) and value > 0


def _running_median(values: Sequence[float], half: int) -> list[float]:
    windows = (sorted(values[max(i - half, 0) : i + half + 1]) for i in range(len(values)))
    return [window[len(window) // 2] for window in windows]

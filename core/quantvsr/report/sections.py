"""The sections of a report; each gives nothing where its data is missing."""

from collections.abc import Callable, Sequence

from quantvsr.report.columns import Column, columns_of
from quantvsr.report.data import Clip, Entry, Report
from quantvsr.report.html import Html, Part, join, tag
from quantvsr.report.layer_charts import complexity_chart, loss_chart, rank_chart, sensitivity_chart
from quantvsr.report.numbers import shown
from quantvsr.report.pictures import Version, crops, overview, slices
from quantvsr.report.quality_chart import quality_chart
from quantvsr.report.tables import cost_table, figures_table, legend, pairs_table

_PANELS = ("psnr_gt", "psnr_fp", "ssim_fp", "warp_error")


def standing(report: Report) -> Entry | None:
    """The entry that the heading tells of: of the fewest bits, the one closest to full precision."""
    candidates = [entry for entry in report.entries if entry.bits and entry.mean and not entry.ablation]
    if not candidates:
        return None
    fewest = min(entry.bits for entry in candidates)
    return max(
        (entry for entry in candidates if entry.bits == fewest),
        key=lambda entry: entry.mean.get("psnr_fp") or float("-inf"),
    )


def quality(report: Report) -> Html | None:
    """Means over the clips as a table and a chart, then every clip."""
    entries = [entry for entry in report.entries if not entry.ablation]
    if not any(entry.figures for entry in entries):
        return None
    short, full = (columns_of(report.metrics, report.entries, short=flag) for flag in (True, False))
    averaged = [entry for entry in entries if entry.mean]
    panels = [column for column in short if column.figure in _PANELS and not column.offset]
    clips = f"mean of {len(report.clips)} clips" if len(report.clips) != 1 else report.clips[0].name
    with_truth = sum(clip.has_gt for clip in report.clips)
    if 0 < with_truth < len(report.clips):
        clips += f"; to ground truth, of the {with_truth} that have one"
    parts: list[Part] = [
        figures_table(averaged, short, lambda entry: entry.mean, f"Figures, {clips}") if averaged else None,
        legend(),
        quality_chart([entry for entry in averaged if entry.key != "gt"], panels),
    ]
    if len(full) > len(short):
        parts.append(_folded("All figures", figures_table(averaged, full, lambda entry: entry.mean)))
    if len(report.clips) > 1:
        tables = [_clip_table(entries, short, clip) for clip in report.clips]
        parts.append(_folded("Each clip", join(*tables)))
    return join(*parts)


def _clip_table(entries: Sequence[Entry], columns: Sequence[Column], clip: Clip) -> Html:
    there = [entry for entry in entries if entry.figures.get(clip.id)]
    mine = [
        column
        for column in columns
        if any(entry.figures[clip.id].get(column.figure) is not None for entry in there)
    ]
    learned = ", seen by the calibration" if clip.learned else ""
    caption = f"{clip.name}: {clip.frames} frames of {clip.width}×{clip.height}{learned}"
    return figures_table(there, mine, lambda entry: entry.figures[clip.id], caption)


def ablations(report: Report) -> Html | None:
    """Methods with a switch turned, in a table of their own beside the method they belong to."""
    bits = {entry.bits for entry in report.entries if entry.ablation}
    bases = {entry.method.partition("+")[0] for entry in report.entries if entry.ablation}
    shown_here = [
        entry
        for entry in report.entries
        if entry.mean
        and (entry.key == "fp" or entry.ablation or (entry.bits in bits and entry.method in bases))
    ]
    if not bits or len(shown_here) < 2:
        return None
    columns = columns_of(report.metrics, shown_here, short=True)
    return join(figures_table(shown_here, columns, lambda entry: entry.mean), legend())


def pictures(report: Report) -> Html | None:
    """The same region and the same row of all versions, clip by clip."""
    parts = [part for clip in report.clips if (part := _clip_pictures(report, clip)) is not None]
    return join(*parts) if parts else None


def _clip_pictures(report: Report, clip: Clip) -> Html | None:
    versions: list[Version] = [
        ("lq", "Low-quality input", ()),
        ("bicubic", "Bicubic", _below(report, clip, "bicubic")),
    ]
    versions += [
        (entry.key, entry.title, _below(report, clip, entry.key))
        for entry in report.entries
        if entry.key not in ("bicubic", "gt") and not entry.ablation
    ]
    versions.append(("gt", "Ground truth", ()))
    crop, slice_ = crops(clip, versions), slices(clip, versions)
    if crop is None and slice_ is None:
        return None
    where = ""
    if clip.region is not None:
        y, x, height, width = clip.region
        where = f"{width}×{height} pixels at ({x}, {y})"
        where += "" if clip.frame is None else f" of frame {clip.frame + 1}"
    return join(
        tag("h3", clip.name),
        overview(clip),
        tag("p", f"The same region of every version: {where}.", class_="note") if where and crop else None,
        crop,
        tag("p", f"Row {clip.row} through time, downwards; flicker shows as stripes.", class_="note")
        if slice_ is not None
        else None,
        slice_,
    )


def _below(report: Report, clip: Clip, key: str) -> tuple[str, ...]:
    figures = next((entry.figures.get(clip.id, {}) for entry in report.entries if entry.key == key), {})
    return tuple(
        f"{shown(figures[name], 'dB')} dB to {words}"
        for name, words in (("psnr_gt", "GT"), ("psnr_fp", "FP"))
        if figures.get(name) is not None
    )


def layers(report: Report) -> Html | None:
    """Complexity, ranks and losses of each model."""
    parts: list[Part] = []
    several = len(report.layers) > 1
    for number, model in enumerate(report.layers):
        charts = [
            ("How complex the input of each layer is", complexity_chart(model)),
            ("Rank of each layer's full-precision branch", rank_chart(model)),
            ("Training", loss_chart(model.stages)),
        ]
        drawn = [join(tag("h3", title), chart) for title, chart in charts if chart is not None]
        if drawn and several:
            parts.append(_folded(model.title, join(*drawn), opened=number == 0))
        else:
            parts += drawn
    return join(*parts) if parts else None


def sensitivity(report: Report) -> Html | None:
    """Which layers hurt the picture."""
    found = report.sensitivity
    chart = None if found is None else sensitivity_chart(found)
    if found is None or chart is None:
        return None
    y, x, height, width = found["region"]
    words = (
        f"Frames {found['start'] + 1} to {found['start'] + found['frames']} of {found['clip_name']}, "
        f"{width}×{height} pixels at ({x}, {y}). With all layers at {found['bits']} the region is "
        f"{found['psnr']:.2f} dB from full precision; each bar tells how much closer it comes when only this "
        "layer is restored. On the right: the distance when only this layer is quantized. "
        f"{found['measured']} of {len(found['layers'])} layers were measured."
    )
    return join(tag("p", words, class_="note"), chart)


def cost(report: Report) -> Html | None:
    """Bytes and measured times, with what they were measured on."""
    frames = sum(clip.frames for clip in report.clips)
    table = cost_table([entry for entry in report.entries if entry.key not in ("bicubic", "gt")], frames)
    if table is None:
        return None
    machine = dict(report.facts)
    told = ", ".join(machine[name] for name in ("Execution", "Device") if machine.get(name))
    note = f"Measured with: {told}. " if told else ""
    if "simulated" in machine.get("Execution", ""):
        note += (
            "Simulated execution computes the whole numbers in floating point: it shows the picture, and is "
            "slower than full precision, not faster."
        )
    return join(table, tag("p", note, class_="note") if note else None)


def conventions(report: Report) -> Html | None:
    """How each number is computed."""
    used = {
        column.figure.rsplit("_", 1)[0] if column.group else column.figure
        for column in columns_of(report.metrics, report.entries, short=False)
    }
    rows = [
        (
            about.get("title", name),
            _told(f"{about.get('conventions', '')} Licence: {about.get('licence', '')}."),
        )
        for name, about in report.metrics.items()
        if name in used
    ]
    if not rows:
        return None
    intro = "All figures are computed on frames before any video coding."
    return join(tag("p", intro, class_="note"), pairs_table(rows))


def _told(words: str) -> Html:
    """Words with `names` set as such."""
    return join(*(tag("code", part) if number % 2 else part for number, part in enumerate(words.split("`"))))


def methods(report: Report) -> Html | None:
    """What each method does, where it was published, what was simplified."""
    rows: list[tuple[Part, Part]] = []
    for about in report.methods:
        simplified = about.get("simplified")
        words = join(
            about.get("summary"),
            tag("div", f"Source: {about['source']}", class_="note") if about.get("source") else None,
            tag("div", f"Simplified here: {simplified}", class_="note") if simplified else None,
        )
        rows.append((about.get("title"), words))
    return pairs_table(rows) if rows else None


def reproduce(report: Report) -> Html | None:
    """The command, the settings, and hashes of everything that went in."""
    if not (report.command or report.facts or report.hashes):
        return None
    hashes = tuple((label, tag("code", digest)) for label, digest in report.hashes)
    return join(
        tag("pre", report.command) if report.command else None,
        pairs_table(report.facts) if report.facts else None,
        _folded("Hashes (SHA-256)", pairs_table(hashes)) if hashes else None,
    )


def _folded(title: str, content: Part, *, opened: bool = False) -> Html:
    return tag("details", tag("summary", title), content, open="open" if opened else None)


SECTIONS: tuple[tuple[str, str, Callable[[Report], Html | None]], ...] = (
    ("quality", "Quality", quality),
    ("pictures", "Pictures", pictures),
    ("ablations", "What each part brings", ablations),
    ("layers", "Layers", layers),
    ("sensitivity", "Which layers hurt the picture", sensitivity),
    ("cost", "Size and time", cost),
    ("methods", "Methods", methods),
    ("conventions", "How the figures are computed", conventions),
    ("reproduce", "How it was made", reproduce),
)

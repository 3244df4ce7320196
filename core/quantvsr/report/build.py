"""The page: heading, key figures, sections. One file, nothing fetched, readable without scripts."""

from quantvsr.report.data import Report
from quantvsr.report.html import Html, Part, tag
from quantvsr.report.numbers import shown, size
from quantvsr.report.sections import SECTIONS, standing
from quantvsr.report.style import CSS, SCRIPT


def build_report(report: Report) -> str:
    """The whole HTML file."""
    sections = [(key, title, body) for key, title, make in SECTIONS if (body := make(report)) is not None]
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        tag("title", report.title),
        tag("style", Html(CSS)),
    )
    body = tag(
        "body",
        tag(
            "main",
            _header(report, [(key, title) for key, title, _ in sections]),
            _tiles(report),
            *(tag("section", tag("h2", title), content, id=key) for key, title, content in sections),
        ),
        tag("script", Html(SCRIPT)),
    )
    return f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n"


def _header(report: Report, sections: list[tuple[str, str]]) -> Html:
    when = None if report.measured is None else f"Measured {report.measured:%Y-%m-%d %H:%M %Z}"
    return tag(
        "header",
        tag("h1", report.title),
        tag("div", report.subtitle, class_="sub"),
        tag("div", when, class_="sub") if when else None,
        tag("button", "Dark", id="theme", type="button", hidden="hidden"),
        tag("nav", *(tag("a", title, href=f"#{key}") for key, title in sections)),
        tag("div", tag("b", "Note"), tag("ul", *(tag("li", note) for note in report.notes)), class_="warn")
        if report.notes
        else None,
    )


def _tiles(report: Report) -> Html | None:
    """The figures that one looks for first, of the entry that is closest to full precision."""
    best = standing(report)
    tiles: list[Html] = []
    if best is not None:
        full = next((entry.mean for entry in report.entries if entry.key == "fp"), {})
        for figure, words in (("psnr_fp", "PSNR to full precision"), ("psnr_gt", "PSNR to ground truth")):
            value, own = best.mean.get(figure), full.get(figure)
            if value is not None:
                beside = "" if own is None else f", full precision {shown(own, 'dB')}"
                tiles.append(_tile(f"{shown(value, 'dB')} dB", f"{words}{beside}"))
        value, own = best.mean.get("warp_error"), full.get("warp_error")
        if value is not None and own is not None:
            unit = str(report.metrics.get("warp_error", {}).get("unit", "1e-3"))
            words = f"warping error ({unit}), full precision {shown(own, unit)}"
            tiles.append(_tile(shown(value, unit), words))
    sized = best or next((entry for entry in report.entries if entry.bytes_lowbit), None)
    if sized is None:
        return None
    if sized.bytes_lowbit and sized.bytes_fp32:
        saved = 1 - sized.bytes_lowbit / sized.bytes_fp32
        words = f"{size(sized.bytes_fp32)} → {size(sized.bytes_lowbit)} of quantized layers"
        tiles.append(_tile(f"−{saved:.1%}", words))
    if not tiles:
        return None
    several = sum(entry.bits == sized.bits for entry in report.entries) > 1
    name = f"Closest to full precision at {sized.bits}: {sized.label}" if several and best else sized.title
    return tag("div", tag("p", name, class_="which"), tag("div", *tiles, class_="tiles"))


def _tile(value: Part, words: str) -> Html:
    return tag("div", tag("b", value), tag("span", words))

"""Tables of docs/results.md from the results of sweeps; what stands between markers is replaced."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Content = Mapping[str, Any]


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        title: Its head.
        value: Of an entry over some clips; None where there is none.
        digits: After the point.
        better: Which way is better; "" where nothing is marked.
    """

    title: str
    value: Callable[[Mapping[str, Any], Sequence[str]], float | None]
    digits: int
    better: str = ""


def figure(name: str) -> Callable[[Mapping[str, Any], Sequence[str]], float | None]:
    """The mean of a figure over the clips that have it; None unless all clips are done."""

    def mean(entry: Mapping[str, Any], clips: Sequence[str]) -> float | None:
        done = [entry["clips"].get(clip) for clip in clips]
        if any(clip is None or clip["status"] != "done" for clip in done):
            return None
        found = [clip["figures"].get(name) for clip in done if clip is not None]
        values = [value for value in found if value is not None]
        return sum(values) / len(values) if values else None

    return mean


def warp_distance(content: Content) -> Callable[[Mapping[str, Any], Sequence[str]], float | None]:
    """Mean over clips of the distance of E*_warp to that of full precision."""
    full = content["entries"][0]["clips"]

    def mean(entry: Mapping[str, Any], clips: Sequence[str]) -> float | None:
        try:
            pairs = [
                (entry["clips"][c]["figures"]["warp_error"], full[c]["figures"]["warp_error"]) for c in clips
            ]
        except KeyError:
            return None
        return sum(abs(a - b) for a, b in pairs) / len(pairs) if pairs else None

    return mean


def columns(content: Content) -> list[Column]:
    """The columns of all tables."""
    return [
        Column("PSNR-FP", figure("psnr_fp"), 2, "higher"),
        Column("SSIM-FP", figure("ssim_fp"), 4, "higher"),
        Column("PSNR-GT", figure("psnr_gt"), 2, "higher"),
        Column("SSIM-GT", figure("ssim_gt"), 4, "higher"),
        Column("E*warp", figure("warp_error"), 2),
        Column("to FP's", warp_distance(content), 3, "lower"),
        Column("bits", lambda entry, clips: entry.get("effective_bits"), 2),
    ]


def table(
    content: Content,
    entries: Iterable[Mapping[str, Any]],
    clips: Sequence[str],
    *,
    title: str,
    titles: Mapping[str, str] | None = None,
) -> str:
    """A table of entries over some clips; best in bold, second best in italics, FP apart.

    Args:
        content: Of results.json.
        entries: Its rows.
        clips: Names of clips.
        title: Head of the first column.
        titles: Names of rows by method, instead of the methods' own.
    """
    heads = columns(content)
    rows = [content["entries"][0], *entries]
    values = [[head.value(entry, clips) for head in heads] for entry in rows]
    marks = [_ranked([row[i] for row in values[1:]], head.better) for i, head in enumerate(heads)]
    lines = [f"| {title} | {' | '.join(head.title for head in heads)} |", "|---" * (len(heads) + 1) + "|"]
    for number, (entry, row) in enumerate(zip(rows, values, strict=True)):
        cells = []
        for i, (head, value) in enumerate(zip(heads, row, strict=True)):
            text = "-" if value is None else f"{value:.{head.digits}f}"
            mark = marks[i].get(number - 1, "")
            cells.append(f"{mark}{text}{mark}")
        name = (titles or {}).get(entry["method"]) or _name(content, entry)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _ranked(values: Sequence[float | None], better: str) -> dict[int, str]:
    known = [i for i, value in enumerate(values) if value is not None]
    if not better or len(known) < 2:
        return {}
    order = sorted(known, key=lambda i: values[i] or 0.0, reverse=better == "higher")
    return {order[0]: "**", order[1]: "*"}


def _name(content: Content, entry: Mapping[str, Any]) -> str:
    if entry["bits"] is None:
        return "full precision"
    title = content["methods"][entry["method"]]["title"]
    return title if entry["status"] == "done" else f"{title} ({entry['status']})"


def groups(content: Content) -> dict[str, list[str]]:
    """Names of clips by group: those that calibration has not seen, and the others."""
    unseen = [clip["id"] for clip in content["clips"] if not clip["learned"]]
    seen = [clip["id"] for clip in content["clips"] if clip["learned"]]
    found = {
        "clips that calibration has not seen": unseen,
        "bundled clips, which calibration learns from": seen,
    }
    return {title: names for title, names in found.items() if names}


def main_tables(content: Content) -> str:
    """One table by bits and group of clips."""
    parts = []
    for bits in sorted({entry["bits"] for entry in content["entries"][1:]}):
        entries = [entry for entry in content["entries"] if entry["bits"] == bits]
        for group, clips in groups(content).items():
            truth = sum(clip["has_gt"] for clip in content["clips"] if clip["id"] in clips)
            parts.append(f"{bits}, mean over {len(clips)} {group} ({truth} with ground truth):")
            parts.append(table(content, entries, clips, title=bits))
    return "\n\n".join(parts)


def clip_table(content: Content, bits: str, name: str = "psnr_fp") -> str:
    """One figure of all methods by clip; best in bold."""
    entries = [entry for entry in content["entries"] if entry["bits"] == bits]
    heads = [content["methods"][entry["method"]]["title"] for entry in entries]
    lines = [f"| {bits}, PSNR-FP | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for clip in content["clips"]:
        values = [figure(name)(entry, [clip["id"]]) for entry in entries]
        best = _ranked(values, "higher")
        cells = [
            "-" if value is None else f"{best.get(i, '')}{value:.2f}{best.get(i, '')}"
            for i, value in enumerate(values)
        ]
        lines.append(f"| {clip['id']} | {' | '.join(cells)} |")
    return "\n".join(lines)


_BRANCHES = {"none": "+no-branch", "rank 32": "+rank-32", "allocated": ""}
_TRAINING = {"-": "+no-refine+no-bias", "bias": "+no-refine", "branch": "+no-bias", "both": ""}


def ablation_tables(content: Content) -> str:
    """The branch by what is trained, then every part that is left out or taken back."""
    clips = next(iter(groups(content).values()))
    entries = {entry["method"]: entry for entry in content["entries"][1:]}
    names: dict[str, str] = {}
    for branch, switch in _BRANCHES.items():
        for trained, others in _TRAINING.items():
            names[f"quantvsr{switch}{others}"] = f"{branch}, trained: {trained}"
    first = [entries[name] for name in names if name in entries]
    whole = [entries["quantvsr"]] if "quantvsr" in entries else []
    rest = whole + [entry for name, entry in entries.items() if name not in names]
    titles = names | {
        name: content["methods"][name]["title"].partition(", ")[2] for name in entries if name not in names
    }
    return "\n\n".join(
        [
            f"Branch and what is trained; W4A4, mean over {len(clips)} clips that calibration has not seen:",
            table(content, first, clips, title="branch", titles=titles),
            "One part left out or taken back to what was published:",
            table(
                content, rest, clips, title="QuantVSR with", titles={**titles, "quantvsr": "nothing changed"}
            ),
        ]
    )


def bars(content: Content) -> str:
    """Whether the goals are met, one line each."""
    lines = []
    entries = {e["method"]: e for e in content["entries"] if e["bits"] == "W4A4" and e["status"] == "done"}
    ours, full = entries.get("quantvsr"), content["entries"][0]
    if ours is None:
        return "No result for quantvsr at W4A4 yet."
    for group, clips in groups(content).items():
        for title, value, better in (
            ("PSNR to FP", figure("psnr_fp"), max),
            ("SSIM to FP", figure("ssim_fp"), max),
            ("E*warp closest to FP's", warp_distance(content), min),
        ):
            found = {name: value(entry, clips) for name, entry in entries.items()}
            known = {name: v for name, v in found.items() if v is not None}
            if "quantvsr" not in known:
                lines.append(f"- not run: {title}, {group}")
                continue
            winner = better(known, key=lambda name: known[name])
            lines.append(_line(winner == "quantvsr", f"first in {title}, {group}", f"first is {winner}"))
        for title, name, most in (("dB PSNR", "psnr_gt", 0.1), ("SSIM", "ssim_gt", 0.01)):
            a, b = figure(name)(ours, clips), figure(name)(full, clips)
            if a is not None and b is not None:
                lines.append(
                    _line(
                        b - a <= most,
                        f"within {most} {title} of FP against GT, {group}",
                        f"{b - a:+.4f} lost",
                    )
                )
        other = entries.get("quantvsr-reference")
        a = figure("psnr_fp")(ours, clips)
        b = None if other is None else figure("psnr_fp")(other, clips)
        if a is not None and b is not None:
            lines.append(
                _line(a > b, f"better than the published profile, {group}", f"{a - b:+.2f} dB PSNR-FP")
            )
    return "\n".join(lines)


def _line(met: bool, goal: str, found: str) -> str:
    return f"- {'met' if met else '**missed**'}: {goal} ({found})"


def methods_list(content: Content) -> str:
    """What each method is, and what was simplified."""
    lines = []
    for name, method in content["methods"].items():
        if method["family"] == "method":
            simplified = f" Simplified: {method['simplified']}" if method["simplified"] else ""
            lines.append(
                f"- **{method['title']}** (`{name}`; {method['source']}). {method['summary']}{simplified}"
            )
    return "\n".join(lines)


def made_with(content: Content) -> str:
    """Machine, versions, hashes and command."""
    machine = content["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items() if version)
    preset, seed = content["settings"]["settings"]["preset"], content["settings"]["settings"]["seed"]
    frames = sorted({clip["frames"] for clip in content["clips"]})
    return (
        f"Made on {machine['device']} ({machine['device_name']}), {machine['execution']} execution, "
        f"{versions}; preset `{preset}`, seed {seed}, {'/'.join(map(str, frames))} frames of each clip; "
        f"settings `{content['settings_hash'][:12]}`, model `{content['model']['sha256'][:12]}`."
    )


def write_document(path: Path, found: Mapping[str, Content]) -> None:
    """Put the tables between their markers in a document; parts without results stay as they are."""
    text = path.read_text(encoding="utf-8")
    parts: dict[str, str] = {}
    if "main" in found:
        content = found["main"]
        parts |= {
            "main": main_tables(content),
            "clips": clip_table(content, "W4A4"),
            "bars": bars(content),
            "methods": methods_list(content),
            "made-with": made_with(content),
        }
    if "ablation" in found:
        parts["ablation"] = ablation_tables(found["ablation"])
    for name, part in parts.items():
        pattern = re.compile(f"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)", re.DOTALL)
        if not pattern.search(text):
            raise SystemExit(f"{path} has no markers for {name}; put them back.")
        text = pattern.sub(lambda match, part=part: f"{match[1]}\n{part}\n\n{match[2]}", text)
    path.write_text(text, encoding="utf-8")
    print(parts.get("bars", ""))

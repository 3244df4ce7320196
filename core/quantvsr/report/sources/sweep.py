"""The folder that `sweep` wrote: methods x bits x clips."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from quantvsr.errors import BadInput
from quantvsr.progress import Progress
from quantvsr.report.data import Clip, Entry, Layers, Pictures, Report, written
from quantvsr.report.pictures import load_picture
from quantvsr.report.sources.reading import Source, optional_object, read_layers, read_object, settings_rows

FILE = "results.json"


def read(folder: Path, pictures: bool, progress: Progress) -> Report:
    """Read it.

    Raises:
        BadInput: results.json is damaged.
    """
    path = folder / FILE
    content = read_object(path)
    if content.get("format") != "quantvsr-results":
        raise BadInput(f"{path} holds no results of a sweep; run 'quantvsr sweep' again.")
    try:
        return _report(folder, content, pictures, progress)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise BadInput(f"{path} is damaged ({error}); run 'quantvsr sweep' again.") from error


def _report(folder: Path, content: Mapping[str, Any], pictures: bool, progress: Progress) -> Report:
    methods, machine = content["methods"], content["machine"]
    entries = [_entry(each, methods) for each in content["entries"]]
    full = [entry for entry in entries if entry.key == "fp"]
    clips = []
    for clip in content["clips"]:
        progress.check()
        clips.append(_clip(clip, content["entries"], folder, pictures))
        progress.report(len(clips) / len(content["clips"]), clip["name"])
    model = content["model"]
    return Report(
        title="Methods compared",
        subtitle=f"{model['name']} model, {len(clips)} clip{'s' * (len(clips) != 1)}, {_bits(entries)}",
        measured=written(folder / FILE),
        clips=tuple(clips),
        entries=(*_yardsticks(content["clips"]), *full, *_by_bits(entries)),
        metrics=content["metrics"],
        methods=tuple(methods.values()),
        layers=tuple(_layers(folder, content["entries"], methods)),
        sensitivity=optional_object(folder / "sensitivity.json") or None,
        facts=_facts(content, machine),
        command=content["command"],
        hashes=_hashes(content),
        notes=_notes(content, methods),
    )


def _entry(each: Mapping[str, Any], methods: Mapping[str, Any]) -> Entry:
    about = methods.get(each["method"], {})
    return Entry(
        key="fp" if each["method"] == "fp" else each["cell"],
        label="Full precision" if each["method"] == "fp" else about.get("title", each["method"]),
        bits=each["bits"] or "",
        method=each["method"],
        ablation=about.get("family") == "ablation",
        figures={name: clip["figures"] for name, clip in each["clips"].items() if clip["status"] == "done"},
        mean=each.get("mean") or {},
        bytes_fp32=each.get("bytes_fp32"),
        bytes_lowbit=each.get("bytes_lowbit"),
        effective_bits=each.get("effective_bits"),
        layers=each.get("layers"),
        seconds=each.get("seconds") or {},
        checkpoint=each.get("checkpoint_sha256"),
        error=each.get("error"),
    )


def _by_bits(entries: list[Entry]) -> list[Entry]:
    """Most bits first, methods in their order."""
    quantized = [entry for entry in entries if entry.bits]
    return sorted(quantized, key=lambda entry: entry.bits, reverse=True)


def _yardsticks(clips: list[Mapping[str, Any]]) -> list[Entry]:
    """Ground truth and bicubic enlargement, where they were measured."""
    found = []
    for key, label in (("gt", "Ground truth"), ("bicubic", "Bicubic")):
        figures = {clip["id"]: clip["figures"][key] for clip in clips if clip["figures"].get(key)}
        if figures:
            found.append(
                Entry(key, label, figures=figures, mean=_mean(figures) if len(figures) == len(clips) else {})
            )
    return found


def _mean(figures: Mapping[str, Mapping[str, float | None]]) -> dict[str, float]:
    values: dict[str, list[float]] = {}
    for each in figures.values():
        for name, value in each.items():
            if value is not None:
                values.setdefault(name, []).append(value)
    return {name: sum(found) / len(found) for name, found in values.items()}


def _clip(clip: Mapping[str, Any], entries: list[Mapping[str, Any]], folder: Path, pictures: bool) -> Clip:
    places = dict(clip.get("pictures") or {})
    for entry in entries:
        mine = entry["clips"].get(clip["id"]) or {}
        if entry["method"] != "fp" and mine.get("pictures"):
            places[entry["cell"]] = mine["pictures"]
    region = clip.get("region")
    return Clip(
        id=clip["id"],
        name=clip["name"],
        frames=clip["frames"],
        width=clip["width"],
        height=clip["height"],
        has_gt=clip["has_gt"],
        learned=bool(clip.get("learned")),
        sha256=clip.get("sha256"),
        region=None if not region else (region["y"], region["x"], region["height"], region["width"]),
        frame=region["frame"] if region else None,
        row=clip.get("row"),
        pictures={key: _pictures(folder, files) for key, files in places.items()} if pictures else {},
    )


def _pictures(folder: Path, files: Mapping[str, str]) -> Pictures:
    crop, xt, thumb = (
        load_picture(folder / files[kind]) if files.get(kind) else None for kind in ("crop", "xt", "thumb")
    )
    return Pictures(crop, xt, thumb)


def _layers(folder: Path, entries: list[Mapping[str, Any]], methods: Mapping[str, Any]) -> list[Layers]:
    """Models with something to show, ours before the others, few bits before many; no ablations."""
    chosen = [
        each
        for each in entries
        if each.get("folder") and methods.get(each["method"], {}).get("family") != "ablation"
    ]
    chosen.sort(key=lambda each: (each["method"] != "quantvsr", each["bits"]))
    found = []
    for each in chosen:
        title = f"{methods.get(each['method'], {}).get('title', each['method'])} {each['bits']}"
        layers = read_layers(folder / each["folder"], title)
        if layers is not None and (layers.stages or any(layers.ranks or ())):
            found.append(layers)
    return found


def _bits(entries: list[Entry]) -> str:
    return ", ".join(dict.fromkeys(entry.bits for entry in _by_bits(entries))) or "full precision only"


def _facts(content: Mapping[str, Any], machine: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    versions = ", ".join(
        f"{name} {version}" for name, version in (machine.get("versions") or {}).items() if version
    )
    learned = ", ".join(clip["name"] for clip in content.get("learned_from") or ())
    device = " ".join(str(machine[key]) for key in ("device", "device_name") if machine.get(key))
    rows = [
        ("Program", f"QuantVSR Studio {content['program']}"),
        ("Model", str(content["model"]["reference"])),
        ("Execution", str(machine.get("execution", ""))),
        ("Device", device),
        ("Libraries", versions),
        ("Learned from", learned),
    ]
    # What was asked for, unless what came of it (the device behind `auto`) is told already.
    told = {label for label, _ in rows}
    asked = settings_rows((content.get("settings") or {}).get("settings") or {})
    rows += [row for row in asked if row[0] not in told]
    return tuple((label, value) for label, value in rows if value)


def _hashes(content: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    found = [("Settings", content.get("settings_hash")), ("Model", content["model"].get("sha256"))]
    found += [(f"Clip {clip['name']}", clip.get("sha256")) for clip in content["clips"]]
    found += [(f"Learned from {clip['name']}", clip["sha256"]) for clip in content.get("learned_from") or ()]
    found += [(f"Checkpoint {each['cell']}", each.get("checkpoint_sha256")) for each in content["entries"]]
    return tuple((label, digest) for label, digest in found if digest)


def _notes(content: Mapping[str, Any], methods: Mapping[str, Any]) -> tuple[str, ...]:
    notes = [f"{each['clip']}: {each['error']}" for each in content.get("left_out") or ()]
    missing = []
    for each in content["entries"]:
        title = f"{methods.get(each['method'], {}).get('title', each['method'])} {each['bits'] or ''}".strip()
        if each["status"] == "missing":
            missing.append(title)
        elif each["status"] == "failed":
            notes.append(f"{title}: {each.get('error') or 'failed'}")
        notes += [
            f"{title}, {name}: {clip.get('error') or 'failed'}"
            for name, clip in each["clips"].items()
            if clip["status"] == "failed" and each["status"] == "done"
        ]
    if missing:
        notes.append(f"Not reached yet: {', '.join(missing)}. The same sweep command goes on.")
    return tuple(notes)


SOURCE = Source((FILE,), read)

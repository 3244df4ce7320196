"""A project of the app: its analysis, and every quantization in it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from quantvsr.errors import BadInput
from quantvsr.progress import Progress
from quantvsr.report.data import Entry, Layers, Report, written
from quantvsr.report.sources.reading import Source, optional_object, read_layers, read_object, settings_rows

FILE = "project.json"
_DONE = "done"


def read(folder: Path, pictures: bool, progress: Progress) -> Report:
    """Read it.

    Raises:
        BadInput: project.json is damaged.
    """
    path = folder / FILE
    content = read_object(path)
    if content.get("format") != "quantvsr-project":
        raise BadInput(f"{path} is no project of this program; choose another folder.")
    try:
        return _report(folder, content)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise BadInput(f"{path} is damaged ({error}); open the project in the app first.") from error


def _report(folder: Path, content: Mapping[str, Any]) -> Report:
    runs = list(content.get("runs") or ())
    done = [run for run in runs if run["state"] == _DONE]
    analysis = read_layers(folder, "Analysis")
    layers = [] if analysis is None else [analysis]
    layers += [found for run in done if (found := _trained(folder, run)) is not None]
    name = folder.resolve().stem
    notes = [
        f"{run['name']}: {run['state']}. {run.get('message') or ''}".strip()
        for run in runs
        if run not in done
    ]
    return Report(
        title=f"Project {name}",
        subtitle=f"{len(done)} quantized model{'s' * (len(done) != 1)}",
        measured=written(folder / FILE),
        entries=tuple(_entry(run) for run in done),
        layers=tuple(layers),
        sensitivity=optional_object(folder / "sensitivity.json") or None,
        facts=_facts(content, done),
        notes=tuple(notes),
    )


def _entry(run: Mapping[str, Any]) -> Entry:
    result = run.get("result") or {}
    seconds = result.get("seconds")
    total = sum(seconds.values()) if isinstance(seconds, Mapping) else float(run.get("seconds") or 0.0)
    return Entry(
        key=run["id"],
        label=run["name"],
        bits=str(result.get("bits") or ""),
        bytes_fp32=result.get("bytes_fp32"),
        bytes_lowbit=result.get("bytes_lowbit"),
        effective_bits=result.get("effective_bits"),
        layers=result.get("layers"),
        seconds={"quantize": total} if total else {},
    )


def _trained(folder: Path, run: Mapping[str, Any]) -> Layers | None:
    """Ranks and losses of a run; its complexity is that of the analysis."""
    place = folder / "checkpoints" / str(run["id"])
    found = read_layers(place, str(run["name"]))
    return found if found is not None and (found.stages or found.ranks) else None


def _facts(content: Mapping[str, Any], done: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, str], ...]:
    rows = [("Program", f"QuantVSR Studio {content['program']}")]
    for run in done:
        settings = (run.get("job") or {}).get("settings") or {}
        chosen = settings_rows(
            {key: settings[key] for key in ("method", "preset", "bits", "seed") if key in settings}
        )
        rows.append((str(run["name"]), ", ".join(f"{label.lower()} {value}" for label, value in chosen)))
    return tuple(rows)


SOURCE = Source((FILE,), read)

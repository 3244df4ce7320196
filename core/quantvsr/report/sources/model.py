"""The folder that `quantize` or `analyze` wrote: layers, training and size of one model."""

from pathlib import Path

from quantvsr.errors import BadInput
from quantvsr.hashing import hash_file
from quantvsr.progress import Progress
from quantvsr.report.data import Entry, Report, written
from quantvsr.report.sources.reading import (
    CHECKPOINT,
    Source,
    checkpoint_header,
    method_title,
    optional_object,
    read_layers,
    settings_rows,
)

RANKS = "ranks.json"


def read(folder: Path, pictures: bool, progress: Progress) -> Report:
    """Read it.

    Raises:
        BadInput: It holds nothing that can be shown.
    """
    checkpoint = folder / CHECKPOINT
    header = checkpoint_header(checkpoint)
    meta = header.get("meta") or {}
    layers = read_layers(folder, "The model")
    if layers is None and not header:
        raise BadInput(f"{folder / RANKS} holds no ranks; run 'quantvsr quantize' or 'analyze' again.")
    bits = str(meta.get("bits") or optional_object(folder / RANKS).get("bits") or "")
    label = method_title(meta.get("method"))
    entries, hashes = _entries(checkpoint, header, label, bits, folder)
    clips = meta.get("clips") or []
    hashes += [(f"Learned from {clip['name']}", str(clip["sha256"])) for clip in clips]
    known = {
        key: value
        for key, value in meta.items()
        if key not in ("clips", "bits") and not isinstance(value, dict)
    }
    return Report(
        title=f"Quantized model {folder.resolve().name}" if entries else f"Analysis {folder.resolve().name}",
        subtitle=f"{label} {bits}".strip() if entries else f"{len(layers.names) if layers else 0} layers",
        measured=written(checkpoint if entries else folder / RANKS),
        entries=tuple(entries),
        layers=() if layers is None else (layers,),
        sensitivity=optional_object(folder / "sensitivity.json") or None,
        facts=tuple(settings_rows(known)),
        hashes=tuple(hashes),
    )


def _entries(
    checkpoint: Path, header: dict[str, object], label: str, bits: str, folder: Path
) -> tuple[list[Entry], list[tuple[str, str]]]:
    if not checkpoint.is_file():
        return [], []
    figures = optional_object(folder / "work" / "quantize.stage.json")
    known = figures.get("figures") or {}
    seconds = figures.get("seconds")
    digest = hash_file(checkpoint)
    entry = Entry(
        key="model",
        label=label,
        bits=bits,
        bytes_fp32=known.get("bytes_fp32"),
        bytes_lowbit=checkpoint.stat().st_size,
        effective_bits=known.get("effective_bits"),
        layers=known.get("layers"),
        seconds={} if not isinstance(seconds, int | float) else {"quantize": float(seconds)},
        checkpoint=digest,
    )
    hashes = [("Checkpoint", digest)]
    if header.get("source_hash"):
        hashes.append(("Model in full precision", str(header["source_hash"])))
    return [entry], hashes


SOURCE = Source((RANKS, CHECKPOINT), read)

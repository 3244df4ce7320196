"""The folder that `quantize` or `analyze` wrote: layers, training and size of one model."""

from pathlib import Path

from quantvsr.errors import BadInput
from quantvsr.hashing import hash_file
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


def read(folder: Path, pictures: bool) -> Report:
    """Read it.

    Raises:
        BadInput: It holds nothing that can be shown.
    """
    checkpoint = folder / CHECKPOINT
    header = checkpoint_header(checkpoint)
    meta = header.get("meta") or {}
    layers = read_layers(folder, "The model")
    if layers is None:
        raise BadInput(f"{folder / 'ranks.json'} holds no ranks; run 'quantvsr quantize' or 'analyze' again.")
    bits = str(meta.get("bits", optional_object(folder / "ranks.json").get("bits") or ""))
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
        subtitle=f"{label} {bits}".strip() if entries else f"{len(layers.names)} layers",
        measured=written(checkpoint if entries else folder / "ranks.json"),
        entries=tuple(entries),
        layers=(layers,),
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


SOURCE = Source("ranks.json", read)

"""What a model is made of: how it was recognised, and its layers."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantvsr.jobs.base import Result, register
from quantvsr.jobs.options import REFERENCE, SWITCH, TEXT, option
from quantvsr.jobs.settings import BUNDLED, Job
from quantvsr.progress import Progress
from quantvsr.words import megabytes


@dataclass(frozen=True, kw_only=True)
class InspectResult(Result):
    """A model.

    Attributes:
        path: Folder or file.
        family, title: Its kind, as a name and for a person.
        reason: Why it was taken for that.
        notes: What to know about it, such as its licence.
        checkpoint: What a quantized checkpoint says of itself; None for a full-precision model. The rest
            then describes the model it was made from.
        files: What belongs to it.
        bytes: Size of these files.
        sha256: Hash of all of them; None where it was not asked for.
        scale, window, steps: Enlargement, frames seen at once, sampling steps; None without opening it, as
            the following.
        parameters: Of the denoiser.
        size: LQ pixels (height, width) of the window for which multiply-accumulates are counted; None where
            they were not counted.
        layers: All linear layers and convolutions in network order: `name`, `kind`, `shape` of the weight,
            `parameters`, `macs` of one window and step (None where not counted), `skipped` (the reason, or
            None), `family` (whether it is the model's family that leaves it out).
    """

    path: str
    family: str
    title: str
    reason: str
    notes: tuple[str, ...]
    checkpoint: dict[str, Any] | None
    files: tuple[Path, ...]
    bytes: int
    sha256: str | None = None
    scale: int | None = None
    window: int | None = None
    steps: int | None = None
    parameters: int | None = None
    size: tuple[int, int] | None = None
    layers: tuple[dict[str, Any], ...] = ()

    def rows(self) -> list[tuple[str, str]]:
        """What it is, and how many layers can be quantized."""
        rows = [
            ("Model", f"{self.title} ({self.path})"),
            ("Recognised by", self.reason),
            ("Files", f"{len(self.files)} ({megabytes(self.bytes)})"),
        ]
        if self.checkpoint is not None:
            what, before = self.checkpoint, megabytes(self.checkpoint["bytes_fp32"])
            bits = what["meta"].get("bits", "quantized")
            rows[0] = ("Checkpoint", f"{bits}, {what['layers']} layers, {before} before ({self.path})")
            rows.insert(1, ("Of the model", self.title))
        if self.sha256 is not None:
            rows.append(("SHA-256", self.sha256))
        if self.parameters is not None:
            taken = [layer for layer in self.layers if layer["skipped"] is None]
            share = sum(layer["parameters"] for layer in taken) / max(self.parameters, 1)
            count = f"{len(taken)} of {len(self.layers)} can be quantized"
            rows += [
                ("Enlarges", f"{self.scale} times, {self.window} frames at once, {self.steps} steps"),
                ("Parameters", f"{self.parameters / 1e6:.2f} M"),
                ("Layers", f"{count} ({share:.1%} of the parameters)"),
            ]
        return rows + [("Note", note) for note in self.notes]


@register("inspect")
@dataclass(frozen=True, kw_only=True)
class InspectJob(Job):
    """Say what a model is, and list its layers."""

    summary = "Show what a model is and list its layers."
    details = (
        "MODEL is a folder or file of weights, 'bundled', or a quantized checkpoint. Multiply-accumulates "
        "are counted by running a small window, for models that are small enough; --json gives all layers. "
        "Where it is no model that can be opened, the message says what it is instead and what to do."
    )
    example = "quantvsr inspect bundled"
    group = "model"

    model: str = option(REFERENCE, "The model.", default=BUNDLED, positional=True)
    device: str = option(TEXT, "Where to compute: auto, cpu, cuda, cuda:1, ...", default="auto")
    exclude: tuple[str, ...] = option(TEXT, "Layers to leave out, names or patterns.", default=(), many=True)
    layers: bool = option(SWITCH, "Open it and list its layers; without, say only what it is.", default=True)
    hash: bool = option(SWITCH, "Hash its files, which reads all of them.", default=False)

    def run(self, progress: Progress) -> InspectResult:
        """Run it."""
        from quantvsr.jobs.work.inspecting import inspect

        return inspect(self, progress)

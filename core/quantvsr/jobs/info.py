"""What this program and this machine can do."""

from dataclasses import dataclass
from typing import Any

from quantvsr.jobs.base import Job, Result, register
from quantvsr.progress import Progress


@dataclass(frozen=True, kw_only=True)
class InfoResult(Result):
    """The program and the machine.

    Attributes:
        versions: Version of the program, Python and the libraries; None where one is missing.
        system: Operating system and architecture.
        cpu: `name`, `cores` (logical), `threads` (used by torch), `features` (of those that matter here).
        memory: Bytes of main memory; None where unknown.
        gpus: `name`, `device`, `memory` (bytes) of each.
        disk: `path`, `free`, `total` (bytes) of the working folder.
        execution: Ways to run a quantized model here.
        model: The bundled model: `path`, `parameters`, `bytes`; `error` where it cannot be opened.
    """

    versions: dict[str, str | None]
    system: str
    cpu: dict[str, Any]
    memory: int | None
    gpus: tuple[dict[str, Any], ...]
    disk: dict[str, Any]
    execution: tuple[str, ...]
    model: dict[str, Any]

    def rows(self) -> list[tuple[str, str]]:
        """One line per subject."""
        gpus = [f"{gpu['name']} ({gpu['memory'] / 2**30:.0f} GiB, {gpu['device']})" for gpu in self.gpus]
        libraries = [
            f"{key} {value or 'missing'}" for key, value in self.versions.items() if key != "quantvsr"
        ]
        free, total = (f"{self.disk[key] / 1e9:.1f} GB" for key in ("free", "total"))
        features = ", ".join(self.cpu["features"]) or "no special features"
        return [
            ("QuantVSR Studio", str(self.versions["quantvsr"])),
            ("Libraries", ", ".join(libraries)),
            ("System", self.system),
            ("Processor", f"{self.cpu['name']}, {self.cpu['cores']} cores ({features})"),
            ("Memory", "unknown" if self.memory is None else f"{self.memory / 2**30:.1f} GiB"),
            ("GPU", ", ".join(gpus) or "none"),
            ("Disk", f"{free} free of {total} at {self.disk['path']}"),
            ("Execution", "; ".join(self.execution)),
            ("Bundled model", self._model()),
        ]

    def _model(self) -> str:
        if "error" in self.model:
            return str(self.model["error"])
        return (
            f"{self.model['name']}, {self.model['parameters'] / 1e6:.1f} M parameters, {self.model['path']}"
        )


@register("info")
@dataclass(frozen=True, kw_only=True)
class InfoJob(Job):
    """Report versions, processor, GPUs, disk, ways of execution, and the bundled model."""

    summary = "Show versions, processor, GPUs, disk space and the bundled model."
    example = "quantvsr info --json"
    group = "other"

    def run(self, progress: Progress) -> InfoResult:
        """Run it."""
        from quantvsr.jobs.work.machine import info

        return info(progress)

"""Which layers hurt the picture here."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from quantvsr.errors import BadInput
from quantvsr.jobs.base import Result, register
from quantvsr.jobs.options import INTEGER, PATH, RATE, SWITCH, option
from quantvsr.jobs.settings import ModelSettings
from quantvsr.progress import Progress

FILE = "sensitivity.json"
_SHOWN = 12


@dataclass(frozen=True, kw_only=True)
class SensitivityResult(Result):
    """What each quantized layer does to the final frames.

    Attributes:
        out: `sensitivity.json`; None where only the cost was asked for.
        cost: `layers` (to measure), `runs`, `seconds` (estimated from two timed runs).
        found: What `sensitivity.json` holds; None where only the cost was asked for.
    """

    out: Path | None
    cost: dict[str, float]
    found: dict[str, Any] | None

    def rows(self) -> list[tuple[str, str]]:
        """The layers that hurt most."""
        rows = [("Cost", f"{self.cost['runs']:.0f} runs, about {self.cost['seconds']:.0f} s")]
        if self.found is None:
            return rows
        found = self.found
        rows.append(("All quantized", f"{found['psnr']:.2f} dB to full precision"))
        rows.append(("", f"{'restored':>10}{'alone':>10}{'SNR':>9}  (dB)"))
        measured = [layer for layer in found["layers"] if layer["gain"] is not None]
        for layer in measured[:_SHOWN]:
            snr = "-" if layer["snr"] is None else f"{layer['snr']:.1f}"
            rows.append((layer["name"], f"{layer['gain']:>+10.2f}{layer['alone']:>10.2f}{snr:>9}"))
        if len(measured) > _SHOWN:
            rows.append(("", f"... and {len(measured) - _SHOWN} more layers"))
        rows.append(("Written to", str(self.out)))
        return rows


@register("sensitivity")
@dataclass(frozen=True, kw_only=True)
class SensitivityJob(ModelSettings):
    """Rank the layers of a quantized model by what they do to the final frames of a clip."""

    summary = "Find out which quantized layers hurt the picture, on chosen frames and a chosen region."
    details = (
        "For each layer: how much closer to full precision the final frames come when only this layer is "
        "restored, and how far they go when only this layer is quantized. The cost is said before the start; "
        "--estimate says nothing else, --layers measures only those that a quick look finds worst. Stopped "
        "at any moment, the same command goes on."
    )
    example = "quantvsr sensitivity walk.mp4 --checkpoint my-model-4bit --layers 20"
    group = "quantize"

    clip: str | None = option(
        PATH, "The low-quality clip; a bundled one if left out.", default=None, positional=True
    )
    checkpoint: str = option(PATH, "Quantized checkpoint (of 'quantize').")
    out: str = option(
        PATH, f"Folder for {FILE}: that of a comparison or a project, or a new one.", default="sensitivity",
        reproducible=False,
    )  # fmt: skip
    start: int = option(INTEGER, "First frame, counted from 0.", default=0, least=0)
    windows: int = option(INTEGER, "Windows of frames, one after the other.", default=1, least=1, most=64)
    region: tuple[int, ...] = option(
        INTEGER,
        "Left, top, width and height in pixels of the enlarged picture; the busiest 96x96 if left out.",
        default=(),
        many=True,
        least=0,
    )
    layers: int | None = option(
        INTEGER, "Measure only so many layers, those worst at a quick look; all if left out.", default=None,
        least=1,
    )  # fmt: skip
    estimate: bool = option(SWITCH, "Only say what it would cost.", default=False, reproducible=False)
    frame_rate: Fraction | None = option(  # noqa: RUF009  (makes a field)
        RATE, "Frames per second of a folder of pictures (25 if left out).", default=None
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.region) not in (0, 4):
            raise BadInput(f"--region takes four numbers (left, top, width, height), not {len(self.region)}.")

    def run(self, progress: Progress) -> SensitivityResult:
        """Run it."""
        from quantvsr.jobs.work.sensitivity import find_sensitivity

        return find_sensitivity(self, progress)

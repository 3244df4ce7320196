"""Figures of one clip, alone or against another."""

import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantvsr.jobs.base import Job, Result, register
from quantvsr.jobs.options import INTEGER, PATH, SWITCH, TEXT, option
from quantvsr.progress import Progress
from quantvsr.words import counted

_ARROWS = {"higher": "higher is better", "lower": "lower is better", "match": "like the reference's own"}
_WIDTH = 84


@dataclass(frozen=True, kw_only=True)
class MeasureResult(Result):
    """Figures of a clip.

    Attributes:
        clip: What was measured.
        reference: What it was compared with; None without.
        frames: Frames measured.
        border: Pixels left out on every side.
        values: Mean of each metric over the clip; None where no frame had a value.
        per_frame: The values of each metric frame by frame.
        metrics: What there is to know about each metric: unit, direction, range, licence, conventions.
        out: The JSON file; None where none was asked for.
        explain: Whether the table tells the conventions.
    """

    clip: Path
    reference: Path | None
    frames: int
    border: int
    values: dict[str, float | None]
    per_frame: dict[str, list[float | None]]
    metrics: dict[str, dict[str, Any]]
    out: Path | None
    explain: bool = False

    def rows(self) -> list[tuple[str, str]]:
        """One line per metric."""
        rows = [("Clip", f"{self.clip} ({counted(self.frames, 'frame')})")]
        if self.reference is not None:
            rows.append(("Reference", str(self.reference)))
        for name, value in self.values.items():
            about = self.metrics[name]
            shown = "no value (too short, small or flat)" if value is None else f"{value:.4f} {about['unit']}"
            rows.append((about["title"], f"{shown.strip()}  ({_ARROWS[about['direction']]})"))
            if self.explain:
                told = f"{about['conventions']} Licence: {about['licence']}."
                rows += [("", line) for line in textwrap.wrap(told, _WIDTH)]
        if self.out is not None:
            rows.append(("Written to", str(self.out)))
        return rows


@register("measure")
@dataclass(frozen=True, kw_only=True)
class MeasureJob(Job):
    """Measure a clip, alone or against a reference."""

    summary = "Measure one video, alone or against another: PSNR, SSIM, HaarPSI, warping error, flicker, ..."
    details = (
        "CLIP and --reference are videos or folders of pictures of the same size. Without --metrics all that "
        "need no further package or weights are given. What cannot be measured is said in one line, and the "
        "rest goes on. --explain prints how each number is computed; docs/metrics.md has the whole list."
    )
    example = "quantvsr measure walk_x4.mp4 --reference walk_gt.mp4 --explain"
    group = "compare"

    clip: str = option(PATH, "The video or folder of pictures to measure.", positional=True)
    reference: str | None = option(
        PATH, "Ground truth, or the full-precision result, to compare with.", default=None
    )
    metrics: tuple[str, ...] = option(
        TEXT, "Names of metrics, such as psnr, ssim, warp_error, lpips.", default=(), many=True
    )
    border: int = option(INTEGER, "Pixels left out on every side.", default=0, least=0, most=4096)
    start: int = option(INTEGER, "First frame of CLIP, counted from 0.", default=0, least=0)
    reference_start: int | None = option(
        INTEGER, "First frame of the reference; --start if left out.", default=None, least=0
    )
    frames: int | None = option(INTEGER, "Number of frames; all if left out.", default=None, least=1)
    device: str = option(TEXT, "Where networks run: auto, cpu, cuda or cuda:1.", default="auto")
    weights: str | None = option(
        PATH, "Folder with weight files of metrics; QUANTVSR_WEIGHTS if left out.", default=None
    )
    download: bool = option(
        SWITCH, "Let packages fetch the weights of their metrics.", default=False, reproducible=False
    )
    explain: bool = option(SWITCH, "Print the conventions of each metric.", default=False, reproducible=False)
    out: str | None = option(PATH, "JSON file for all values.", default=None, reproducible=False)

    def run(self, progress: Progress) -> MeasureResult:
        """Run it."""
        from quantvsr.jobs.work.measuring import measure_clip

        return measure_clip(self, progress)

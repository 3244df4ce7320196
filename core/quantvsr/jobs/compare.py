"""Full precision against low-bit on one clip: a video side by side, frames and figures."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantvsr.jobs.base import Result, plain, register
from quantvsr.jobs.options import PATH, SWITCH, option
from quantvsr.jobs.settings import ExecutionSettings, MethodSettings, PictureSettings, TruthSettings
from quantvsr.progress import Progress
from quantvsr.words import megabytes


@dataclass(frozen=True, kw_only=True)
class CompareResult(Result):
    """A comparison. As JSON it is metrics.json with the files' places added.

    Attributes:
        out: The folder with everything below.
        video: compare.mp4.
        frames: Folder with one folder of pictures per version.
        charts: Charts, where the job makes them.
        metrics: What metrics.json holds. `execution` says how the low-bit versions compute integer values,
            `compute` in which type each version computes apart from quantized layers.
    """

    out: Path
    video: Path
    frames: Path
    charts: tuple[Path, ...]
    metrics: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The metrics, and where the files are."""
        files = {"out": self.out, "video": self.video, "frames": self.frames, "charts": self.charts}
        return {**self.metrics, "files": plain(files), "warnings": list(self.warnings)}

    def rows(self) -> list[tuple[str, str]]:
        """A table with one line per version, then size, time and place."""
        values = self.metrics
        header = f"{'PSNR-GT':>9}{'SSIM-GT':>9}{'PSNR-FP':>9}{'E*warp':>9}"
        rows = [("", header)]
        for key, title in (("fp", "Full precision"), ("lowbit", values["bits"]), ("minmax", "Plain min-max")):
            if key in values["versions"]:
                cells = (f"psnr_gt_{key}", f"ssim_gt_{key}", f"psnr_fp_{key}", f"warp_error_{key}")
                rows.append((title, "".join(_cell(values.get(cell)) for cell in cells)))
        if values["bytes_lowbit"] is not None:
            saved = 1 - values["bytes_lowbit"] / values["bytes_fp32"]
            sizes = f"{megabytes(values['bytes_fp32'])} -> {megabytes(values['bytes_lowbit'])}"
            rows.append(("Size of layers", f"{sizes} ({saved:.2%} smaller)"))
        compute = values["compute"]["lowbit"]
        rows += [
            ("Execution", ", ".join(each for each in (values["execution"], compute) if each)),
            ("Time", f"{values['seconds_total']:.0f} s"),
            ("Written to", str(self.out)),
        ]
        return rows


def _cell(value: float | None) -> str:
    return f"{'-':>9}" if value is None else f"{value:9.3f}"


@register("compare")
@dataclass(frozen=True, kw_only=True)
class CompareJob(ExecutionSettings, TruthSettings, PictureSettings, MethodSettings):
    """Compare the full-precision model with its quantized version on a clip."""

    summary = "Enlarge a clip with both models and compare: a video side by side, frames, figures."
    details = (
        "Both models get the same noise, so every difference comes from quantization. With a ground truth "
        "(--gt, or --shrink for a clip that is itself of high quality) the figures against it are given as "
        "well. Finished parts are kept: the same command again only does what is missing."
    )
    example = "quantvsr compare walk_720p.mp4 --shrink --bits 4 --out comparison"
    group = "compare"

    clip: str = option(PATH, "The video or folder of pictures.", positional=True)
    out: str = option(PATH, "Folder for the results.", default="comparison", reproducible=False)
    checkpoint: str | None = option(
        PATH, "Quantized checkpoint (of 'quantize'); made with --bits and --preset if left out.", default=None
    )
    minmax: bool = option(SWITCH, "Also show plain min-max quantization.", default=False)

    def run(self, progress: Progress) -> CompareResult:
        """Run it."""
        from quantvsr.jobs.work.comparing import compare

        return compare(self, progress)

"""Methods x bits x clips: every combination once, in one table.

What a sweep leaves in its folder; everything is relative to it, so that the folder can be moved:

    results.json                   all figures, see below; written anew after every finished cell
    results.csv                    the same figures, one line per method, bits and clip
    samples/                       calibration samples, the same for all methods
    scenes/CLIP/lq, gt             the clip as pictures (gt: where there is a ground truth)
    scenes/CLIP/pictures/          NAME_crop.png, NAME_xt.png, NAME_thumb.png for NAME = lq, gt, bicubic, fp
    models/CELL/                   checkpoint.safetensors, refinement.json (losses), ranks.json, ...
    cells/CELL/CLIP/               crop.png, xt.png, thumb.png of what the method made of the clip

CELL is `METHOD-BITS-HASH`, with a hash of everything that decides the model. `results.json`:

    {
      "format": "quantvsr-results", "version": 1,
      "program": "0.1.0", "command": "quantvsr sweep ...", "settings": {...as the job's JSON...},
      "settings_hash": "...",
      "model": {"name": "compact", "reference": "bundled", "sha256": "..."},
      "machine": {"device": "cuda", "device_name": "...", "execution": "simulated", "versions": {...}},
      "metrics": {METRIC: {"title", "unit", "direction", "range", "conventions", ...}},   (registry's to_json)
      "learned_from": [{"name", "sha256"}],              (calibration clips)
      "left_out": [{"clip", "error"}],                   (clips that could not be used)
      "clips": [                                          (in the order of the tables)
        {"id", "name", "sha256", "frames", "width", "height", (of the result, in pixels)
         "has_gt": true, "learned": true,                  (learned: calibration samples come from it)
         "region": {"frame", "y", "x", "height", "width"},  (what the crops show, pixels of the result)
         "row": 123,                                        (the row that the x-t slices show)
         "figures": {"bicubic": {FIGURE: value}, "gt": {...}},   (yardsticks)
         "pictures": {"lq": {"crop", "xt", "thumb"}, "gt": ..., "bicubic": ..., "fp": ...}}],
      "methods": {METHOD: {"title", "summary", "source", "simplified", "family": "method" | "ablation"}},
      "entries": [                                        (one per method and bits; the first is "fp")
        {"method": "svdquant", "bits": "W4A4", "cell": "svdquant-W4A4-0123456789", "folder": "models/...",
         "status": "done" | "failed" | "missing", "error": null | "one sentence",
         "layers", "bytes_fp32", "bytes_lowbit", "reduction", "effective_bits", "updates",
         "loss_first", "loss_last", "checkpoint_sha256",
         "seconds": {"quantize", "upscale"},
         "clips": {CLIP_ID: {
            "status": "done" | "failed", "error": null | "one sentence",
            "figures": {FIGURE: value or null}, "seconds": 1.2, "frames": 12,
            "pictures": {"crop": path, "xt": path, "thumb": path}}},
         "mean": {FIGURE: mean over the clips that have a value},   (only when all clips are done)
        }]
    }

FIGURE is `METRIC_gt`, `METRIC_fp` (against the ground truth, against the full-precision result) or `METRIC`
(metrics of one clip alone). The entry of method "fp" has bits null, folder null and no sizes but bytes_fp32.
Figures are means over the frames of a clip, computed on frames before any encoding. An entry "missing" was
asked for but not reached yet (an interrupted sweep).
"""

from dataclasses import dataclass
from pathlib import Path

from quantvsr.jobs.base import Result, register
from quantvsr.jobs.options import BITS, INTEGER, METHOD, PATH, TEXT, Bits, option
from quantvsr.jobs.presets import preset_names
from quantvsr.jobs.settings import ModelSettings
from quantvsr.methods import methods
from quantvsr.progress import Progress
from quantvsr.words import counted

RESULTS = "results.json"
TABLE = "results.csv"
SWEEP_METRICS = ("psnr", "psnr_y", "ssim", "gmsd", "warp_error", "flicker")
_BITS = (Bits(6, 6), Bits(4, 4))


@dataclass(frozen=True, kw_only=True)
class SweepResult(Result):
    """A finished sweep.

    Attributes:
        out: The folder.
        results: results.json.
        table: results.csv.
        clips: Number of clips.
        done: Number of finished combinations of method and bits.
        failed: Those that could not be made, with the reason.
        best: Best method by bits: the one whose results are closest to full precision (PSNR).
        seconds: Seconds of this run.
    """

    out: Path
    results: Path
    table: Path
    clips: int
    done: int
    failed: dict[str, str]
    best: dict[str, str]
    seconds: float

    def rows(self) -> list[tuple[str, str]]:
        """What was done and who won."""
        rows = [("Done", f"{counted(self.done, 'model')} on {counted(self.clips, 'clip')}")]
        rows += [("Failed", f"{name}: {reason}") for name, reason in self.failed.items()]
        rows += [(f"Closest to FP at {bits}", name) for bits, name in self.best.items()]
        return [*rows, ("Time", f"{self.seconds:.0f} s"), ("Written to", str(self.out))]


@register("sweep")
@dataclass(frozen=True, kw_only=True)
class SweepJob(ModelSettings):
    """Run every method with every number of bits on every clip."""

    summary = "Compare methods: quantize with each of them, run all clips, measure, write one table."
    details = (
        "All methods get the same calibration samples, the same excluded layers and the same budget of "
        "updates, and every clip the same noise. What is finished is kept: stopped at any moment, the same "
        "command goes on; with other methods, bits or clips it only adds what is new. Two clips NAME_lq and "
        "NAME_gt beside each other belong together. A clip or a method that cannot be used is named and left "
        "out."
    )
    example = "quantvsr sweep --methods maxmin svdquant quantvsr --bits 6 4 --out sweep"
    group = "compare"

    clips: tuple[str, ...] = option(
        PATH,
        "Clips in low quality; the bundled clips if neither these nor --gt-clips are given.",
        default=(),
        many=True,
        positional=True,
    )
    gt_clips: tuple[str, ...] = option(
        PATH,
        "Clips of high quality: each is a ground truth and is shrunk 4 times to make the input.",
        default=(),
        many=True,
    )
    methods: tuple[str, ...] = option(
        METHOD, "Methods, with switches such as quantvsr+no-bias.", default=tuple(methods()), many=True
    )
    bits: tuple[Bits, ...] = option(BITS, "Bits: 6 4, W3A4, ...", default=_BITS, many=True)
    preset: str = option(TEXT, "Calibration budget.", default="quick", choices=preset_names())
    learn: tuple[str, ...] = option(
        PATH, "Clips to learn from; the bundled clips if left out.", default=(), many=True
    )
    metrics: tuple[str, ...] = option(TEXT, "Names of metrics.", default=SWEEP_METRICS, many=True)
    frames: int | None = option(INTEGER, "Frames of each clip; all if left out.", default=None, least=1)
    longest: int | None = option(
        INTEGER,
        "Longest side in pixels of the low-quality clip; of larger ones the middle is taken.",
        default=None,
        least=16,
        most=4096,
    )
    tile: int | None = option(
        INTEGER, "Tile size in LQ pixels; smaller needs less memory.", default=None, least=16, most=4096
    )
    overlap: int | None = option(INTEGER, "Overlap of tiles in LQ pixels.", default=None, least=0, most=2048)
    out: str = option(PATH, "Folder for the results.", default="sweep", reproducible=False)

    def run(self, progress: Progress) -> SweepResult:
        """Run it."""
        from quantvsr.jobs.work.sweeping import sweep

        return sweep(self, progress)

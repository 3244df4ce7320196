"""The whole job in one go: analyse, allocate, quantize, enlarge with all versions, compare."""

import time
from dataclasses import dataclass
from pathlib import Path

from quantvsr.errors import BadInput
from quantvsr.files import folder_for, make_folder
from quantvsr.jobs.compare import CompareResult
from quantvsr.jobs.demo import DemoJob
from quantvsr.jobs.work.clips import Piece, bundled_clips, learn_clips
from quantvsr.jobs.work.comparing import Candidates, report_comparison
from quantvsr.jobs.work.ledger import Ledger
from quantvsr.jobs.work.machine import choose_device
from quantvsr.jobs.work.quantization import run_quantization, uses_samples
from quantvsr.jobs.work.scene import SCALE, prepare_scene
from quantvsr.jobs.work.versions import Run
from quantvsr.models.registry import recognise
from quantvsr.progress import Progress
from quantvsr.runtime.registry import candidates

# What three versions of the bundled model enlarge within two minutes on two cores: low-quality pixels of
# the longer and the shorter side, and frames (windows of five that share one frame).
_LONG_SIDE, _SHORT_SIDE, _FRAMES = 128, 96, 9
_BUNDLED_FRAMES = 17


@dataclass(frozen=True)
class _Truth:
    """Where the ground truth comes from."""

    gt: str | None
    shrink: bool


def demo(job: DemoJob, progress: Progress) -> CompareResult:
    """Run the whole job; finished parts of an earlier run with the same settings are taken."""
    began = time.perf_counter()
    folder = folder_for(job.out, job.name)
    piece, truth, shown = _choose_clip(job, progress)
    recognise(job.model)
    candidates(job.backend, choose_device(job.device))
    clips = learn_clips((), without=shown) if uses_samples(job) else []
    ledger = Ledger(make_folder(folder / "work"))
    scene = prepare_scene(truth, piece, folder / "frames", ledger, progress.stage("prepare", 0.0, 0.02))
    done = run_quantization(job, clips, folder, ledger, progress.stage("quantize", 0.02, 0.55))
    return report_comparison(
        job,
        scene,
        Candidates(done.checkpoint, minmax=True, charts=done.charts, backend=job.backend),
        Run(job.seed, job.steps),
        folder,
        ledger,
        progress.stage("compare", 0.55, 1.0),
        began,
    )


def _choose_clip(job: DemoJob, progress: Progress) -> tuple[Piece, _Truth, Path | None]:
    """The piece to show, its ground truth, and the bundled clip behind it, which is not learned from."""
    if job.clip is None:
        if job.gt is not None or job.shrink:
            raise BadInput("--gt and --shrink are about a clip of yours; give it with --clip.")
        bundled = bundled_clips()[0]
        count = _BUNDLED_FRAMES if job.frames is None and not job.whole else job.frames
        return Piece(bundled.lq, 0, count), _Truth(str(bundled.gt), False), bundled.lq
    path = Path(job.clip).expanduser()
    truth = _Truth(job.gt, job.shrink)
    if job.whole:
        piece = Piece(path, 0, job.frames)
        with piece.open():
            return piece, truth, None
    with Piece(path).open() as reader:
        unit = SCALE if job.shrink else 1
        region = middle(reader.info.height, reader.info.width, unit)
        count = _FRAMES if job.frames is None else job.frames
        piece = Piece(path, 0, count, region)
        expected = reader.expected_frames
    if region is not None or expected is None or expected > count:
        height, width = (reader.info.height, reader.info.width) if region is None else region[2:]
        progress.warn(
            f"The demo takes the middle {width}x{height} pixels of the first {count} frames of {path.name}; "
            "--whole takes everything."
        )
    return piece, truth, None


def middle(height: int, width: int, unit: int) -> tuple[int, int, int, int] | None:
    """The middle of a picture that is too large for a demo, (y, x, height, width); None if it fits.

    Args:
        height: Of the picture.
        width: Of the picture.
        unit: Pixels of the picture for each pixel of the low-quality clip.
    """
    sides = (_SHORT_SIDE, _LONG_SIDE) if width >= height else (_LONG_SIDE, _SHORT_SIDE)
    wanted = [min(side, limit * unit) for side, limit in zip((height, width), sides, strict=True)]
    if wanted == [height, width]:
        return None
    y, x = (height - wanted[0]) // 2, (width - wanted[1]) // 2
    return y, x, wanted[0], wanted[1]

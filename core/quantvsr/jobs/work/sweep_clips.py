"""The clips of a sweep: input, ground truth and full-precision result, made once for all methods."""

from collections.abc import Generator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from quantvsr.errors import BadInput
from quantvsr.files import atomic_path, make_folder
from quantvsr.jobs.sweep import SweepJob
from quantvsr.jobs.work.analysis import source_hash
from quantvsr.jobs.work.clips import Piece, bundled_clips, truth_of
from quantvsr.jobs.work.ledger import Ledger
from quantvsr.jobs.work.machine import choose_device
from quantvsr.jobs.work.models import open_full
from quantvsr.jobs.work.scene import SCALE, Scene, prepare_scene
from quantvsr.jobs.work.sweep_gauge import Gauge, MotionWriter, StoredMotion, as_pictures
from quantvsr.jobs.work.sweep_shots import Shots, shot_files
from quantvsr.jobs.work.upscaling import run_model
from quantvsr.metrics import Picture, Resources
from quantvsr.models.adapter import VSRAdapter
from quantvsr.progress import Progress
from quantvsr.upscale.bicubic import enlarge
from quantvsr.upscale.engine import UpscaleReport
from quantvsr.upscale.render import Region, busiest_region

_FP = "fp.npy"
_CROP = 160


@dataclass(frozen=True)
class ClipChoice:
    """A clip as asked for.

    Attributes:
        name: Unique among the clips of the sweep; also its folder.
        path: Low quality, or with `shrink` high quality.
        gt: Path of the ground truth, if there is one beside it.
        shrink: Whether the clip is the ground truth itself.
    """

    name: str
    path: Path
    gt: str | None
    shrink: bool


def clip_choices(job: SweepJob) -> list[ClipChoice]:
    """The clips that a job asks for, each with a name of its own.

    Raises:
        BadInput: A clip is given twice.
    """
    pairs: list[tuple[Path, Path | None, bool]] = []
    if not job.clips and not job.gt_clips:
        pairs = [(clip.lq, clip.gt, False) for clip in bundled_clips()]
    for text in job.clips:
        path = Path(text).expanduser()
        pairs.append((path, truth_of(path) if "_lq" in path.stem else None, False))
    pairs += [(Path(text).expanduser(), None, True) for text in job.gt_clips]
    paths = [path.absolute() for path, _, _ in pairs]
    repeated = [path for path in paths if paths.count(path) > 1]
    if repeated:
        raise BadInput(f"{repeated[0]} is given twice; name each clip once.")
    found: dict[str, ClipChoice] = {}
    for path, gt, shrink in pairs:
        base = path.stem.replace("_lq", "") if gt is not None else path.stem
        name, number = base, 1
        while name in found:
            number += 1
            name = f"{base}-{number}"
        found[name] = ClipChoice(name, path, None if gt is None else str(gt), shrink)
    return list(found.values())


@dataclass(frozen=True)
class SweepClip:
    """A clip ready for all methods.

    Attributes:
        choice: Where it comes from.
        scene: Input and ground truth.
        folder: What belongs to it.
        fp: Full-precision result, (T, H, W, 3) uint16 on disk, 0..65535 for 0..1.
        region: What crops show, pixels of the result, of frame `frame`.
        frame: See `region`; also that of the small picture.
        row: The row that x-t slices show.
        figures: Of the ground truth by itself ("gt"), of full precision ("fp") and of bicubic enlargement
            ("bicubic"), see `jobs.sweep`.
        seconds: Of the full-precision run.
        tile, overlap: Of the full-precision run; all methods take the same.
        key: Hash of everything that decided this.
    """

    choice: ClipChoice
    scene: Scene
    folder: Path
    fp: Path
    region: Region
    frame: int
    row: int
    figures: dict[str, dict[str, float | None]]
    seconds: float
    tile: int
    overlap: int
    key: str

    @property
    def name(self) -> str:
        """Name of the clip."""
        return self.choice.name

    @property
    def has_gt(self) -> bool:
        """Whether there is a ground truth."""
        return "gt" in self.scene.pictures

    def references(self) -> Generator[dict[str, NDArray]]:
        """Moment by moment what results are compared with: `gt` (where there is one) and `fp`."""
        stored = np.load(self.fp, mmap_mode="r")
        for number, moment in enumerate(_moments(self.scene, ["gt"] if self.has_gt else [])):
            yield {**moment, "fp": np.asarray(stored[number])}


def prepare_clip(
    job: SweepJob, choice: ClipChoice, metrics: Sequence[str], folder: Path, progress: Progress
) -> SweepClip:
    """Make input, ground truth, full-precision result and yardsticks of a clip; finished parts are taken.

    Raises:
        BadInput: The clip or its ground truth cannot be used.
    """
    ledger = Ledger(make_folder(folder / "work"))
    piece = _piece(job, choice)
    scene = prepare_scene(choice, piece, folder, ledger, progress.stage("prepare", 0.0, 0.1))
    target, pictures = folder / _FP, folder / "pictures"
    names = ["lq", *(["gt"] if "gt" in scene.pictures else []), "bicubic", "fp"]
    settings = {
        "scene": scene.key,
        "model": source_hash(job.model),
        "device": choose_device(job.device).type,
        "run": [job.seed, job.steps, job.tile, job.overlap],
    }

    def enlarge_it(inner: Progress) -> dict[str, Any]:
        adapter = open_full(job)
        report = UpscaleReport()
        shape = (scene.frames, scene.height * SCALE, scene.width * SCALE, 3)
        with atomic_path(target) as temporary, scene.lq.open() as reader:
            stored = open_memmap(temporary, mode="w+", dtype=np.uint16, shape=shape)
            frames = run_model(
                adapter,
                scene.lq,
                reader,
                job.seed,
                job.steps,
                inner,
                report,
                tile=job.tile,
                overlap=job.overlap,
            )
            with closing(frames):
                for number, frame in enumerate(frames):
                    stored[number] = np.rint(frame.rgb * 65535)
            stored.flush()
            del stored
        return {"seconds": round(report.model_seconds, 3), "tile": report.tile, "overlap": report.overlap}

    made = ledger.stage("fp", settings, [target], enlarge_it, progress.stage("full precision", 0.1, 0.8))

    def yardsticks(inner: Progress) -> dict[str, Any]:
        return _yardsticks(scene, target, metrics, pictures, names, inner)

    outputs = [path for name in names for path in shot_files(pictures, f"{name}_").values()]
    outputs += [folder / name for name in StoredMotion.FILES]
    stage = progress.stage("measure", 0.8, 1.0)
    known = ledger.stage("yardsticks", {"fp": made.key, "metrics": list(metrics)}, outputs, yardsticks, stage)
    figures = known.figures
    return SweepClip(
        choice=choice,
        scene=scene,
        folder=folder,
        fp=target,
        region=Region(*figures["region"]),
        frame=scene.frames // 2,
        row=figures["row"],
        figures=figures["figures"],
        seconds=made.figures["seconds"],
        tile=made.figures["tile"],
        overlap=made.figures["overlap"],
        key=made.key,
    )


def measure_run(
    job: SweepJob,
    adapter: VSRAdapter,
    clip: SweepClip,
    metrics: Sequence[str],
    folder: Path,
    progress: Progress,
) -> dict[str, Any]:
    """Run a model on a clip, measure the frames as they come, and write the small pictures.

    Returns:
        `figures`, `seconds`, `frames`.
    """
    report = UpscaleReport()
    references = ["gt", "fp"] if clip.has_gt else ["fp"]
    gauge = Gauge(metrics, references, Resources(device=str(choose_device(job.device))))
    motion = StoredMotion(clip.folder)
    shots = Shots(clip.region, clip.frame, clip.row)
    with clip.scene.lq.open() as reader:
        frames = run_model(
            adapter,
            clip.scene.lq,
            reader,
            job.seed,
            job.steps,
            progress,
            report,
            tile=clip.tile,
            overlap=clip.overlap,
        )
        with closing(frames), closing(clip.references()) as moments:
            for number, (frame, others) in enumerate(zip(frames, moments, strict=True)):
                progress.check()
                gauge.add(Picture(frame.rgb), as_pictures(others), motion.to(number))
                shots.add(frame.rgb)
    shots.save(folder)
    return {
        "figures": gauge.result(),
        "seconds": round(report.model_seconds, 3),
        "frames": report.frames,
    }


def _piece(job: SweepJob, choice: ClipChoice) -> Piece:
    """The part of a clip to use: the first frames, and the middle of large pictures."""
    whole = Piece(choice.path, 0, job.frames)
    with whole.open() as reader:
        size = (reader.info.height, reader.info.width)
    unit = SCALE if choice.shrink else 1
    limit = None if job.longest is None else job.longest * unit
    if limit is None or max(size) <= limit:
        return whole
    height, width = (min(side, limit) for side in size)
    return Piece(choice.path, 0, job.frames, ((size[0] - height) // 2, (size[1] - width) // 2, height, width))


def _moments(scene: Scene, names: Sequence[str]) -> Generator[dict[str, NDArray]]:
    """Pictures of some of the folders of a scene, moment by moment."""
    pieces = {name: Piece(scene.pictures[name]) for name in names}
    if not pieces:
        yield from ({} for _ in range(scene.frames))
        return
    with ExitStack() as stack:
        readers = [piece.frames(stack.enter_context(piece.open())) for piece in pieces.values()]
        for frames in zip(*readers, strict=True):
            yield {name: frame.rgb for name, frame in zip(pieces, frames, strict=True)}


def _yardsticks(
    scene: Scene, fp: Path, metrics: Sequence[str], folder: Path, names: Sequence[str], progress: Progress
) -> dict[str, Any]:
    """Figures of full precision and of bicubic enlargement, and the small pictures of all that is given."""
    stored = np.load(fp, mmap_mode="r")
    frame = scene.frames // 2
    middle = np.asarray(stored[frame]).astype(np.float32) / 65535
    region = busiest_region(middle, _CROP, _CROP)
    row = region.y + region.height // 2
    shots = {name: Shots(region, frame, row) for name in names}
    references = [name for name in ("gt", "fp") if name in names]
    # Each is compared with what is better than itself.
    gauges = {"gt": [], "fp": references[:-1], "bicubic": references}
    gauges = {name: Gauge(metrics, others) for name, others in gauges.items() if name in names}
    motion = MotionWriter(fp.parent, *stored.shape[:3])
    given = [name for name in ("lq", "gt") if name in names]
    for number, moment in enumerate(_moments(scene, given)):
        progress.check()
        lq = moment.pop("lq")
        moment["bicubic"] = enlarge(lq, SCALE).clip(0, 1)
        moment["fp"] = np.asarray(stored[number]).astype(np.float32) / 65535
        pictures = as_pictures(moment)
        moved = motion.add(pictures[references[0]])
        for name, gauge in gauges.items():
            gauge.add(pictures[name], pictures, moved)
        moment["lq"] = lq.repeat(SCALE, 0).repeat(SCALE, 1)
        for name in names:
            shots[name].add(moment[name])
        progress.report((number + 1) / scene.frames, f"frame {number + 1} of {scene.frames}")
    for name in names:
        shots[name].save(folder, f"{name}_")
    motion.close()
    return {
        "region": [region.y, region.x, region.height, region.width],
        "row": row,
        "figures": {name: gauge.result() for name, gauge in gauges.items()},
    }

"""Enlarging a clip: reader, model, writer, one frame after another."""

import sys
import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import av

from quantvsr import __version__
from quantvsr.errors import BadInput
from quantvsr.hashing import hash_file, hash_json
from quantvsr.jobs.settings import MethodSettings
from quantvsr.jobs.upscale import UpscaleJob, UpscaleResult
from quantvsr.jobs.work.alone import writing_alone
from quantvsr.jobs.work.analysis import source_hash
from quantvsr.jobs.work.clips import Piece, checked_output, likely_frames
from quantvsr.jobs.work.lowbit import Way, cached_checkpoint, execute, full_precision, open_lowbit
from quantvsr.jobs.work.machine import choose_device
from quantvsr.jobs.work.models import open_full, tell_notes
from quantvsr.jobs.work.quantization import checkpoint_file
from quantvsr.media.codecs import CODECS, check_output_size, container_for, find_codec
from quantvsr.media.parts import PartsFolder
from quantvsr.media.reader import ClipReader
from quantvsr.media.types import Frame
from quantvsr.media.writer import open_writer
from quantvsr.models.adapter import VSRAdapter
from quantvsr.models.placing import PRECISIONS
from quantvsr.progress import Progress
from quantvsr.runtime.registry import candidates
from quantvsr.upscale.engine import DEFAULT_OVERLAP, UpscaleReport, upscale_clip


def upscale(job: UpscaleJob, progress: Progress) -> UpscaleResult:
    """Enlarge a clip in full precision, with a given checkpoint, or with one made for it.

    Everything that can be known to fail fails before the model runs. Finished parts wait beside the output,
    so that the same job goes on where it was stopped.
    """
    seconds: dict[str, float] = {}
    if job.checkpoint is not None and job.bits is not None:
        raise BadInput("--checkpoint already says how many bits; leave --bits out.")
    piece = Piece(Path(job.clip).expanduser(), job.start, job.frames, frame_rate=job.frame_rate)
    target = output_path(job)
    with writing_alone(target), piece.open() as reader:
        height, width = piece.size(reader)
        _check_target(target, job, reader, width, height)
        began = time.perf_counter()
        found = _open(job, progress.stage("prepare", 0.0, _prepare_share(job)))
        adapter = found.adapter
        seconds["prepare"] = time.perf_counter() - began
        began = time.perf_counter()
        parts = PartsFolder(target, _key(job, piece, found))
        report = UpscaleReport(tile=parts.state.get("tile", job.tile or adapter.default_tile))
        with open_writer(
            target,
            width * adapter.scale,
            height * adapter.scale,
            codec=job.codec,
            quality=job.quality,
            source=reader,
            copy_streams=job.streams,
            overwrite=job.overwrite,
            parts=parts,
        ) as writer:
            resumed = writer.finished
            stage = _stage(progress, job, resumed, likely_frames(reader))
            frames = run_model(
                adapter,
                piece,
                reader,
                job.seed,
                job.steps,
                stage,
                report,
                tile=parts.state.get("tile", job.tile),
                overlap=parts.state.get("overlap", job.overlap),
                done=resumed,
            )
            tile = None
            with closing(frames):
                for frame in frames:
                    if tile not in (None, report.tile):
                        # Memory ran out: a run that goes on later must not try the large tiles again.
                        parts.remember(tile=report.tile, overlap=report.overlap)
                    tile = report.tile
                    writer.write(frame.rgb, frame.time, frame.duration)
        written = checked_output(target, writer, reader, progress)
        seconds["upscale"] = time.perf_counter() - began
    return UpscaleResult(
        out=target,
        frames=written.frames,
        duration=written.seconds,
        resumed=resumed,
        width=width * adapter.scale,
        height=height * adapter.scale,
        precision=found.precision,
        execution=found.way.execution,
        compute=found.way.compute,
        seconds={name: round(value, 3) for name, value in seconds.items()},
        peak_memory=report.peak_ram or 0,
        peak_device_memory=report.peak_gpu,
    )


def _key(job: UpscaleJob, piece: Piece, found: "_Opened") -> str:
    """Hash of everything that decides the output's pictures and their coding."""
    return hash_json(
        {
            "program": __version__,
            "encoder": av.library_versions,
            "job": job.settings_hash(),
            "clip": piece.to_json(),
            "model": source_hash(job.model),
            "checkpoint": None if found.checkpoint is None else hash_file(found.checkpoint),
            "device": found.adapter.device.type,
            "execution": found.way.execution,
            "compute": found.way.compute,
        }
    )


def _stage(progress: Progress, job: UpscaleJob, done: int, total: int | None) -> Progress:
    """The part of the progress that is left when some frames are done."""
    share = _prepare_share(job)
    begin = share + (1 - share) * (min(done / total, 1.0) if total else 0.0)
    stage = progress.stage("upscale", begin, 1.0)
    if done:
        stage.report(0.0, f"going on at frame {done + 1}")
    return stage


def run_model(
    adapter: VSRAdapter,
    piece: Piece,
    reader: ClipReader,
    seed: int,
    steps: int | None,
    progress: Progress,
    report: UpscaleReport,
    *,
    tile: int | None = None,
    overlap: int | None = None,
    done: int = 0,
) -> Generator[Frame]:
    """The enlarged frames of a piece of a clip, as they are asked for.

    Args:
        adapter: The model, in any precision.
        piece: What to enlarge.
        reader: Its reader.
        seed: Of the noise; the same seed gives the same noise in every precision.
        steps: Sampling steps; None for the model's own number.
        progress: Told of each tile.
        report: Filled in.
        tile: Largest side of a tile in LQ pixels; None for the engine's.
        overlap: Overlap of tiles; None for the engine's, or less where tiles are small.
        done: Frames at the start of the piece that need not be computed, because they are there already.
    """
    tell_notes(adapter, progress)
    side = adapter.default_tile if tile is None else tile
    shared = min(DEFAULT_OVERLAP, side // 4) if overlap is None else overlap
    total = likely_frames(reader)
    yield from upscale_clip(
        adapter,
        piece.frames(reader),
        seed=seed,
        steps=steps,
        tile=side,
        overlap=shared,
        wanted=range(done, sys.maxsize) if done else None,
        total=None if total is None else max(total - done, 1),
        progress=progress,
        report=report,
    )


def output_path(job: UpscaleJob) -> Path:
    """Where the result of an upscale job goes."""
    if job.out is not None:
        return Path(job.out).expanduser()
    clip = Path(job.clip).expanduser()
    endings = list(CODECS[job.codec].containers)
    stem = clip.name if clip.is_dir() else clip.stem
    # The source's own container where it can hold the codec, so that its sound fits as well.
    ending = next((each for each in endings if each == clip.suffix.lower()), endings[0] if endings else "")
    return clip.absolute().with_name(f"{stem}_x4{ending}")


def _check_target(target: Path, job: UpscaleJob, reader: ClipReader, width: int, height: int) -> None:
    check_output_size(job.codec, width * 4, height * 4)
    codec = find_codec(job.codec)
    if codec.encoder:
        container_for(codec, target)
    # Makes the same checks as later, when the model's scale is known, but before anything long.
    open_writer(target, width * 4, height * 4, codec=job.codec, source=reader, overwrite=job.overwrite)


def _prepare_share(job: UpscaleJob) -> float:
    # Quantizing first may take as long as the clip; a given checkpoint takes seconds.
    return 0.5 if job.bits is not None else 0.02


@dataclass(frozen=True)
class _Opened:
    """The model of a job, how it computes, its precision, and its checkpoint."""

    adapter: VSRAdapter
    way: Way
    precision: str = "fp"
    checkpoint: Path | None = None


def _open(job: UpscaleJob, progress: Progress) -> _Opened:
    candidates(job.backend, choose_device(job.device))  # one that does not exist fails before anything long
    if job.checkpoint is None and job.bits is None:
        adapter = _computing(job, open_full(job))
        return _Opened(adapter, full_precision(adapter))
    if job.checkpoint is not None:
        checkpoint = checkpoint_file(job.checkpoint)
    else:
        assert job.bits is not None
        # Not the job's seed: other noise needs no other checkpoint.
        method = MethodSettings(
            model=job.model,
            device=job.device,
            steps=job.steps,
            bits=job.bits,
            preset=job.preset,
            method=job.method,
        )
        checkpoint = cached_checkpoint(method, progress)
    found = open_lowbit(job, checkpoint)
    bits, adapter = found.bits, _computing(job, found.adapter)
    del found  # it holds the layers that `execute` replaces
    return _Opened(adapter, execute(adapter, job.backend, progress), bits, checkpoint)


def _computing(job: UpscaleJob, adapter: VSRAdapter) -> VSRAdapter:
    """The model in the type that the job asks for, or in its own."""
    if job.compute is not None:
        adapter.compute_in(PRECISIONS[job.compute])
    return adapter

"""Enlarging a clip: reader, model, writer, one frame after another."""

import time
from collections.abc import Generator
from contextlib import closing
from pathlib import Path

from quantvsr.errors import BadInput
from quantvsr.jobs.settings import MethodSettings
from quantvsr.jobs.upscale import UpscaleJob, UpscaleResult
from quantvsr.jobs.work.clips import Piece, likely_frames, tell_warnings
from quantvsr.jobs.work.lowbit import cached_checkpoint, open_lowbit
from quantvsr.jobs.work.machine import execution_backends
from quantvsr.jobs.work.models import open_full
from quantvsr.jobs.work.quantization import checkpoint_file
from quantvsr.media.codecs import CODECS, check_output_size, container_for, find_codec
from quantvsr.media.reader import ClipReader
from quantvsr.media.types import Frame
from quantvsr.media.writer import open_writer
from quantvsr.models.adapter import VSRAdapter
from quantvsr.progress import Progress
from quantvsr.upscale.engine import DEFAULT_OVERLAP, DEFAULT_TILE, UpscaleReport, upscale_clip


def upscale(job: UpscaleJob, progress: Progress) -> UpscaleResult:
    """Enlarge a clip in full precision, with a given checkpoint, or with one made for it.

    Everything that can be known to fail fails before the model runs.
    """
    seconds: dict[str, float] = {}
    if job.checkpoint is not None and job.bits is not None:
        raise BadInput("--checkpoint already says how many bits; leave --bits out.")
    piece = Piece(Path(job.clip).expanduser(), job.start, job.frames, frame_rate=job.frame_rate)
    target = output_path(job)
    with piece.open() as reader:
        height, width = piece.size(reader)
        _check_target(target, job, reader, width, height)
        began = time.perf_counter()
        adapter, precision, execution = _open(job, progress.stage("prepare", 0.0, _prepare_share(job)))
        seconds["prepare"] = time.perf_counter() - began
        began = time.perf_counter()
        report = UpscaleReport()
        stage = progress.stage("upscale", _prepare_share(job), 1.0)
        with open_writer(
            target,
            width * adapter.scale,
            height * adapter.scale,
            codec=job.codec,
            quality=job.quality,
            source=reader,
            overwrite=job.overwrite,
        ) as writer:
            frames = run_model(
                adapter, piece, reader, job.seed, job.steps, stage, report, tile=job.tile, overlap=job.overlap
            )
            with closing(frames):
                for frame in frames:
                    writer.write(frame.rgb, frame.time, frame.duration)
        seconds["upscale"] = time.perf_counter() - began
        tell_warnings(reader, progress)
        for text in writer.notes:
            progress.warn(text)
    return UpscaleResult(
        out=target,
        frames=report.frames,
        width=width * adapter.scale,
        height=height * adapter.scale,
        precision=precision,
        execution=execution,
        seconds={name: round(value, 3) for name, value in seconds.items()},
        peak_memory=report.peak_ram or 0,
        peak_device_memory=report.peak_gpu,
    )


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
    """
    side = DEFAULT_TILE if tile is None else tile
    shared = min(DEFAULT_OVERLAP, side // 4) if overlap is None else overlap
    yield from upscale_clip(
        adapter,
        piece.frames(reader),
        seed=seed,
        steps=steps,
        tile=side,
        overlap=shared,
        total=likely_frames(reader),
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


def _open(job: UpscaleJob, progress: Progress) -> tuple[VSRAdapter, str, str | None]:
    """The model of the job, its precision, and how its integers are computed."""
    if job.checkpoint is None and job.bits is None:
        return open_full(job), "fp", None
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
            method_profile=job.method_profile,
        )
        checkpoint = cached_checkpoint(method, progress)
    found = open_lowbit(job, checkpoint)
    return found.adapter, found.bits, execution_backends()[0]

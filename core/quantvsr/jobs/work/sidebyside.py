"""Several versions of a clip in one video: models run in step, frame by frame."""

import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from quantvsr import __version__
from quantvsr.errors import BadInput
from quantvsr.hashing import hash_file, hash_json
from quantvsr.jobs.sidebyside import SideBySideJob, SideBySideResult
from quantvsr.jobs.work.alone import writing_alone
from quantvsr.jobs.work.analysis import source_hash
from quantvsr.jobs.work.clips import Piece, checked_output, likely_frames
from quantvsr.jobs.work.scene import SCALE
from quantvsr.jobs.work.several import Lane, checked_versions, execution_of, open_version
from quantvsr.jobs.work.upscaling import run_model
from quantvsr.media.codecs import CODECS, container_for, find_codec
from quantvsr.media.parts import PartsFolder
from quantvsr.media.types import Frame
from quantvsr.media.writer import open_writer
from quantvsr.models.adapter import VSRAdapter
from quantvsr.preview.keys import BICUBIC, FP, GT, LQ, PLAIN
from quantvsr.progress import Progress, Rising
from quantvsr.quant.checkpoint import read_checkpoint_info
from quantvsr.upscale.bicubic import enlarge
from quantvsr.upscale.engine import UpscaleReport
from quantvsr.upscale.render import ComparisonRenderer, Pane, Region, busiest_region

_LARGEST = (3840, 2160)
_TITLES = {LQ: "Low-quality input", BICUBIC: "Bicubic", FP: "Full precision", GT: "Ground truth"}


def write_side_by_side(job: SideBySideJob, progress: Progress) -> SideBySideResult:
    """Compute, draw and write, from where an interrupted run ended."""
    began = time.perf_counter()
    versions = _versions(job)
    labels = _labels(job, versions)
    piece = Piece(Path(job.clip).expanduser(), job.start, job.frames, frame_rate=job.frame_rate)
    target = _target(job)
    with writing_alone(target), piece.open() as reader:
        height, width = (side * SCALE for side in piece.size(reader))
        _check_truth(job, height, width)
        renderer = _renderer(job, piece, labels, versions, height, width)
        size = (renderer.size[1], renderer.size[0])
        if find_codec(job.codec).encoder:
            container_for(find_codec(job.codec), target)
        parts = PartsFolder(target, _key(job, piece, versions, labels))
        writer = open_writer(
            target,
            *size,
            codec=job.codec,
            quality=job.quality,
            source=reader,
            copy_streams=job.streams,
            overwrite=job.overwrite,
            parts=parts,
        )
        progress.report(0.0, "opening the models")
        adapters = {
            version: open_version(job, version, progress)
            for version in versions
            if version == FP or version not in PLAIN
        }
        total = likely_frames(reader)
        with ExitStack() as stack:
            stack.enter_context(writer)
            resumed = writer.finished
            begun = min(resumed / total, 1.0) if total else 0.0
            told = Rising(progress.stage("", begun, 1.0))
            # The models take nearly all of the time, and turns.
            lanes = [0.0] * len(adapters)
            heard = {version: Lane(told, lanes, place) for place, version in enumerate(adapters)}
            streams = [
                stack.enter_context(
                    closing(
                        _pictures(
                            job, piece, version, adapters.get(version), resumed, heard.get(version, told)
                        )
                    )
                )
                for version in versions
            ]
            for moment in zip(*streams, strict=True):
                progress.check()
                first = moment[0]
                writer.write(renderer.render([frame.rgb for frame in moment]), first.time, first.duration)
                done, left = writer.frames, max((total or 0) - resumed, 1)
                told.report(
                    min((done - resumed) / left, 1.0) if total else 0.0,
                    f"frame {done}" + (f" of {total}" if total else ""),
                )
        written = checked_output(target, writer, reader, progress)
    return SideBySideResult(
        out=target,
        frames=written.frames,
        duration=written.seconds,
        resumed=resumed,
        width=size[0],
        height=size[1],
        seconds=round(time.perf_counter() - began, 3),
    )


def _versions(job: SideBySideJob) -> list[str]:
    if not 1 <= len(job.versions) <= 4:
        raise BadInput(f"{len(job.versions)} versions cannot be shown; give one to four.")
    return checked_versions(job)


def _labels(job: SideBySideJob, versions: list[str]) -> list[str]:
    if job.labels and len(job.labels) != len(versions):
        raise BadInput(f"{len(job.labels)} labels do not fit {len(versions)} versions; give one for each.")
    if job.labels:
        return list(job.labels)
    return [_TITLES.get(each) or _bits_of(each) for each in versions]


def _bits_of(checkpoint: str) -> str:
    return str(read_checkpoint_info(checkpoint).meta.get("bits", "Low bit"))


def _target(job: SideBySideJob) -> Path:
    if job.out is not None:
        return Path(job.out).expanduser()
    clip = Path(job.clip).expanduser().absolute()
    ending = next(iter(CODECS[job.codec].containers), "")
    return clip.with_name(f"{clip.name if clip.is_dir() else clip.stem}_compared{ending}")


def _check_truth(job: SideBySideJob, height: int, width: int) -> None:
    if GT not in job.versions or job.gt is None:
        return
    with Piece(Path(job.gt).expanduser()).open() as reader:
        if (reader.info.height, reader.info.width) != (height, width):
            raise BadInput(
                f"{job.gt} is {reader.info.width}x{reader.info.height} but must be {width}x{height}, {SCALE} "
                "times the clip; choose the right ground truth."
            )


def _renderer(
    job: SideBySideJob, piece: Piece, labels: list[str], versions: list[str], height: int, width: int
) -> ComparisonRenderer:
    panes = [
        Pane(label, enlarge="bicubic" if version == LQ else "nearest")
        for label, version in zip(labels, versions, strict=True)
    ]
    region = _detail(piece, height, width) if job.detail and len(versions) > 1 else None
    return ComparisonRenderer(panes, height, width, zoom=region, largest=_LARGEST)


def _detail(piece: Piece, height: int, width: int) -> Region:
    """Where the first frame has most edges, below what labels cover: the same in a run that goes on."""
    with piece.open() as reader:
        first = enlarge(next(iter(piece.frames(reader))).rgb).clip(0, 1)
    top = height // 8
    found = busiest_region(first[top:], max(height // 6, 1), max(width // 6, 1))
    return replace(found, y=found.y + top)


def _pictures(
    job: SideBySideJob,
    piece: Piece,
    version: str,
    adapter: VSRAdapter | None,
    done: int,
    progress: Progress,
) -> Generator[Frame]:
    """The frames of one version, from `done` on."""
    if version == GT and job.gt is not None:
        piece = replace(piece, path=Path(job.gt).expanduser())
    with piece.open() as reader:
        if adapter is not None:
            # All models get the same noise and the same tiles.
            yield from run_model(
                adapter, piece, reader, job.seed, job.steps, progress, UpscaleReport(),
                tile=job.tile, overlap=job.overlap, done=done,
            )  # fmt: skip
            return
        for frame in _from(piece.frames(reader), done):
            yield replace(frame, rgb=_enlarged(frame.rgb)) if version == BICUBIC else frame


def _from(frames: Iterator[Frame], done: int) -> Iterator[Frame]:
    return (frame for frame in frames if frame.index >= done)


def _enlarged(rgb: NDArray[np.float32]) -> NDArray[np.float32]:
    return enlarge(rgb).clip(0, 1)


def _key(job: SideBySideJob, piece: Piece, versions: list[str], labels: list[str]) -> str:
    return hash_json(
        {
            "program": __version__,
            "encoder": av.library_versions,
            "job": job.settings_hash(),
            "clip": piece.to_json(),
            "gt": None if job.gt is None else Piece(Path(job.gt).expanduser()).to_json(),
            "model": source_hash(job.model),
            "versions": [each if each in PLAIN else hash_file(each) for each in versions],
            "labels": labels,
            "execution": [execution_of(job, each) for each in versions],
        }
    )

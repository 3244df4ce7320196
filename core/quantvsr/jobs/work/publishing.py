"""Clips through MGLD-VSR as its published program runs them."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from quantvsr.errors import BadModel
from quantvsr.jobs.published import PublishedJob, PublishedResult
from quantvsr.jobs.work.clips import Piece, likely_frames, tell_warnings
from quantvsr.jobs.work.lowbit import open_lowbit
from quantvsr.jobs.work.models import open_full, tell_notes
from quantvsr.jobs.work.quantization import checkpoint_file
from quantvsr.media.reader import ClipReader
from quantvsr.media.writer import open_writer
from quantvsr.models.mgld.adapter import MGLDAdapter
from quantvsr.models.mgld.clip import PublishedRun
from quantvsr.models.registry import recognise
from quantvsr.progress import Progress


def run_published(job: PublishedJob, progress: Progress) -> PublishedResult:
    """Enlarge a clip into a folder of pictures."""
    began = time.perf_counter()
    found = recognise(job.model)
    if found.family != MGLDAdapter.name:
        raise BadModel(f"{job.model} is no MGLD-VSR; use 'upscale' with it.")
    piece = Piece(Path(job.clip).expanduser(), job.start, job.frames, frame_rate=job.frame_rate)
    target = Path(job.out).expanduser()
    with piece.open() as reader:
        if job.checkpoint is None:
            adapter = open_full(job)
        else:
            adapter = open_lowbit(job, checkpoint_file(job.checkpoint)).adapter
        assert isinstance(adapter, MGLDAdapter)
        tell_notes(adapter, progress)
        height, width = (side * adapter.scale for side in piece.size(reader))
        total, written = likely_frames(reader), 0
        run = PublishedRun(adapter, job.seed, job.steps or adapter.default_steps)
        with open_writer(target, width, height, codec="png", overwrite=job.overwrite) as writer:
            for picture in run(_tensors(piece, reader), progress.check):
                # Whole levels already: writing rounds, and changes nothing.
                writer.write(picture.cpu().numpy().astype(np.float32) / 255)
                written += 1
                progress.report(min(written / total, 1.0) if total else 0.0, f"frame {written}")
        tell_warnings(reader, progress)
    return PublishedResult(
        out=target, frames=written, width=width, height=height, seconds=time.perf_counter() - began
    )


def _tensors(piece: Piece, reader: ClipReader) -> Iterator[Tensor]:
    for frame in piece.frames(reader):
        yield torch.from_numpy(np.ascontiguousarray(frame.rgb.transpose(2, 0, 1)))

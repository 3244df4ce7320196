"""One window in the middle of each clip, in full precision and in low bit, with the same noise."""

import time

import numpy as np
import torch
from torch import Tensor

from quantvsr.errors import BadInput
from quantvsr.jobs.score import ScoreJob, ScoreResult
from quantvsr.jobs.work.clips import LearnClip, learn_clips
from quantvsr.jobs.work.lowbit import open_lowbit
from quantvsr.jobs.work.models import open_full
from quantvsr.jobs.work.quantization import checkpoint_file
from quantvsr.metrics.psnr import psnr
from quantvsr.models.adapter import VSRAdapter
from quantvsr.progress import Progress
from quantvsr.upscale.noise import NoiseField


def score(job: ScoreJob, progress: Progress) -> ScoreResult:
    """Run the job."""
    began = time.perf_counter()
    checkpoint = checkpoint_file(job.checkpoint)
    clips = learn_clips(job.clips)[: job.most]
    adapter = open_full(job)
    window = adapter.window
    windows = [_middle(clip, adapter, job.crop) for clip in clips]
    full = _enlarge(job, adapter, windows, progress.stage("full precision", 0.0, 0.5))
    del adapter
    low = open_lowbit(job, checkpoint).adapter
    other = _enlarge(job, low, windows, progress.stage("low bit", 0.5, 1.0))
    values = {
        clip.name: float(np.mean([psnr(p - q, 1.0) for p, q in zip(a, b, strict=True)]))
        for clip, a, b in zip(clips, full, other, strict=True)
    }
    return ScoreResult(
        checkpoint=checkpoint,
        psnr_fp=float(np.mean(list(values.values()))),
        clips=values,
        crop=min(job.crop, *(max(lq.shape[2:]) for lq in windows)),
        frames=window,
        seconds=time.perf_counter() - began,
    )


def _middle(clip: LearnClip, adapter: VSRAdapter, edge: int) -> Tensor:
    """(T, 3, h, w) from the middle of a clip; h and w at most `edge`, multiples of what the model needs."""
    frames = clip.read(max(clip.frames - adapter.window, 0) // 2, adapter.window)
    multiple = adapter.size_multiple
    sides = [min(side, edge) // multiple * multiple for side in frames.shape[1:3]]
    if min(sides) < 1:
        raise BadInput(f"{clip.path} is smaller than {multiple}x{multiple} pixels; choose a larger clip.")
    top, left = ((have - side) // 2 for have, side in zip(frames.shape[1:3], sides, strict=True))
    part = frames[:, top : top + sides[0], left : left + sides[1]]
    return torch.from_numpy(np.ascontiguousarray(part.transpose(0, 3, 1, 2)))


def _enlarge(
    job: ScoreJob, adapter: VSRAdapter, windows: list[Tensor], progress: Progress
) -> list[np.ndarray]:
    steps = job.steps or adapter.default_steps
    field = NoiseField(job.seed, adapter.noise_channels)
    found = []
    for number, lq in enumerate(windows):
        progress.report(number / len(windows), f"Clip {number + 1} of {len(windows)}")
        noise = torch.from_numpy(field.crop(0, 0, *lq.shape[2:])).to(adapter.device)
        with torch.no_grad():
            result = adapter.upscale_window(lq.to(adapter.device), noise, steps, progress.check)
        found.append(result.float().cpu().numpy())
    return found

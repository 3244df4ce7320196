"""The model and the clips that come with the program."""

import numpy as np
import pytest
import torch

from quantvsr.jobs.work.clips import BundledClip, bundled_clips
from quantvsr.media import open_clip, probe
from quantvsr.models.compact.model import enlarge
from quantvsr.models.compact.pipeline import CompactVSRPipeline
from quantvsr.models.registry import BUNDLED, model_path, open_model, recognise


def window(clip: BundledClip, size: int = 24) -> tuple[torch.Tensor, torch.Tensor]:
    """Five frames of the middle: LQ (T, 3, h, w) and ground truth, four times as large."""

    def read(path: object, side: int) -> torch.Tensor:
        with open_clip(path, start=8, stop=13) as reader:  # type: ignore[arg-type]
            frames = np.stack([frame.rgb for frame in reader])
        top, left = ((have - side) // 2 for have in frames.shape[1:3])
        return torch.from_numpy(frames[:, top : top + side, left : left + side]).permute(0, 3, 1, 2)

    return read(clip.lq, size), read(clip.gt, 4 * size)


def psnr(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(-10 * torch.log10((a - b).square().mean()))


def test_size_is_as_promised() -> None:
    files = [path for path in model_path(BUNDLED).rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 24_000_000
    parameters = sum(p.numel() for p in open_model(BUNDLED).denoiser.parameters())
    assert 8_000_000 <= parameters <= 12_000_000


def test_diffusers_opens_the_folder() -> None:
    pipeline = CompactVSRPipeline.from_pretrained(model_path(BUNDLED), local_files_only=True)
    assert type(pipeline.scheduler).__name__ == "FlowMatchEulerDiscreteScheduler"
    assert recognise(BUNDLED).family == "compact"


@pytest.mark.parametrize("clip", bundled_clips(), ids=lambda clip: clip.name)
def test_restores_better_than_bicubic(clip: BundledClip) -> None:
    adapter = open_model(BUNDLED)
    lq, truth = window(clip)
    noise = torch.randn(adapter.noise_channels, 24, 24, generator=torch.Generator().manual_seed(0))
    restored = adapter.upscale_window(lq, noise, adapter.default_steps)
    assert torch.equal(restored, adapter.upscale_window(lq, noise, adapter.default_steps))
    bicubic = enlarge(lq[None], 4)[0].clamp(0, 1)
    assert psnr(restored, truth) > psnr(bicubic, truth) + 0.3


@pytest.mark.parametrize("clip", bundled_clips(), ids=lambda clip: clip.name)
def test_clips_are_pairs_of_a_second_or_two(clip: BundledClip) -> None:
    lq, gt = probe(clip.lq), probe(clip.gt)
    assert (gt.width, gt.height) == (4 * lq.width, 4 * lq.height)
    assert lq.duration is not None and 1 <= lq.duration <= 2
    assert max(clip.lq.stat().st_size, clip.gt.stat().st_size) < 1_000_000

"""Whole clips as the published program runs them."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from quantvsr.models.mgld.adapter import MGLDAdapter
from quantvsr.models.mgld.clip import PublishedRun
from quantvsr.models.mgld.flow import estimate_motion
from quantvsr.models.mgld.frames import enlarge, pad, to_bytes
from quantvsr.models.mgld.motion import Motion
from quantvsr.models.mgld.pipeline import Noise
from quantvsr.models.mgld.tiles import SpatialTiling
from quantvsr.models.registry import open_model
from tiny_mgld import write_tiny_mgld


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> MGLDAdapter:
    opened = open_model(write_tiny_mgld(tmp_path_factory.mktemp("mgld") / "m"))
    assert isinstance(opened, MGLDAdapter)
    return opened


def clip(frames: int, height: int, width: int) -> Tensor:
    return torch.rand(frames, 3, height, width, generator=torch.Generator().manual_seed(0))


class Draws:
    """The reference's random numbers, in its order."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def __call__(self, height: int, width: int, steps: int) -> Noise:
        posterior, start, *rest = (
            torch.randn(5, 4, height, width, generator=self.generator) for _ in range(2 + steps)
        )
        return Noise(posterior, start, rest)


def by_hand(adapter: MGLDAdapter, frames: Tensor, noise: Noise, motion: Motion) -> Tensor:
    with torch.no_grad():
        return adapter.pipeline(frames, noise, motion)


def test_chunks_share_nothing_but_the_generator(adapter: MGLDAdapter) -> None:
    frames, asked = clip(6, 16, 16), []
    out = torch.stack(list(PublishedRun(adapter, seed=3, steps=2)(frames, lambda: asked.append(1))))
    assert out.shape == (6, 64, 64, 3)
    assert out.dtype == torch.uint8
    assert len(asked) == 4
    draws = Draws(3)
    for start, chunk in ((0, frames[:5]), (5, frames[5:].expand(5, -1, -1, -1))):
        enlarged = enlarge(chunk * 2 - 1, 4)
        expected = by_hand(adapter, enlarged, draws(8, 8, 2), estimate_motion(enlarged, adapter.flow))
        kept = out[start : start + 5]
        assert torch.equal(kept, to_bytes(expected)[: len(kept)])


def test_tiles_are_averaged_and_each_has_its_own_noise(adapter: MGLDAdapter) -> None:
    frames = clip(5, 24, 16)
    tiling = SpatialTiling(tile=64, stride=48, flow_tile=8, flow_stride=5)
    out = torch.stack(list(PublishedRun(adapter, steps=1, tiling=tiling)(frames)))
    enlarged = enlarge(frames * 2 - 1, 4)
    motion = estimate_motion(enlarged, adapter.flow)
    draws = Draws(42)
    first = by_hand(adapter, enlarged[:, :, :64], draws(8, 8, 1), motion.crop(0, 0, 8, 8))
    second = by_hand(adapter, enlarged[:, :, 32:], draws(8, 8, 1), motion.crop(4, 0, 8, 8))
    middle = (first[:, :, 32:] + second[:, :, :32]) / 2
    expected = to_bytes(torch.cat([first[:, :, :32], middle, second[:, :, 32:]], dim=2))
    assert torch.equal(out, expected)


def test_small_frames_are_enlarged_further_padded_and_shrunk(adapter: MGLDAdapter) -> None:
    frames = clip(5, 8, 9)
    out = torch.stack(list(PublishedRun(adapter, steps=1)(frames)))
    assert out.shape == (5, 32, 36, 3)
    # Eight times: 64x72, padded to 96x96 because one side is no multiple of 32.
    enlarged = pad(enlarge(frames * 2 - 1, 8))
    assert enlarged.shape[2:] == (96, 96)
    motion = estimate_motion(enlarged, adapter.flow)
    large = by_hand(adapter, enlarged, Draws(42)(12, 12, 1), motion)[:, :, :64, :72]
    expected = to_bytes(F.interpolate(large, (32, 36), mode="bicubic", align_corners=False))
    assert torch.equal(out, expected)


def test_half_precision_gives_nearly_the_same(adapter: MGLDAdapter) -> None:
    # float16 does too, but takes very long on a processor.
    lq, noise = clip(5, 16, 16), torch.randn(adapter.noise_channels, 16, 16)
    full = adapter.upscale_window(lq, noise, 2)
    adapter.compute_in(torch.bfloat16)
    try:
        half = adapter.upscale_window(lq, noise, 2)
    finally:
        adapter.compute_in(torch.float32)
    assert half.dtype == torch.float32
    assert 0 < (half - full).abs().mean() < 0.02

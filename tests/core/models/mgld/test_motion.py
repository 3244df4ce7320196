"""Flow, warping and occlusion where the answer is known."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from quantvsr.models.mgld.flow import DisFlow, RaftFlow, estimate_motion
from quantvsr.models.mgld.guidance import guidance_gradient, guidance_loss
from quantvsr.models.mgld.motion import Motion, occluded, resize_flow, warp
from quantvsr.models.mgld.raft import Raft


def texture(height: int, width: int) -> Tensor:
    """A smooth random picture, (1, 3, height, width), 0..1."""
    coarse = torch.rand(1, 3, height // 8, width // 8, generator=torch.Generator().manual_seed(1))
    return F.interpolate(coarse, (height, width), mode="bicubic", align_corners=False).clamp(0, 1)


def constant(height: int, width: int, x: float, y: float) -> Tensor:
    return torch.tensor([float(x), float(y)]).reshape(1, 2, 1, 1).expand(1, 2, height, width).clone()


def test_warp_by_whole_pixels_is_a_shift_with_zeros_outside() -> None:
    image = texture(16, 24)
    moved = warp(image, constant(16, 24, 3, -2))
    assert torch.allclose(moved[:, :, 2:, :-3], image[:, :, :-2, 3:], atol=1e-5)
    assert moved[:, :, :2].abs().max() < 1e-5
    assert moved[:, :, :, -3:].abs().max() < 1e-5


def test_halving_a_flow_halves_its_vectors() -> None:
    assert torch.allclose(resize_flow(constant(16, 24, 4, -6), 8, 12), constant(8, 12, 2, -3))


def test_there_and_back_is_not_occluded_and_only_there_is() -> None:
    flow = constant(12, 12, 2, 0)
    inside = occluded(flow, -flow)[..., :-2]
    assert not inside.any()
    assert occluded(flow, flow).all()


def test_a_still_clip_is_only_pulled_where_the_sweeps_open() -> None:
    # With no motion and equal frames the warped frame is the frame: only the comparisons with zero count.
    latents = torch.ones(5, 4, 6, 6)
    still, seen = torch.zeros(4, 2, 6, 6), torch.zeros(4, 1, 6, 6)
    motion = Motion(still, still, seen, seen)
    assert float(guidance_loss(latents, motion)) == pytest.approx(2.0, abs=1e-5)
    gradient = guidance_gradient(latents + torch.arange(5.0).reshape(5, 1, 1, 1) * 1e-9, motion)
    assert gradient[3].sum() > 0
    assert gradient[1].sum() > 0


def test_dis_flow_finds_a_shift() -> None:
    wide = texture(96, 112)
    first, second = wide[..., 8:104], wide[..., 4:100]
    flow = DisFlow()(first, second)
    assert flow.shape == (1, 2, 96, 96)
    assert torch.allclose(flow[:, :, 24:-24, 24:-24], constant(48, 48, 4, 0), atol=0.5)


@pytest.mark.parametrize("size", [(64, 40), (8, 8)])
def test_motion_of_a_clip_lies_on_the_grid_of_latents(size: tuple[int, int]) -> None:
    frames = texture(max(size), max(size))[..., : size[0], : size[1]].expand(5, -1, -1, -1) * 2 - 1
    motion = estimate_motion(frames, DisFlow())
    grid = (size[0] // 8, size[1] // 8)
    assert motion.forward.shape == motion.backward.shape == (4, 2, *grid)
    assert motion.forward_occluded.shape == (4, 1, *grid)
    assert not motion.forward_occluded.any()


def test_raft_extends_pictures_that_are_too_small() -> None:
    torch.manual_seed(0)
    flow = RaftFlow(Raft().requires_grad_(False))(texture(40, 48), texture(40, 48))
    assert flow.shape == (1, 2, 40, 48)
    assert flow.isfinite().all()

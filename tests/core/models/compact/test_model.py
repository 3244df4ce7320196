"""The compact denoiser: shapes, and the properties that keep windows and tiles free of seams."""

import pytest
import torch

from quantvsr.models.compact.model import CompactVSRDenoiser, enlarge, fold_condition


@pytest.fixture
def denoiser() -> CompactVSRDenoiser:
    torch.manual_seed(0)
    model = CompactVSRDenoiser(channels=(8, 16, 32), heads=2, time_channels=16)
    for parameter in model.parameters():  # the zero-started layers too, so that every path carries something
        parameter.data.add_(torch.randn_like(parameter) * 0.05)
    return model.eval()


def inputs(frames: int, height: int = 8, width: int = 12) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    lq = torch.rand(1, frames, 3, height, width, generator=generator)
    sample = torch.randn(1, frames, 48, height, width, generator=generator)
    return sample, torch.tensor([0.5]), fold_condition(lq, enlarge(lq, 4), 4)


@pytest.mark.parametrize("frames", [1, 5, 7])
def test_velocity_has_the_sample_s_shape(denoiser: CompactVSRDenoiser, frames: int) -> None:
    sample, time, condition = inputs(frames)
    assert denoiser(sample, time, condition).shape == sample.shape


def test_velocity_and_clean_estimate_agree(denoiser: CompactVSRDenoiser) -> None:
    sample, time, condition = inputs(5)
    clean = denoiser.predict_clean(sample, time, condition)
    torch.testing.assert_close(sample - 0.5 * denoiser(sample, time, condition), clean, atol=1e-5, rtol=1e-5)


def test_static_clips_give_identical_frames(denoiser: CompactVSRDenoiser) -> None:
    sample, time, condition = inputs(5)
    still = denoiser(sample[:, :1].expand_as(sample), time, condition[:, :1].expand_as(condition))
    assert (still - still[:, :1]).abs().max() < 1e-5


def test_frames_see_each_other(denoiser: CompactVSRDenoiser) -> None:
    sample, time, condition = inputs(5)
    changed = condition.clone()
    changed[:, 4] += 1.0
    difference = denoiser(sample, time, changed) - denoiser(sample, time, condition)
    assert difference[:, 0].abs().max() > 1e-6


def test_untrained_model_adds_nothing_to_bicubic() -> None:
    model = CompactVSRDenoiser(channels=(8, 16, 32), heads=2, time_channels=16)
    assert model.predict_clean(*inputs(5)).abs().max() == 0


def test_folded_condition_has_unit_size_and_keeps_the_frames() -> None:
    lq = torch.rand(2, 5, 3, 8, 8)
    condition = fold_condition(lq, enlarge(lq, 4), 4)
    assert condition.shape == (2, 5, 51, 8, 8)
    torch.testing.assert_close(condition[:, :, :3], 2 * lq - 1)

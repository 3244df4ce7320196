"""Training degradations."""

import numpy as np
import torch
from PIL import Image

from quantvsr.models.compact.degrade import DegradationConfig, compress_blocks, degrade


def smooth_clips(count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    small = torch.rand(count * 5, 3, 8, 8, generator=generator)
    return (
        torch.nn.functional.interpolate(small, size=64, mode="bicubic").clamp(0, 1).unflatten(0, (count, 5))
    )


def test_clean_share_is_pillow_s_bicubic() -> None:
    clips = (smooth_clips(1) * 255).round() / 255
    lq = degrade(clips, 4, torch.Generator().manual_seed(0), DegradationConfig(clean_share=1.0))
    image = Image.fromarray((clips[0, 0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8))
    expected = np.asarray(image.resize((16, 16), Image.Resampling.BICUBIC), dtype=np.float32) / 255
    # Pillow rounds between its two passes.
    assert np.abs(lq[0, 0].permute(1, 2, 0).numpy() - expected).max() <= 2.01 / 255


def test_same_seed_same_result_and_bytes() -> None:
    clips = smooth_clips(8)
    first, second = (degrade(clips, 4, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(first, second)
    assert first.shape == (8, 5, 3, 16, 16)
    torch.testing.assert_close((first * 255).round(), first * 255, atol=1e-3, rtol=0)


def test_spoiled_clips_differ_from_clean_ones() -> None:
    clips = smooth_clips(8)
    clean = degrade(clips, 4, torch.Generator().manual_seed(5), DegradationConfig(clean_share=1.0))
    spoiled = degrade(clips, 4, torch.Generator().manual_seed(5), DegradationConfig(clean_share=0.0))
    assert ((clean - spoiled).abs().amax(dim=(1, 2, 3, 4)) > 2 / 255).all()


def test_compression_loses_more_at_lower_quality() -> None:
    frames = degrade(smooth_clips(2), 4, torch.Generator().manual_seed(0))
    errors = [
        (compress_blocks(frames, torch.full((2, 1, 1, 1, 1), quality)) - frames).square().mean().item()
        for quality in (20.0, 60.0, 98.0)
    ]
    assert errors[0] > errors[1] > errors[2]

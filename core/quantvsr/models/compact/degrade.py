"""Real-world degradations for training: how a sharp clip becomes a low-quality one.

A good half of the clips is only shrunk (antialiased bicubic, the setting of the benchmarks); the others are
blurred, shrunk by one of several filters, made noisy and compressed by blocks, each with random strength.
After Wang et al., "Real-ESRGAN" (ICCVW 2021), section 3, in one order and without sharpening.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

# Quantization tables of JPEG, ITU-T T.81 annex K.
_LUMA = (
    "16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56 14 17 22 29 51 87 80 62 "
    "18 22 37 56 68 109 103 77 24 35 55 64 81 104 113 92 49 64 78 87 103 121 120 101 "
    "72 92 95 98 112 100 103 99"
)
_CHROMA = (
    "17 18 24 47 99 99 99 99 18 21 26 66 99 99 99 99 24 26 56 99 99 99 99 99 47 66 99 99 99 99 99 99 "
    "99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99"
)


@dataclass(frozen=True)
class DegradationConfig:
    """Shares and strengths of the degradations; ranges are uniform."""

    clean_share: float = 0.55
    blur_sigma: tuple[float, float] = (0.2, 3.2)  # HR pixels
    noise_share: float = 0.6
    noise_sigma: tuple[float, float] = (0.002, 0.05)  # of the 0..1 range
    compression_share: float = 0.6
    compression_quality: tuple[float, float] = (35.0, 95.0)  # JPEG quality


def degrade(
    clips: Tensor, scale: int, generator: Generator, config: DegradationConfig | None = None
) -> Tensor:
    """Shrink and spoil clips.

    Args:
        clips: (B, T, 3, H, W), 0..1; H and W multiples of 8 * scale.
        scale: Shrinking factor.
        generator: Source of all random choices, on the device of `clips`.
        config: Shares and strengths.

    Returns:
        (B, T, 3, H / scale, W / scale), 0..1, in steps of 1/255. The first `clean_share` of the batch is only
        shrunk.
    """
    config = config or DegradationConfig()
    clean = round(clips.shape[0] * config.clean_share)
    parts = [_shrink_bicubic(clips[:clean], scale)] if clean else []
    if clean < clips.shape[0]:
        parts.append(_spoil(clips[clean:], scale, generator, config))
    return torch.cat(parts).clamp(0, 1).mul(255).round().div(255)


def _spoil(clips: Tensor, scale: int, generator: Generator, config: DegradationConfig) -> Tensor:
    count = clips.shape[0]

    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(count, 1, 1, 1, 1, device=clips.device, generator=generator) * (high - low) + low

    sigma = uniform(*config.blur_sigma) * uniform(0.25, 1.0)
    clips = _blur(clips, sigma, sigma * uniform(0.6, 1.4))
    # Each filter takes an equal slice of the batch, so that the shapes stay fixed from step to step.
    bounds = [round(count * i / len(_FILTERS)) for i in range(len(_FILTERS) + 1)]
    lq = torch.cat(
        [f(clips[a:b], scale) for f, a, b in zip(_FILTERS, bounds, bounds[1:], strict=False) if b > a]
    )

    strength = uniform(*config.noise_sigma) * (uniform(0, 1) < config.noise_share)
    noise = torch.randn(lq.shape, device=lq.device, generator=generator)
    grey = noise.mean(2, keepdim=True) * 3**0.5
    noise = torch.where(uniform(0, 1) < 0.4, grey, noise)
    # Part of the noise grows with the light, as photon noise does.
    lq = (lq + noise * strength * (0.5 + lq.clamp(0, 1).sqrt())).clamp(0, 1)

    compressed = compress_blocks(lq, uniform(*config.compression_quality))
    return torch.where(uniform(0, 1) < config.compression_share, compressed, lq)


def _blur(clips: Tensor, sigma_y: Tensor, sigma_x: Tensor) -> Tensor:
    """Gaussian blur with own widths for every clip, as two depth-wise passes."""
    count, frames, channels, height, width = clips.shape
    taps = torch.arange(-7, 8, device=clips.device, dtype=clips.dtype)
    x = clips.permute(1, 2, 0, 3, 4).reshape(frames * channels, count, height, width)
    for sigma, shape, padding in ((sigma_y, (15, 1), (0, 0, 7, 7)), (sigma_x, (1, 15), (7, 7, 0, 0))):
        kernel = torch.exp(-0.5 * (taps / sigma.reshape(count, 1)) ** 2)
        kernel = (kernel / kernel.sum(1, keepdim=True)).reshape(count, 1, *shape)
        x = F.conv2d(F.pad(x, padding, mode="reflect"), kernel, groups=count)
    return x.reshape(frames, channels, count, height, width).permute(2, 0, 1, 3, 4)


def _shrink_bicubic(clips: Tensor, scale: int) -> Tensor:
    return _resize(clips, scale, "bicubic", True)


def _resize(clips: Tensor, scale: int, mode: str, antialias: bool) -> Tensor:
    small = F.interpolate(clips.flatten(0, 1), scale_factor=1 / scale, mode=mode, antialias=antialias)
    return small.unflatten(0, clips.shape[:2])


_FILTERS: tuple[Callable[[Tensor, int], Tensor], ...] = (
    _shrink_bicubic,
    lambda clips, scale: _resize(clips, scale, "bilinear", True),
    lambda clips, scale: F.avg_pool2d(clips.flatten(0, 1), scale).unflatten(0, clips.shape[:2]),
    lambda clips, scale: _resize(clips, scale, "bicubic", False),
)


def compress_blocks(frames: Tensor, quality: Tensor) -> Tensor:
    """What 8x8 block transform coding leaves of frames (JPEG's transform and tables, 4:2:0 colour).

    Args:
        frames: RGB frames, (B, T, 3, h, w), 0..1; h and w multiples of 16.
        quality: JPEG quality 1..100 of each clip, (B, 1, 1, 1, 1).

    Returns:
        The same shape, 0..1.
    """
    red, green, blue = frames.unbind(2)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    chroma = torch.stack([(blue - luma) * 0.564, (red - luma) * 0.713], 2)
    small = F.avg_pool2d(chroma.flatten(0, 1), 2).unflatten(0, chroma.shape[:2])

    factor = torch.where(quality < 50, 50 / quality, 2 - quality / 50).clamp_min(0.02)
    luma = _quantize_blocks(luma.unsqueeze(2) - 0.5, _LUMA, factor).squeeze(2) + 0.5
    small = _quantize_blocks(small, _CHROMA, factor)
    chroma = F.interpolate(small.flatten(0, 1), scale_factor=2.0, mode="bilinear").unflatten(
        0, small.shape[:2]
    )
    blue = luma + chroma[:, :, 0] / 0.564
    red = luma + chroma[:, :, 1] / 0.713
    green = (luma - 0.299 * red - 0.114 * blue) / 0.587
    return torch.stack([red, green, blue], 2).clamp(0, 1)


def _quantize_blocks(planes: Tensor, table: str, factor: Tensor) -> Tensor:
    """8x8 DCT, rounding to `table * factor / 255`, and back."""
    device, dtype = planes.device, planes.dtype
    k = torch.arange(8, device=device, dtype=dtype)
    basis = torch.cos((2 * k[None] + 1) * k[:, None] * torch.pi / 16) / 2
    basis[0] /= 2**0.5
    step = torch.tensor([float(v) for v in table.split()], device=device, dtype=dtype).reshape(8, 8) / 255
    batch, frames, channels, height, width = planes.shape
    blocks = planes.reshape(batch, frames, channels, height // 8, 8, width // 8, 8).movedim(5, 4)
    step = step * factor[..., None, None]
    coefficients = basis @ blocks @ basis.T
    coefficients = (coefficients / step).round() * step
    return (basis.T @ coefficients @ basis).movedim(4, 5).reshape(planes.shape)

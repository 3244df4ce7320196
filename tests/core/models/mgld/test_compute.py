"""Half types around quantized layers."""

from pathlib import Path

import torch

from quantvsr.models.registry import open_model
from quantvsr.quant.config import default
from quantvsr.quant.surgery import quantize_model
from quantvsr.runtime.execution import accelerate
from tiny_mgld import write_tiny_mgld


def test_a_low_bit_model_runs_in_a_half_type_on_the_processor(tmp_path: Path) -> None:
    adapter = open_model(write_tiny_mgld(tmp_path / "m"))
    quantize_model(adapter.denoiser, default(8, 8), 2, adapter.default_exclude, seed=0).set_mode("frozen")
    lq = torch.rand(5, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    noise = torch.randn(adapter.noise_channels, 16, 16, generator=torch.Generator().manual_seed(1))
    exact = adapter.upscale_window(lq, noise, 1)
    adapter.compute_in(torch.bfloat16)
    accelerate(adapter.denoiser, adapter.device, carriers=adapter.carriers)
    half = adapter.upscale_window(lq, noise, 1)
    assert half.dtype == torch.float32
    assert 0 < float((half - exact).abs().mean()) < 0.1

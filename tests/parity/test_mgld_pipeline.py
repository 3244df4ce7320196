"""The whole of MGLD-VSR, frames to bytes in 50 steps, against golden vectors of small configurations."""

import pytest
import torch

from parity.mgld_golden import Golden, each_configuration, golden, subset
from parity.test_mgld_sampling import motion_of
from quantvsr.models.mgld.frames import to_bytes
from quantvsr.models.mgld.pipeline import MGLDPipeline
from quantvsr.models.mgld.sampler import start_latents

__all__ = ["golden"]

# Single precision moves some places across the edge between two bytes: "a few in 100,000".
_BYTES_OFF = 1e-4


@pytest.mark.slow
@pytest.mark.timeout(600)  # 200 evaluations of two networks
@each_configuration
def test_frames_to_bytes(golden: Golden) -> None:
    io = golden.load("pipeline_io")
    networks = golden.networks()
    pipeline = MGLDPipeline(
        golden.config,
        networks.unet,
        networks.structural,
        networks.first_stage,
        networks.video_vae,
        io["context"],
    )

    def check(name: str, actual: torch.Tensor) -> None:
        golden.close("pipeline_io", name, subset(name, actual), io[name])

    frames, noises = io["frames"], io["step_noise"]
    low_quality = pipeline.encode(frames, io["posterior_noise"])
    check("init_latent", low_quality)
    x = start_latents(low_quality, io["start_noise"])
    check("x_T", x)

    sampler, motion = pipeline.sampler(len(noises)), motion_of(golden)
    for step, noise in zip(range(len(noises) - 1, -1, -1), noises, strict=True):
        x = sampler.step(x, low_quality, step, noise, motion).latents
        if f"after_index{step:02d}" in io:
            check(f"after_index{step:02d}", x)
    check("samples", x)

    before: list[torch.Tensor] = []
    hook = networks.video_vae.decoder.register_forward_hook(lambda *call: before.append(call[2]))
    try:
        out = pipeline.decode(x, frames)
    finally:
        hook.remove()
    check("decoded_mean_std", torch.stack([before[0].flatten(2).mean(2), before[0].flatten(2).std(2)]))
    for name in golden.outputs("pipeline_io", "out@"):
        check(name, out)
    for name in golden.outputs("pipeline_io", "out_uint8_thwc"):
        actual = subset(name, to_bytes(out))
        off = (actual.int() - io[name].int()).abs()
        assert off.max() <= 1
        assert (off > 0).float().mean() <= _BYTES_OFF
        golden.worst[f"pipeline_io/{name}"] = 0.0
    golden.finish("pipeline_io")

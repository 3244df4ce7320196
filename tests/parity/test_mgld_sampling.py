"""Operations and sampling steps of MGLD-VSR against golden vectors of small configurations."""

import torch
from torch import Tensor

from parity.mgld_golden import Golden, each_configuration, golden
from quantvsr.models.mgld.colour import adain, statistics, wavelet
from quantvsr.models.mgld.guidance import guidance_gradient, guidance_loss
from quantvsr.models.mgld.motion import Motion, occluded, resize_flow, warp
from quantvsr.models.mgld.sampler import Sampler, Step
from quantvsr.models.mgld.schedule import respaced_schedule
from quantvsr.models.mgld.tiles import tile_weight

__all__ = ["golden"]

# Our names of what a step computes.
_NAMES = {"eps": "noise", "x0": "clean", "mean": "mean", "out": "latents"}


def motion_of(golden: Golden) -> Motion:
    io = golden.load("ops_io")
    return Motion(*(io[name][0] for name in ("flow.prev_to_next", "flow.next_to_prev", "occ.fwd", "occ.bwd")))


def sampler_of(golden: Golden, context: Tensor) -> Sampler:
    networks, config = golden.networks(), golden.config
    return Sampler(
        networks.unet,
        networks.structural,
        respaced_schedule(),
        context,
        config.tile,
        config.overlap,
        config.guidance_scale,
    )


@each_configuration
def test_operations(golden: Golden) -> None:
    io = golden.load("ops_io")

    def check(name: str, actual: Tensor, tolerance: float = 2e-5) -> None:
        golden.close("ops_io", name, actual, io[name], tolerance)

    content, style = io["color.content"], io["color.style"]
    mean, deviation = statistics(content)
    check("color.content_mean", mean)
    check("color.content_std", deviation)
    check("color.adain", adain(content, style))
    check("color.wavelet", wavelet(content, style)[: len(io["color.wavelet"])])

    motion = motion_of(golden)
    assert torch.equal(occluded(motion.forward, motion.backward), io["occ.fwd"][0])
    assert torch.equal(occluded(motion.backward, motion.forward), io["occ.bwd"][0])
    check("occ.fwd", Motion.of(motion.forward, motion.backward).forward_occluded[None])
    check("occ.bwd", Motion.of(motion.forward, motion.backward).backward_occluded[None])
    latents = io["guide.latents"]
    check("warp.bilinear_zeros_align", warp(latents[: len(motion.forward)], motion.forward))
    for name in golden.outputs("ops_io", "resize.flow_out_"):
        height, width = io[name].shape[2:]
        check(name, resize_flow(io["resize.flow_in"], height, width))

    check("guide.loss", guidance_loss(latents, motion))
    with torch.no_grad():
        check("guide.grad", guidance_gradient(latents, motion))
    check("tiles.gaussian_64", tile_weight(64), 1e-12)
    check("tiles.gaussian_tile", tile_weight(golden.config.tile), 1e-12)
    golden.finish("ops_io")


@each_configuration
def test_single_steps(golden: Golden) -> None:
    io = golden.load("sampler_io")
    sampler, motion = sampler_of(golden, io["context"]), motion_of(golden)
    done: dict[tuple[str, int], Step] = {}
    for name in golden.outputs("sampler_io"):
        case, _, rest = name.partition(".step")
        if not rest:
            continue
        number, _, what = rest.partition(".")
        step = int(number)
        inputs = (io[f"{case}.x"], io[f"{case}.struct_latent"], step, io[f"{case}.noise"])
        if (case, step) not in done:
            # The clip with one tile runs without guidance.
            done[case, step] = sampler.step(*inputs, motion if case == "canvas" else None)
        result = done[case, step]
        if what == "log_variance":
            actual = sampler.schedule.posterior_log_variance_clipped[step : step + 1]
        elif what == "out_without_guidance":
            actual = sampler.step(*inputs).latents
        else:
            actual = getattr(result, _NAMES[what])
        golden.close("sampler_io", name, actual, io[name])
    x, low_quality = io["canvas.x"], io["canvas.struct_latent"]
    noises = [io[name] for name in sorted(io) if name.startswith("loop3.noise")]
    seen = []
    out = sampler.run(x, low_quality, noises, motion, before_step=seen.append, first=len(noises) - 1)
    assert seen == list(range(len(noises) - 1, -1, -1))
    golden.close("sampler_io", "loop3.out", out, io["loop3.out"])
    golden.finish("sampler_io")

"""The networks of MGLD-VSR against golden vectors of small configurations."""

import torch
from torch import Tensor, nn

from parity.mgld_golden import Golden, each_configuration, golden, shrunk, subset
from quantvsr.models.mgld.colour import adain
from quantvsr.models.mgld.conditions import Conditions
from quantvsr.models.mgld.encoder import Posterior

__all__ = ["golden"]


def structural_maps(golden: Golden, case: str, network: nn.Module | None = None) -> dict[str, Tensor]:
    io = golden.load("structcond_io")
    with torch.no_grad():
        return (network or golden.networks().structural)(io[f"{case}.latent"], io[f"{case}.timesteps"])


@each_configuration
def test_structural_encoder(golden: Golden) -> None:
    expected = golden.load("structcond_io")
    runs = {case: structural_maps(golden, case) for case in ("case1", "case2")}
    runs["small"] = structural_maps(golden, "case1", shrunk(golden.networks().structural))
    for name in golden.outputs("structcond_io"):
        case, _, width = name.split(".")
        golden.close("structcond_io", name, runs[case][width], expected[name])
    golden.finish("structcond_io")


@each_configuration
def test_denoising_unet(golden: Golden) -> None:
    io = golden.load("unet_io")
    unet = golden.networks().unet
    with torch.no_grad():
        for case in ("case1", "case2"):
            maps = structural_maps(golden, case)
            out = unet(io[f"{case}.x"], io[f"{case}.timesteps"], io[f"{case}.context"], maps)
            golden.close("unet_io", f"{case}.out", out, io[f"{case}.out"])
        maps = structural_maps(golden, "case1", shrunk(golden.networks().structural))
        small = shrunk(unet)(io["case1.x"], io["case1.timesteps"], io["case1.context"], maps)
        golden.close("unet_io", "small.out", small, io["small.out"])
    golden.finish("unet_io")


@each_configuration
def test_every_block_of_the_unet(golden: Golden) -> None:
    io, expected = golden.load("unet_io"), golden.load("unet_trace")
    unet = golden.networks().unet
    hooks = []
    for name in golden.outputs("unet_trace"):

        def note(module: nn.Module, inputs: object, output: Tensor, name: str = name) -> None:
            golden.close("unet_trace", name, subset(name, output), expected[name])

        hooks.append(unet.get_submodule(name.partition("@")[0]).register_forward_hook(note))
    try:
        with torch.no_grad():
            maps = structural_maps(golden, "case1")
            unet(io["case1.x"], io["case1.timesteps"], io["case1.context"], maps)
    finally:
        for hook in hooks:
            hook.remove()
    golden.finish("unet_trace")


@each_configuration
def test_layers_whose_constants_a_whole_network_hides(golden: Golden) -> None:
    io = golden.load("probe_io")
    unet = golden.networks().unet
    context = golden.load("unet_io")["case1.context"]
    conditions = Conditions(torch.zeros(1, 1), golden.config.unet.num_frames, context)
    transformer = unet.input_blocks[1][1]  # type: ignore[index]
    before = {name: value.clone() for name, value in transformer.proj_in.named_parameters()}
    with torch.no_grad():
        try:
            for value in transformer.proj_in.parameters():
                value *= 2.0**-8
            out = transformer(io["transformer.in"], conditions)
        finally:
            for name, value in transformer.proj_in.named_parameters():
                value.copy_(before[name])
        golden.close("probe_io", "transformer.out", out, io["transformer.out"])
        for name, block in (("temporal_attention", 3), ("temporal_conv", 1)):
            out = unet.middle_block[block](io[f"{name}.in"], conditions)
            golden.close("probe_io", f"{name}.out", out, io[f"{name}.out"])
    posterior = Posterior.of(io["posterior.moments"])
    golden.close("probe_io", "posterior.mean", posterior.mean, io["posterior.mean"])
    golden.close("probe_io", "posterior.logvar", posterior.logvar, io["posterior.logvar"])
    golden.finish("probe_io")


@each_configuration
def test_autoencoders(golden: Golden) -> None:
    io = golden.load("vae_io")
    networks, config = golden.networks(), golden.config

    def check(name: str, actual: Tensor) -> None:
        golden.close("vae_io", name, subset(name, actual), io[name])

    def decode(video_vae: nn.Module, check_features: bool) -> Tensor:
        features = video_vae.features(io["frames"])  # type: ignore[operator]
        if check_features:
            for i, feature in enumerate(features):
                check(f"video_vae.enc_fea.{i}@frames0,4", feature)
        latents = io["video_vae.decode_in"] / config.scale_factor
        frames = config.unet.num_frames
        return video_vae.decode(latents, features, config.fusion_weight, frames)  # type: ignore[operator]

    hooks = []
    # The decoder runs its layers frame by frame.
    traced: dict[str, list[Tensor]] = {}
    for name in golden.outputs("vae_io", "video_vae.trace."):

        def note(module: nn.Module, inputs: object, output: Tensor, name: str = name) -> None:
            traced.setdefault(name, []).append(output)

        path = name.removeprefix("video_vae.trace.").partition("@")[0]
        hooks.append(networks.video_vae.decoder.get_submodule(path).register_forward_hook(note))
    with torch.no_grad():
        try:
            posterior = networks.first_stage.encode(io["frames"])
            check("first_stage.mean", posterior.mean)
            check("first_stage.logvar", posterior.logvar)
            noise = io["first_stage.posterior_noise"]
            check("first_stage.latent_scaled", config.scale_factor * posterior.sample(noise))
            check("video_vae.mean", networks.video_vae.encode(io["frames"]).mean)
            check("video_vae.decode_out", decode(networks.video_vae, check_features=True))
        finally:
            for hook in hooks:
                hook.remove()
        for name, outputs in traced.items():
            check(name, torch.cat(outputs))
        small = shrunk(networks.first_stage).encode(io["frames"])  # type: ignore[operator]
        check("small.first_stage.mean", small.mean)
        check("small.first_stage.logvar", small.logvar)
        small_out = decode(shrunk(networks.video_vae), check_features=False)
        check("small.video_vae.decode_out@frames0,4", small_out)
    check("adain_of_decode_out", adain(io["video_vae.decode_out"], io["frames"]))
    golden.finish("vae_io")

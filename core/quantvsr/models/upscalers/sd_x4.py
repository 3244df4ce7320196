"""Stable Diffusion x4 upscaler (`StableDiffusionUpscalePipeline` of diffusers), on the frames of a clip.

The prompt is empty. With it, guidance by a second, unconditional prediction changes nothing, so that each
step is one evaluation instead of two.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn

from quantvsr.errors import BadModel
from quantvsr.models.upscalers.base import FLICKER, Call, ImageUpscaler
from quantvsr.models.upscalers.parts import enlargement, load_network, load_scheduler
from quantvsr.models.upscalers.text import empty_prompt

LICENCE = (
    "The Stable Diffusion x4 upscaler's published weights are under the CreativeML Open RAIL++-M licence, "
    "which restricts some uses."
)
# How much noise the low-quality frames get, as the pipeline's default.
NOISE_LEVEL = 20
# The library sets this value where a folder says another.
SCALING = 0.08333


class X4Denoiser(nn.Module):
    """The UNet with all inputs as tensors; one text context serves all rows."""

    def __init__(self, unet: UNet2DConditionModel) -> None:
        super().__init__()
        self.unet = unet

    def forward(
        self, sample: Tensor, timestep: Tensor, encoder_hidden_states: Tensor, class_labels: Tensor
    ) -> Tensor:
        """Prediction for (N, 7, h, w): four latent channels and the low-quality frame."""
        rows = len(sample)
        return self.unet(
            sample,
            timestep,
            encoder_hidden_states=encoder_hidden_states.expand(rows, -1, -1),
            class_labels=class_labels.expand(rows),
            return_dict=False,
        )[0]


class X4Adapter(ImageUpscaler):
    """The x4 upscaler, frame by frame with one noise for all frames.

    The noise field holds that of the low-quality frame (3) and that to begin with (latent channels).
    """

    name = "sd-x4-upscaler"
    default_steps = 75

    def __init__(
        self,
        unet: UNet2DConditionModel,
        vae: AutoencoderKL,
        scheduler: Any,
        low_res_scheduler: Any,
        context: Tensor,
        source: Path,
        device: torch.device,
        notes: tuple[str, ...] = (),
    ) -> None:
        super().__init__(X4Denoiser(unet).to(device), scheduler, source, device, (LICENCE, FLICKER, *notes))
        self.vae, self.low_res_scheduler = cast(Any, vae).to(device), low_res_scheduler
        self.context = context.to(device)
        self.scale = enlargement(self.vae)
        self.noise_channels = 3 + self.vae.config.latent_channels

    def _run(
        self,
        lq: Tensor,
        noise: Tensor,
        steps: int,
        before_step: Callable[[], None] | None,
        calls: list[Call] | None,
    ) -> Tensor:
        timesteps = self._timesteps(steps)
        level = torch.tensor([NOISE_LEVEL], device=self.device)
        image_noise, start = (part.expand(len(lq), -1, -1, -1) for part in noise.split([3, len(noise) - 3]))
        image = self.low_res_scheduler.add_noise(lq * 2 - 1, image_noise, level)
        latents = start * self.scheduler.init_noise_sigma
        for timestep in timesteps:
            if before_step is not None:
                before_step()
            scaled = self.scheduler.scale_model_input(latents, timestep)
            predicted = self._call(
                calls,
                sample=torch.cat([scaled, image], dim=1),
                timestep=timestep,
                encoder_hidden_states=self.context,
                class_labels=level,
            )
            latents = self.scheduler.step(predicted, timestep, latents, return_dict=False)[0]
        return torch.cat([self._decode(row) for row in latents.split(1)])

    def _decode(self, latents: Tensor) -> Tensor:
        # A frame at a time: at this size all at once would take gigabytes.
        picture = self.vae.decode(latents / SCALING, return_dict=False)[0]
        return (picture / 2 + 0.5).clamp(0, 1)


def open_folder(path: Path, device: torch.device) -> X4Adapter:
    """Open the pipeline's folder in single precision.

    Raises:
        BadModel: A part is missing, damaged or of another model.
    """
    scheduler, note = load_scheduler(path)
    low_res_scheduler, _ = load_scheduler(path, "low_res_scheduler")
    unet = load_network(UNet2DConditionModel, path, "unet")
    vae = load_network(AutoencoderKL, path, "vae")
    channels = 3 + cast(Any, vae).config.latent_channels
    if cast(Any, unet).config.in_channels != channels:
        raise BadModel(
            f"{path / 'unet'} takes {cast(Any, unet).config.in_channels} channels, not {channels}; get the "
            "folder of an upscaler."
        )
    context = empty_prompt(path)
    return X4Adapter(
        unet, vae, scheduler, low_res_scheduler, context, path, device, (note,) if note is not None else ()
    )

"""Latent diffusion super-resolution (`LDMSuperResolutionPipeline` of diffusers), on the frames of a clip."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch
from diffusers.models.autoencoders.vq_model import VQModel
from diffusers.models.unets.unet_2d import UNet2DModel
from torch import Tensor, nn

from quantvsr.models.upscalers.base import FLICKER, Call, ImageUpscaler
from quantvsr.models.upscalers.parts import enlargement, load_network, load_scheduler


class LDMDenoiser(nn.Module):
    """The UNet with all inputs and its output as tensors."""

    def __init__(self, unet: UNet2DModel) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, sample: Tensor, timestep: Tensor) -> Tensor:
        """Prediction for (N, 6, h, w): three latent channels and the low-quality frame."""
        return self.unet(sample, timestep, return_dict=False)[0]


class LDMAdapter(ImageUpscaler):
    """Latent diffusion super-resolution, frame by frame with one noise for all frames."""

    name = "ldm-super-resolution"
    default_steps = 100

    def __init__(
        self,
        unet: UNet2DModel,
        vqvae: VQModel,
        scheduler: Any,
        source: Path,
        device: torch.device,
        notes: tuple[str, ...] = (),
    ) -> None:
        super().__init__(LDMDenoiser(unet).to(device), scheduler, source, device, (FLICKER, *notes))
        self.vqvae = cast(Any, vqvae).to(device)
        self.scale = enlargement(self.vqvae)
        self.noise_channels = cast(Any, unet).config.in_channels // 2

    def _run(
        self,
        lq: Tensor,
        noise: Tensor,
        steps: int,
        before_step: Callable[[], None] | None,
        calls: list[Call] | None,
    ) -> Tensor:
        timesteps = self._timesteps(steps)
        image = lq * 2 - 1
        latents = noise.expand(len(lq), -1, -1, -1) * self.scheduler.init_noise_sigma
        for timestep in timesteps:
            if before_step is not None:
                before_step()
            # Scaled after joining, as in the pipeline.
            sample = self.scheduler.scale_model_input(torch.cat([latents, image], dim=1), timestep)
            predicted = self._call(calls, sample=sample, timestep=timestep)
            latents = self.scheduler.step(predicted, timestep, latents, return_dict=False)[0]
        pictures = [self.vqvae.decode(row, return_dict=False)[0] for row in latents.split(1)]
        return torch.cat(pictures).clamp(-1, 1) / 2 + 0.5


def open_folder(path: Path, device: torch.device) -> LDMAdapter:
    """Open the pipeline's folder in single precision.

    Raises:
        BadModel: A part is missing, damaged or of another model.
    """
    scheduler, note = load_scheduler(path)
    vqvae = load_network(VQModel, path, "vqvae")
    unet = load_network(UNet2DModel, path, "unet")
    return LDMAdapter(unet, vqvae, scheduler, path, device, (note,) if note is not None else ())

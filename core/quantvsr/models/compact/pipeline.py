"""Sampling with the bundled model, as a diffusers pipeline."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
from torch import Tensor
from torch.nn import functional as F

from quantvsr.models.compact.model import CompactVSRDenoiser, enlarge, fold_condition


class CompactVSRPipeline(DiffusionPipeline):
    """Enlarge windows of frames by rectified flow on the residual over bicubic enlargement.

    `CompactVSRPipeline.from_pretrained(folder)` opens the bundled folder like any diffusers model.
    """

    def __init__(self, denoiser: CompactVSRDenoiser, scheduler: FlowMatchEulerDiscreteScheduler) -> None:
        super().__init__()
        self.denoiser: CompactVSRDenoiser
        self.scheduler: FlowMatchEulerDiscreteScheduler
        self.register_modules(denoiser=denoiser, scheduler=scheduler)

    @torch.no_grad()
    def __call__(
        self,
        lq: Tensor,
        noise: Tensor,
        num_inference_steps: int,
        on_input: Callable[[dict[str, Tensor], Tensor], None] | None = None,
        before_step: Callable[[], None] | None = None,
    ) -> Tensor:
        """Enlarge one batch of windows.

        Args:
            lq: Low-quality frames, (B, T, 3, h, w), 0..1; h and w multiples of 4.
            noise: Standard normal noise, (B, 48, h, w), shared by all frames of a window.
            num_inference_steps: Euler steps, at least 1.
            on_input: Called with the denoiser's inputs by name and its output, at every step.
            before_step: Called before every step; may raise to stop.

        Returns:
            (B, T, 3, 4h, 4w), clamped to 0..1.
        """
        denoiser = self.denoiser
        scheduler: Any = self.scheduler  # its annotations promise less than it takes and gives
        enlarged = enlarge(lq, denoiser.scale)
        condition = fold_condition(lq, enlarged, denoiser.scale).to(denoiser.dtype)
        sigmas = np.linspace(1.0, 1.0 / num_inference_steps, num_inference_steps)
        scheduler.set_timesteps(sigmas=sigmas.tolist(), device=lq.device)
        sample = noise[:, None].expand(-1, lq.shape[1], -1, -1, -1).float()
        for index, timestep in enumerate(scheduler.timesteps):
            if before_step is not None:
                before_step()
            time = scheduler.sigmas[index].to(lq.device).expand(lq.shape[0])
            inputs = {"sample": sample.to(denoiser.dtype), "time": time, "condition": condition}
            velocity = denoiser(**inputs)
            if on_input is not None:
                on_input(inputs, velocity)
            sample = scheduler.step(velocity.float(), timestep, sample, return_dict=False)[0]
        residual = F.pixel_shuffle(sample * denoiser.residual_scale, denoiser.scale)
        return (enlarged + residual).clamp(0, 1)

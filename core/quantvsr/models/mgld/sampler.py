"""Sampling (sections 5.2 to 5.4): tiles of a canvas are denoised together, step by step."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from quantvsr.models.mgld.guidance import guidance_gradient
from quantvsr.models.mgld.motion import Motion
from quantvsr.models.mgld.schedule import Schedule, full_schedule
from quantvsr.models.mgld.tiles import canvas_origins, tile_weight
from quantvsr.models.placing import computing_in

# Called with the step, the denoiser's inputs by name, and its output, for every tile.
OnInput = Callable[[int, dict[str, Any], Tensor], None]


def start_latents(low_quality: Tensor, noise: Tensor) -> Tensor:
    """Latents at the noisiest step: those of the low-quality frames, nearly drowned in noise."""
    table = full_schedule()
    signal, spread = table.sqrt_alphas_cumprod[-1], table.sqrt_one_minus_alphas_cumprod[-1]
    return signal.to(noise.device) * low_quality + spread.to(noise.device) * noise


@dataclass(frozen=True)
class Step:
    """What one step computed on the way; all (T, C, h, w).

    Attributes:
        noise: The predicted noise, blended from all tiles.
        clean: The clean latents which that means.
        mean: Mean of the next latents.
        latents: The next latents.
    """

    noise: Tensor
    clean: Tensor
    mean: Tensor
    latents: Tensor


@dataclass(frozen=True)
class Sampler:
    """The reverse process for one clip at a time.

    Attributes:
        unet: Denoiser.
        structural: Encoder of the structural condition.
        schedule: Its tables, on the device of the latents.
        context: Text context, (1, tokens, C).
        tile: Canvas tile, latent pixels.
        overlap: Overlap of canvas tiles.
        guidance_scale: Strength of the motion guidance; 0 turns it off. Negative values pull together.
        precision: In which the networks compute.
    """

    unet: nn.Module
    structural: nn.Module
    schedule: Schedule
    context: Tensor
    tile: int
    overlap: int
    guidance_scale: float
    precision: torch.dtype = torch.float32

    @torch.no_grad()
    def predict(self, x: Tensor, low_quality: Tensor, step: int, on_input: OnInput | None = None) -> Tensor:
        """The noise in a canvas, tile by tile.

        Args:
            x: Noisy latents, (T, C, h, w); no side shorter than a tile.
            low_quality: Scaled latents of the low-quality frames, same shape.
            step: Index into the schedule.
            on_input: Sees every call of the denoiser.
        """
        timesteps = self.schedule.timesteps[step : step + 1]
        weight = tile_weight(self.tile).to(x.device)
        total, weights = torch.zeros_like(x), torch.zeros_like(x[:1, :1])
        for left in canvas_origins(x.shape[3], self.tile, self.overlap):
            for top in canvas_origins(x.shape[2], self.tile, self.overlap):
                window = (..., slice(top, top + self.tile), slice(left, left + self.tile))
                with computing_in(self.precision, x.device):
                    maps = self.structural(low_quality[window], timesteps)
                    inputs = {
                        "x": x[window],
                        "timesteps": timesteps,
                        "context": self.context,
                        "struct_cond": maps,
                    }
                    predicted = self.unet(**inputs).float()
                if on_input is not None:
                    on_input(step, inputs, predicted)
                total[window] += predicted * weight
                weights[window] += weight
        return total / weights

    @torch.no_grad()
    def step(
        self,
        x: Tensor,
        low_quality: Tensor,
        step: int,
        noise: Tensor,
        motion: Motion | None = None,
        on_input: OnInput | None = None,
    ) -> Step:
        """One step back.

        Args:
            x: Noisy latents.
            low_quality: Scaled latents of the low-quality frames.
            step: Index into the schedule.
            noise: Standard normal, same shape; has no effect at step 0.
            motion: Of the clip, for guidance; None for none.
            on_input: Sees every call of the denoiser.
        """
        predicted = self.predict(x, low_quality, step, on_input)
        clean = self.schedule.clean(x, predicted, step)
        mean = self.schedule.mean(clean, x, step)
        log_variance = self.schedule.posterior_log_variance_clipped[step]
        latents = mean + torch.exp(0.5 * log_variance) * noise if step else mean
        if motion is not None and self.guidance_scale:
            gradient = guidance_gradient(latents, motion)
            latents = latents - self.guidance_scale * log_variance * gradient
        return Step(predicted, clean, mean, latents)

    def run(
        self,
        x: Tensor,
        low_quality: Tensor,
        noises: Sequence[Tensor],
        motion: Motion | None = None,
        before_step: Callable[[int], None] | None = None,
        on_input: OnInput | None = None,
        first: int | None = None,
    ) -> Tensor:
        """All steps from `first` (default: the noisiest) to 0.

        Args:
            x: Latents to begin with.
            low_quality: Scaled latents of the low-quality frames.
            noises: One per step, in the order of use.
            motion: Of the clip, for guidance.
            before_step: Called with the step's index; may raise to stop.
            on_input: Sees every call of the denoiser.
            first: Index of the first step taken.
        """
        first = len(self.schedule) - 1 if first is None else first
        for step, noise in zip(range(first, -1, -1), noises, strict=True):
            if before_step is not None:
                before_step(step)
            x = self.step(x, low_quality, step, noise, motion, on_input).latents
        return x

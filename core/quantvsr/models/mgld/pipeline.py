"""One window through the whole model (section 8, step 5), with all random numbers given."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from quantvsr.models.mgld.colour import adain
from quantvsr.models.mgld.config import MGLDConfig
from quantvsr.models.mgld.motion import Motion
from quantvsr.models.mgld.sampler import OnInput, Sampler, start_latents
from quantvsr.models.mgld.schedule import respaced_schedule
from quantvsr.models.mgld.structcond import StructuralEncoder
from quantvsr.models.mgld.unet import DenoisingUNet
from quantvsr.models.mgld.vae import Autoencoder
from quantvsr.models.placing import computing_in, visiting


@dataclass(frozen=True)
class Noise:
    """Every random number of one window; standard normal.

    Attributes:
        posterior: For the latents of the low-quality frames, (T, C, h, w).
        start: For the latents to begin with, same shape.
        steps: One per step in the order of use, each the same shape.
    """

    posterior: Tensor
    start: Tensor
    steps: Sequence[Tensor]


@dataclass(frozen=True)
class MGLDPipeline:
    """The networks of MGLD-VSR and what holds them together.

    Attributes:
        config: Sizes and constants.
        unet: Denoiser.
        structural: Encoder of the structural condition.
        first_stage: Gives the latents of the low-quality frames; its decoder is not used.
        video_vae: Gives the features that are fused, and the result.
        context: Text context of the empty prompt, (1, tokens, C), on the device where everything runs.
        precision: In which the networks compute; what lies between their calls is float32, as published.
        offload: Keep the autoencoders in main memory while they are not used.
    """

    config: MGLDConfig
    unet: DenoisingUNet
    structural: StructuralEncoder
    first_stage: Autoencoder
    video_vae: Autoencoder
    context: Tensor
    precision: torch.dtype = torch.float32
    offload: bool = False

    @torch.no_grad()
    def encode(self, frames: Tensor, noise: Tensor) -> Tensor:
        """Scaled latents of enlarged frames (T, 3, H, W) in -1..1: (T, C, H/8, W/8)."""
        with self._using(self.first_stage):
            posterior = self.first_stage.encode(frames)
        return self.config.scale_factor * posterior.sample(noise)

    @torch.no_grad()
    def decode(self, latents: Tensor, frames: Tensor) -> Tensor:
        """Frames of scaled latents, about -1..1, with fine features and colours of the enlarged frames."""
        config = self.config
        with self._using(self.video_vae):
            features = self.video_vae.features(frames)
            decoded = self.video_vae.decode(
                latents / config.scale_factor, features, config.fusion_weight, config.unet.num_frames
            )
        return adain(decoded.float(), frames)

    def sampler(self, steps: int) -> Sampler:
        """The reverse process in so many steps."""
        config = self.config
        return Sampler(
            self.unet,
            self.structural,
            respaced_schedule(steps).to(self.context.device),
            self.context,
            config.tile,
            config.overlap,
            config.guidance_scale,
            self.precision,
        )

    @contextlib.contextmanager
    def _using(self, network: nn.Module) -> Iterator[None]:
        device = self.context.device
        with visiting(network, device, self.offload), computing_in(self.precision, device):
            yield

    def __call__(
        self,
        frames: Tensor,
        noise: Noise,
        motion: Motion | None,
        before_step: Callable[[int], None] | None = None,
        on_input: OnInput | None = None,
    ) -> Tensor:
        """Enlarged low-quality frames to high-quality ones of the same size.

        Args:
            frames: (T, 3, H, W), -1..1; H/8 and W/8 no smaller than the canvas tile and multiples of the
                networks' smallest resolution.
            noise: All random numbers; as many steps are taken as it has entries for.
            motion: Flow and occlusion on the grid of latents; None to sample without guidance.
            before_step: Called with the index of every step; may raise to stop.
            on_input: Sees every call of the denoiser.

        Returns:
            (T, 3, H, W), about -1..1, not clamped.
        """
        low_quality = self.encode(frames, noise.posterior)
        latents = start_latents(low_quality, noise.start)
        sampler = self.sampler(len(noise.steps))
        latents = sampler.run(latents, low_quality, noise.steps, motion, before_step, on_input)
        return self.decode(latents, frames)

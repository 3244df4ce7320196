"""The two autoencoders (section 3): one gives the latents, the other the features and the result."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from quantvsr.models.mgld.config import VaeConfig
from quantvsr.models.mgld.decoder import Decoder
from quantvsr.models.mgld.encoder import Encoder, Posterior
from quantvsr.models.mgld.vae_blocks import frame_by_frame


class Autoencoder(nn.Module):
    """Encoder and decoder with the 1x1 convolutions between them.

    Args:
        config: Widths.
        video: With temporal mixing and feature fusion in the decoder.
    """

    def __init__(self, config: VaeConfig, video: bool) -> None:
        super().__init__()
        self.encoder = Encoder(config)
        self.quant_conv = nn.Conv2d(2 * config.z_channels, 2 * config.embed_dim, 1)
        self.post_quant_conv = nn.Conv2d(config.embed_dim, config.z_channels, 1)
        self.decoder = Decoder(config, video)

    def encode(self, frames: Tensor) -> Posterior:
        """Distribution of the latents of (N, 3, H, W) in -1..1."""
        return Posterior.of(frame_by_frame(lambda frame: self.quant_conv(self.encoder(frame)[0]), frames))

    def features(self, frames: Tensor) -> list[Tensor]:
        """What the decoder fuses: encoder features of the inner levels, largest first."""
        every = [self.encoder(frame)[1] for frame in frames.split(1)]
        return [torch.cat(level) for level in zip(*every, strict=True)]

    def decode(
        self, z: Tensor, features: Sequence[Tensor] = (), fusion_weight: float = 1.0, frames: int = 1
    ) -> Tensor:
        """Frames of unscaled latents; see `Decoder.forward`."""
        return self.decoder(self.post_quant_conv(z), features, fusion_weight, frames)

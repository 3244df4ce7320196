"""All networks of MGLD-VSR and the parts that they are in the official files (sections 3, 4 and 6)."""

from dataclasses import dataclass

from quantvsr.models.mgld.checkpoint import FIRST_STAGE, FLOW, STRUCTURAL, TEXT, UNET, Part, on_meta
from quantvsr.models.mgld.config import MGLDConfig
from quantvsr.models.mgld.raft import Raft
from quantvsr.models.mgld.structcond import StructuralEncoder
from quantvsr.models.mgld.text import TextTower
from quantvsr.models.mgld.unet import DenoisingUNet
from quantvsr.models.mgld.vae import Autoencoder

# What is used of the first-stage autoencoder, of the video autoencoder and of the text tower.
FIRST_STAGE_NEEDED = ("encoder.", "quant_conv.")
VIDEO_VAE_NEEDED = ("encoder.", "post_quant_conv.", "decoder.")


@dataclass(frozen=True)
class Networks:
    """Everything that has weights; on the meta device until loaded."""

    unet: DenoisingUNet
    structural: StructuralEncoder
    first_stage: Autoencoder
    video_vae: Autoencoder
    text: TextTower
    flow: Raft

    @classmethod
    def skeleton(cls, config: MGLDConfig) -> "Networks":
        """Networks without memory for their weights."""
        return cls(
            on_meta(DenoisingUNet, config.unet),
            on_meta(StructuralEncoder, config.structural),
            on_meta(Autoencoder, config.vae, False),
            on_meta(Autoencoder, config.vae, True),
            on_meta(TextTower),
            on_meta(Raft),
        )

    def main_parts(self) -> list[Part]:
        """What `mgldvsr_unet.ckpt` holds; text tower and flow network may be missing."""
        return [
            Part(UNET, self.unet),
            Part(STRUCTURAL, self.structural),
            Part(FIRST_STAGE, self.first_stage, FIRST_STAGE_NEEDED),
            Part(TEXT, self.text, optional=True),
            Part(FLOW, self.flow, optional=True),
        ]

    def video_parts(self) -> list[Part]:
        """What `video_vae_cfw.ckpt` holds."""
        return [Part("", self.video_vae, VIDEO_VAE_NEEDED)]

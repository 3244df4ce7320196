"""A tiny MGLD-VSR with random weights under the official key names, in a folder as a user has it."""

import json
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from quantvsr.models.mgld.checkpoint import FIRST_STAGE, STRUCTURAL, UNET
from quantvsr.models.mgld.config import MGLDConfig, StructuralConfig, UNetConfig, VaeConfig
from quantvsr.models.mgld.structcond import StructuralEncoder
from quantvsr.models.mgld.unet import DenoisingUNet
from quantvsr.models.mgld.vae import Autoencoder

CONFIG = MGLDConfig(
    unet=UNetConfig(
        model_channels=32,
        channel_mult=(1, 1),
        num_res_blocks=1,
        attention_resolutions=(),
        num_head_channels=16,
        context_dim=8,
        semb_channels=32,
    ),
    structural=StructuralConfig(
        model_channels=32,
        channel_mult=(1, 1),
        num_res_blocks=1,
        attention_resolutions=(),
        out_channels=32,
    ),
    vae=VaeConfig(ch=32, ch_mult=(1, 1, 1, 1), num_res_blocks=1),
    tile=8,
    overlap=4,
)


def main_tensors(config: MGLDConfig = CONFIG, seed: int = 0) -> dict[str, Tensor]:
    """What `mgldvsr_unet.ckpt` holds."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        networks = {
            UNET: DenoisingUNet(config.unet),
            STRUCTURAL: StructuralEncoder(config.structural),
            FIRST_STAGE: Autoencoder(config.vae, False),
        }
    return {
        prefix + key: value for prefix, net in networks.items() for key, value in net.state_dict().items()
    }


def video_tensors(config: MGLDConfig = CONFIG, seed: int = 1) -> dict[str, Tensor]:
    """What `video_vae_cfw.ckpt` holds."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Autoencoder(config.vae, True).state_dict()


def write_tiny_mgld(folder: Path, config: MGLDConfig = CONFIG, **changes: object) -> Path:
    """Both files, the text context and the description of the sizes."""
    folder.mkdir(exist_ok=True)
    config = replace(config, **changes)  # type: ignore[arg-type]
    save_file(main_tensors(config), folder / "main.safetensors")
    save_file(video_tensors(config), folder / "video.safetensors")
    context = torch.linspace(-1, 1, 3 * config.unet.context_dim).reshape(1, 3, -1)
    save_file({"context": context}, folder / "text_context.safetensors")
    (folder / "mgld.json").write_text(json.dumps({"config": config.to_dict()}))
    return folder

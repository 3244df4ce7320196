"""The numbers that describe a network; the defaults are the published model's."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from quantvsr.errors import BadModel


class _FromDict:
    """Reading a configuration that holds more than we need."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Take the known entries; lists become tuples.

        Raises:
            BadModel: An entry asks for a variant of the network that is not built here.
        """
        for name, built in _BUILT_VARIANTS.items():
            if name in values and values[name] not in built:
                raise BadModel(f"The model's {name} is {values[name]!r}; only {built[0]!r} is supported.")
        known = {entry.name for entry in fields(cls)}  # type: ignore[arg-type]
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items() if k in known})


# Switches of the official configuration that must be as published; anything else is another network.
_BUILT_VARIANTS: dict[str, tuple[object, ...]] = {
    "use_spatial_transformer": (True,),
    "use_linear_in_transformer": (True,),
    "conv_resample": (True,),
    "dims": (2,),
    "use_scale_shift_norm": (False,),
    "resblock_updown": (False,),
    "use_new_attention_order": (False,),
    "double_z": (True,),
    "attn_resolutions": ([], ()),
    "num_classes": (None,),
}


@dataclass(frozen=True)
class UNetConfig(_FromDict):
    """Denoising UNet (section 1).

    Attributes:
        num_frames: Frames per clip.
        model_channels: Width of the first level.
        channel_mult: Width of each level as a multiple of it.
        num_res_blocks: Residual blocks per level (one more on the way up).
        attention_resolutions: Down-sampling factors with a transformer.
        num_head_channels: Channels per attention head.
        context_dim: Channels of the text context.
        semb_channels: Channels of the structural maps.
    """

    num_frames: int = 5
    in_channels: int = 4
    out_channels: int = 4
    model_channels: int = 320
    channel_mult: tuple[int, ...] = (1, 2, 4, 4)
    num_res_blocks: int = 2
    attention_resolutions: tuple[int, ...] = (4, 2, 1)
    num_head_channels: int = 64
    transformer_depth: int = 1
    context_dim: int = 1024
    semb_channels: int = 256


@dataclass(frozen=True)
class StructuralConfig(_FromDict):
    """Structural-condition encoder (section 2).

    Attributes:
        num_heads: Heads of its attention, unless `num_head_channels` is positive.
        num_head_channels: Channels per head; -1 to go by `num_heads`.
        out_channels: Channels of every structural map.
    """

    in_channels: int = 4
    model_channels: int = 256
    channel_mult: tuple[int, ...] = (1, 1, 2, 2)
    num_res_blocks: int = 2
    attention_resolutions: tuple[int, ...] = (4, 2, 1)
    num_heads: int = 4
    num_head_channels: int = -1
    out_channels: int = 256


@dataclass(frozen=True)
class VaeConfig(_FromDict):
    """Both autoencoders (section 3).

    Attributes:
        ch: Width of the first level.
        ch_mult: Width of each level as a multiple of it.
        z_channels: Latent channels inside the coder; `embed_dim` those outside.
    """

    in_channels: int = 3
    out_ch: int = 3
    ch: int = 128
    ch_mult: tuple[int, ...] = (1, 2, 4, 4)
    num_res_blocks: int = 2
    z_channels: int = 4
    embed_dim: int = 4


@dataclass(frozen=True)
class MGLDConfig:
    """All of MGLD-VSR; the defaults are the published model.

    Attributes:
        scale_factor: Latents are the autoencoder's times this.
        fusion_weight: Weight of the encoder's features in the decoder.
        tile: Canvas tile of the denoiser, latent pixels.
        overlap: Overlap of canvas tiles, latent pixels.
        guidance_scale: Motion guidance; 0 turns it off.
    """

    unet: UNetConfig = field(default_factory=UNetConfig)
    structural: StructuralConfig = field(default_factory=StructuralConfig)
    vae: VaeConfig = field(default_factory=VaeConfig)
    scale_factor: float = 0.18215
    fusion_weight: float = 1.0
    tile: int = 64
    overlap: int = 32
    guidance_scale: float = -10.0

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read the description that lies beside a golden folder or a converted model.

        Raises:
            BadModel: Part of it is missing, or asks for a variant that is not built here.
        """
        try:
            vae = VaeConfig.from_dict({"embed_dim": values["embed_dim"], **values["vae_ddconfig"]})
            return cls(
                unet=UNetConfig.from_dict(values["unet"]),
                structural=StructuralConfig.from_dict(values["structcond"]),
                vae=vae,
                scale_factor=float(values["scale_factor"]),
                fusion_weight=float(values["video_vae_fusion_w"]),
                tile=int(values["tile"]),
                overlap=int(values["overlap"]),
                guidance_scale=float(values["guidance_scale"]),
            )
        except KeyError as error:
            raise BadModel(f"The model's description lacks {error.args[0]!r}; get it again.") from None

    def to_dict(self) -> dict[str, Any]:
        """What `from_dict` reads; JSON values."""
        vae = asdict(self.vae)
        return {
            "unet": asdict(self.unet),
            "structcond": asdict(self.structural),
            "embed_dim": vae.pop("embed_dim"),
            "vae_ddconfig": vae,
            "scale_factor": self.scale_factor,
            "video_vae_fusion_w": self.fusion_weight,
            "tile": self.tile,
            "overlap": self.overlap,
            "guidance_scale": self.guidance_scale,
        }

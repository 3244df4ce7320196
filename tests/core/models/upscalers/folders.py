"""Tiny pipelines with random weights, in folders as the diffusers library writes them."""

import json
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DDPMScheduler,
    UNet2DConditionModel,
    UNet2DModel,
    VQModel,
)
from safetensors.torch import save_file
from torch import Tensor

CONTEXT = 16
TOKENS = 5


def x4_parts(seed: int = 0) -> dict[str, object]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet = UNet2DConditionModel(
            sample_size=8,
            in_channels=7,
            out_channels=4,
            block_out_channels=(32, 64),
            layers_per_block=1,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            only_cross_attention=(True, False),
            cross_attention_dim=CONTEXT,
            attention_head_dim=8,
            num_class_embeds=1000,
            use_linear_projection=True,
        )
        vae = AutoencoderKL(
            block_out_channels=(32, 32, 32),
            down_block_types=("DownEncoderBlock2D",) * 3,
            up_block_types=("UpDecoderBlock2D",) * 3,
            latent_channels=4,
            scaling_factor=0.08333,
        )
    scheduler = DDIMScheduler(
        beta_start=1e-4, beta_end=0.02, beta_schedule="scaled_linear", prediction_type="v_prediction",
        clip_sample=False, set_alpha_to_one=False, steps_offset=1,
    )  # fmt: skip
    low_res = DDPMScheduler(beta_start=1e-4, beta_end=0.02, beta_schedule="scaled_linear")
    return {"unet": unet, "vae": vae, "scheduler": scheduler, "low_res_scheduler": low_res}


def ldm_parts(seed: int = 0) -> dict[str, object]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet = UNet2DModel(
            sample_size=8,
            in_channels=6,
            out_channels=3,
            block_out_channels=(32, 64),
            layers_per_block=1,
            down_block_types=("DownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "UpBlock2D"),
            attention_head_dim=8,
        )
        vqvae = VQModel(
            block_out_channels=(32, 32, 32),
            down_block_types=("DownEncoderBlock2D",) * 3,
            up_block_types=("UpDecoderBlock2D",) * 3,
            latent_channels=3,
            num_vq_embeddings=16,
        )
    scheduler = DDIMScheduler(beta_start=0.0015, beta_end=0.0155, beta_schedule="scaled_linear")
    return {"unet": unet, "vqvae": vqvae, "scheduler": scheduler}


def write_pipeline(folder: Path, class_name: str, parts: dict[str, object], *, safe: bool = True) -> Path:
    folder.mkdir(exist_ok=True)
    index = {"_class_name": class_name, "_diffusers_version": "0.42.1"}
    for name, part in parts.items():
        options = {} if "scheduler" in name else {"safe_serialization": safe}
        part.save_pretrained(folder / name, **options)  # type: ignore[attr-defined]
        index[name] = ["diffusers", type(part).__name__]  # type: ignore[assignment]
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


def text_encoder(folder: Path, seed: int = 0) -> dict[str, Tensor]:
    """A tiny text encoder and its tokenizer's files, in the layout of the transformers library."""
    width, hidden, layers, vocabulary = CONTEXT, 24, 2, 12
    generator = torch.Generator().manual_seed(seed)
    shapes = {
        "embeddings.token_embedding.weight": (vocabulary, width),
        "embeddings.position_embedding.weight": (TOKENS, width),
        "final_layer_norm.weight": (width,),
        "final_layer_norm.bias": (width,),
    }
    for index in range(layers):
        start = f"encoder.layers.{index}"
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            shapes |= {f"{start}.self_attn.{name}.weight": (width, width)}
            shapes |= {f"{start}.self_attn.{name}.bias": (width,)}
        for name in ("layer_norm1", "layer_norm2"):
            shapes |= {f"{start}.{name}.weight": (width,), f"{start}.{name}.bias": (width,)}
        shapes |= {f"{start}.mlp.fc1.weight": (hidden, width), f"{start}.mlp.fc1.bias": (hidden,)}
        shapes |= {f"{start}.mlp.fc2.weight": (width, hidden), f"{start}.mlp.fc2.bias": (width,)}
    tensors = {
        f"text_model.{k}": torch.randn(shape, generator=generator) * 0.3 for k, shape in shapes.items()
    }
    place = folder / "text_encoder"
    place.mkdir(parents=True)
    position_ids = {"text_model.embeddings.position_ids": torch.arange(TOKENS)[None]}
    save_file(tensors | position_ids, place / "model.safetensors")
    config = {
        "hidden_size": width, "num_attention_heads": 2, "num_hidden_layers": layers, "hidden_act": "gelu",
        "intermediate_size": hidden, "max_position_embeddings": TOKENS, "vocab_size": vocabulary,
    }  # fmt: skip
    (place / "config.json").write_text(json.dumps(config))
    tokenizer = folder / "tokenizer"
    tokenizer.mkdir()
    (tokenizer / "vocab.json").write_text(json.dumps({"!": 0, "<|start|>": 10, "<|end|>": 11}))
    special = {"bos_token": {"content": "<|start|>"}, "eos_token": "<|end|>", "pad_token": "!"}
    (tokenizer / "special_tokens_map.json").write_text(json.dumps(special))
    return tensors

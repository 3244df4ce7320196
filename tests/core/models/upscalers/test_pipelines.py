"""Our adapters against the pipelines' own output, on tiny pipelines made by the diffusers library itself."""

import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDPMScheduler, DPMSolverMultistepScheduler, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from torch import Tensor

from core.models.upscalers.folders import ldm_parts, text_encoder, write_pipeline, x4_parts
from quantvsr.calibration.observe import observe
from quantvsr.calibration.store import Sample
from quantvsr.errors import BadInput, BadModel
from quantvsr.models.registry import model_hash, open_model, recognise
from quantvsr.models.upscalers.text import empty_prompt
from quantvsr.quant.config import default
from quantvsr.quant.surgery import quantize_model

X4, LDM = "StableDiffusionUpscalePipeline", "LDMSuperResolutionPipeline"
SIDE = 8


@pytest.fixture
def pipeline_class(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The pipeline's own class; where transformers is missing, it gets empty classes it never uses."""
    try:
        import transformers  # noqa: F401
    except ImportError:
        import diffusers.loaders

        stub = types.ModuleType("transformers")
        for name in ("CLIPImageProcessor", "CLIPTextModel", "CLIPTokenizer"):
            setattr(stub, name, type(name, (), {}))
        monkeypatch.setitem(sys.modules, "transformers", stub)
        for name in (
            "FromSingleFileMixin",
            "StableDiffusionLoraLoaderMixin",
            "TextualInversionLoaderMixin",
        ):
            monkeypatch.setattr(diffusers.loaders, name, type(name, (), {}), raising=False)
    from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion_upscale import (
        StableDiffusionUpscalePipeline,
    )

    return StableDiffusionUpscalePipeline


@pytest.fixture
def x4(tmp_path: Path) -> Path:
    folder = write_pipeline(tmp_path / "x4", X4, x4_parts())
    text_encoder(folder)
    return folder


@pytest.fixture
def ldm(tmp_path: Path) -> Path:
    return write_pipeline(tmp_path / "ldm", LDM, ldm_parts())


def clip(channels: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    lq = torch.rand(5, 3, SIDE, SIDE, generator=generator)
    # The first three channels are drawn as the pipeline draws them from a generator with seed 0.
    first = torch.randn(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))[0]
    return lq, torch.cat([first, torch.randn(channels - 3, SIDE, SIDE, generator=generator)])


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_half_type_changes_the_picture_a_little(x4: Path) -> None:
    adapter = open_model(x4)
    lq, noise = clip(adapter.noise_channels)
    exact = adapter.upscale_window(lq, noise, 2)
    adapter.compute_in(torch.bfloat16)
    half = adapter.upscale_window(lq, noise, 2)
    assert half.dtype == torch.float32
    assert 0 < float((half - exact).abs().mean()) < 0.02
    with pytest.raises(BadInput, match="does not compute in float64"):
        open_model("bundled").compute_in(torch.float64)


# Of NumPy, about a line in the library's schedulers.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("guidance", [1.0, 9.0])
@pytest.mark.parametrize("other", [False, True])
def test_x4_upscaler_gives_what_its_pipeline_gives(
    x4: Path, pipeline_class: Any, guidance: float, other: bool
) -> None:
    parts = x4_parts()
    if other:
        parts["scheduler"] = DPMSolverMultistepScheduler(prediction_type="v_prediction")
        parts["scheduler"].save_pretrained(x4 / "scheduler")
    pipeline = pipeline_class(text_encoder=None, tokenizer=None, **parts)
    pipeline.set_progress_bar_config(disable=True)
    adapter = open_model(x4)
    assert (adapter.scale, adapter.noise_channels, adapter.default_steps) == (4, 7, 75)
    lq, noise = clip(7)
    ours = adapter.upscale_window(lq, noise, 3)
    context = empty_prompt(x4)
    for index in (0, 4):
        # With the empty prompt on both sides, guidance changes nothing but the rounding.
        theirs = pipeline(
            image=lq[index : index + 1],
            prompt_embeds=context,
            negative_prompt_embeds=context,
            latents=noise[None, 3:],
            generator=torch.Generator().manual_seed(0),
            num_inference_steps=3,
            guidance_scale=guidance,
            output_type="pt",
        ).images
        assert torch.allclose(ours[index], theirs[0], atol=2e-4 if guidance > 1 else 2e-5)
    assert ours.shape == (5, 3, 4 * SIDE, 4 * SIDE)
    assert ours.std() > 0.01


def test_ldm_gives_what_its_pipeline_gives(ldm: Path) -> None:
    from diffusers.pipelines.latent_diffusion.pipeline_latent_diffusion_superresolution import (
        LDMSuperResolutionPipeline,
    )

    pipeline = LDMSuperResolutionPipeline(**ldm_parts())  # type: ignore[arg-type]
    pipeline.set_progress_bar_config(disable=True)
    adapter = open_model(ldm)
    lq, noise = clip(3)
    ours = adapter.upscale_window(lq, noise, 3)
    for index in (0, 4):
        theirs = pipeline(
            lq[index : index + 1] * 2 - 1,
            num_inference_steps=3,
            generator=torch.Generator().manual_seed(0),
            output_type="pt",
        )
        assert torch.allclose(ours[index], theirs.images[0], atol=2e-5)  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["x4", "ldm"])
def test_records_replay_and_every_layer_is_laid_out(name: str, request: pytest.FixtureRequest) -> None:
    adapter = open_model(request.getfixturevalue(name))
    lq, noise = clip(adapter.noise_channels)
    asked: list[int] = []
    out = adapter.upscale_window(lq, noise, 2, lambda: asked.append(1))
    assert len(asked) == 2
    records = adapter.record_window(lq, noise, 2)
    assert len(records) == 2
    for inputs, output in records:
        assert torch.equal(adapter.denoiser(**inputs), output)
    assert torch.equal(adapter.upscale_window(lq, noise, 2), out)
    with pytest.raises(BadInput, match="1 to 1000"):
        adapter.upscale_window(lq, noise, 1001)
    layers = quantize_model(adapter.denoiser, default(4, 4), 4, adapter.default_exclude, seed=0)
    kinds = {adapter.layout(layer) for layer in layers}
    assert kinds == {"image", "tokens", "vector"}
    inputs, output = records[0]
    sample = Sample(inputs, output, {"step": 0, "steps": 2})
    assert len(observe(adapter.denoiser, layers, [sample], adapter.layout, frames=5).shapes) == len(layers)
    for layer in layers.values():
        layer.initialise()
    layers.set_mode("frozen")
    low = adapter.upscale_window(lq, noise, 2)
    assert not torch.equal(low, out)
    assert torch.corrcoef(torch.stack([low.flatten(), out.flatten()]))[0, 1] > 0.8


def test_recognised_by_the_class_and_said_why(x4: Path, ldm: Path) -> None:
    assert recognise(x4).family == "sd-x4-upscaler"
    assert recognise(ldm).family == "ldm-super-resolution"
    assert X4 in recognise(x4).reason


def test_the_text_context_is_made_once(x4: Path) -> None:
    before = model_hash(x4)

    def refuse(path: Path) -> None:
        raise BadInput(f"{path} cannot be written to")

    with pytest.MonkeyPatch.context() as patch:
        # A folder that may not be written to is no reason to fail.
        patch.setattr("quantvsr.models.mgld.context.atomic_path", refuse)
        unstored = empty_prompt(x4)
    assert not (x4 / ".text_context.safetensors").exists()
    first = empty_prompt(x4)
    assert torch.equal(first, unstored)
    assert model_hash(x4) == before
    for file in (x4 / "text_encoder").iterdir():
        file.unlink()
    assert torch.equal(empty_prompt(x4), first)
    (x4 / ".text_context.safetensors").unlink()
    with pytest.raises(BadModel, match=r"text_encoder lacks a readable config\.json"):
        open_model(x4)


def test_older_folders_pickles_and_half_precision(tmp_path: Path, x4: Path) -> None:
    expected = open_model(x4)
    lq, noise = clip(7)
    picture = expected.upscale_window(lq, noise, 1)
    old = write_pipeline(tmp_path / "old", X4, x4_parts(), safe=False)
    text_encoder(old)
    assert (old / "unet" / "diffusion_pytorch_model.bin").exists()
    vae = old / "vae" / "diffusion_pytorch_model.bin"
    names = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    state = {}
    for key, value in torch.load(vae, weights_only=True).items():
        for new, former in names.items():
            if f".{new}." in key:
                key = key.replace(new, former)
                value = value[:, :, None, None] if value.dim() == 2 else value
        state[key] = value
    assert sum("proj_attn" in key for key in state) == 4
    torch.save(state, vae)
    assert torch.equal(open_model(old).upscale_window(lq, noise, 1), picture)
    # A half-precision variant beside the full one is not taken.
    weights = x4 / "unet" / "diffusion_pytorch_model.safetensors"
    halves = {k: v.half() * 0 for k, v in load_file(weights).items()}
    save_file(halves, weights.with_suffix(".fp16.safetensors"))
    assert torch.equal(open_model(x4).upscale_window(lq, noise, 1), picture)


def test_a_scheduler_that_draws_noise_is_replaced(x4: Path) -> None:
    DDPMScheduler(prediction_type="v_prediction").save_pretrained(x4 / "scheduler")
    adapter = open_model(x4)
    assert any("the place of DDPMScheduler" in note for note in adapter.notes)
    lq, noise = clip(7)
    assert torch.equal(adapter.upscale_window(lq, noise, 2), adapter.upscale_window(lq, noise, 2))


def test_what_is_wrong_with_a_folder_is_said(x4: Path) -> None:
    def fails(message: str) -> None:
        with pytest.raises(BadModel, match=message):
            open_model(x4)

    weights = x4 / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(weights)
    save_file({k: v for k, v in tensors.items() if k != "conv_in.bias"}, weights)
    fails(r"it lacks conv_in\.bias")
    save_file(tensors | {"lora": torch.ones(1)}, weights)
    fails("has the unknown lora")
    save_file(tensors | {"conv_in.bias": torch.ones(3)}, weights)
    fails(r"another shape of conv_in\.bias")
    weights.write_bytes(weights.read_bytes()[:-9])
    fails("not a complete safetensors file")
    weights.unlink()
    fails("holds no weight file")
    (x4 / "scheduler" / "scheduler_config.json").write_text('{"_class_name": "os.system"}')
    fails("names no scheduler")
    UNet2DConditionModel(
        sample_size=8, block_out_channels=(32,), down_block_types=("DownBlock2D",),
        up_block_types=("UpBlock2D",), layers_per_block=1,
    ).save_pretrained(x4 / "vae")  # fmt: skip
    (x4 / "scheduler" / "scheduler_config.json").write_text('{"_class_name": "DDIMScheduler"}')
    save_file(tensors, weights)
    fails("vae is a UNet2DConditionModel, not a AutoencoderKL")

"""StableVSR: sweeps over the frames, guided by what the neighbour is taken for."""

from pathlib import Path

import pytest
import torch
from diffusers import ControlNetModel
from torch import Tensor

from core.models.upscalers.folders import text_encoder, write_pipeline, x4_parts
from quantvsr.calibration.observe import observe
from quantvsr.calibration.store import Sample
from quantvsr.errors import BadModel
from quantvsr.models.convert import convert
from quantvsr.models.mgld.flow import RaftFlow
from quantvsr.models.mgld.motion import warp
from quantvsr.models.mgld.raft import Raft
from quantvsr.models.registry import open_model, recognise
from quantvsr.models.upscalers.stablevsr import StableVSRAdapter
from quantvsr.quant.config import default
from quantvsr.quant.surgery import quantize_model

SIDE = 8


class Shift:
    """Two low-quality pixels to the right for a later frame, two to the left for an earlier one."""

    title = "test"

    def __init__(self, lq: Tensor) -> None:
        self.lq = lq

    def __call__(self, first: Tensor, second: Tensor) -> Tensor:
        later = torch.equal(second, self.lq[1:])
        flow = torch.zeros(len(first), 2, *first.shape[2:])
        flow[:, 0] = 2.0 if later else -2.0
        return flow


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    parts = x4_parts()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        controlnet = ControlNetModel(
            in_channels=7,
            block_out_channels=(32, 64),
            layers_per_block=1,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            only_cross_attention=(True, False),
            cross_attention_dim=16,
            attention_head_dim=8,
            num_class_embeds=1000,
            use_linear_projection=True,
            conditioning_embedding_out_channels=(16, 16, 16),
        )
    parts["controlnet"] = controlnet
    path = write_pipeline(tmp_path / "m", "StableVSRPipeline", parts)
    text_encoder(path)
    return path


def clip() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    lq = torch.rand(5, 3, SIDE, SIDE, generator=generator)
    return lq, torch.randn(7, SIDE, SIDE, generator=generator)


def strong(adapter: StableVSRAdapter) -> None:
    """A fresh ControlNet adds nothing: its last layers are zero."""
    generator = torch.Generator().manual_seed(2)
    for value in adapter.controlnet.parameters():
        if not value.any():
            value.copy_(0.2 * torch.randn(value.shape, generator=generator))


def opened(folder: Path) -> StableVSRAdapter:
    adapter = open_model(folder)
    assert isinstance(adapter, StableVSRAdapter)
    adapter.flow = Shift(clip()[0])
    return adapter


def test_with_a_silent_controlnet_it_is_the_x4_upscaler(folder: Path, tmp_path: Path) -> None:
    plain = write_pipeline(tmp_path / "x4", "StableDiffusionUpscalePipeline", x4_parts())
    text_encoder(plain)
    lq, noise = clip()
    assert recognise(folder).family == "stablevsr"
    ours = opened(folder).upscale_window(lq, noise, 3)
    assert torch.allclose(ours, open_model(plain).upscale_window(lq, noise, 3), atol=2e-5)


def test_two_steps_by_hand(folder: Path) -> None:
    adapter = opened(folder)
    strong(adapter)
    lq, noise = clip()
    ours = adapter.upscale_window(lq, noise, 2)

    unet, vae, scheduler = adapter.denoiser.unet, adapter.vae, adapter.scheduler  # type: ignore[union-attr]
    alphas = scheduler.alphas_cumprod
    level = torch.tensor([20])
    image = adapter.low_res_scheduler.add_noise(lq * 2 - 1, noise[:3].expand_as(lq), level)
    x = noise[3:].expand(5, -1, -1, -1).clone()
    # A quarter of the low-quality flow's vectors, four times as long.
    flow = torch.zeros(1, 2, 4 * SIDE, 4 * SIDE)
    scheduler.set_timesteps(2)
    first, second = (int(t) for t in scheduler.timesteps)
    for t, following, order, across in (
        (first, second, range(5), -8.0),
        (second, None, range(4, -1, -1), 8.0),
    ):
        flow[:, 0] = across
        seen = None
        for i in order:
            sample = torch.cat([x[i : i + 1], image[i : i + 1]], 1)
            added: dict[str, object] = {}
            if seen is not None:
                down, middle = adapter.controlnet(
                    sample, t, adapter.context, warp(seen, flow), class_labels=level, return_dict=False
                )
                added = {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}
            v = unet(sample, t, adapter.context, class_labels=level, **added).sample
            a = alphas[t]
            before = alphas[following] if following is not None else scheduler.final_alpha_cumprod
            clean = a.sqrt() * x[i : i + 1] - (1 - a).sqrt() * v
            rest = a.sqrt() * v + (1 - a).sqrt() * x[i : i + 1]
            x[i] = (before.sqrt() * clean + (1 - before).sqrt() * rest)[0]
            seen = vae.decode(clean / 0.08333).sample
    expected = (vae.decode(x / 0.08333).sample / 2 + 0.5).clamp(0, 1)
    assert torch.allclose(ours, expected, atol=2e-5)


def test_records_replay_as_one_call_a_step(folder: Path) -> None:
    adapter = opened(folder)
    strong(adapter)
    lq, noise = clip()
    records = adapter.record_window(lq, noise, 2)
    assert len(records) == 2
    for inputs, output in records:
        assert output.shape == (5, 4, SIDE, SIDE)
        assert torch.allclose(adapter.denoiser(**inputs), output, atol=1e-5)
    layers = quantize_model(adapter.denoiser, default(4, 4), 4, adapter.default_exclude, seed=0)
    sample = Sample(*records[0], {"step": 0, "steps": 2})
    assert len(observe(adapter.denoiser, layers, [sample], adapter.layout, frames=5).shapes) == len(layers)


def test_a_controlnet_for_another_size_is_refused(folder: Path) -> None:
    config = folder / "controlnet" / "config.json"
    ControlNetModel(
        in_channels=7, block_out_channels=(32,), layers_per_block=1, down_block_types=("DownBlock2D",),
        cross_attention_dim=16, conditioning_embedding_out_channels=(16, 16, 16, 16),
    ).save_pretrained(config.parent)  # fmt: skip
    with pytest.raises(BadModel, match="shrinks its picture 8 times where the model enlarges 4"):
        open_model(folder)


def test_converted_it_is_the_same(folder: Path, tmp_path: Path) -> None:
    adapter = opened(folder)
    strong(adapter)
    lq, noise = clip()
    expected = adapter.upscale_window(lq, noise, 1)
    convert(adapter, tmp_path / "new")
    again = open_model(tmp_path / "new")
    assert isinstance(again, StableVSRAdapter)
    again.flow = adapter.flow
    assert torch.allclose(again.upscale_window(lq, noise, 1), expected, atol=1e-5)


def test_raft_is_taken_where_its_weights_lie_in_the_folder(folder: Path) -> None:
    assert any("DIS flow" in note for note in open_model(folder).notes)
    torch.save({f"module.{k}": v for k, v in Raft().state_dict().items()}, folder / "raft-things.pth")
    adapter = open_model(folder)
    assert isinstance(adapter, StableVSRAdapter)
    assert isinstance(adapter.flow, RaftFlow)
    assert "Motion comes from RAFT." in adapter.notes
    convert(adapter, folder.parent / "new")
    assert open_model(folder.parent / "new").notes == adapter.notes

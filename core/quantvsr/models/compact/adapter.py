"""How the engine drives the bundled model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
from torch import Tensor, nn

from quantvsr.models.adapter import Recognition, VSRAdapter
from quantvsr.models.compact.model import CompactVSRDenoiser
from quantvsr.models.compact.pipeline import CompactVSRPipeline
from quantvsr.models.registry import ModelFamily
from quantvsr.models.weights import read_json_object


class CompactAdapter(VSRAdapter):
    """The bundled compact video UNet (or another one trained by `quantvsr.models.compact.train`)."""

    name = "compact"
    window = 5
    size_multiple = 4
    noise_channels = 48
    default_steps = 4
    carriers = (torch.float32, torch.bfloat16, torch.float16)
    # The first and last convolution, as in the paper, and the time embedding, which is a few kilobytes.
    default_exclude = ("conv_in", "conv_out", "time_embed.*")

    def __init__(self, pipeline: CompactVSRPipeline, source: Path, device: torch.device) -> None:
        self.pipeline = pipeline
        self.denoiser = pipeline.denoiser
        self.scale = pipeline.denoiser.scale
        self.source = source
        self.device = device

    def layout(self, layer_name: str) -> str:
        """See `VSRAdapter.layout`."""
        if layer_name.startswith("time_embed") or layer_name.endswith("time_proj"):
            return "vector"
        if layer_name.startswith("attention"):
            return "tokens"
        return "temporal" if layer_name.endswith("temporal.conv") else "image"

    def joined_inputs(self) -> dict[str, int]:
        """See `VSRAdapter.joined_inputs`: the first blocks of the way up also get what the way down left."""
        before = {"up1": self.denoiser.upsample1, "up0": self.denoiser.upsample0}
        return {
            f"{stage}.0.{layer}": cast(nn.Conv2d, convolution).out_channels
            for stage, convolution in before.items()
            for layer in ("conv1", "skip")
        }

    def upscale_window(
        self, lq: Tensor, noise: Tensor, steps: int, before_step: Callable[[], None] | None = None
    ) -> Tensor:
        """See `VSRAdapter.upscale_window`."""
        return self.pipeline(lq[None], noise[None], steps, before_step=before_step)[0]

    def record_window(self, lq: Tensor, noise: Tensor, steps: int) -> list[tuple[dict[str, Tensor], Tensor]]:
        """See `VSRAdapter.record_window`."""
        samples: list[tuple[dict[str, Tensor], Tensor]] = []
        self.pipeline(
            lq[None], noise[None], steps, on_input=lambda inputs, output: samples.append((inputs, output))
        )
        return samples


def recognise(path: Path) -> Recognition | None:
    """A diffusers folder whose denoiser is a CompactVSRDenoiser."""
    config = read_json_object(path / "denoiser" / "config.json")
    if config is None or config.get("_class_name") != "CompactVSRDenoiser":
        return None
    return Recognition("compact", "denoiser/config.json names CompactVSRDenoiser")


def open_folder(path: Path, device: torch.device) -> CompactAdapter:
    """Load the folder in single precision."""
    # Part by part: quieter than the pipeline's own loading, which draws progress bars.
    # The other way to load wants a package that the program does without.
    denoiser = CompactVSRDenoiser.from_pretrained(
        path, subfolder="denoiser", local_files_only=True, low_cpu_mem_usage=False
    )
    scheduler = FlowMatchEulerDiscreteScheduler.from_pretrained(
        path, subfolder="scheduler", local_files_only=True
    )
    nn.Module.to(denoiser.float(), device)
    denoiser.eval().requires_grad_(False)
    return CompactAdapter(CompactVSRPipeline(denoiser, cast(Any, scheduler)), path, device)


FAMILIES = (ModelFamily("compact", "Bundled compact x4 model", recognise, open_folder),)

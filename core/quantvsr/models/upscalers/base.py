"""What the adapters of image upscalers share: all frames of a window at once, with the same noise."""

from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from quantvsr.errors import BadInput
from quantvsr.models.adapter import VSRAdapter
from quantvsr.models.placing import PRECISIONS, computing_in
from quantvsr.models.upscalers.layouts import layout_of
from quantvsr.quant.geometry import geometry_of

FLICKER = (
    "This model knows single pictures: all frames get the same noise, but nothing else keeps details from "
    "flickering."
)
Call = tuple[dict[str, Tensor], Tensor]


class ImageUpscaler(VSRAdapter):
    """A diffusion model for pictures, run on the frames of a window as a batch.

    Args:
        denoiser: The network that is quantized, called with keyword arguments, returning a tensor.
        scheduler: Of diffusers; draws no random numbers.
        source: The pipeline's folder.
        device: Where to run; everything must be there already.
        notes: See `VSRAdapter`.
    """

    window = 5
    size_multiple = 8
    default_exclude = ("unet.conv_in", "unet.conv_out", "unet.time_embedding.*")

    def __init__(
        self, denoiser: nn.Module, scheduler: Any, source: Path, device: torch.device, notes: tuple[str, ...]
    ) -> None:
        self.denoiser, self.scheduler = denoiser, scheduler
        self.source, self.device, self.notes = source, device, notes
        # Noted now: quantizing replaces the layers.
        self._layouts = {
            name: layout_of(name, layer)
            for name, layer in denoiser.named_modules()
            if geometry_of(layer) is not None
        }

    def layout(self, layer_name: str) -> str:
        """See `VSRAdapter`."""
        return self._layouts[layer_name]

    def upscale_window(
        self, lq: Tensor, noise: Tensor, steps: int, before_step: Callable[[], None] | None = None
    ) -> Tensor:
        """See `VSRAdapter`."""
        return self._run(lq, noise, steps, before_step, None)

    def record_window(self, lq: Tensor, noise: Tensor, steps: int) -> list[Call]:
        """See `VSRAdapter`."""
        calls: list[Call] = []
        self._run(lq, noise, steps, None, calls)
        return calls

    @abstractmethod
    def _run(
        self,
        lq: Tensor,
        noise: Tensor,
        steps: int,
        before_step: Callable[[], None] | None,
        calls: list[Call] | None,
    ) -> Tensor:
        """One window; the denoiser's calls are added to `calls`."""

    def _timesteps(self, steps: int) -> Tensor:
        """Time steps of a run.

        Raises:
            BadInput: The scheduler cannot take so many.
        """
        most = self.scheduler.config.num_train_timesteps
        if not 1 <= steps <= most:
            raise BadInput(f"{self.source.name} takes 1 to {most} sampling steps, not {steps}.")
        self.scheduler.set_timesteps(steps, device=self.device)
        return self.scheduler.timesteps

    @property
    def computes(self) -> tuple[torch.dtype, ...]:
        """See `VSRAdapter`."""
        return tuple(PRECISIONS.values())

    def compute_in(self, dtype: torch.dtype) -> None:
        """See `VSRAdapter`; operations that need float32 keep it, autoencoders too."""
        self.precision = dtype

    def _denoise(self, inputs: dict[str, Any]) -> Tensor:
        """The denoiser's output, float32."""
        with computing_in(self.precision, self.device):
            return self.denoiser(**inputs).float()

    def _call(self, calls: list[Call] | None, **inputs: Tensor) -> Tensor:
        output = self._denoise(inputs)
        if calls is not None:
            calls.append((inputs, output))
        return output

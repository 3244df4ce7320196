"""What the engine needs to know about a VSR model: the one interface that a new model implements."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from quantvsr.errors import BadInput
from quantvsr.models.placing import type_name
from quantvsr.quant.surgery import cast_around_layers


@dataclass(frozen=True)
class Recognition:
    """What a path holds, and how that was seen."""

    family: str
    reason: str


class VSRAdapter(ABC):
    """A video super-resolution model as the engine drives it.

    Attributes:
        name: Family name.
        scale: Enlargement factor.
        window: Frames the model sees at once.
        size_multiple: Width and height of a window must be multiples of this (LQ pixels).
        noise_channels: Channels of the noise field at LQ resolution.
        denoiser: The network that is quantized; called with keyword arguments.
        default_steps: Sampling steps.
        default_tile: Largest side of what the model is given at once, LQ pixels, where the user says nothing.
        default_exclude: Glob patterns of layers that stay in full precision.
        source: Folder or file the model came from.
        device: Where it runs.
        notes: What the user should know about the opened model, a sentence each.
        carriers: Types that the denoiser can be cast to, apart from its quantized layers; its inputs are cast
            by whoever calls it.
        computes: Types that `compute_in` takes.
        precision: Type in which the denoiser computes, apart from quantized layers.
    """

    name: str
    scale: int
    window: int
    size_multiple: int
    noise_channels: int
    denoiser: nn.Module
    default_steps: int
    default_exclude: tuple[str, ...]
    source: Path
    device: torch.device
    default_tile: int = 96
    notes: tuple[str, ...] = ()
    carriers: tuple[torch.dtype, ...] = (torch.float32,)
    precision: torch.dtype = torch.float32

    @property
    def repeated(self) -> tuple[nn.Module, ...]:
        """Networks that run at every step, on inputs of the same shapes; the denoiser among them."""
        return (self.denoiser,)

    @property
    def computes(self) -> tuple[torch.dtype, ...]:  # noqa: D102
        return self.carriers

    def compute_in(self, dtype: torch.dtype) -> None:
        """Have the denoiser compute in another type, apart from quantized layers.

        Raises:
            BadInput: The model cannot.
        """
        if dtype not in self.computes:
            raise BadInput(f"{self.source} does not compute in {type_name(dtype)}; leave --compute out.")
        cast_around_layers(self.denoiser, dtype)
        self.precision = dtype

    @abstractmethod
    def layout(self, layer_name: str) -> str:
        """Meaning of the dimensions of a layer's input.

        One of `image` (B*T, C, positions...), `tokens` (B*T, P, C), `temporal` (B, C, T, h, w),
        `temporal_tokens` (B*P, T, C), `vector` (B, C).
        """

    def joined_inputs(self) -> Mapping[str, int]:
        """Layers whose input is joined from two sources over channels, with the channels of the first."""
        return {}

    @abstractmethod
    def upscale_window(
        self, lq: Tensor, noise: Tensor, steps: int, before_step: Callable[[], None] | None = None
    ) -> Tensor:
        """Enlarge one window.

        Args:
            lq: Frames, (T, 3, h, w), 0..1, on `device`; h and w multiples of `size_multiple`.
            noise: Standard normal noise shared by all frames, (noise_channels, h, w).
            steps: Sampling steps.
            before_step: Called before every step; may raise to stop.

        Returns:
            (T, 3, scale*h, scale*w), 0..1.
        """

    @abstractmethod
    def record_window(self, lq: Tensor, noise: Tensor, steps: int) -> list[tuple[dict[str, Tensor], Tensor]]:
        """Run one window and return the denoiser's inputs by name and its output, for every step."""

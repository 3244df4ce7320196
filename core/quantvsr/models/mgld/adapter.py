"""How the engine drives MGLD-VSR."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from quantvsr.errors import BadInput
from quantvsr.models.adapter import VSRAdapter
from quantvsr.models.mgld.family import NAME
from quantvsr.models.mgld.files import is_converted
from quantvsr.models.mgld.flow import estimate_motion
from quantvsr.models.mgld.folder import load
from quantvsr.models.mgld.frames import enlarge
from quantvsr.models.mgld.opening import Opened, move, open_files
from quantvsr.models.mgld.pipeline import Noise
from quantvsr.models.mgld.sampler import OnInput
from quantvsr.models.placing import PRECISIONS

_SCALE = 4


class MGLDAdapter(VSRAdapter):
    """MGLD-VSR with the official weights, or another of the same build.

    The noise field holds every random number of a window: for the posterior, for the start, and for each
    step, independent for every frame as in the reference. Four values side by side in a channel of the field
    are the four channels of one latent pixel.
    """

    name = NAME
    scale = _SCALE
    # The reference pads frames to multiples of 32, four times as large.
    size_multiple = 8
    default_steps = 50
    # As in the reference.
    default_exclude = ("time_embed.0", "input_blocks.0.0", "out.2")

    def __init__(self, opened: Opened, source: Path, device: torch.device) -> None:
        opened = move(opened, device)
        self.pipeline, self.flow, self.notes = opened.pipeline, opened.flow, opened.notes
        config = self.pipeline.config
        self.denoiser = self.pipeline.unet
        self.window = config.unet.num_frames
        self.source = source
        self.device = device
        # Low-quality pixels per latent pixel, along one axis.
        self._fold = 2 ** (len(config.vae.ch_mult) - 1) // _SCALE
        # Anything smaller is extended to the canvas tile.
        self.default_tile = config.tile * self._fold
        fields = self.window * (2 + self.default_steps)
        self.noise_channels = fields * config.vae.embed_dim // self._fold**2

    @property
    def opened(self) -> Opened:
        """All parts of the model."""
        return Opened(self.pipeline, self.flow, self.notes)

    @property
    def precision(self) -> torch.dtype:
        """See `VSRAdapter`; latents between the networks' calls are float32."""
        return self.pipeline.precision

    @property
    def carriers(self) -> tuple[torch.dtype, ...]:
        """See `VSRAdapter`: what lies between layers has the type that the networks compute in."""
        if self.device.type == "cpu":
            # Automatic types there give norms float32 inputs, which do not take half weights.
            return (torch.float32,)
        return tuple(dict.fromkeys((self.precision, torch.float32)))

    @property
    def repeated(self) -> tuple[nn.Module, ...]:
        """See `VSRAdapter`."""
        return self.pipeline.structural, self.pipeline.unet

    @property
    def computes(self) -> tuple[torch.dtype, ...]:
        """See `VSRAdapter`."""
        return tuple(PRECISIONS.values())

    def compute_in(self, dtype: torch.dtype) -> None:
        """See `VSRAdapter`; operations that need float32 keep it."""
        self.pipeline = replace(self.pipeline, precision=dtype)

    def layout(self, layer_name: str) -> str:
        """See `VSRAdapter`."""
        if layer_name.startswith("time_embed.") or ".emb_layers." in layer_name:
            return "vector"
        if layer_name.endswith(".temporal_conv"):
            return "temporal"
        if ".temporal_attn." in layer_name:
            return "temporal_tokens"
        tokens = ".transformer_blocks." in layer_name or layer_name.endswith((".proj_in", ".proj_out"))
        return "tokens" if tokens else "image"

    def joined_inputs(self) -> dict[str, int]:
        """See `VSRAdapter`: every block of the way up also gets what the way down left."""
        return {
            f"output_blocks.{number}.0.{layer}": channels
            for number, channels in enumerate(self.pipeline.unet.from_below)
            for layer in ("in_layers.2", "skip_connection")
        }

    def upscale_window(
        self, lq: Tensor, noise: Tensor, steps: int, before_step: Callable[[], None] | None = None
    ) -> Tensor:
        """See `VSRAdapter`.

        Raises:
            BadInput: More steps than there is noise for.
        """
        return self._run(lq, noise, steps, before_step, None)

    def record_window(self, lq: Tensor, noise: Tensor, steps: int) -> list[tuple[dict[str, Any], Tensor]]:
        """See `VSRAdapter`; of every step the call for the first canvas tile is returned."""
        calls: dict[int, tuple[dict[str, Any], Tensor]] = {}

        def note(step: int, inputs: dict[str, Any], output: Tensor) -> None:
            calls.setdefault(step, (inputs, output))

        self._run(lq, noise, steps, None, note)
        return [calls[step] for step in sorted(calls, reverse=True)]

    def _run(
        self,
        lq: Tensor,
        noise: Tensor,
        steps: int,
        before_step: Callable[[], None] | None,
        on_input: OnInput | None,
    ) -> Tensor:
        if not 1 <= steps <= self.default_steps:
            raise BadInput(f"MGLD-VSR takes 1 to {self.default_steps} sampling steps, not {steps}.")
        height, width = lq.shape[2:]
        least = self.pipeline.config.tile * self._fold
        # The canvas may not be smaller than a tile: the frames are mirrored beyond their edges, and cut back.
        rows = _mirrored(height, max(height, least), lq.device)
        columns = _mirrored(width, max(width, least), lq.device)
        frames = enlarge(lq[:, :, rows][..., columns] * 2 - 1, self.scale)
        out = self.pipeline(
            frames,
            self._noise(noise[:, rows][..., columns], steps),
            estimate_motion(frames, self.flow),
            None if before_step is None else lambda _: before_step(),
            on_input,
        )
        out = out[..., : height * self.scale, : width * self.scale]
        return ((out + 1) / 2).clamp(0, 1)

    def _noise(self, field: Tensor, steps: int) -> Noise:
        folded = F.pixel_unshuffle(field, self._fold)
        channels = self.pipeline.config.vae.embed_dim
        every = folded.reshape(-1, self.window, channels, *folded.shape[1:])
        return Noise(every[0], every[1], every[2 : 2 + steps].unbind())


def _mirrored(length: int, wanted: int, device: torch.device) -> Tensor:
    """Places 0..length-1 and back again, until there are as many as wanted."""
    turn = torch.arange(wanted, device=device) % (2 * length)
    return torch.where(turn < length, turn, 2 * length - 1 - turn)


def open_path(path: Path, device: torch.device) -> MGLDAdapter:
    """Load a folder, or a file with the others beside it, in single precision."""
    return MGLDAdapter(load(path) if is_converted(path) else open_files(path, device), path, device)

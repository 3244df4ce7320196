"""What each quantized layer does to the final frames: alone restored, or alone quantized."""

import contextlib
import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quantvsr.errors import BadInput, QuantVSRError
from quantvsr.metrics.layer_snr import LayerSnr
from quantvsr.metrics.psnr import psnr
from quantvsr.models.adapter import VSRAdapter
from quantvsr.progress import Progress
from quantvsr.quant.layers import DualBranchLayer, Mode
from quantvsr.upscale.noise import NoiseField
from quantvsr.upscale.plan import make_plan, pad

# LQ pixels around the region that the model sees but that are not measured.
MARGIN = 8
LARGEST_SIDE = 96
"""Largest side of what the model sees at once, LQ pixels."""


@dataclass(frozen=True)
class Excerpt:
    """One window of frames, cut to a region and what lies around it.

    Attributes:
        lq: (T, h, w, 3), 0..1.
        y, x: Place of the cut on the noise field, LQ pixels.
        inside: Rows and columns of the enlarged cut that are measured.
    """

    lq: NDArray[np.float32]
    y: int
    x: int
    inside: tuple[slice, slice]


def cut_excerpt(
    frames: NDArray[np.float32], region: tuple[int, int, int, int], scale: int, multiple: int
) -> Excerpt:
    """Cut a region and its surroundings out of a window.

    Args:
        frames: (T, H, W, 3), LQ.
        region: (y, x, height, width) in pixels of the enlarged frame.
        scale: The model's factor.
        multiple: Sides must be multiples of this.

    Raises:
        BadInput: The region does not lie in the frame, or is too large to be run at once.
    """
    height, width = frames.shape[1:3]
    y, x, rows, columns = region
    fits = y >= 0 and x >= 0 and y + rows <= height * scale and x + columns <= width * scale
    if not fits or rows < 1 or columns < 1:
        raise BadInput(
            f"The region {columns}x{rows} at ({x}, {y}) does not lie in the enlarged frame of "
            f"{width * scale}x{height * scale}; move it."
        )
    if max(rows, columns) > LARGEST_SIDE * scale:
        most = LARGEST_SIDE * scale
        raise BadInput(
            f"A region of {columns}x{rows} is too large to be looked at; take {most}x{most} at most."
        )
    (top, bottom), (left, right) = (
        _with_margin(start, length, limit, scale, multiple)
        for start, length, limit in ((y, rows, height), (x, columns, width))
    )
    inner_y, inner_x = y - top * scale, x - left * scale
    return Excerpt(
        np.ascontiguousarray(frames[:, top:bottom, left:right]),
        top,
        left,
        (slice(inner_y, inner_y + rows), slice(inner_x, inner_x + columns)),
    )


def _with_margin(start: int, length: int, limit: int, scale: int, multiple: int) -> tuple[int, int]:
    """First and last LQ row of the cut, with as much margin as fits."""
    first, last = start // scale, -(-(start + length) // scale)
    margin = max(min(MARGIN, (LARGEST_SIDE - (last - first)) // 2), 0)
    first = max(first - margin, 0) // multiple * multiple
    return first, min(-(-(last + margin) // multiple) * multiple, limit)


class LayerEffects:
    """Runs excerpts with chosen layers quantized.

    Args:
        adapter: The model with its quantized layers in place.
        layers: These layers by name, in the mode in which they are quantized.
        excerpts: What to run.
        seed: Of the noise.
        steps: Sampling steps.
        progress: Checked before every step.

    Attributes:
        seconds: Seconds of the newest run.
    """

    def __init__(
        self,
        adapter: VSRAdapter,
        layers: Mapping[str, DualBranchLayer],
        excerpts: Sequence[Excerpt],
        *,
        seed: int,
        steps: int,
        progress: Progress,
    ) -> None:
        self._adapter, self._layers, self._excerpts = adapter, dict(layers), list(excerpts)
        self._modes: dict[str, Mode] = {name: layer.mode for name, layer in layers.items()}
        self._noise = NoiseField(seed, adapter.noise_channels)
        self._steps, self._progress = steps, progress
        self._full: list[NDArray[np.float32]] = []
        self.seconds = 0.0

    def error(self, quantized: Callable[[str], bool]) -> float:
        """Mean squared error to full precision, RGB 0..1, over all measured pixels.

        Args:
            quantized: Which layers are quantized; the others run in full precision.

        Raises:
            QuantVSRError: The result is not finite.
        """
        if not self._full:
            self._full = self._run(lambda name: False)
        found = self._run(quantized)
        total = sum(
            float(np.square(a - b, dtype=np.float64).sum()) for a, b in zip(found, self._full, strict=True)
        )
        return total / sum(part.size for part in self._full)

    def restored(self, name: str) -> float:
        """Error with all layers quantized but one."""
        return self.error(lambda each: each != name)

    def alone(self, name: str) -> float:
        """Error with one layer quantized."""
        return self.error(lambda each: each == name)

    def layer_snr(self) -> dict[str, float | None]:
        """SNR in dB of each layer's quantized output on its full-precision input; see `LayerSnr`."""
        collected = {name: LayerSnr() for name in self._layers}

        def look(name: str, module: torch.nn.Module, given: tuple[Tensor, ...], y: Tensor) -> None:
            layer = self._layers[name]
            layer.mode = self._modes[name]
            # Not a call, which would come back here.
            q = layer.forward(given[0])
            layer.mode = "fp"
            collected[name].add(*(float(v.double().square().sum()) for v in (y, y - q)))

        hooks = [m.register_forward_hook(functools.partial(look, name)) for name, m in self._layers.items()]
        try:
            self._full = self._run(lambda name: False)
        finally:
            for hook in hooks:
                hook.remove()
        return {name: snr.result() for name, snr in collected.items()}

    def quick_look(self, report: Callable[[int], None]) -> dict[str, float]:
        """Error of the denoiser's output with each layer quantized alone, at one step in the middle.

        One call of the denoiser for each layer instead of a whole run: to find those worth a whole run.

        Args:
            report: Told the number of layers done.
        """
        excerpt = self._excerpts[0]
        with self._quantized(lambda name: False), torch.no_grad():
            calls = self._adapter.record_window(*self._inputs(excerpt), self._steps)
        inputs, expected = calls[len(calls) // 2]
        found: dict[str, float] = {}
        for number, name in enumerate(self._layers):
            self._progress.check()
            with self._quantized(lambda each, name=name: each == name), torch.no_grad():
                output = self._adapter.denoiser(**inputs)
            output = output if isinstance(output, Tensor) else output[0]
            found[name] = float((output.float() - expected.float()).square().mean())
            report(number + 1)
        return found

    @contextlib.contextmanager
    def _quantized(self, chosen: Callable[[str], bool]) -> Iterator[None]:
        try:
            for name, layer in self._layers.items():
                layer.mode = self._modes[name] if chosen(name) else "fp"
            yield
        finally:
            for name, layer in self._layers.items():
                layer.mode = self._modes[name]

    def _inputs(self, excerpt: Excerpt) -> tuple[Tensor, Tensor]:
        height, width = excerpt.lq.shape[1:3]
        plan = make_plan(height, width, max(height, width) * 2, 0, self._adapter.size_multiple)
        lq = pad(excerpt.lq, plan)
        noise = self._noise.crop(excerpt.y, excerpt.x, plan.height, plan.width)
        device = self._adapter.device
        tensor = torch.from_numpy(np.ascontiguousarray(lq.transpose(0, 3, 1, 2)))
        return tensor.to(device), torch.from_numpy(noise).to(device)

    def _run(self, quantized: Callable[[str], bool]) -> list[NDArray[np.float32]]:
        started = time.perf_counter()
        results = []
        for excerpt in self._excerpts:
            with self._quantized(quantized), torch.no_grad():
                part = self._adapter.upscale_window(*self._inputs(excerpt), self._steps, self._progress.check)
            pictures = part.float().clamp(0, 1).cpu().permute(0, 2, 3, 1).numpy()
            if not np.isfinite(pictures).all():
                raise QuantVSRError("The model gives values that are not finite; quantize it with more bits.")
            results.append(np.ascontiguousarray(pictures[(slice(None), *excerpt.inside)]))
        self.seconds = time.perf_counter() - started
        return results


def decibels(error: float) -> float:
    """PSNR of a mean squared error with peak 1, at most `PSNR_CAP`."""
    return psnr(np.sqrt(np.array([error])), 1.0)

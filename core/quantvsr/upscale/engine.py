"""Upscaling whole clips: windows over time, tiles over space, one noise field, bounded memory."""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray

from quantvsr.errors import BadInput, QuantVSRError
from quantvsr.media.tiles import Tile
from quantvsr.media.types import Frame
from quantvsr.media.windows import TemporalWindow, blend_windows, iter_windows
from quantvsr.models.adapter import VSRAdapter
from quantvsr.progress import Progress, Rising
from quantvsr.runtime.replay import Replays
from quantvsr.upscale.memory import is_out_of_memory, peak_memory, release, reset_peak
from quantvsr.upscale.noise import NoiseField
from quantvsr.upscale.plan import TilePlan, make_plan, pad

DEFAULT_TILE = 96
DEFAULT_OVERLAP = 16
# Below this a smaller tile saves little: the weights take the memory.
_SMALLEST_TILE = 16


@dataclass
class UpscaleReport:
    """What an upscaling run did; filled in while it runs.

    Attributes:
        frames: Frames given out.
        windows: Windows computed.
        tiles: Tiles computed, all windows together.
        tile: Largest tile side allowed now, LQ pixels; smaller than asked for after memory ran out. Take it
            for the second of two runs that are to be compared.
        overlap: Overlap of tiles asked for, LQ pixels.
        seconds: From the first frame asked for to the last given out, with reading and writing in between.
        model_seconds: Of these, inside the model.
        peak_ram: Bytes, see `PeakMemory`; None where unknown.
        peak_gpu: Bytes; None on a CPU.
        warnings: One sentence each.
    """

    frames: int = 0
    windows: int = 0
    tiles: int = 0
    tile: int = DEFAULT_TILE
    overlap: int = DEFAULT_OVERLAP
    seconds: float = 0.0
    model_seconds: float = 0.0
    peak_ram: int | None = None
    peak_gpu: int | None = None
    warnings: list[str] = field(default_factory=list)


def upscale_clip(
    adapter: VSRAdapter,
    frames: Iterable[Frame],
    *,
    seed: int = 0,
    steps: int | None = None,
    tile: int = DEFAULT_TILE,
    overlap: int = DEFAULT_OVERLAP,
    temporal_overlap: int = 1,
    find_cuts: bool = True,
    wanted: range | None = None,
    total: int | None = None,
    progress: Progress | None = None,
    report: UpscaleReport | None = None,
) -> Iterator[Frame]:
    """Upscale a clip, frame after frame as they are asked for.

    Memory does not grow with the clip: at most three windows of LQ frames, one window of results and the
    frames that the next window shares are held. The noise is that of `NoiseField(seed,
    adapter.noise_channels)`, whatever the plan and the model's precision. Runs on `adapter.device`; on
    running out of memory the tile is halved, said in a warning, and the window computed again.

    Args:
        adapter: The model.
        frames: LQ frames in order, all of one size.
        seed: Of the noise; 0 to 2**64 - 1.
        steps: Sampling steps; None takes the model's default.
        tile: Largest side of a tile, LQ pixels.
        overlap: Least overlap of tiles, LQ pixels; less than `tile`.
        temporal_overlap: Frames that neighbouring windows share, blended; less than the model's window.
        find_cuts: Whether windows stop at hard cuts.
        wanted: Indices of the frames to compute: what an interrupted run has left to do, or the frames around
            a playhead. The others are only looked at, for cuts and the plan of windows, so that the wanted
            ones come out as in a run over the whole clip: bit for bit where the device computes the same
            thing always alike (GPUs in half types do not). None takes all.
        total: How many frames will come out, if known, for the progress.
        progress: Told, and checked, before every step of every tile.
        report: Filled in while running.

    Returns:
        An iterator of frames with the indices and times of the given (and wanted) ones: float32 RGB, 0..1,
        `adapter.scale` times as large, each exactly once and in order.

    Raises:
        BadInput: An argument is out of range, or the frames change their size.
        QuantVSRError: Memory does not even suffice for the smallest tile, or the model's result is not
            finite.
        Cancelled: Through `progress`.
    """
    steps = adapter.default_steps if steps is None else steps
    if steps < 1:
        raise BadInput(f"{steps} sampling steps make no picture; give 1 or more.")
    if tile < 1 or not 0 <= overlap < tile:
        raise BadInput(f"Tiles of {tile} pixels cannot overlap by {overlap}; give 0 to {max(tile, 1) - 1}.")
    if not 0 <= temporal_overlap < adapter.window:
        raise BadInput(
            f"Windows of {adapter.window} frames cannot overlap by {temporal_overlap}; "
            f"give an overlap from 0 to {adapter.window - 1}."
        )
    report = UpscaleReport() if report is None else report
    report.tile, report.overlap = tile, overlap
    noise = NoiseField(seed, adapter.noise_channels)
    first = 0 if wanted is None else wanted.start
    # A window that is computed again, in smaller tiles, does not go back.
    told = Rising(progress or Progress())
    run = _Run(adapter, noise, steps, first, total, told, report)
    windows = iter_windows(_same_size(frames), adapter.window, temporal_overlap, find_cuts=find_cuts)
    return run.frames(windows if wanted is None else _only(windows, wanted))


def _only(windows: Iterable[TemporalWindow], wanted: range) -> Iterator[TemporalWindow]:
    """The windows that wanted frames are blended from, with no share for the other frames."""
    for window in windows:
        shares = (
            share if index in wanted else 0.0
            for index, share in zip(window.indices, window.weights, strict=True)
        )
        kept = replace(window, weights=tuple(shares))
        if any(kept.weights):
            yield kept
        if window.start >= wanted.stop:
            return


def _same_size(frames: Iterable[Frame]) -> Iterator[Frame]:
    first: tuple[int, ...] | None = None
    for frame in frames:
        first = first or frame.rgb.shape
        if frame.rgb.shape != first:
            raise BadInput(
                f"Frame {frame.index} is {frame.rgb.shape[1]}x{frame.rgb.shape[0]} where the clip began with "
                f"{first[1]}x{first[0]}; split the clip there."
            )
        yield frame


class _OutOfMemory(Exception):
    """Memory ran out in a tile; carries nothing, so that the failed tensors can go."""


class _Run:
    """One pass over a clip."""

    def __init__(
        self,
        adapter: VSRAdapter,
        noise: NoiseField,
        steps: int,
        first: int,
        total: int | None,
        progress: Progress,
        report: UpscaleReport,
    ) -> None:
        self.adapter, self.noise, self.steps, self.first = adapter, noise, steps, first
        self.total, self.progress, self.report = total, progress, report
        self.replays = Replays(adapter.repeated, adapter.device)
        self.computed = 0  # frames of the windows that are done
        self.newest = -1  # index of the last of them

    def frames(self, windows: Iterable[TemporalWindow]) -> Iterator[Frame]:
        started = time.monotonic()
        reset_peak(self.adapter.device)
        # Blending takes each window's results in order and once, so that they may come one by one.
        results = ((window, cast(Sequence[NDArray], self._window(window))) for window in windows)
        try:
            for frame, picture in blend_windows(results):
                self.report.frames += 1
                np.clip(picture, 0.0, 1.0, out=picture)
                self._measure(started)
                yield replace(frame, rgb=picture)
        finally:
            self.replays.clear()
        self._measure(started)

    def _measure(self, started: float) -> None:
        peak = peak_memory(self.adapter.device)
        self.report.peak_ram, self.report.peak_gpu = peak.ram, peak.gpu
        self.report.seconds = time.monotonic() - started

    def _window(self, window: TemporalWindow) -> Iterator[NDArray[np.float32]]:
        """Each position's result, handed over one by one so that no second copy of the window is held."""
        lq = window.stack()
        height, width = lq.shape[1:3]
        scale = self.adapter.scale
        while True:
            plan = make_plan(height, width, self.report.tile, self.report.overlap, self.adapter.size_multiple)
            try:
                canvas = self._tiles(pad(lq, plan), plan, window)
                break
            except _OutOfMemory:
                pass
            # Out of the handler, so that nothing holds on to the tensors of the failed try.
            if not self.replays.give_up():
                self._shrink(plan)
        self.report.windows += 1
        self.computed += self._fresh(window)
        self.newest = window.indices[-1]
        canvas.reverse()
        while canvas:
            yield canvas.pop()[: height * scale, : width * scale]

    def _tiles(
        self, lq: NDArray[np.float32], plan: TilePlan, window: TemporalWindow
    ) -> list[NDArray[np.float32]]:
        """Enlarge padded frames (T, h, w, 3), give one (scale*h, scale*w, 3) array for each."""
        scale = self.adapter.scale
        canvas: list[NDArray[np.float32]] = []
        for number, tile in enumerate(plan.tiles):
            self._tell(window, number, len(plan.tiles))
            steps = itertools.count()

            def before_step(number: int = number, steps: Iterator[int] = steps) -> None:
                # A model may take more steps than it was asked for.
                share = min(next(steps), self.steps - 1) / self.steps
                self._tell(window, number + share, len(plan.tiles))

            part = self._tile(lq[(slice(None), *tile.slices())], tile, before_step)
            self.report.tiles += 1
            if not np.isfinite(part).all():
                first, last = window.indices[0], window.indices[-1]
                raise QuantVSRError(
                    f"The model {self.adapter.name} gives values that are not finite in frames {first} to "
                    f"{last}; quantize it with more bits, or run it in float32."
                )
            if len(plan.tiles) == 1:
                return list(part)
            if not canvas:
                size = (plan.height * scale, plan.width * scale, 3)
                canvas = [np.zeros(size, np.float32) for _ in range(len(part))]
            weights = plan.weights(tile, scale)[..., None]
            for picture, enlarged in zip(canvas, part, strict=True):
                picture[tile.slices(scale)] += enlarged * weights
        return canvas

    def _tile(
        self, lq: NDArray[np.float32], tile: Tile, before_step: Callable[[], None]
    ) -> NDArray[np.float32]:
        """Run the model on one tile: (T, h, w, 3) to (T, scale*h, scale*w, 3)."""
        device = self.adapter.device
        noise = self.noise.crop(tile.y, tile.x, tile.height, tile.width)
        started = time.monotonic()
        try:
            # Not around a `yield`: the mode would leak into whoever asks for frames.
            with torch.no_grad(), self.replays:
                part = self.adapter.upscale_window(
                    torch.from_numpy(np.ascontiguousarray(lq.transpose(0, 3, 1, 2))).to(device),
                    torch.from_numpy(noise).to(device),
                    self.steps,
                    before_step,
                )
                result = np.ascontiguousarray(part.float().cpu().permute(0, 2, 3, 1).numpy())
            self.report.model_seconds += time.monotonic() - started
            return result
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        raise _OutOfMemory

    def _shrink(self, plan: TilePlan) -> None:
        release(self.adapter.device)
        multiple = self.adapter.size_multiple
        largest = max(plan.tile_size)
        smaller = -(-largest // 2 // multiple) * multiple
        if largest <= max(_SMALLEST_TILE, multiple) or smaller >= largest:
            raise QuantVSRError(
                f"There is not enough memory on {self.adapter.device} for tiles of {largest} pixels; close "
                "other programs or choose another device."
            )
        message = (
            f"There was not enough memory on {self.adapter.device} for tiles of {largest} pixels; "
            f"going on with {smaller}."
        )
        self.report.tile = smaller
        self.report.overlap = min(self.report.overlap, smaller // 2)
        self.report.warnings.append(message)
        self.progress.warn(message)

    def _tell(self, window: TemporalWindow, done: float, tiles: int) -> None:
        """Tell how far the clip is when `done` of a window's tiles are."""
        self.progress.check()
        frames = self.computed + self._fresh(window) * done / tiles
        message = f"frame {self.first + self.computed + self._fresh(window)}"
        message += f" of {self.first + self.total}" if self.total else ""
        fraction = min(frames / self.total, 1.0) if self.total else 0.0
        self.progress.report(fraction, message, frame=self.computed, tile=int(done), tiles=tiles)

    def _fresh(self, window: TemporalWindow) -> int:
        """How many frames of this window come out and were in no earlier one."""
        shares = zip(window.indices, window.weights, strict=True)
        return len({index for index, share in shares if share and index > self.newest})

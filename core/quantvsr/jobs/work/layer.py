"""One layer on a few calibration samples: histograms in units of codes, spectrum, error of its output."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from quantvsr.calibration.hooks import forward_hooks
from quantvsr.calibration.order import order_of
from quantvsr.calibration.samples import SampleStore
from quantvsr.errors import BadInput
from quantvsr.jobs.layer import Histogram, LayerJob, LayerResult
from quantvsr.jobs.options import Bits
from quantvsr.jobs.work.analysis import read_ranks, source_hash
from quantvsr.jobs.work.models import layer_config, open_full
from quantvsr.models.adapter import VSRAdapter
from quantvsr.progress import Progress
from quantvsr.quant import activations
from quantvsr.quant.affine import code_range
from quantvsr.quant.geometry import geometry_of
from quantvsr.quant.layers import DualBranchLayer
from quantvsr.quant.surgery import layer_generator

# Bits that the chosen ones are compared with: one side finer, both sides finer.
_OTHERS = (Bits(4, 4), Bits(4, 8), Bits(8, 4), Bits(6, 6), Bits(8, 8))
# The decomposition of a larger weight takes seconds, so only the chosen bits are looked at.
_LARGE = 4_000_000
_BINS = 64
# Values looked at for a histogram, evenly spread.
_VALUES = 400_000
_models: dict[tuple[str, ...], VSRAdapter] = {}


def look_at_layer(job: LayerJob, progress: Progress) -> LayerResult:
    """Run the job."""
    folder = Path(job.analysis).expanduser()
    samples = folder / "work" / "samples"
    if not samples.is_dir():
        raise BadInput(f"{folder} holds no calibration samples; run 'quantvsr analyze' into it first.")
    store = SampleStore(samples)
    rank = job.rank if job.rank is not None else _rank_of(folder, job.layer)
    adapter = _model(job)
    modules = dict(adapter.denoiser.named_modules())
    plain = modules.get(job.layer)
    if plain is None or geometry_of(plain) is None:
        raise BadInput(f"{job.layer} is no layer that can be quantized; 'quantvsr inspect' lists them.")
    inputs = _inputs(adapter, plain, store, job.look_at, progress)
    if not inputs:
        raise BadInput(f"The layer {job.layer} is never used by this model; choose another one.")

    def build(bits: Bits) -> DualBranchLayer:
        progress.check()
        layer = DualBranchLayer(plain, layer_config(job.method, bits), job.layer)
        layer.set_rank(rank)
        layer.initialise(layer_generator(job.seed, job.layer))
        if layer.fits_inputs:
            layer.fit_to_inputs(inputs)
        layer.mode = "frozen"
        return layer

    with torch.no_grad():
        layer = build(job.bits)
        wanted = [plain(x).float() for x in inputs]
        errors = {str(job.bits): _above_error(layer, inputs, wanted)}
        for bits in _OTHERS if layer.weight.numel() <= _LARGE else ():
            if bits != job.bits:
                errors[str(bits)] = _above_error(build(bits), inputs, wanted)
        spectrum = _spectrum(layer, inputs)
        energy = np.square(spectrum)
        return LayerResult(
            layer=job.layer,
            kind=layer.extra_repr().partition(", W")[0],
            notes=tuple(layer.notes),
            rank=layer.rank,
            bits=job.bits,
            weights=_weights(layer),
            activations=_activations(layer, inputs),
            basis=layer.basis,
            spectrum=tuple(spectrum.tolist()),
            energy=float(energy[: layer.rank].sum() / max(energy.sum(), 1e-30)),
            errors=dict(sorted(errors.items(), key=lambda item: item[1])),
            samples=min(job.look_at, len(store)),
        )


def _rank_of(folder: Path, layer: str) -> int:
    ranks = read_ranks(folder / "ranks.json").ranks
    if layer not in ranks:
        raise BadInput(f"{folder / 'ranks.json'} gives no rank to {layer}; give one with --rank.")
    return ranks[layer]


def _model(job: LayerJob) -> VSRAdapter:
    """The full-precision model; the last one is kept, as cards are looked at one after another."""
    key = (job.model, job.device, source_hash(job.model))
    if key not in _models:
        _models.clear()
        _models[key] = open_full(job)
    return _models[key]


def _inputs(
    adapter: VSRAdapter, plain: torch.nn.Module, store: SampleStore, most: int, progress: Progress
) -> list[Tensor]:
    """What the layer gets in a few calibration samples, mixed over windows and steps."""
    found: list[Tensor] = []
    chosen = sorted({order_of(range(len(store)), 0, "layer", n) for n in range(most)})
    with torch.no_grad(), forward_hooks({"": plain}, lambda name, layer, x, y: found.append(x.detach())):
        for done, index in enumerate(chosen):
            progress.check()
            progress.report(0.8 * done / len(chosen), f"Calibration sample {done + 1} of {len(chosen)}")
            adapter.denoiser(**store[index].to(adapter.device).inputs)
    return found


def _above_error(layer: DualBranchLayer, inputs: Sequence[Tensor], wanted: Sequence[Tensor]) -> float:
    """Energy of the output over that of its error, in dB."""
    signal = sum(float(y.square().sum()) for y in wanted)
    error = sum(float((layer(x).float() - y).square().sum()) for x, y in zip(inputs, wanted, strict=True))
    return 10 * math.log10(max(signal, 1e-30) / max(error, 1e-30))


def _weights(layer: DualBranchLayer) -> Histogram:
    places = [
        (rotated / scale + zero_point).flatten()
        for rotated, scale, zero_point in zip(
            layer.rotated_residual(), layer.scales(), layer.zero_points(), strict=True
        )
    ]
    step = torch.cat([scale.flatten() for scale in layer.scales()]).median()
    return _histogram(torch.cat(places), layer.config.weight_bits, layer.config.weight_symmetric, float(step))


def _activations(layer: DualBranchLayer, inputs: Sequence[Tensor]) -> Histogram:
    places, steps = [], []
    for x in inputs:
        batched = activations.batched(layer, x.float())
        prepared = activations.prepare(layer, activations.low_input(layer, batched))[0]
        for part, (_, scale, zero_point) in zip(prepared, layer.activation_codes(batched), strict=True):
            places.append((part / scale + zero_point).flatten())
            steps.append(scale.flatten())
    config = layer.config
    return _histogram(
        torch.cat(places),
        config.activation_bits,
        config.activation_symmetric,
        float(torch.cat(steps).median()),
    )


def _histogram(places: Tensor, bits: int, symmetric: bool, step: float) -> Histogram:
    first, last = code_range(bits, symmetric)
    outside = float(((places < first - 0.5) | (places > last + 0.5)).float().mean())
    each = max(_BINS // (last - first + 1), 1)  # whole intervals per code: each code looks alike
    low, high = first - 1.5, last + 1.5
    few = places[:: max(len(places) // _VALUES, 1)].clamp(low, high)
    counts = torch.histc(few.float(), bins=each * (last - first + 3), min=low, max=high)
    return Histogram(tuple(int(n) for n in counts.tolist()), low, high, first, last, step, outside)


def _spectrum(layer: DualBranchLayer, inputs: Sequence[Tensor]) -> np.ndarray:
    """Singular values of what the low-rank branch is made from."""
    if layer.basis == "weight":
        matrix = layer.weight.float().flatten(1)
        return torch.linalg.svdvals(matrix).cpu().numpy()
    moment = activations.channel_covariance(layer, list(inputs)).double()
    return torch.linalg.eigvalsh(moment).flip(0).clamp_min(0).sqrt().float().cpu().numpy()

"""What each part of the method brings on the bundled model: `python benchmarks/ablation.py [--only NAME...]`.

Calibration samples come from the bundled clips; every variant is compared with the full-precision model on
the middle 32x32 window of each bundled clip, sampled with the same noise: PSNR of the enlarged RGB frames
against the full-precision result, and how far PSNR to the ground truth falls. Low-bit execution is simulated.
"""

import argparse
import json
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from quantvsr.calibration.allocation import RankSettings
from quantvsr.calibration.cost import CostModel
from quantvsr.calibration.observe import Observation, observe
from quantvsr.calibration.prepare import fit_to_samples, initialise_layers
from quantvsr.calibration.ranks import allocate
from quantvsr.calibration.refine import refine
from quantvsr.calibration.refine_config import PRESETS, RefineConfig
from quantvsr.calibration.samples import RecordSettings, SampleStore, record_samples
from quantvsr.jobs.options import Bits
from quantvsr.jobs.work.clips import bundled_clips, learn_clips
from quantvsr.jobs.work.models import layer_config
from quantvsr.media import open_clip
from quantvsr.models.adapter import VSRAdapter
from quantvsr.models.registry import open_model
from quantvsr.quant.config import LayerQuantConfig, default, reference
from quantvsr.quant.surgery import LayerMap, quantize_model

SIZE, START, FRAMES = 32, 9, 5
SEED = 42
QUICK = PRESETS["quick"]


@dataclass(frozen=True)
class Variant:
    """One way to quantize: layer settings, ranks (None: allocated), training (None: none).

    `measured` False: ranks follow complexity alone, without the expected errors.
    """

    layer: LayerQuantConfig
    rank: int | None = None
    train: RefineConfig | None = None
    measured: bool = True


def _variants(bits: int) -> dict[str, Variant]:
    plain, ours = layer_config("maxmin", Bits(bits, bits)), default(bits, bits)
    rotated = plain.replace(rotation="block")
    ranged = rotated.replace(activation_granularity="token")
    clipped = ranged.replace(activation_clip="learned")
    searched = clipped.replace(weight_clip_search=True)
    no_bias = replace(QUICK, updates=QUICK.updates + QUICK.bias_updates, bias_updates=0)
    published = RefineConfig.reference(QUICK.updates, QUICK.accumulation)
    published = replace(published, bias_updates=QUICK.bias_updates)
    return {
        # Step by step from plain min-max to the whole method.
        "min-max": Variant(plain, 0),
        "+ rotation": Variant(rotated, 0),
        "+ ranges per frame or token": Variant(ranged, 0),
        "+ activation clips": Variant(clipped, 0),
        "+ weight clips": Variant(searched, 0),
        "+ activation shift": Variant(searched.replace(activation_shift=True), 0),
        "+ low-rank branch from the weight": Variant(ours.replace(low_rank_basis="weight"), measured=False),
        "+ from the activations": Variant(ours, measured=False),
        "+ ranks by expected error (default, untrained)": Variant(ours),
        "+ refinement, no bias": Variant(ours, train=no_bias),
        "default, refined": Variant(ours, train=QUICK),
        # The published method with the same number of updates.
        "reference, rank 16, untrained": Variant(reference(bits, bits), 16),
        "reference, rank 16, refined": Variant(reference(bits, bits), 16, published),
        # One switch of the default at a time, untrained.
        "default, no rotation": Variant(ours.replace(rotation="none")),
        "default, rotation blocks of 32": Variant(ours.replace(rotation_block=32)),
        "default, rotation blocks of 256": Variant(ours.replace(rotation_block=256)),
        "default, range per tensor": Variant(ours.replace(activation_granularity="tensor")),
        "default, range per frame": Variant(ours.replace(activation_granularity="frame")),
        "default, no activation clips": Variant(ours.replace(activation_clip="none")),
        "default, no weight clips": Variant(ours.replace(weight_clip_search=False)),
        "default, two parts": Variant(ours.replace(parts=2)),
        "default, no activation shift": Variant(ours.replace(activation_shift=False)),
        # Where the error comes from.
        "default, weights 8 bits": Variant(ours.replace(weight_bits=8)),
        "default, activations 8 bits": Variant(ours.replace(activation_bits=8)),
    }


def _windows() -> list[tuple[Tensor, Tensor]]:
    """(LQ, ground truth) of the middle of each bundled clip: (T, 3, h, w) and (T, 3, 4h, 4w)."""

    def read(path: Path, size: int) -> Tensor:
        with open_clip(path, start=START, stop=START + FRAMES) as reader:
            frames = np.stack([frame.rgb for frame in reader])
        top, left = ((have - size) // 2 for have in frames.shape[1:3])
        return torch.from_numpy(frames[:, top : top + size, left : left + size]).permute(0, 3, 1, 2)

    return [(read(clip.lq, SIZE), read(clip.gt, 4 * SIZE)) for clip in bundled_clips()]


def _sample(adapter: VSRAdapter, windows: list[tuple[Tensor, Tensor]]) -> list[Tensor]:
    noise = torch.randn(adapter.noise_channels, SIZE, SIZE, generator=torch.Generator().manual_seed(SEED))
    return [adapter.upscale_window(lq, noise, adapter.default_steps) for lq, _ in windows]


def _psnr(a: Tensor, b: Tensor) -> float:
    return float(-10 * torch.log10((a - b).square().mean()))


def _build(variant: Variant, store: SampleStore, seen: Observation) -> tuple[VSRAdapter, LayerMap]:
    adapter = open_model("bundled")
    layers = quantize_model(adapter.denoiser, variant.layer, 0, adapter.default_exclude, seed=SEED)
    if variant.rank is None:
        cost = CostModel(seen.shapes, variant.layer)
        table = seen.table if variant.measured else replace(seen.table, errors=seen.table.errors[:, :0])
        ranks = allocate(table, RankSettings(), cost=cost).ranks
        for name, layer in layers.items():
            layer.set_rank(ranks[name])
    elif variant.layer.low_rank:
        for layer in layers.values():
            layer.set_rank(variant.rank)
    if variant.train is not None:
        refine(adapter.denoiser, layers, store, replace(variant.train, seed=SEED))
    else:
        initialise_layers(layers)
        fit_to_samples(adapter.denoiser, layers, store)
    layers.set_mode("frozen")
    return adapter, layers


def main() -> None:
    """Measure, print a line per variant, then JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bits", type=int, default=4)
    parser.add_argument("--only", nargs="*", help="names of variants")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    windows = _windows()
    adapter = open_model("bundled")
    full = _sample(adapter, windows)
    table = {}
    with tempfile.TemporaryDirectory() as folder:
        how = RecordSettings(windows=6, crop=SIZE, seed=SEED)
        store = record_samples(adapter, learn_clips(()), Path(folder) / "samples", how)
        watched = open_model("bundled")
        layers = quantize_model(watched.denoiser, default(), 0, watched.default_exclude)
        seen = observe(watched.denoiser, layers, store, watched.layout)
        for name, variant in _variants(options.bits).items():
            if options.only and name not in options.only:
                continue
            started = time.monotonic()
            low_adapter, layers = _build(variant, store, seen)
            built = time.monotonic() - started
            low = _sample(low_adapter, windows)
            weights = sum(layer.weight.numel() for layer in layers.values())
            size = sum(sum(layer.bytes_at_rest().values()) for layer in layers.values())
            table[name] = {
                "psnr_fp": float(np.mean([_psnr(a, b) for a, b in zip(low, full, strict=True)])),
                "gt_loss": float(
                    np.mean(
                        [
                            _psnr(b, gt) - _psnr(a, gt)
                            for a, b, (_, gt) in zip(low, full, windows, strict=True)
                        ]
                    )
                ),
                "effective_bits": size * 8 / weights,
                "saving": 1 - size / sum(layer.bytes_fp32() for layer in layers.values()),
                "seconds": built,
            }
            row = table[name]
            print(
                f"{name:42s} {row['psnr_fp']:6.2f} dB to FP  {row['gt_loss']:+5.2f} dB lost to GT  "
                f"{row['effective_bits']:.2f} bits  {row['saving']:.2%} smaller  {built:.0f} s",
                flush=True,
            )
    print(json.dumps({"torch": torch.__version__, "bits": options.bits, "variants": table}, indent=1))


if __name__ == "__main__":
    main()

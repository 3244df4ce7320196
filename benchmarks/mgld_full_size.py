"""The full-size MGLD-VSR with random weights: does it fit, and how long does it take?

    python benchmarks/mgld_full_size.py --out results.json [--seconds 170] [--device cuda] [--tiny]

Writes the two official files (half precision, pickled, with a text encoder) with random weights, opens them
as a user would, enlarges a window in several precisions with at most 24 GB of a GPU, calibrates, trains a
few updates, packs, enlarges a clip in full precision and as integers, and imports a parameter file of the
published kind. Times in seconds, memory in bytes; the results are written anew after each part. Random
weights give no picture worth looking at; --tiny tries the script itself.
"""

import argparse
import contextlib
import json
import resource
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from quantvsr.calibration.clips import ArrayClip
from quantvsr.calibration.cost import CostModel
from quantvsr.calibration.observe import observe
from quantvsr.calibration.prepare import fit_to_samples, initialise_layers
from quantvsr.calibration.ranks import allocate
from quantvsr.calibration.refine_config import RefineConfig
from quantvsr.calibration.samples import RecordSettings, record_samples
from quantvsr.errors import Cancelled
from quantvsr.jobs import UpscaleJob
from quantvsr.media import open_writer
from quantvsr.methods import get_method
from quantvsr.methods.apply import calibrate
from quantvsr.models.mgld.adapter import MGLDAdapter
from quantvsr.models.mgld.checkpoint import FIRST_STAGE, STRUCTURAL, TEXT, UNET
from quantvsr.models.mgld.config import MGLDConfig, StructuralConfig, UNetConfig, VaeConfig
from quantvsr.models.mgld.structcond import StructuralEncoder
from quantvsr.models.mgld.text import TextTower
from quantvsr.models.mgld.unet import DenoisingUNet
from quantvsr.models.mgld.vae import Autoencoder
from quantvsr.models.placing import PRECISIONS
from quantvsr.models.registry import open_model
from quantvsr.progress import Progress
from quantvsr.quant.checkpoint import save_checkpoint
from quantvsr.quant.config import reference
from quantvsr.quant.hadamard import Rotation, draw_signs, has_rotation
from quantvsr.quant.qparams import PREFIX, apply_qparams, read_qparams
from quantvsr.quant.surgery import LayerMap, quantize_model
from quantvsr.runtime.execution import accelerate
from quantvsr.runtime.replay import Replays

LIMIT = 24 * 2**30
CHECKPOINT = "checkpoint.safetensors"
RESERVE = 45.0
"""Seconds kept for the parts that follow a long one."""
FULL, TINY = (
    MGLDConfig(),
    MGLDConfig(
        unet=UNetConfig(model_channels=32, channel_mult=(1, 1), num_res_blocks=1, attention_resolutions=(1,),
                        num_head_channels=16, context_dim=1024, semb_channels=32),
        structural=StructuralConfig(model_channels=32, channel_mult=(1, 1), num_res_blocks=1,
                                    attention_resolutions=(1,), out_channels=32),
        vae=VaeConfig(ch=32, ch_mult=(1, 1, 1, 1), num_res_blocks=1), tile=8, overlap=4,
    ),
)  # fmt: skip


class Trial:
    """Parts with their times and peaks, written down as they end."""

    def __init__(self, out: Path, device: torch.device, seconds: float) -> None:
        self.out, self.device, self.end = out, device, time.monotonic() + seconds
        self.results: dict[str, dict[str, Any]] = {}

    def left(self) -> float:
        """Seconds left."""
        return self.end - time.monotonic()

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[dict[str, Any]]:
        """Time a part; what it gives is filled in and kept with its time and peak."""
        found: dict[str, Any] = {}
        if self.device.type == "cuda":
            torch.cuda.synchronize()
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        began = time.monotonic()
        try:
            yield found
        except (RuntimeError, Cancelled) as error:
            found["error"] = f"{type(error).__name__}: {str(error)[:300]}"
        if self.device.type == "cuda":
            torch.cuda.synchronize()
            found["peak_gpu"] = torch.cuda.max_memory_allocated()
        found["seconds"] = round(time.monotonic() - began, 3)
        found["peak_ram_so_far"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        self.results[name] = found
        self.out.write_text(json.dumps(self.results, indent=1))
        print(f"{name}: {json.dumps(found)}  ({self.left():.0f} s left)", flush=True)

    def progress(self, reserve: float) -> Progress:
        """A progress that cancels the work when only `reserve` seconds are left."""
        progress = Progress()
        timer = threading.Timer(max(self.left() - reserve, 0.1), progress.cancel)
        timer.daemon = True
        timer.start()
        return progress


def write_files(folder: Path, config: MGLDConfig, device: torch.device) -> int:
    """Random weights under the official key names; bytes written."""
    torch.manual_seed(0)
    with torch.device(device):
        networks: dict[str, nn.Module] = {
            UNET: DenoisingUNet(config.unet),
            STRUCTURAL: StructuralEncoder(config.structural),
            FIRST_STAGE: Autoencoder(config.vae, False),
            TEXT: TextTower(),
        }
        video = Autoencoder(config.vae, True)
    tensors = {
        prefix + key: value.half().cpu()
        for prefix, network in networks.items()
        for key, value in network.state_dict().items()
    }
    torch.save({"state_dict": tensors, "epoch": 0}, folder / "mgldvsr_unet.ckpt")
    halves = {key: value.half().cpu() for key, value in video.state_dict().items()}
    torch.save({"state_dict": halves}, folder / "video_vae_cfw.ckpt")
    (folder / "mgld.json").write_text(json.dumps({"config": config.to_dict()}))
    return sum(file.stat().st_size for file in folder.iterdir())


def write_qparams(path: Path, layers: LayerMap) -> int:
    """A parameter file of the published kind: random factors of rank 32, signs and ranges; bytes written."""
    generator = torch.Generator().manual_seed(1)
    file: dict[str, OrderedDict[str, torch.Tensor]] = {}
    for name, layer in layers.items():
        out, n = len(layer.weight), layer.weight[0].numel()
        rank = min(32, out, n)
        largest = layer.weight.abs().flatten(1).amax(1).cpu().reshape(out, *[1] * (layer.weight.ndim - 1))
        entry = OrderedDict()
        for part, size in enumerate(layer.parts):
            suffix = "1" if part else ""
            entry[f"wq{suffix}.x_min"] = -1.5 * largest.bfloat16()
            entry[f"wq{suffix}.x_max"] = 1.5 * largest.bfloat16()
            signs = draw_signs(size, generator) if has_rotation("reference", size) else None
            entry[f"rot{suffix}.rot_mat"] = Rotation("reference", size, signs).dense().float()
        entry["stca.L1"] = 1e-3 * torch.randn(out, rank, generator=generator)
        entry["stca.L2"] = 1e-3 * torch.randn(rank, n, generator=generator)
        entry["stca._rank"] = torch.tensor(rank)
        entry["lba.lba"] = torch.zeros(1, out, *[1] * (layer.weight.ndim - 2))
        file[PREFIX + name] = entry
    torch.save(file, path)
    return path.stat().st_size


def open_adapter(folder: Path, device: torch.device) -> MGLDAdapter:
    adapter = open_model(folder, device)
    assert isinstance(adapter, MGLDAdapter)
    return adapter


def window_of(adapter: MGLDAdapter, side: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A smooth moving picture and its noise."""
    rows = torch.linspace(0, 6, side)
    frames = [
        torch.stack([torch.sin(rows[:, None] * (c + 1) + t / 5) * torch.cos(rows + t / 7) for c in range(3)])
        for t in range(adapter.window)
    ]
    noise = torch.randn(adapter.noise_channels, side, side, generator=torch.Generator().manual_seed(0))
    return (torch.stack(frames) / 2 + 0.5).to(adapter.device), noise.to(adapter.device)


def enlarge(
    trial: Trial, name: str, adapter: MGLDAdapter, side: int, steps: int, reserve: float = 0.0
) -> torch.Tensor | None:
    """One window of five frames."""
    lq, noise = window_of(adapter, side)
    progress = trial.progress(reserve)
    with trial.part(name) as found, torch.no_grad():
        found |= {"steps": steps, "side": 4 * side}
        out = adapter.upscale_window(lq, noise, steps, progress.check)
        found["finite"] = bool(out.isfinite().all())
        return out
    return None


def enlarge_both(trial: Trial, name: str, adapter: MGLDAdapter, side: int, steps: int) -> torch.Tensor | None:
    """One window with its steps launched from Python, replayed as people get them, and launched again.

    Returns:
        What the first gives; None where the time was not enough.
    """
    plain = enlarge(trial, name, adapter, side, steps, RESERVE)
    replays = Replays(adapter.repeated, adapter.device)
    with replays:
        enlarge(trial, f"{name}, recorded", adapter, side, min(steps, 3), RESERVE)
        found = enlarge(trial, f"{name}, replayed", adapter, side, steps, RESERVE)
    replays.clear()
    again = enlarge(trial, f"{name}, again", adapter, side, steps, RESERVE)
    for what, other in (("replayed", found), ("again", again)):
        if plain is not None and other is not None:
            print(f"{name}, {what}: largest difference {(other - plain).abs().max():.2e}")
    return plain


def main() -> None:
    """Run everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=170.0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--tiny", action="store_true")
    given = parser.parse_args()
    device, config = torch.device(given.device), TINY if given.tiny else FULL
    trial = Trial(given.out, device, given.seconds)
    side, steps = config.tile * 2, 2 if given.tiny else 50
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with trial.part("write") as found:
            found["bytes"] = write_files(folder, config, device)
        with trial.part("open, text context computed") as found:
            adapter = open_adapter(folder, device)
            found["parameters"] = sum(p.numel() for p in adapter.denoiser.parameters())
        if device.type == "cuda":
            whole = torch.cuda.get_device_properties(device).total_memory
            torch.cuda.set_per_process_memory_fraction(LIMIT / whole)
        full = enlarge(trial, "window float32", adapter, side, steps)
        for precision in (torch.float16, torch.bfloat16):
            if device.type == "cuda" or precision == torch.bfloat16:
                adapter.compute_in(precision)
                half = enlarge_both(trial, f"window {precision}", adapter, side, steps)
                if full is not None and half is not None:
                    print(f"mean difference from float32: {(half - full).abs().mean():.5f}")
        adapter.compute_in(torch.float32)
        if device.type == "cuda":
            torch.cuda.set_per_process_memory_fraction(1.0)
        quantize(trial, adapter, folder, side, steps)
        del adapter
        upscale_clip(trial, folder, device, side, min(steps, 10))
        import_published(trial, folder, device)


def quantize(trial: Trial, adapter: MGLDAdapter, folder: Path, side: int, steps: int) -> None:
    """Calibrate on two windows with few updates, write the checkpoint, enlarge with it."""
    few = min(steps, 4)
    generator = np.random.default_rng(0)
    clip = ArrayClip("noise", generator.random((10, side, side, 3), dtype=np.float32))
    recipe = get_method("quantvsr").recipe
    with trial.part(f"record {2 * few} samples") as found:
        store = record_samples(adapter, [clip], folder / "samples", RecordSettings(2, side, few))
        found["bytes"] = sum(file.stat().st_size for file in store.folder.iterdir())
    layers = quantize_model(adapter.denoiser, recipe.layer(4, 4), 8, adapter.default_exclude, seed=0)
    with trial.part("observe"):
        seen = observe(
            adapter.denoiser, layers, store, adapter.layout, kind=recipe.statistics, device=adapter.device
        )
        cost = CostModel(seen.shapes, recipe.layer(4, 4))
        ranks = allocate(seen.table, recipe.ranks({}), cost=cost).ranks
        for name, rank in ranks.items():
            layers[name].set_rank(rank)
    budget = recipe.training(RefineConfig(updates=3, bias_updates=2, accumulation=1, holdout=0))
    with trial.part("initialise the layers"):
        initialise_layers(layers, trial.progress(RESERVE))
    if any(not layer.initialised for layer in layers.values()):
        return
    with trial.part("fit to the samples' inputs"):
        fit_to_samples(
            adapter.denoiser, layers, store, device=adapter.device, progress=trial.progress(RESERVE)
        )
    with trial.part("train, 3 + 2 updates") as found:
        result = calibrate(adapter, layers, store, recipe, budget, trial.progress(RESERVE))
        found["losses"] = {stage.name: list(stage.losses) for stage in result.stages}
        found["seconds_an_update"] = {
            stage.name: round(stage.seconds / max(len(stage.losses), 1), 3) for stage in result.stages
        }
    with trial.part("pack and write the checkpoint") as found:
        layers.set_mode("frozen")
        info = save_checkpoint(folder / CHECKPOINT, adapter.denoiser, {})
        found |= {"bytes": info.bytes_file, "bytes_fp32": info.bytes_fp32, "saving": info.saving}
    enlarge(trial, "window W4A4, simulated", adapter, side, few, reserve=RESERVE)
    with trial.part("make executable") as found:
        adapter.compute_in(PRECISIONS[half_of(adapter.device)])
        made = accelerate(adapter.denoiser, adapter.device, carriers=adapter.carriers)
        found |= {"execution": str(made), "carrier": str(made.carrier), "notices": made.notices}
    enlarge(trial, "window W4A4, executable, first call", adapter, side, few, reserve=RESERVE)
    enlarge_both(trial, "window W4A4, executable", adapter, side, steps)


def half_of(device: torch.device) -> str:
    """The type for speed."""
    return "float16" if device.type == "cuda" else "float32"


def upscale_clip(trial: Trial, folder: Path, device: torch.device, side: int, steps: int) -> None:
    """A clip of two overlapping windows and tiles, from file to file, in full precision and as integers."""
    checkpoint, clip = folder / CHECKPOINT, folder / "clip"
    if not checkpoint.is_file():
        return
    width, generator = side + side // 2, np.random.default_rng(0)
    with open_writer(clip, width, side, codec="png") as writer:
        for _ in range(9):
            writer.write(generator.random((side, width, 3), dtype=np.float32))
    for name, lowbit in (("full precision", None), ("W4A4", str(checkpoint))):
        progress = trial.progress(RESERVE)
        with trial.part(f"clip to {4 * width}x{4 * side}, {name}") as found:
            job = UpscaleJob(
                clip=str(clip),
                model=str(folder),
                checkpoint=lowbit,
                compute=half_of(device),
                device=str(device),
                steps=steps,
                tile=side,
                out=str(folder / f"{name}.mkv"),
            )
            result = job.run(progress)
            found |= {"steps": steps, "frames": result.frames, "execution": result.execution}
            found |= {"compute": job.compute, "stages": result.seconds}


def import_published(trial: Trial, folder: Path, device: torch.device) -> None:
    """A full-size parameter file of the published method."""
    adapter = open_adapter(folder, torch.device("cpu"))
    layers = quantize_model(adapter.denoiser, reference(4, 4), 0, adapter.default_exclude, seed=0)
    file = folder / "w4a4.pth"
    with trial.part("make a parameter file") as found:
        found |= {"bytes": write_qparams(file, layers), "layers": len(layers)}
    with trial.part("read and set the parameter file"):
        apply_qparams(adapter.denoiser, read_qparams(file))
    adapter.denoiser.to(device)
    with trial.part("pack the imported layers") as found:
        layers.set_mode("frozen")
        found["bytes"] = save_checkpoint(folder / "imported.safetensors", adapter.denoiser, {}).bytes_file


if __name__ == "__main__":
    main()

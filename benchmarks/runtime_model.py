"""The bundled model: its denoiser, its layers, and a clip from file to file."""

import json
import math
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from runtime_layers import CPU, FRAMES, Kinds, fill, macs_of, measure, title_of
from runtime_timing import Run, by_turns, show
from torch import Tensor, nn

from quantvsr.jobs.work.clips import bundled_clips
from quantvsr.media import open_clip
from quantvsr.models.registry import open_model
from quantvsr.quant.checkpoint import load_checkpoint
from quantvsr.quant.config import default
from quantvsr.quant.surgery import LayerMap, quantize_model
from quantvsr.runtime.execution import accelerate

_PASS_ON = "import subprocess, sys; sys.exit(subprocess.run(sys.argv[1:]).returncode)"


@dataclass(frozen=True)
class Bundled:
    """Inputs of the bundled denoiser, and ways to make it."""

    size: int
    ranks: Mapping[str, int] | int

    def inputs(self, dtype: torch.dtype) -> dict[str, Tensor]:
        """One call's arguments."""
        generator = torch.Generator().manual_seed(0)
        sample, condition = (
            torch.randn(1, FRAMES, channels, self.size, self.size, generator=generator).to(dtype)
            for channels in (48, 51)
        )
        return {"sample": sample, "time": torch.tensor([0.5]), "condition": condition}

    def plain(self, dtype: torch.dtype) -> nn.Module:
        """In floating point."""
        return nn.Module.to(open_model("bundled").denoiser, dtype)

    def simulated(self, bits: int) -> tuple[nn.Module, LayerMap]:
        """Quantized, with all that costs time: shift, directions, clips."""
        adapter = open_model("bundled")
        layers = quantize_model(
            adapter.denoiser, default(bits, bits), self.ranks, adapter.default_exclude, seed=0
        )
        for name, layer in layers.items():
            fill(layer, self.ranks if isinstance(self.ranks, int) else self.ranks[name])
        layers.check_finite()
        return adapter.denoiser, layers

    def integer(self, bits: int) -> tuple[nn.Module, torch.dtype]:
        """Executed as integers, and the type between layers."""
        model, layers = self.simulated(bits)
        del layers
        found = accelerate(model, CPU, carriers=open_model("bundled").carriers, warn=print)
        print(f"W{bits}A{bits}: {found}, {found.carrier} between layers", file=sys.stderr)
        return model, found.carrier


def step(
    bundled: Bundled, bits: Sequence[int], rounds: int, compiled: bool, limit: float | None
) -> dict[str, Any]:
    """The whole denoiser once."""
    contenders: dict[str, Run] = {}

    def add(name: str, model: Callable[..., object], dtype: torch.dtype) -> None:
        given = bundled.inputs(dtype)
        contenders[name] = lambda: model(**given)

    add("fp32", bundled.plain(torch.float32), torch.float32)
    add("bf16", bundled.plain(torch.bfloat16), torch.bfloat16)
    if not compiled:
        print("| step | bf16, torch.compile: not measured, it compiles for about a minute (--compile) |||||")
    else:
        add("bf16, torch.compile", torch.compile(bundled.plain(torch.bfloat16)), torch.bfloat16)
    add(f"simulated W{bits[0]}A{bits[0]}", bundled.simulated(bits[0])[0], torch.float32)
    for each in bits:
        add(f"integer W{each}A{each}", *bundled.integer(each))
    macs = sum(macs_of(layer, shape) for layer, shape in _calls(bundled))
    return show(
        f"step, {bundled.size}x{bundled.size}", by_turns(contenders, rounds, twice=True), 2 * macs, limit
    )


def _calls(bundled: Bundled) -> list[tuple[nn.Module, torch.Size]]:
    """Layers that get quantized, and the shapes of their inputs."""
    model, names = bundled.plain(torch.float32), set(bundled.simulated(4)[1])
    found: list[tuple[nn.Module, torch.Size]] = []
    for name, module in model.named_modules():
        if name in names:
            module.register_forward_hook(lambda m, given, _: found.append((m, given[0].shape)))
    model(**bundled.inputs(torch.float32))
    return found


def layers(bundled: Bundled, bits: Sequence[int], rounds: int, limit: float | None) -> dict[str, Any]:
    """Each different layer of the bundled model alone, and their sum."""
    kinds: Kinds = {}
    for module, shape in _calls(bundled):
        name = title_of(module, shape)
        kinds[name] = (module, shape, kinds[name][2] + 1 if name in kinds else 1)
    return measure(kinds, bits, rounds, limit, "bundled layers", 24)


def sizes(bits: Sequence[int], bundled: Bundled, checkpoint: Path) -> dict[str, int]:
    """Bytes at rest of the layers that get quantized."""
    found: dict[str, int] = {}
    for each in bits:
        adapter = open_model("bundled")
        made = quantize_model(
            adapter.denoiser, default(each, each), bundled.ranks, adapter.default_exclude, seed=0
        )
        layers = made.values()
        found.setdefault("fp32", sum(layer.bytes_fp32() for layer in layers))
        found[f"W{each}A{each}"] = sum(sum(layer.bytes_at_rest().values()) for layer in layers)
    found[f"file {checkpoint.name}"] = checkpoint.stat().st_size
    for name, size in found.items():
        print(f"| bytes on disk | {name} | {size / 1e6:.2f} MB | {found['fp32'] / size:.2f} times smaller ||")
    return found


def clip(checkpoint: Path, frames: int, tile: int, rounds: int, simulated: bool) -> dict[str, Any]:
    """A bundled clip from file to file, each way in a process of its own, with its peak memory."""
    runs = {
        "fp32": [],
        "bf16": ["--compute", "bfloat16"],
        "simulated": ["--checkpoint", str(checkpoint), "--backend", "simulated"],
        "integer": ["--checkpoint", str(checkpoint)],
    }
    if not simulated:
        del runs["simulated"]
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in runs}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            for name, options in runs.items():
                command = [
                    sys.executable, "-m", "quantvsr", "upscale", str(bundled_clips()[0].lq), "--json",
                    "--frames", str(frames), "--tile", str(tile), "--device", "cpu",
                    "--out", str(Path(folder) / f"{name}.mp4"), "--overwrite", *options,
                ]  # fmt: skip
                # Through a small process: on Linux the peak memory of a process includes its parent's.
                done = subprocess.run(
                    [sys.executable, "-c", _PASS_ON, *command], capture_output=True, text=True, check=True
                )
                found[name].append(json.loads(done.stdout))
    rows = {}
    for name, results in found.items():
        seconds = statistics.median(result["seconds"]["upscale"] for result in results)
        pairs = zip(found["fp32"], results, strict=True)
        faster = statistics.median(a["seconds"]["upscale"] / b["seconds"]["upscale"] for a, b in pairs)
        memory = max(result["peak_memory"] for result in results)
        how = results[0]["execution"] or f"full precision, {name}"
        rows[name] = {"seconds": seconds, "times": faster, "peak_memory": memory, "execution": how}
        print(f"| clip, {frames} frames | {how} | {seconds:.1f} s | {faster:.2f} | {memory / 1e6:.0f} MB |")
    return rows


def pictures(checkpoint: Path, size: int) -> dict[str, float]:
    """PSNR of one enlarged window between ways of execution, in dB.

    `disturbed` is the simulated execution with the inputs of layers changed by a millionth: how far pictures
    are apart that differ in rounding only.
    """
    with open_clip(bundled_clips()[0].lq) as reader:
        frames = [frame.rgb[:size, :size] for frame, _ in zip(reader, range(FRAMES), strict=False)]
    lq = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).float().contiguous()
    noise = torch.randn(48, *lq.shape[2:], generator=torch.Generator().manual_seed(1))

    def enlarged(how: str) -> Tensor:
        adapter = open_model("bundled")
        if how != "full precision":
            found, _ = load_checkpoint(checkpoint, adapter.denoiser)
            if how == "disturbed":
                for layer in found.values():
                    layer.register_forward_pre_hook(
                        lambda _, x: (x[0] * (1 + 1e-6 * torch.randn_like(x[0])),)
                    )
            del found
        if how.startswith("integer"):
            carriers = adapter.carriers if how == "integer" else (torch.float32,)
            accelerate(adapter.denoiser, CPU, carriers=carriers)
        return adapter.upscale_window(lq, noise, adapter.default_steps)

    shown = {
        how: enlarged(how) for how in ("full precision", "simulated", "disturbed", "integer", "integer, fp32")
    }
    found = {}
    for name, other in (
        ("simulated", "full precision"), ("integer", "full precision"), ("integer, fp32", "full precision"),
        ("integer", "simulated"), ("integer, fp32", "simulated"), ("disturbed", "simulated"),
    ):  # fmt: skip
        decibels = -10 * math.log10(float((shown[name] - shown[other]).square().mean()))
        found[f"{name} to {other}"] = decibels
        print(f"| {name} to {other} | {decibels:.2f} dB |", flush=True)
    return found

"""How fast low-bit layers run here: `python benchmarks/runtime.py [--quick] [--json FILE] [--parts NAME...]`.

Parts, all on the processor: `limits` (rates of the machine), `layers` (those of the bundled model), `step`
(its whole denoiser), `network` (layers of the full-size MGLD-VSR denoiser), `clip` (a bundled clip from file
to file, each precision in a process of its own, with its peak memory), `pictures` (how far the pictures of
different ways of execution are apart). Contenders of a part run by turns; a
time is the median over rounds, a ratio the median of the rounds' ratios. Speeds do not depend on the values
of weights, so that quantized weights are made without training (except those of `clip`).

On a machine with a GPU, `benchmarks/runtime_cuda.py` measures its layers.
"""

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from quantvsr.jobs.work.clips import bundled_clips
from quantvsr.jobs.work.machine import _cpu_features, _cpu_name
from quantvsr.media import open_clip
from quantvsr.models.registry import open_model
from quantvsr.quant.checkpoint import load_checkpoint, read_checkpoint_info
from quantvsr.quant.config import default
from quantvsr.quant.encoded import EncodedWeight
from quantvsr.quant.layers import DualBranchLayer
from quantvsr.quant.lowrank import factor_shapes
from quantvsr.quant.surgery import LayerMap, quantize_model
from quantvsr.runtime.execution import accelerate
from quantvsr.runtime.registry import available

SHAPES = Path(__file__).resolve().parents[2] / "shared" / "golden" / "mgld" / "full_size_cost.json"
FRAMES, RANK = 5, 32
CPU = torch.device("cpu")
FORMATS = {4: torch.channels_last, 5: torch.channels_last_3d}

Run = Callable[[], object]
Times = dict[str, list[float]]


_clock: Callable[[], float] = time.perf_counter


def by_turns(contenders: Mapping[str, Run], rounds: int) -> Times:
    """Seconds of each contender in each round, after one round that does not count."""
    times: Times = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, run in contenders.items():
            began = _clock()
            run()
            if number:
                times[name].append(_clock() - began)
    return times


def ratio(times: Times, name: str, base: str) -> float:
    """How many times as fast as `base`: median over rounds."""
    return statistics.median(b / t for b, t in zip(times[base], times[name], strict=True))


def total(found: Sequence[tuple[Times, int]]) -> Times:
    """The sum of several measurements with their counts, round by round."""
    names = found[0][0]
    rounds = range(min(len(times[next(iter(names))]) for times, _ in found))
    return {name: [sum(times[name][i] * count for times, count in found) for i in rounds] for name in names}


_COLUMNS = {"median_ms": 1, "least_ms": 1, "times": 2}


def show(title: str, times: Times, operations: float, limit: float | None) -> dict[str, Any]:
    """Print one table row per contender; returns them as JSON values."""
    base = next(iter(times))
    rows = {}
    for name, found in times.items():
        median, best = statistics.median(found), min(found)
        row: dict[str, Any] = {
            "median_ms": 1e3 * median,
            "least_ms": 1e3 * best,
            "times": ratio(times, name, base),
        }
        share = ""
        if limit and "integer" in name:
            row["share_of_int8_limit"] = operations / median / limit
            share = f"{row['share_of_int8_limit']:.0%} of the int8 rate"
        cells = (title, name, *(f"{row[key]:.{digits}f}" for key, digits in _COLUMNS.items()), share)
        print(f"| {' | '.join(cells)} |", flush=True)
        rows[name] = row
    return rows


# Limits ---------------------------------------------------------------------------------------------------


def limits(rounds: int) -> dict[str, float]:
    """Operations a second of large products, and bytes a second of a copy."""
    n, count = 2048, 64 * 2**20
    a, b = torch.randn(n, n), torch.randn(n, n)
    a16, b16 = a.bfloat16(), b.bfloat16()
    codes = torch.randint(0, 16, (n, n), dtype=torch.uint8)
    packed = torch.ops.onednn.qlinear_prepack(torch.randint(-8, 8, (n, n), dtype=torch.int8), None)
    ones, zeros = torch.ones(n), torch.zeros(n, dtype=torch.int32)
    source, target = torch.ones(count), torch.ones(count)
    times = by_turns(
        {
            "fp32": lambda: torch.mm(a, b),
            "bf16": lambda: torch.mm(a16, b16),
            "int8": lambda: torch.ops.onednn.qlinear_pointwise(
                codes, 1.0, 0, packed, ones, zeros, None, 1.0, 0, torch.float32, "none", [], ""
            ),
            "memory": lambda: target.copy_(source),
        },
        rounds,
    )
    work = {"fp32": 2 * n**3, "bf16": 2 * n**3, "int8": 2 * n**3, "memory": 8 * count}
    # A limit is what was reached at best.
    found = {name: work[name] / min(times[name]) for name in times}
    for name, rate in found.items():
        print(f"| limit | {name} | {rate / 1e9:.0f} {'GB/s' if name == 'memory' else 'GOP/s'} |")
    return found


# Bundled model --------------------------------------------------------------------------------------------


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
        for layer in layers.values():
            layer.initialise()
            layer.set_activation_shift(torch.full((layer.geometry.in_channels,), 0.1))
        layers.set_mode("frozen")
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
    if compiled:
        add("bf16, torch.compile", torch.compile(bundled.plain(torch.bfloat16)), torch.bfloat16)
    add(f"simulated W{bits[0]}A{bits[0]}", bundled.simulated(bits[0])[0], torch.float32)
    for each in bits:
        add(f"integer W{each}A{each}", *bundled.integer(each))
    macs = sum(_macs(layer, shape) for layer, shape in _calls(bundled))
    return show(f"step, {bundled.size}x{bundled.size}", by_turns(contenders, rounds), 2 * macs, limit)


def _calls(bundled: Bundled) -> list[tuple[nn.Module, torch.Size]]:
    """Layers that get quantized, and the shapes of their inputs."""
    model, names = bundled.plain(torch.float32), set(bundled.simulated(4)[1])
    found: list[tuple[nn.Module, torch.Size]] = []
    for name, module in model.named_modules():
        if name in names:
            module.register_forward_hook(lambda m, given, _: found.append((m, given[0].shape)))
    model(**bundled.inputs(torch.float32))
    return found


def layers(bundled: Bundled, bits: int, rounds: int, limit: float | None) -> dict[str, Any]:
    """Each different layer of the bundled model alone, and their sum."""
    kinds: dict[str, tuple[nn.Module, torch.Size, int]] = {}
    for module, shape in _calls(bundled):
        name = _title(module, shape)
        kinds[name] = (module, shape, kinds[name][2] + 1 if name in kinds else 1)
    return _measure(kinds, bits, rounds, limit, "bundled layers", 24)


# Full-size MGLD-VSR ---------------------------------------------------------------------------------------


def network(path: Path, bits: int, rounds: int, limit: float | None, share: float) -> dict[str, Any]:
    """Different layers of the full-size denoiser, those with most work first, up to a share of the work."""
    listed = json.loads(path.read_text(encoding="utf-8"))["quantised"]["layer_list"]
    kinds: dict[str, tuple[nn.Module, torch.Size, int]] = {}
    work: dict[str, float] = {}
    for name, entry in listed.items():
        module, shape = _mgld_layer(name, entry)
        title = _title(module, shape)
        kinds[title] = (module, shape, kinds[title][2] + 1 if title in kinds else 1)
        work[title] = work.get(title, 0) + entry["macs_5x4x64x64"]
    taken, done = {}, 0.0
    for title in sorted(work, key=lambda each: -work[each]):
        if done >= share * sum(work.values()):
            break
        taken[title], done = kinds[title], done + work[title]
    print(
        f"{len(taken)} of {len(kinds)} shapes, {done / sum(work.values()):.0%} of the products",
        file=sys.stderr,
    )
    return _measure(taken, bits, rounds, limit, "MGLD-VSR layers", RANK)


def _mgld_layer(name: str, entry: Mapping[str, Any]) -> tuple[nn.Module, torch.Size]:
    out, channels, *kernel = entry["weight"]
    positions = round(entry["macs_5x4x64x64"] / math.prod(entry["weight"]))
    with torch.device("meta"):
        if not kernel:
            return nn.Linear(channels, out, entry["bias"]), torch.Size((positions, channels))
        stride = 2 if name.endswith(".op") else 1
        side = math.isqrt(positions // FRAMES) * stride
        if len(kernel) == 3:
            padding = (kernel[0] // 2, 0, 0)
            module = nn.Conv3d(channels, out, (kernel[0], 1, 1), padding=padding, bias=entry["bias"])
            return module, torch.Size((1, channels, FRAMES, side, side))
        module = nn.Conv2d(channels, out, kernel[0], stride, kernel[0] // 2, bias=entry["bias"])
        return module, torch.Size((FRAMES, channels, side, side))


# Layers ---------------------------------------------------------------------------------------------------


def _title(module: nn.Module, shape: torch.Size) -> str:
    weight = module.weight
    assert isinstance(weight, Tensor)
    kernel = "x".join(map(str, weight.shape[2:])) or "linear"
    stride = getattr(module, "stride", (1,))
    step = f"/{stride[0]}" if max(stride) > 1 else ""
    rest = shape[:-1] if weight.ndim == 2 else (shape[0], *shape[2:])
    return f"{weight.shape[1]}->{weight.shape[0]} {kernel}{step} on {'x'.join(map(str, rest))}"


def _macs(module: nn.Module, shape: torch.Size) -> int:
    weight = module.weight
    assert isinstance(weight, Tensor)
    if weight.ndim == 2:
        return math.prod(shape[:-1]) * weight.numel()
    made = nn.Module.to(module, "meta")(torch.empty(shape, device="meta")) if weight.is_meta else None
    if made is None:
        found = torch.nn.utils.skip_init(type(module), *_arguments(module), device="meta")
        made = found(torch.empty(shape, device="meta"))
    return math.prod(made.shape) * weight[0].numel()


def _arguments(module: nn.Module) -> tuple[Any, ...]:
    if isinstance(module, nn.Linear):
        return module.in_features, module.out_features, module.bias is not None
    assert isinstance(module, nn.Conv2d | nn.Conv3d)
    return (
        module.in_channels, module.out_channels, module.kernel_size, module.stride, module.padding,
        module.dilation, module.groups, module.bias is not None,
    )  # fmt: skip


def _made(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    """The same layer with random weights."""
    made = type(module)(*_arguments(module)).to(dtype).requires_grad_(False)
    weight = made.weight
    assert isinstance(weight, Tensor)
    if weight.ndim in FORMATS:
        weight.data = weight.data.contiguous(memory_format=FORMATS[weight.ndim])
    return made


def frozen(module: nn.Module, bits: int, rank: int) -> DualBranchLayer:
    """The layer with random codes and factors, without the decompositions that real ones take."""
    layer = DualBranchLayer(_made(module, torch.float32), default(bits, bits))
    layer.draw_signs()
    shape = layer.weight.shape
    l1, l2 = (
        0.02 * torch.randn(s) for s in factor_shapes(shape, min(rank, min(shape[:2]) // 4), layer.basis)
    )
    ones = (shape[0], *[1] * (len(shape) - 1))
    codes = torch.randint(0, 2**bits, shape, dtype=torch.uint8)
    scale, zero = torch.full(ones, 0.1 / 2**bits), torch.full(ones, 2.0 ** (bits - 1))
    layer.set_activation_shift(torch.full((layer.geometry.in_channels,), 0.1))
    layer.load_encoded(len(l2), EncodedWeight([codes], [scale], [zero], l1, l2, 1, layer.basis))
    layer.check_finite = True
    return layer


def _measure(
    kinds: Mapping[str, tuple[nn.Module, torch.Size, int]],
    bits: int,
    rounds: int,
    limit: float | None,
    title: str,
    rank: int,
) -> dict[str, Any]:
    best = available(CPU)[0]
    rows, sums, work = {}, [], 0
    for name, (module, shape, count) in kinds.items():
        x = torch.randn(shape)
        x = x.contiguous(memory_format=FORMATS[x.ndim]) if x.ndim in FORMATS else x
        layer = frozen(module, bits, rank)
        if best.unsupported(layer) is not None:
            print(f"{name}: {best.unsupported(layer)}", file=sys.stderr)
            continue
        carrier = best.carriers(CPU)[0]
        integer, full, half = (
            best.prepare(layer, carrier),
            *(_made(module, d) for d in (torch.float32, torch.bfloat16)),
        )
        xs = {dtype: x.to(dtype) for dtype in (torch.float32, torch.bfloat16, carrier)}
        runs: dict[str, Run] = {
            "fp32": lambda f=full, x=xs[torch.float32]: f(x),
            "bf16": lambda f=half, x=xs[torch.bfloat16]: f(x),
            f"simulated W{bits}A{bits}": lambda f=layer, x=xs[torch.float32]: f(x),
            f"integer W{bits}A{bits}": lambda f=integer, x=xs[carrier]: f(x),
        }
        times = by_turns(runs, rounds)
        operations = 2 * _macs(module, shape)
        rows[f"{name} (x{count})"] = show(f"{name} (x{count})", times, operations, limit)
        sums.append((times, count))
        work += operations * count
    rows["sum"] = show(f"{title}, sum", total(sums), work, limit)
    return rows


# A clip ---------------------------------------------------------------------------------------------------


def clip(checkpoint: Path, frames: int, tile: int, rounds: int) -> dict[str, Any]:
    """A bundled clip from file to file."""
    runs = {
        "fp32": [],
        "simulated": ["--checkpoint", str(checkpoint), "--backend", "simulated"],
        "integer": ["--checkpoint", str(checkpoint)],
    }
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in runs}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            for name, options in runs.items():
                command = [
                    sys.executable, "-m", "quantvsr", "upscale", str(bundled_clips()[0].lq), "--json",
                    "--frames", str(frames), "--tile", str(tile), "--device", "cpu",
                    "--out", str(Path(folder) / f"{name}.mp4"), "--overwrite", *options,
                ]  # fmt: skip
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                found[name].append(json.loads(done.stdout))
    rows = {}
    for name, results in found.items():
        seconds = statistics.median(result["seconds"]["upscale"] for result in results)
        pairs = zip(found["fp32"], results, strict=True)
        faster = statistics.median(a["seconds"]["upscale"] / b["seconds"]["upscale"] for a, b in pairs)
        memory = max(result["peak_memory"] for result in results)
        how = results[0]["execution"] or "full precision"
        rows[name] = {"seconds": seconds, "times": faster, "peak_memory": memory, "execution": how}
        print(f"| clip, {frames} frames | {how} | {seconds:.1f} s | {faster:.2f} | {memory / 1e6:.0f} MB |")
    return rows


# Pictures -------------------------------------------------------------------------------------------------


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


# Command --------------------------------------------------------------------------------------------------


def machine(threads: int) -> dict[str, Any]:
    """What the figures belong to."""
    return {
        "processor": _cpu_name(),
        "features": _cpu_features(),
        "cores": os.cpu_count(),
        "threads": threads,
        "clock": "processor time of one thread" if _clock is time.thread_time else "wall",
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "load": os.getloadavg() if hasattr(os, "getloadavg") else None,
        "command": " ".join(["python", *sys.argv]),
    }


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description="Speed of low-bit layers on this machine's processor.")
    parser.add_argument("--quick", action="store_true", help="smaller inputs, fewer rounds and shapes")
    names = ("limits", "layers", "step", "network", "clip", "pictures")
    parser.add_argument("--parts", nargs="+", choices=names, default=["limits", "layers", "step", "network"])
    parser.add_argument("--bits", type=int, nargs="+", default=[4, 6, 8])
    parser.add_argument("--size", type=int, help="edge of the bundled model's input, LQ pixels")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--checkpoint", type=Path, help="of the bundled model: its ranks, and for part clip")
    parser.add_argument("--shapes", type=Path, default=SHAPES)
    parser.add_argument(
        "--processor-time", action="store_true", help="of one thread, for machines that others use as well"
    )
    parser.add_argument("--share", type=float, help="of the network's work, 0 to 1; the largest shapes")
    parser.add_argument("--compile", action="store_true", help="bf16 with torch.compile as well")
    parser.add_argument("--json", type=Path, help="write all figures into this file")
    given = parser.parse_args()
    if given.processor_time:
        global _clock
        _clock, given.threads = time.thread_time, 1
    torch.set_num_threads(given.threads)
    torch.set_grad_enabled(False)
    torch.manual_seed(0)
    rounds = given.rounds or (3 if given.quick else 9)
    ranks: Mapping[str, int] | int = 24
    if given.checkpoint is not None:
        ranks = {name: layer["rank"] for name, layer in read_checkpoint_info(given.checkpoint).layers.items()}
    bundled = Bundled(given.size or (32 if given.quick else 96), ranks)
    results: dict[str, Any] = {"machine": machine(given.threads)}
    print(json.dumps(results["machine"]))
    print("| what | how | median ms | least ms | times as fast | reached |\n|---|---|---|---|---|---|")
    if "limits" in given.parts:
        results["limits"] = limits(rounds)
    limit = results["limits"]["int8"] if "limits" in results else None
    if "layers" in given.parts:
        results["layers"] = layers(bundled, given.bits[0], rounds, limit)
    if "step" in given.parts:
        results["step"] = step(bundled, given.bits, rounds, given.compile, limit)
    if "network" in given.parts and given.shapes.exists():
        share = given.share or (0.1 if given.quick else 1.0)
        results["network"] = network(given.shapes, given.bits[0], 1 if given.quick else rounds, limit, share)
    if "clip" in given.parts:
        if given.checkpoint is None:
            parser.error("--parts clip needs --checkpoint")
        results["clip"] = clip(given.checkpoint, 5 if given.quick else 17, 96, 1 if given.quick else 3)
    if "pictures" in given.parts:
        if given.checkpoint is None:
            parser.error("--parts pictures needs --checkpoint")
        results["pictures"] = pictures(given.checkpoint, given.size or 48)
    results["load_after"] = os.getloadavg() if hasattr(os, "getloadavg") else None
    if given.json:
        given.json.write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()

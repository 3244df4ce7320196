"""Layers of the full-size MGLD-VSR denoiser on a GPU: `python benchmarks/runtime_cuda.py [--quick] [--json FILE]`.

Every different layer (kind, sizes, positions) is timed alone, bf16 and integers by turns in each round; sums
weigh each by how often the network has it. Times are those of replayed CUDA graphs, that is, of the GPU
without what Python takes for launching. Weights and inputs rotate among several sets, so that caches do not
hold what a network would have to load. Weights are random: times do not depend on them.

The shapes come from `full_size_cost.json` (option --shapes; default ../shared/golden/mgld beside the
repository).
"""

import argparse
import copy
import functools
import json
import math
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from quantvsr.quant.config import LayerQuantConfig, default
from quantvsr.quant.encoded import EncodedWeight
from quantvsr.quant.layers import DualBranchLayer
from quantvsr.quant.lowrank import factor_shapes
from quantvsr.runtime.tiles import Shape, Tile
from quantvsr.runtime.triton_int8 import BACKEND
from quantvsr.runtime.triton_layer import TritonLayer

SHAPES = Path(__file__).resolve().parents[2] / "shared" / "golden" / "mgld" / "full_size_cost.json"
RANK, FRAMES = 32, 5
_CACHED = 150e6
"""Bytes after which a GPU's cache holds nothing of the first ones."""
_SETS = 8

Run = Callable[[], object]


@dataclass(frozen=True)
class LayerKind:
    """Layers that do the same work.

    Attributes:
        kind: "linear", "conv2d" or "conv3d".
        weight: Shape of the weight.
        shape: Shape of the input.
        stride: Of convolutions over two dimensions.
        bias: Whether there is one.
        count: How many the network has.
    """

    kind: str
    weight: tuple[int, ...]
    shape: tuple[int, ...]
    stride: int = 1
    bias: bool = True
    count: int = 1

    @property
    def positions(self) -> int:
        """Output positions."""
        rest = self.shape[:-1] if self.kind == "linear" else (self.shape[0], *self.shape[2:])
        return math.prod(rest) // self.stride**2

    @property
    def macs(self) -> int:
        """Products of one layer."""
        return self.positions * math.prod(self.weight)

    def __str__(self) -> str:
        """Sizes, as tables show them."""
        kernel = "x".join(map(str, self.weight[2:])) or "linear"
        step = f"/{self.stride}" if self.stride > 1 else ""
        return f"{self.weight[1]}->{self.weight[0]} {kernel}{step} at {self.positions}"

    def plain(self, dtype: torch.dtype) -> nn.Module:
        """The layer in floating point."""
        out, channels = self.weight[:2]
        kernel = self.weight[2:]
        module: nn.Module
        if self.kind == "linear":
            module = nn.Linear(channels, out, self.bias)
        elif self.kind == "conv2d":
            module = nn.Conv2d(channels, out, kernel, self.stride, kernel[0] // 2, bias=self.bias)
        else:
            module = nn.Conv3d(channels, out, kernel, padding=(kernel[0] // 2, 0, 0), bias=self.bias)
        module = module.to("cuda", dtype).requires_grad_(False)
        formats = {"conv2d": torch.channels_last, "conv3d": torch.channels_last_3d}
        return module.to(memory_format=formats[self.kind]) if self.kind in formats else module

    def input(self, dtype: torch.dtype) -> Tensor:
        """Random activations."""
        x = torch.randn(self.shape, device="cuda").to(dtype)
        formats = {4: torch.channels_last, 5: torch.channels_last_3d}
        return x.contiguous(memory_format=formats[x.ndim]) if x.ndim in formats else x

    def frozen(self, config: LayerQuantConfig) -> DualBranchLayer:
        """The layer with random codes and factors."""
        layer = DualBranchLayer(self.plain(torch.float32), config, str(self))
        layer.draw_signs()
        shape, out = layer.weight.shape, self.weight[0]
        rank = min(RANK, min(self.weight[:2]) // 2)
        l1, l2 = (torch.randn(s, device="cuda") * 0.02 for s in factor_shapes(shape, rank, layer.basis))
        l2 = torch.linalg.qr(l2.T).Q.T
        codes = torch.randint(0, 2**config.weight_bits, shape, dtype=torch.uint8, device="cuda")
        ones = (out, *[1] * (len(shape) - 1))
        scale = torch.full(ones, 0.1 / 2**config.weight_bits, device="cuda")
        zero = torch.full(ones, float(2 ** (config.weight_bits - 1)), device="cuda")
        bias = torch.randn(out, device="cuda") if self.bias else None
        layer.set_activation_shift(torch.randn(self.weight[1], device="cuda") * 0.1)
        l1, l2 = l1.half().float(), l2.half().float()
        layer.load_encoded(rank, EncodedWeight([codes], [scale], [zero], l1, l2, 1, layer.basis, bias))
        return layer


def layer_kinds(path: Path) -> list[LayerKind]:
    """The different quantized layers of the network, those with most work first."""
    listed = json.loads(path.read_text(encoding="utf-8"))["quantised"]["layer_list"]
    counts: dict[LayerKind, int] = {}
    for name, entry in listed.items():
        weight = tuple(entry["weight"])
        positions = round(entry["macs_5x4x64x64"] / math.prod(weight))
        stride = 2 if name.endswith(".op") else 1
        if entry["class"] == "Linear":
            rows = (FRAMES, positions // FRAMES) if positions % FRAMES == 0 else (positions,)
            found = LayerKind("linear", weight, (*rows, weight[1]), bias=entry["bias"])
        else:
            side = math.isqrt(positions // FRAMES) * stride
            sizes = (FRAMES, weight[1], side, side)
            if entry["class"] == "Conv3d":
                sizes = (1, weight[1], FRAMES, side, side)
            found = LayerKind(entry["class"].lower(), weight, sizes, stride, entry["bias"])
        assert found.positions == positions, name
        counts[found] = counts.get(found, 0) + 1
    kinds = [replace(kind, count=count) for kind, count in counts.items()]
    return sorted(kinds, key=lambda kind: -kind.macs * kind.count)


# Timing ----------------------------------------------------------------------------------------------------


def graph_of(runs: Sequence[Run], repeats: int) -> torch.cuda.CUDAGraph:
    """A graph of all runs, one after the other, several times."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for run in runs:
            run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(repeats):
            for run in runs:
                run()
    return graph


def by_turns(graphs: dict[str, tuple[torch.cuda.CUDAGraph, int]], rounds: int) -> dict[str, float]:
    """Median microseconds of one run of each graph, measured by turns."""
    found: dict[str, list[float]] = {name: [] for name in graphs}
    for graph, _ in graphs.values():
        graph.replay()
    for _ in range(rounds):
        for name, (graph, runs) in graphs.items():
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            graph.replay()
            end.record()
            end.synchronize()
            found[name].append(1e3 * start.elapsed_time(end) / runs)
    return {name: statistics.median(times) for name, times in found.items()}


def sets_for(kind: LayerKind) -> int:
    """How many copies of weights and inputs leave nothing in the cache."""
    moved = 2 * (math.prod(kind.weight) + math.prod(kind.shape) + kind.positions * kind.weight[0])
    return min(_SETS, max(2, math.ceil(_CACHED / moved)))


def runs_of(modules: Sequence[nn.Module], inputs: Sequence[Tensor]) -> list[Run]:
    """One call for each module with its input."""

    def run(module: nn.Module, x: Tensor) -> Run:
        return lambda: module(x)

    return [run(module, x) for module, x in zip(modules, inputs, strict=True)]


def graph_for(modules: Sequence[nn.Module], inputs: Sequence[Tensor]) -> tuple[torch.cuda.CUDAGraph, int]:
    """A graph long enough to time, and the runs in it."""
    repeats = max(1, 16 // len(modules))
    return graph_of(runs_of(modules, inputs), repeats), repeats * len(modules)


@torch.no_grad()
def measure(
    kind: LayerKind, variants: dict[str, Callable[[LayerKind], nn.Module]], rounds: int
) -> dict[str, float]:
    """Microseconds of each variant of one layer."""
    sets = sets_for(kind)
    inputs = [kind.input(torch.bfloat16) for _ in range(sets)]
    graphs, alive = {}, []  # graphs hold addresses only
    for name, build in variants.items():
        module = build(kind)
        copies = [module] + [copy.deepcopy(module) for _ in range(sets - 1)]
        alive.append(copies)
        graphs[name] = graph_for(copies, inputs)
    return by_turns(graphs, rounds)


def quantized(bits: int, **how: Any) -> Callable[[LayerKind], nn.Module]:
    """A variant with integers."""

    def build(kind: LayerKind) -> nn.Module:
        return TritonLayer(kind.frozen(default(bits, bits)), torch.bfloat16, BACKEND.title, **how)

    return build


def plain(kind: LayerKind) -> nn.Module:
    """bf16 as PyTorch runs it."""
    return kind.plain(torch.bfloat16)


@functools.cache
def _compiled(kind: LayerKind) -> Callable[..., Tensor]:
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if kind.kind == "linear":
            return F.linear(x, weight, bias)
        if kind.kind == "conv2d":
            return F.conv2d(x, weight, bias, kind.stride, kind.weight[2] // 2)
        return F.conv3d(x, weight, bias, padding=(kind.weight[2] // 2, 0, 0))

    return torch.compile(forward, dynamic=False)


class Compiled(nn.Module):
    """bf16 with torch.compile; copies share the compiled code."""

    def __init__(self, kind: LayerKind) -> None:
        super().__init__()
        self.kind, self.plain = kind, kind.plain(torch.bfloat16)

    def forward(self, x: Tensor) -> Tensor:
        """The layer."""
        return _compiled(self.kind)(x, self.plain.weight, self.plain.bias)


VARIANTS: dict[str, Callable[[LayerKind], nn.Module]] = {
    "bf16": plain,
    "bf16 compiled": Compiled,
    "W4A4": quantized(4),
    "W4A4 unpacked at load": quantized(4, packed=False),
    "W6A6": quantized(6),
    "W8A8": quantized(8),
}


def limits() -> dict[str, float]:
    """What the GPU does at most: matrix products (T operations/s, bf16 and int8) and copies (TB/s)."""
    n = 8192
    a, b = (torch.randn(n, n, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    i, j = (torch.randint(-8, 8, (n, n), device="cuda", dtype=torch.int8) for _ in range(2))
    j = j.t().contiguous().t()
    big = torch.empty(2**31, dtype=torch.int8, device="cuda").random_(0, 100)
    target = torch.empty_like(big)
    runs: dict[str, Run] = {
        "bf16": lambda: torch.mm(a, b),
        "int8": lambda: torch._int_mm(i, j),
        "copy": lambda: target.copy_(big),
    }
    times = by_turns({name: (graph_of([run], 5), 5) for name, run in runs.items()}, 5)
    return {
        "bf16 TFLOP/s": 2 * n**3 / times["bf16"] / 1e6,
        "int8 TOP/s": 2 * n**3 / times["int8"] / 1e6,
        "copy TB/s": 2 * big.numel() / times["copy"] / 1e6,
    }


# Tuning ----------------------------------------------------------------------------------------------------


def shape_of(kind: LayerKind) -> Shape:
    """The product a layer needs."""
    return Shape(kind.positions, kind.weight[0], kind.weight[1], math.prod(kind.weight[2:]))


def candidate_tiles(shape: Shape) -> list[Tile]:
    """Tiles worth trying."""
    k = 128 if shape.channels % 128 == 0 else 64
    stages = (3, 4) if k == 128 else (4, 5)
    found = []
    for m, n, warps, swap in (
        *((256, 128, 8, False), (128, 256, 8, False), (128, 128, 8, False), (128, 128, 4, False)),
        *((128, 64, 4, False), (64, 128, 4, False), (64, 64, 4, False), (256, 64, 8, False)),
        *(
            (256, 64, 4, True),
            (256, 128, 8, True),
            (128, 128, 8, True),
            (128, 64, 4, True),
            (64, 64, 4, True),
        ),
        *((16, 128, 4, False), (16, 64, 4, False), (32, 64, 4, False)),
    ):
        if m > max(16, 2 * shape.positions) or (m <= 32 and shape.positions > 64):
            continue
        programs = math.ceil(shape.positions / m) * math.ceil(shape.outputs / n)
        steps = shape.taps * shape.channels // k
        for split in (1, 2, 4, 8):
            if split > 1 and (programs * split > 600 or steps < 8 * split):
                continue
            if programs * split < 20 and split < 8 and steps >= 16 * split:
                continue
            for stage in stages:
                if stage * k * (m + n) < 220_000:
                    found.append(Tile(m, n, k, warps, stage, swap, split))
        if m >= 64 and programs > 60:
            found.append(Tile(m, n, 64, warps, 4, swap, 1, nibbles=True))
    return found


def _launcher(module: TritonLayer, x: Tensor) -> Run:
    """The product alone, everything before it done."""
    module(x)
    call = next(iter(module._calls.values()))
    flat = x.movedim(1, -1).contiguous() if module.dims else x
    sizes = (1,) * (3 - max(module.dims, 1)) + tuple(flat.shape[1:-1])
    flat = (
        flat.view(len(flat), *sizes, module.channels)
        if module.dims
        else flat.view(1, 1, 1, -1, module.channels)
    )
    prepared = call.prepare(module, flat)
    return lambda: call.product(module, flat, *prepared)


@torch.no_grad()
def tune(kinds: Sequence[LayerKind], part: int, parts: int, time_it: bool) -> list[dict[str, Any]]:
    """Time every tile for every shape; with `parts` only compile a share of them."""
    seen: set[Shape] = set()
    rows = []
    number = 0
    for kind in kinds:
        shape = shape_of(kind)
        if shape in seen or shape.positions < 5:
            continue
        seen.add(shape)
        layer = kind.frozen(default(4, 4))
        x = kind.input(torch.bfloat16)
        runs: dict[Tile, Run] = {}
        for tile in candidate_tiles(shape):
            number += 1
            if number % parts != part:
                continue
            try:
                module = TritonLayer(layer, torch.bfloat16, "", tile=tile)
                runs[tile] = _launcher(module, x)
            except Exception as problem:  # noqa: BLE001 - whatever the compiler says, the tile is out
                print(shape, tile, str(problem)[:100], file=sys.stderr)
        if time_it and runs:
            graphs = {str(i): (graph_of([run], 10), 10) for i, run in enumerate(runs.values())}
            times = by_turns(graphs, 5)
            found = sorted(zip(times.values(), runs, strict=True), key=lambda item: item[0])
            rows.append({"shape": asdict(shape), "tiles": [[t, asdict(tile)] for t, tile in found]})
            tops = 2 * kind.macs / found[0][0] / 1e6
            print(shape, f"{found[0][0]:.1f} us {tops:.0f} TOP/s", found[0][1], flush=True)
    return rows


# Command ---------------------------------------------------------------------------------------------------


def report(rows: list[dict[str, Any]], names: Sequence[str]) -> dict[str, float]:
    """Print the table; the sums over the network in milliseconds."""
    print(f"{'layer':34}{'count':>6}" + "".join(f"{name:>24}" for name in names))
    for row in rows:
        print(
            f"{row['layer']:34}{row['count']:>6}" + "".join(f"{row['us'][name]:>21.1f} us" for name in names)
        )
    sums = {name: sum(row["us"][name] * row["count"] for row in rows) / 1e3 for name in names}
    print(f"{'sum':40}" + "".join(f"{sums[name]:>21.2f} ms" for name in names))
    return sums


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shapes", type=Path, default=SHAPES)
    parser.add_argument("--quick", action="store_true", help="the twelve layers with most work, fewer rounds")
    parser.add_argument("--variants", nargs="*", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--json", type=Path)
    parser.add_argument(
        "--tune", nargs=2, type=int, metavar=("PART", "PARTS"), help="compile a share of tiles"
    )
    parser.add_argument("--tune-times", action="store_true", help="time all tiles")
    args = parser.parse_args()
    reason = BACKEND.unavailable(torch.device("cuda"))
    if reason is not None:
        raise SystemExit(f"There is nothing to measure here: {reason}.")
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True
    torch._dynamo.config.recompile_limit = 1000
    kinds = layer_kinds(args.shapes)
    if args.quick:
        kinds = kinds[:12]
    found: dict[str, Any]
    if args.tune or args.tune_times:
        found = {"tiles": tune(kinds, *(args.tune or (0, 1)), time_it=args.tune_times)}
    else:
        variants = {name: VARIANTS[name] for name in args.variants}
        rows = []
        for kind in kinds:
            times = measure(kind, variants, 3 if args.quick else 7)
            rows.append({"layer": str(kind), "count": kind.count, "macs": kind.macs, "us": times})
        sums = report(rows, args.variants)
        found = {"device": torch.cuda.get_device_name(), "torch": torch.__version__, "limits": limits()}
        found |= {"layers": rows, "sums ms": sums}
        print({k: v for k, v in found.items() if k != "layers"})
    if args.json:
        args.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()

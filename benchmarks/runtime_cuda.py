"""Layers of the full-size MGLD-VSR denoiser on a GPU: `python benchmarks/runtime_cuda.py --processes 8`.

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
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from mgld_layers import RANK, SHAPES, LayerKind, layer_kinds
from torch import Tensor, nn

from quantvsr.quant.config import default
from quantvsr.runtime.int_mm import BACKEND as INT_MM
from quantvsr.runtime.triton_int8 import BACKEND
from quantvsr.runtime.triton_layer import TritonLayer

_CACHED, _SETS = 150e6, 6
"""Bytes after which a GPU's cache holds nothing of the first ones; most sets of weights and inputs."""

Run = Callable[[], object]


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
    kind: LayerKind, variants: dict[str, Callable[[LayerKind], nn.Module]], rounds: int, sets: int
) -> tuple[dict[str, float], dict[str, int]]:
    """Microseconds of each variant of one layer, and bytes of its weights."""
    inputs = [kind.input(torch.bfloat16) for _ in range(sets)]
    graphs, alive, held = {}, [], {}  # graphs hold addresses only
    for name, build in variants.items():
        module = build(kind)
        copies = [module] + [copy.deepcopy(module) for _ in range(sets - 1)]
        alive.append(copies)
        graphs[name] = graph_for(copies, inputs)
        tensors = (*module.parameters(), *module.buffers())
        held[name] = sum(t.numel() * t.element_size() for t in tensors)
    return by_turns(graphs, rounds), held


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


def products_of_torch(kind: LayerKind) -> nn.Module:
    """Integers without Triton."""
    return INT_MM.prepare(kind.frozen(default(4, 4)), torch.bfloat16)


VARIANTS: dict[str, Callable[[LayerKind], nn.Module]] = {
    "bf16": plain,
    "bf16 compiled": Compiled,
    "W4A4": quantized(4),
    "W4A4 unpacked at load": quantized(4, packed=False),
    "W6A6": quantized(6),
    "W8A8": quantized(8),
    "W4A4 by torch._int_mm": products_of_torch,
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
        "int8": lambda: torch._int_mm(i, j),  # pyright: ignore[reportPrivateImportUsage]
        "copy": lambda: target.copy_(big),
    }
    times = by_turns({name: (graph_of([run], 5), 5) for name, run in runs.items()}, 5)
    return {
        "bf16 TFLOP/s": 2 * n**3 / times["bf16"] / 1e6,
        "int8 TOP/s": 2 * n**3 / times["int8"] / 1e6,
        "copy TB/s": 2 * big.numel() / times["copy"] / 1e6,
    }


# Command ---------------------------------------------------------------------------------------------------


def tell(row: dict[str, Any]) -> None:
    """Print a row of the table."""
    times = "".join(f"{time:>21.1f} us" for time in row["us"].values())
    print(f"{row['layer']:34}{row['count']:>6}{times}", flush=True)


def tell_sums(rows: list[dict[str, Any]], names: Sequence[str]) -> dict[str, float]:
    """Print the sums over the network and give them, in milliseconds."""
    sums = {name: sum(row["us"][name] * row["count"] for row in rows) / 1e3 for name in names}
    print(f"{'sum':40}" + "".join(f"{sums[name]:>21.2f} ms" for name in names))
    return sums


def compile_first(processes: int, arguments: Sequence[str]) -> None:
    """Let many processes compile what this one is about to measure; the compiled code is kept on disk."""
    command = [sys.executable, *arguments]
    parts = [[*command, "--part", str(i), str(processes)] for i in range(processes)]
    started = [subprocess.Popen(part, stdout=subprocess.DEVNULL) for part in parts]
    for process in started:
        process.wait()


def prepare_gpu() -> None:
    """Settings of every measurement.

    Raises:
        SystemExit: No GPU that the backend runs on.
    """
    reason = BACKEND.unavailable(torch.device("cuda"))
    if reason is not None:
        raise SystemExit(f"There is nothing to measure here: {reason}.")
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True
    torch._dynamo.config.recompile_limit = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shapes", type=Path, default=SHAPES)
    parser.add_argument("--quick", action="store_true", help="the twelve layers with most work, fewer rounds")
    parser.add_argument("--variants", nargs="*", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--processes", type=int, default=0, help="processes that compile first")
    parser.add_argument("--part", nargs=2, type=int, metavar=("PART", "PARTS"), help="compile a share only")
    args = parser.parse_args()
    prepare_gpu()
    if args.processes:
        chosen = ["--variants", *args.variants, *(["--quick"] if args.quick else [])]
        compile_first(args.processes, [__file__, "--shapes", str(args.shapes), *chosen])
    kinds = layer_kinds(args.shapes)[: 12 if args.quick else None]
    part, parts = args.part or (0, 1)
    variants = {name: VARIANTS[name] for name in args.variants}
    rows = []
    print(f"{'layer':34}{'count':>6}" + "".join(f"{name:>24}" for name in variants))
    for kind in kinds[part::parts]:
        how = (3 if args.quick else 5, sets_for(kind)) if parts == 1 else (1, 1)
        times, held = measure(kind, variants, *how)
        rows.append({"layer": str(kind), "count": kind.count, "macs": kind.macs, "us": times, "bytes": held})
        tell(rows[-1])
    if parts > 1:
        return
    sums = tell_sums(rows, args.variants)
    weights = {name: sum(r["bytes"][name] * r["count"] for r in rows) / 1e6 for name in args.variants}
    found = {"device": torch.cuda.get_device_name(), "torch": torch.__version__, "rank": RANK}
    found |= {"limits": limits(), "sums ms": sums, "weights MB": weights}
    print(json.dumps(found, indent=1))
    if args.json:
        args.json.write_text(json.dumps(found | {"layers": rows}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()

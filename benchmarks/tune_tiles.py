"""Find the fastest tiles for the MGLD-VSR denoiser's layers: `python benchmarks/tune_tiles.py --processes 8`.

Times the product alone, by replayed CUDA graphs, and prints the entries of `quantvsr/runtime/tiles.json`.
"""

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from mgld_layers import SHAPES, LayerKind, layer_kinds
from runtime_cuda import Run, by_turns, compile_first, graph_of, prepare_gpu
from torch import Tensor

from quantvsr.quant.config import default
from quantvsr.runtime.layout import triple
from quantvsr.runtime.tiles import Shape, Tile
from quantvsr.runtime.triton_layer import TritonLayer


def shape_of(kind: LayerKind) -> Shape:
    """The product a layer needs."""
    return Shape(kind.positions, kind.weight[0], kind.weight[1], math.prod(kind.weight[2:]))


def candidate_tiles(shape: Shape) -> list[Tile]:
    """Tiles worth trying."""
    k, found = (128 if shape.channels > 64 else 64), []
    for m, n, swap in (
        *((128, 128, False), (128, 64, False), (64, 128, False), (64, 64, False)),
        *((256, 64, True), (128, 64, True), (16, 128, False), (16, 64, False), (32, 64, False)),
    ):
        if m > max(16, 2 * shape.positions) or (m <= 32 and shape.positions > 64):
            continue
        programs = math.ceil(shape.positions / m) * math.ceil(shape.outputs / n)
        steps = shape.taps * shape.channels // k
        for split in (1, 2, 4, 8):
            if split > 1 and (programs * split > 300 or steps < 8 * split):
                continue
            if programs * split < 30 and split < 8 and steps >= 16 * split:
                continue
            for stages in (3, 4):
                if m * n > 4096 or stages == 4:
                    found.append(Tile(m, n, k, 4, stages, swap, split))
    return found


def launcher(module: TritonLayer, x: Tensor) -> Run:
    """The product alone, everything before it done."""
    module(x)
    call = next(iter(module.calls.values()))
    last = x.movedim(1, -1) if module.dims else x.reshape(1, -1, module.channels)
    flat = last.reshape(len(last), *triple(last.shape[1:-1]), module.channels).contiguous()
    prepared = call.prepare(module, flat)
    return lambda: call.product(module, flat, prepared)


@torch.no_grad()
def tune(kinds: Sequence[LayerKind], part: int, parts: int) -> None:
    """Time every tile for every shape, or with several parts only compile a share of them."""
    shapes = {shape_of(kind): kind for kind in kinds if kind.positions > 1}
    number = 0
    for shape, kind in shapes.items():
        layer, x = kind.frozen(default(4, 4)), kind.input(torch.bfloat16)
        runs: dict[Tile, Run] = {}
        for tile in candidate_tiles(shape):
            number += 1
            if number % parts == part:
                runs[tile] = launcher(TritonLayer(layer, torch.bfloat16, "", tile=tile), x)
        if parts > 1:
            continue
        times = by_turns({str(tile): (graph_of([run], 10), 10) for tile, run in runs.items()}, 5)
        time, tile = min(zip(times.values(), runs, strict=True), key=lambda item: item[0])
        standard = asdict(Tile(tile.m, tile.n))
        chosen = {k: v for k, v in asdict(tile).items() if k in "mn" or v != standard[k]}
        print(json.dumps({"shape": asdict(shape), "tile": chosen}) + ",", flush=True)
        print(f"{time:.1f} us, {2 * kind.macs / time / 1e6:.0f} TOP/s", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shapes", type=Path, default=SHAPES)
    parser.add_argument("--processes", type=int, default=0, help="processes that compile first")
    parser.add_argument("--part", nargs=2, type=int, metavar=("PART", "PARTS"), help="compile a share only")
    args = parser.parse_args()
    prepare_gpu()
    shared = [__file__, "--shapes", str(args.shapes)]
    if args.processes:
        compile_first(args.processes, shared)
    tune(layer_kinds(args.shapes), *(args.part or (0, 1)))


if __name__ == "__main__":
    main()

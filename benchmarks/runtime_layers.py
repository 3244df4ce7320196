"""Single layers, full-precision and low-bit, and those of the full-size MGLD-VSR denoiser."""

import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from runtime_timing import Run, by_turns, show, total
from torch import Tensor, nn

from quantvsr.quant.config import default
from quantvsr.quant.encoded import EncodedWeight
from quantvsr.quant.layers import DualBranchLayer
from quantvsr.quant.lowrank import factor_shapes
from quantvsr.runtime.registry import available

CPU = torch.device("cpu")
FRAMES, RANK = 5, 32
FORMATS = {4: torch.channels_last, 5: torch.channels_last_3d}
Kinds = dict[str, tuple[nn.Module, torch.Size, int]]
"""By title: a layer, the shape of its input, and how often it occurs."""


def network(
    path: Path, bits: Sequence[int], rounds: int, limit: float | None, share: float
) -> dict[str, Any]:
    """Different layers of the full-size denoiser, those with most work first, up to a share of the work."""
    listed = json.loads(path.read_text(encoding="utf-8"))["quantised"]["layer_list"]
    kinds: Kinds = {}
    work: dict[str, float] = {}
    for name, entry in listed.items():
        module, shape = _mgld_layer(name, entry)
        title = title_of(module, shape)
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
    return measure(taken, bits, rounds, limit, "MGLD-VSR layers", RANK)


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


def title_of(module: nn.Module, shape: torch.Size) -> str:
    weight = module.weight
    assert isinstance(weight, Tensor)
    kernel = "x".join(map(str, weight.shape[2:])) or "linear"
    stride = getattr(module, "stride", (1,))
    step = f"/{stride[0]}" if max(stride) > 1 else ""
    rest = shape[:-1] if weight.ndim == 2 else (shape[0], *shape[2:])
    return f"{weight.shape[1]}->{weight.shape[0]} {kernel}{step} on {'x'.join(map(str, rest))}"


def macs_of(module: nn.Module, shape: torch.Size) -> int:
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
    fill(layer, rank)
    return layer


def fill(layer: DualBranchLayer, rank: int) -> None:
    """Give a layer random codes, factors and a shift; its speed is that of a trained one."""
    bits = layer.config.weight_bits
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


def measure(
    kinds: Kinds, bits: Sequence[int], rounds: int, limit: float | None, title: str, rank: int
) -> dict[str, Any]:
    """Time each kind of layer by turns, and print their sum."""
    best = available(CPU)[0]
    carrier = best.carriers(CPU)[0]
    rows, sums, work = {}, [], 0
    for name, (module, shape, count) in kinds.items():
        x = torch.randn(shape)
        x = x.contiguous(memory_format=FORMATS[x.ndim]) if x.ndim in FORMATS else x
        low = {each: frozen(module, each, rank) for each in bits}
        refused = best.unsupported(low[bits[0]])
        if refused is not None:
            print(f"{name}: {refused}", file=sys.stderr)
            continue
        full, half = (_made(module, dtype) for dtype in (torch.float32, torch.bfloat16))
        xs = {dtype: x.to(dtype) for dtype in (torch.float32, torch.bfloat16, carrier)}
        runs: dict[str, Run] = {
            "fp32": lambda f=full, x=xs[torch.float32]: f(x),
            "bf16": lambda f=half, x=xs[torch.bfloat16]: f(x),
            f"simulated W{bits[0]}A{bits[0]}": lambda f=low[bits[0]], x=xs[torch.float32]: f(x),
        }
        for each, layer in low.items():
            prepared = best.prepare(layer, carrier)
            runs[f"integer W{each}A{each}"] = lambda f=prepared, x=xs[carrier]: f(x)
        times = by_turns(runs, rounds)
        operations = 2 * macs_of(module, shape)
        rows[f"{name} (x{count})"] = show(f"{name} (x{count})", times, operations, limit)
        sums.append((times, count))
        work += operations * count
    rows["sum"] = show(f"{title}, sum", total(sums), work, limit)
    return rows

"""The quantized layers of the full-size MGLD-VSR denoiser, with random values, on a GPU."""

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from quantvsr.quant.config import LayerQuantConfig
from quantvsr.quant.encoded import EncodedWeight
from quantvsr.quant.layers import DualBranchLayer
from quantvsr.quant.lowrank import factor_shapes

SHAPES = Path(__file__).resolve().parents[2] / "shared" / "golden" / "mgld" / "full_size_cost.json"
RANK, FRAMES, DEVICE = 32, 5, "cuda"


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
        module: Any
        if self.kind == "linear":
            module = nn.Linear(channels, out, self.bias, device=DEVICE)
        elif self.kind == "conv2d":
            module = nn.Conv2d(
                channels, out, kernel[0], self.stride, kernel[0] // 2, bias=self.bias, device=DEVICE
            )
        else:
            module = nn.Conv3d(
                channels,
                out,
                (kernel[0], 1, 1),
                padding=(kernel[0] // 2, 0, 0),
                bias=self.bias,
                device=DEVICE,
            )
        module = module.to(dtype).requires_grad_(False)
        formats = {"conv2d": torch.channels_last, "conv3d": torch.channels_last_3d}
        return module.to(memory_format=formats[self.kind]) if self.kind in formats else module

    def input(self, dtype: torch.dtype) -> Tensor:
        """Random activations."""
        x = torch.randn(self.shape, device=DEVICE).to(dtype)
        formats = {4: torch.channels_last, 5: torch.channels_last_3d}
        return x.contiguous(memory_format=formats[x.ndim]) if x.ndim in formats else x

    def frozen(self, config: LayerQuantConfig) -> DualBranchLayer:
        """The layer with random codes and factors."""
        layer = DualBranchLayer(self.plain(torch.float32), config, str(self))
        layer.draw_signs()
        shape, out = layer.weight.shape, self.weight[0]
        rank = min(RANK, min(self.weight[:2]) // 2)
        l1, l2 = (torch.randn(s, device=DEVICE) * 0.02 for s in factor_shapes(shape, rank, layer.basis))
        l2 = torch.linalg.qr(l2.T).Q.T
        codes = torch.randint(0, 2**config.weight_bits, shape, dtype=torch.uint8, device=DEVICE)
        ones = (out, *[1] * (len(shape) - 1))
        scale = torch.full(ones, 0.1 / 2**config.weight_bits, device=DEVICE)
        zero = torch.full(ones, float(2 ** (config.weight_bits - 1)), device=DEVICE)
        bias = torch.randn(out, device=DEVICE) if self.bias else None
        layer.set_activation_shift(torch.randn(self.weight[1], device=DEVICE) * 0.1)
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

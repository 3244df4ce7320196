"""All launches for one layer and one shape of its input."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from quantvsr.errors import BadInput
from quantvsr.runtime import triton_product
from quantvsr.runtime.layout import Sizes, triple
from quantvsr.runtime.tiles import Shape, Tile, best_tile
from quantvsr.runtime.triton_coding import Coding, Prepared, as_, or_
from quantvsr.runtime.triton_launch import launch

if TYPE_CHECKING:
    from quantvsr.runtime.triton_layer import TritonLayer

# Triton's decorator has no types.
_product: Any = triton_product


class Call:
    """Everything about the launches that the shape of the input decides.

    Args:
        layer: The executable layer.
        x: (entries, Z, Y, X, C), contiguous.

    Raises:
        BadInput: The input is smaller than the kernel.
    """

    def __init__(self, layer: "TritonLayer", x: Tensor) -> None:
        window = layer.window
        sizes = Sizes.of(window, len(x), triple(x.shape[1:4]))
        if min(sizes.out) < 1:
            raise BadInput(f"Layer {layer.name} got an input smaller than its kernel; use larger frames.")
        self.positions = sizes.positions
        shape = Shape(self.positions, layer.outputs, layer.channels, window.taps)
        self.tile = tile = _fitting(layer, layer.tile or best_tile(shape))
        self.prepare = Coding(layer, sizes, x, (0, 0, 0) if tile.nibbles else layer.planes)
        column_tiles = -(-layer.outputs // tile.n)
        self.multiply_grid = (-(-self.positions // tile.m) * column_tiles, tile.split)
        ends = self._ends(layer, sizes)
        self.multiply: dict[str, Any] = dict(
            CP=layer.padded_channels, LENGTH=layer.length,
            WEIGHT_ZERO=layer.weight_zero, NIBBLES=tile.nibbles, BM=tile.m, BN=tile.n, BK=tile.k,
            SWAP=tile.swap, num_warps=tile.warps, num_stages=tile.stages, **ends,
        )  # fmt: skip
        self.finish_grid = (-(-self.positions // 32) * -(-layer.outputs // 64),)
        self.finish: dict[str, Any] = dict(BM=32, BN=64, num_warps=4, **ends)

    def _ends(self, layer: "TritonLayer", sizes: Sizes) -> dict[str, Any]:
        """What both kernels of the product take."""
        window, out, (_, sy, sx), (pz, py, px) = layer.window, sizes.out, sizes.inside, sizes.padded
        group = {"position": (sizes.rows, sy * sx, sx, 1), "time": (sy * sx, 0, sx, 1)}
        group_n, group_z, group_y, group_x = group.get(layer.range_kind or "", (1, 0, 0, 0))
        return dict(
            positions=self.positions, out_z=out[0], out_y=out[1], out_x=out[2], pz=pz, py=py, px=px,
            group_n=group_n, group_z=group_z, group_y=group_y, group_x=group_x, outputs=layer.outputs,
            step_z=window.stride[0], step_y=window.stride[1], step_x=window.stride[2],
            KZ=window.size[0], KY=window.size[1], KX=window.size[2],
            DZ=window.dilation[0], DY=window.dilation[1], DX=window.dilation[2],
            RK=min(layer.rank & -layer.rank, 64) if layer.rank else 16,
            TERMS=window.taps * layer.channels, ACT_ZERO=layer.act_zero, BIAS=layer.bias is not None,
            RANK=layer.rank, SPLIT=self.tile.split,
        )  # fmt: skip

    def __call__(self, layer: "TritonLayer", x: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs (positions, O) and the scales of the activations.

        Args:
            layer: The one this was made for.
            x: Of the same shape.
        """
        prepared = self.prepare(layer, x)
        return self.product(layer, x, prepared), prepared[1]

    def product(self, layer: "TritonLayer", x: Tensor, prepared: Prepared) -> Tensor:
        """Outputs (positions, O), from what `prepare` gave."""
        codes, scales, zeros, features, weights = prepared
        kind = x.dtype if layer.config.keep_dtype else torch.float32
        y = torch.empty(self.positions, layer.outputs, dtype=kind, device=x.device)
        ends = (
            scales, or_(zeros, x), layer.weight_scales, layer.weight_zeros, or_(layer.weight_sums, x),
            or_(layer.bias, x), or_(features, x), or_(as_(layer.l1, x), x),
        )  # fmt: skip
        if self.tile.split == 1:
            launch(_product.multiply, self.multiply_grid, codes, weights, y, y, *ends, **self.multiply)
            return y
        shape = (self.tile.split, self.positions, layer.outputs)
        sums = torch.empty(shape, dtype=torch.int32, device=x.device)
        launch(_product.multiply, self.multiply_grid, codes, weights, y, sums, *ends, **self.multiply)
        launch(_product.finish, self.finish_grid, sums, y, *ends, **self.finish)
        return y


def _fitting(layer: "TritonLayer", tile: Tile) -> Tile:
    """The tile without what this layer cannot do."""
    changes: dict[str, Any] = {}
    if layer.padded_channels % tile.k:
        changes["k"] = layer.step
    if tile.nibbles and layer.planes != (1, 0, 0):
        changes["nibbles"] = False
    elif tile.nibbles:
        changes["k"] = 64
    if layer.weight_zero:
        changes |= {"split": 1, "swap": False}
    return Tile(**{**tile.__dict__, **changes})

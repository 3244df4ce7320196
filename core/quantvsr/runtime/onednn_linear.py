"""Linear layers and 1 x 1 convolutions on oneDNN's 8-bit products."""

import torch
import torch.nn.functional as F
from torch import Tensor

from quantvsr.quant.layers import DualBranchLayer
from quantvsr.runtime.integer_weight import IntegerPart
from quantvsr.runtime.onednn_base import CHUNK, OneDnnLayer

_ROWS = 256
"""Fewer rows at once do not pay for the calls."""


def _pack_linear(part: IntegerPart) -> Tensor:
    return torch.ops.onednn.qlinear_prepack(part.codes.flatten(1), None)


class OneDnnLinear(OneDnnLayer):
    """A linear layer, or a 1 x 1 convolution."""

    def __init__(self, layer: DualBranchLayer, carrier: torch.dtype, title: str) -> None:
        super().__init__(layer, carrier, title, _pack_linear)
        thin = [] if self.second is None else [self.second.flatten(1).T.float()]
        # Features, zero points of the parts, and the constant one, in a single product with their weights.
        sums = [part.sums for part in self._parts()]
        self._keep("second", torch.cat([*thin, torch.stack([*sums, self.bias])]))
        self._keep("first", None if self.first is None else self.first.flatten(1))

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer to (..., I), or to (N, C, positions...) with or without N."""
        if not x.numel():
            return self._empty(x)
        dims = self.geometry.dims
        unbatched = dims > 0 and x.ndim == dims + 1
        rows = x[None] if unbatched else x
        rows = rows.movedim(1, -1) if dims else rows
        y = self._pieces(rows.to(self.carrier).contiguous(), x.dtype if self.keep_dtype else torch.float32)
        y = y.movedim(-1, 1) if dims else y
        return y[0] if unbatched else y

    def _pieces(self, rows: Tensor, kind: torch.dtype) -> Tensor:
        """From (..., C) to (..., O) of a type: as many rows at once as stay in the cache, where possible."""
        flat = rows.view(-1, rows.shape[-1])
        size = max(_ROWS, CHUNK // (4 * max(flat.shape[1], self.outputs)))
        if self.granularity != "token" or len(flat) <= size:
            return self._rows(rows).to(kind)
        found = torch.empty(len(flat), self.geometry.out_channels, dtype=kind)
        for start in range(0, len(flat), size):
            found[start : start + size] = self._rows(flat[start : start + size])
        return found.view(*rows.shape[:-1], -1)

    def _rows(self, rows: Tensor) -> Tensor:
        """From (..., C) to (..., O), float32."""
        assert self.second is not None
        features = self.encoder.features(rows)
        values = self.encoder.values(rows, features)
        if features is None and self.first is not None:
            features = F.linear(rows, self.first)
        count = values[..., 0].numel()
        over = {"token": (-1,), "frame": tuple(range(1, rows.ndim)), "tensor": tuple(range(rows.ndim))}
        columns = [] if features is None else [features.reshape(count, -1).float()]
        total: Tensor | None = None
        for p, (part, piece) in enumerate(zip(self._parts(), self.encoder.split(values), strict=True)):
            dims = [d % rows.ndim for d in over[self.granularity]] if rows.ndim > 1 else [0]
            scale, zero_point = self.encoder.steps(piece, p, dims, padded=False)
            codes = torch.empty(piece.shape, dtype=torch.uint8)
            self.encoder.encode(piece, scale, zero_point, codes)
            product = torch.ops.onednn.qlinear_pointwise(
                codes.view(count, -1), 1.0, 0, part.packed, part.scale, part.zero_point, None,
                1.0, 0, torch.float32, "none", [], "",
            )  # fmt: skip
            steps = scale.expand(*piece.shape[:-1], 1).reshape(count, 1)
            product.mul_(steps)
            columns.append((zero_point * scale).neg_().expand(*piece.shape[:-1], 1).reshape(count, 1))
            total = product if total is None else total.add_(product)
        assert total is not None
        columns.append(total.new_ones(count, 1))
        total.addmm_(torch.cat(columns, 1), self.second)
        return self._corrected(total.view(*rows.shape[:-1], self.outputs))

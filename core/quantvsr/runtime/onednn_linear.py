"""Linear layers and 1 x 1 convolutions on oneDNN's 8-bit products."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from quantvsr.quant.layers import DualBranchLayer
from quantvsr.runtime.encoding import Encoder
from quantvsr.runtime.integer_weight import IntegerPart
from quantvsr.runtime.onednn_base import CHUNK, OneDnnLayer
from quantvsr.runtime.passes import Passes

_ROWS = 256
"""Fewer rows at once do not pay for the calls."""


def _pack_linear(part: IntegerPart) -> Tensor:
    return torch.ops.onednn.qlinear_prepack(part.codes.flatten(1), None)


class OneDnnLinear(OneDnnLayer):
    """A linear layer, or a 1 x 1 convolution."""

    def __init__(
        self,
        layer: DualBranchLayer,
        carrier: torch.dtype,
        title: str,
        passes: Callable[[Encoder, torch.dtype], Passes],
    ) -> None:
        super().__init__(layer, carrier, title, _pack_linear, passes)
        for name in ("first", "second"):
            weight = getattr(self, name)
            self._keep(name, None if weight is None else weight.flatten(1))

    def _run(self, x: Tensor) -> Tensor:
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
        """From (..., C) to (..., O), float32 or the carrier."""
        count = rows[..., 0].numel()
        features = self.encoder.features(rows)
        values = self.passes.values(rows, features)
        if features is None and self.first is not None:
            features = F.linear(rows, self.first)
        total = None
        if self.second is not None:
            assert features is not None
            total = F.linear(features.view(count, -1), self.second)
        by_token = self.granularity == "token"
        # Tokens are columns of one row each; else each group is a column of all its rows.
        groups = 1 if self.granularity == "tensor" or rows.ndim == 1 else len(rows)
        shape = (1, 1, count) if by_token else (groups, count // groups, 1)
        each = count // groups
        # Short lines: the work is divided by lines.
        values = values.view(
            *(shape if by_token else (groups, each // math.gcd(each, 64), -1)), rows.shape[-1]
        )
        for p, part in enumerate(self._parts()):
            if by_token:
                coded = self.passes.columns(values, p, 0, padded=False)
            else:
                coded = self.passes.frames(values, p, (0, 0), padded=False)
            offset, kind = (part.offset, self.product_kind) if by_token else (None, torch.float32)
            product = torch.ops.onednn.qlinear_pointwise(
                coded.codes.view(count, -1), 1.0, 0, part.packed, part.scale, part.zero_point, offset,
                1.0, 0, kind, "none", [], "",
            )  # fmt: skip
            total = None if total is None else total.view(*shape, -1)
            product, taken_off = product.view(*shape, -1), offset is not None
            total = self._combined(product, coded.steps, p, total, taken_off=taken_off)
        assert total is not None
        return self._corrected(total.view(*rows.shape[:-1], self.outputs))

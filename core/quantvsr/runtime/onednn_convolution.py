"""Convolutions on oneDNN's 8-bit products."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from quantvsr.quant.layers import DualBranchLayer
from quantvsr.runtime.integer_weight import IntegerPart
from quantvsr.runtime.onednn_base import CHUNK, OneDnnLayer, PackedPart
from quantvsr.runtime.planar import Planar

_CONVOLUTIONS: dict[int, Callable[..., Tensor]] = {2: F.conv2d, 3: F.conv3d}
_FORMATS = {2: torch.channels_last, 3: torch.channels_last_3d}


class OneDnnConvolution(OneDnnLayer):
    """A convolution whose activation ranges belong to frames, or to positions along which its kernel is 1.

    Args:
        layer: Frozen.
        carrier: Type of the activations.
        title: Of the backend.
        plan: The convolution as it is executed.
    """

    def __init__(self, layer: DualBranchLayer, carrier: torch.dtype, title: str, plan: Planar) -> None:
        config, geometry = layer.config, layer.geometry
        other = config.honour_padding and geometry.padding_mode != "zeros"
        padding = (0,) * plan.dims if other else plan.padding
        pads = any(padding)
        # A zero point that is no code cannot be written into a border: oneDNN pads itself then.
        native = pads and not layer.is_shifted and not config.range_holds_zero

        def pack(part: IntegerPart) -> Tensor:
            codes = plan.weight(part.codes).contiguous(memory_format=_FORMATS[plan.dims])
            inside = list(padding) if native else [0] * plan.dims
            return torch.ops.onednn.qconv_prepack(
                codes,
                part.scale,
                1.0,
                0,
                list(plan.stride),
                inside,
                list(plan.dilation),
                geometry.groups,
                None,
            )

        super().__init__(layer, carrier, title, pack)
        self.plan, self.groups, self.padding = plan, geometry.groups, padding
        self.pads_before, self.native = other and geometry.pads, native
        self.border = pads and not native
        self.border_counts = pads and layer.is_shifted
        for name in ("first", "second"):
            weight = getattr(self, name)
            self._keep(name, None if weight is None else plan.weight(weight))
        columns = geometry.dims > 1 and plan.dims == 2 and plan.kernel[1] == 1
        self.by_position = self.granularity == "token" and columns

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer to (N, C, positions...), with or without N."""
        if not x.numel():
            return self._empty(x)
        kind = x.dtype if self.keep_dtype else torch.float32
        unbatched = x.ndim == self.geometry.dims + 1
        x = x[None] if unbatched else x
        if self.pads_before:
            x, _ = self.geometry.pad(x)
        rows = self.plan.fold(x.to(self.carrier))
        features = self.encoder.features(rows)
        low_rank = self._low_rank(rows, features)
        out = self._columns(rows, features) if self.by_position else self._frames(rows, features, low_rank)
        if self.by_position and low_rank is not None:
            # A sum of two types takes longer than a conversion and a sum of one.
            out = out.add_(low_rank.float())
        y = self.plan.unfold(self._corrected(out).to(kind), x)
        return y[0] if unbatched else y

    def _low_rank(self, rows: Tensor, features: Tensor | None) -> Tensor | None:
        """Output of the low-rank branch, (N', positions'..., O'), contiguous; None at rank 0."""
        if self.second is None:
            return None
        run, plan = _CONVOLUTIONS[self.plan.dims], self.plan
        wide = (None, plan.stride, self.padding, plan.dilation, self.groups)
        if features is None:
            assert self.first is not None
            found = run(rows.movedim(-1, 1), self.first, *wide)
            found = run(found, self.second, None, 1, 0, 1, self.groups)
        else:
            found = run(features.movedim(-1, 1), self.second, *wide)
        return found.movedim(1, -1).contiguous()

    def _frames(self, rows: Tensor, features: Tensor | None, out: Tensor | None) -> Tensor:
        """Add the low-bit branch and the bias, frame by frame, to the low-rank branch's output."""
        if out is None:
            out = rows.new_zeros(len(rows), *self._positions(rows), self.outputs)
        size = 4 * rows[0].numel()
        chunk = len(rows) if self.granularity == "tensor" else max(1, CHUNK // size)
        for start in range(0, len(rows), chunk):
            here = slice(start, start + chunk)
            values = self.encoder.values(rows[here], None if features is None else features[here])
            over = range(0 if self.granularity == "tensor" else 1, rows.ndim)
            for p, (part, piece) in enumerate(zip(self._parts(), self.encoder.split(values), strict=True)):
                scale, zero_point = self.encoder.steps(piece, p, list(over), padded=self.border_counts)
                codes = self._codes(piece, scale, zero_point, p).movedim(-1, 1)
                count = len(piece)
                scales, zero_points = (
                    scale.reshape(-1, 1).expand(count, 1),
                    zero_point.reshape(-1, 1).expand(count, 1),
                )
                constant = self.bias if p == 0 else torch.zeros_like(self.bias)
                if not self.native:
                    constant = constant - scales * zero_points * part.sums
                    zero_points = torch.zeros_like(zero_points)
                biases = constant.expand(count, -1)
                steps = zip(scales[:, 0].tolist(), zero_points[:, 0].int().tolist(), strict=True)
                for i, (step, zero) in enumerate(steps):
                    self._accumulate(
                        codes[i : i + 1], step, zero, part, biases[i], out[start + i : start + i + 1]
                    )
        return out

    def _accumulate(
        self, codes: Tensor, step: float, zero: int, part: PackedPart, bias: Tensor, out: Tensor
    ) -> None:
        """Add one frame's integer product to (1, positions'..., O')."""
        plan = self.plan
        padding = list(self.padding) if self.native else [0] * plan.dims
        shape = (list(plan.stride), padding, list(plan.dilation), self.groups, 1.0, 0, out.dtype)
        weight = (part.packed, part.scale, part.zero_point)
        if plan.dims == 2:
            torch.ops.onednn.qconv2d_pointwise.binary(
                codes,
                step,
                zero,
                *weight,
                out.movedim(-1, 1),
                bias,
                *shape,
                1.0,
                0,
                "sum",
                1.0,
                "none",
                [],
                "",
            )
        else:
            found = torch.ops.onednn.qconv3d_pointwise(
                codes, step, zero, *weight, bias, *shape, "none", [], ""
            )
            out.add_(found.movedim(1, -1))

    def _columns(self, rows: Tensor, features: Tensor | None) -> Tensor:
        """Low-bit branch and bias where each column (N', :, W) has a range of its own, float32."""
        plan = self.plan
        values = self.encoder.values(rows, features)
        total: Tensor | None = None
        for p, (part, piece) in enumerate(zip(self._parts(), self.encoder.split(values), strict=True)):
            scale, zero_point = self.encoder.steps(piece, p, (1, 3), padded=self.border_counts)
            codes = self._codes(piece, scale, zero_point, p).movedim(-1, 1)
            product = torch.ops.onednn.qconv2d_pointwise(
                codes, 1.0, 0, part.packed, part.scale, part.zero_point, None, list(plan.stride), [0, 0],
                list(plan.dilation), self.groups, 1.0, 0, torch.float32, "none", [], "",
            ).movedim(1, -1)  # fmt: skip
            product.addcmul_(zero_point, part.sums, value=-1).mul_(scale)
            total = product if total is None else total.add_(product)
        assert total is not None
        return total.add_(self.bias)

    def _codes(self, values: Tensor, scale: Tensor, zero_point: Tensor, part: int) -> Tensor:
        """Codes with their border, (N', positions..., C), uint8."""
        if not self.border:
            codes = torch.empty(values.shape, dtype=torch.uint8)
            self.encoder.encode(values, scale, zero_point, codes)
            return codes
        sides = zip(values.shape[1:-1], self.padding, strict=True)
        shape = (len(values), *(side + 2 * p for side, p in sides), values.shape[-1])
        codes = torch.empty(shape, dtype=torch.uint8)
        inside = codes
        border = self.encoder.border_of(part).expand(len(values), *scale.shape[1:-1], -1).clone()
        line = torch.empty(border.shape, dtype=torch.uint8)
        self.encoder.encode(border, scale, zero_point, line)
        for dim, p in enumerate(self.padding, 1):
            if p:
                size = shape[dim]
                codes.narrow(dim, 0, p).copy_(line)
                codes.narrow(dim, size - p, p).copy_(line)
                inside = inside.narrow(dim, p, size - 2 * p)
        self.encoder.encode(values, scale, zero_point, inside)
        return codes

    def _positions(self, rows: Tensor) -> list[int]:
        plan = self.plan
        sides = zip(rows.shape[1:-1], plan.kernel, plan.stride, self.padding, plan.dilation, strict=True)
        return [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in sides]

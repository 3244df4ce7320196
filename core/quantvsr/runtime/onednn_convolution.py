"""Convolutions on oneDNN's 8-bit products."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from quantvsr.quant.layers import DualBranchLayer
from quantvsr.runtime.encoding import Encoder
from quantvsr.runtime.integer_weight import IntegerPart
from quantvsr.runtime.onednn_base import CHUNK, OneDnnLayer, PackedPart
from quantvsr.runtime.passes import Passes
from quantvsr.runtime.planar import Planar

_CONVOLUTIONS: dict[int, Callable[..., Tensor]] = {2: F.conv2d, 3: F.conv3d}
_FORMATS = {2: torch.channels_last, 3: torch.channels_last_3d}


class OneDnnConvolution(OneDnnLayer):
    """A convolution whose activation ranges belong to frames, or to positions along which its kernel is 1.

    Args:
        layer: Frozen.
        carrier: Type of the activations.
        title: Of the backend.
        passes: Makes what computes ranges and codes.
        plan: The convolution as it is executed.
    """

    def __init__(
        self,
        layer: DualBranchLayer,
        carrier: torch.dtype,
        title: str,
        passes: Callable[[Encoder, torch.dtype], Passes],
        plan: Planar,
    ) -> None:
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

        super().__init__(layer, carrier, title, pack, passes)
        self.plan, self.groups, self.padding = plan, geometry.groups, padding
        self.pads_before, self.native = other and geometry.pads, native
        self.border = pads and not native
        self.border_counts = pads and layer.is_shifted
        for name in ("first", "second"):
            weight = getattr(self, name)
            self._keep(name, None if weight is None else plan.weight(weight))
        columns = geometry.dims > 1 and plan.dims == 2 and plan.kernel[1] == 1
        self.by_position = self.granularity == "token" and columns

    def _run(self, x: Tensor) -> Tensor:
        kind = x.dtype if self.keep_dtype else torch.float32
        unbatched = x.ndim == self.geometry.dims + 1
        x = x[None] if unbatched else x
        if self.pads_before:
            x, _ = self.geometry.pad(x)
        rows = self.plan.fold(x.to(self.carrier))
        features = self.encoder.features(rows)
        low_rank = self._low_rank(rows, features)
        add = self._columns if self.by_position else self._frames
        out = add(rows, features, low_rank)
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
        together = self.granularity == "tensor"
        chunk = len(rows) if together else max(1, CHUNK // (4 * rows[0].numel()))
        borders = self.padding if self.border else [0] * self.plan.dims
        for start in range(0, len(rows), chunk):
            here = slice(start, start + chunk)
            values = self.passes.values(rows[here], None if features is None else features[here])
            for p, part in enumerate(self._parts()):
                coded = self.passes.frames(values, p, borders, padded=self.border_counts, together=together)
                codes, (scales, zeros) = coded.codes.movedim(-1, 1), coded.steps.flatten(1)
                constant = self.bias if p == 0 else torch.zeros_like(self.bias)
                biases = constant.expand(len(scales), -1)
                if not self.native:
                    biases = torch.addr(constant, scales * zeros, part.sums, alpha=-1)
                    zeros = torch.zeros_like(zeros)
                steps = list(zip(scales.tolist(), zeros.int().tolist(), biases, strict=True))
                for i in range(len(codes)):
                    at = start + i
                    self._accumulate(codes[i : i + 1], *steps[0 if together else i], part, out[at : at + 1])
        return out

    def _accumulate(
        self, codes: Tensor, step: float, zero: int, bias: Tensor, part: PackedPart, out: Tensor
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

    def _columns(self, rows: Tensor, features: Tensor | None, more: Tensor | None) -> Tensor:
        """Add low-bit branch and bias to `more`, where each column (N', :, W) has a range of its own."""
        plan = self.plan
        values = self.passes.values(rows, features)
        for p, part in enumerate(self._parts()):
            coded = self.passes.columns(values, p, self.padding[0], padded=self.border_counts)
            product = torch.ops.onednn.qconv2d_pointwise(
                coded.codes.movedim(-1, 1), 1.0, 0, part.packed, part.scale, part.zero_point, part.offset,
                list(plan.stride), [0, 0], list(plan.dilation), self.groups, 1.0, 0, self.product_kind,
                "none", [], "",
            ).movedim(1, -1)  # fmt: skip
            more = self._combined(product, coded.steps, p, more, taken_off=part.offset is not None)
        assert more is not None
        return more

    def _positions(self, rows: Tensor) -> list[int]:
        plan = self.plan
        sides = zip(rows.shape[1:-1], plan.kernel, plan.stride, self.padding, plan.dilation, strict=True)
        return [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in sides]

"""The backend for NVIDIA GPUs without Triton: `torch._int_mm` on rows of codes that torch gathers.

Every kind of layer becomes matrix products of int8; gathering the positions under a kernel and all that
surrounds the products are separate passes over memory, so this saves weight memory more than time.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from quantvsr.quant.layers import DualBranchLayer, no_autocast
from quantvsr.quant.skip import Skip
from quantvsr.runtime.backend import Backend, PreparedLayer, no_cuda
from quantvsr.runtime.bitplanes import RUN, pack_planes, unpack_planes
from quantvsr.runtime.encoding import Encoder
from quantvsr.runtime.integer_weight import fits, integer_weight
from quantvsr.runtime.layout import Window, range_kind, triple, window_of

_OLDEST = (7, 5)
_OVER = {"position": (4,), "time": (1, 4), "frame": (1, 2, 3, 4), "tensor": (0, 1, 2, 3, 4)}
_MULTIPLE, _FEWEST_ROWS = 8, 32
"""What cuBLAS wants of sizes."""


class IntMmBackend(Backend):
    """Matrix products of int8 as torch offers them."""

    key = "int_mm"
    title = "integer, torch int8"

    def unavailable(self, device: torch.device) -> str | None:
        """See `Backend`."""
        return no_cuda(device, _OLDEST)

    def unsupported(self, layer: DualBranchLayer) -> str | None:
        """See `Backend`."""
        config = layer.config
        if config.activation_range != "dynamic":
            return "its activations have a static range"
        if config.activation_balance:
            return "its activations are balanced"
        if layer.geometry.groups > 1 and (len(layer.parts) > 1 or not fits(layer)):
            return "it is a grouped convolution in two parts or with 8 bits"
        if not config.range_holds_zero and layer.geometry.pads:
            return "its ranges need not hold zero, which borders do"
        if range_kind(layer) is None:
            return "its ranges are per position along some dimensions only"
        return None

    def prepare(self, layer: DualBranchLayer, carrier: torch.dtype) -> nn.Module:
        """See `Backend`."""
        return IntMmLayer(layer, self.title)


class _Part(nn.Module):
    """One part of a weight: rows of taps times channels of one group, packed under 8 bits."""

    codes: Tensor
    scale: Tensor
    sums: Tensor

    def __init__(self, codes: Tensor, scale: Tensor, sums: Tensor, groups: int) -> None:
        super().__init__()
        rows = codes.flatten(2).transpose(1, 2).flatten(1) if codes.ndim > 2 else codes
        self.rows, self.length, self.groups = len(rows), rows.shape[1], groups
        lowest = int(rows.min())
        self.bits = max(1, (int(rows.max()) - lowest).bit_length())
        self.lowest = lowest if self.bits < 8 else 0
        if self.bits < 8:
            padded = F.pad(rows.to(torch.int16) - lowest, (0, -self.length % RUN)).to(torch.uint8)
            rows = pack_planes(padded, self.bits)
        self.register_buffer("codes", rows.contiguous(), persistent=False)
        self.register_buffer("scale", scale.clone(), persistent=False)
        self.register_buffer("sums", sums.clone(), persistent=False)

    def matrices(self) -> Tensor:
        """Int8, (groups, taps times channels, outputs of the group)."""
        rows = self.codes
        if self.bits < 8:
            codes = unpack_planes(rows, self.bits, self.rows)[:, : self.length]
            rows = codes.view(torch.int8) + self.lowest if self.bits < 7 else (codes.short() + self.lowest)
        return rows.to(torch.int8).view(self.groups, -1, self.length).transpose(1, 2)


class IntMmLayer(PreparedLayer):
    """Executes one frozen layer by matrix products of int8, on any device that torch has them for.

    Args:
        layer: Frozen, and not refused by the backend.
        title: Title of the backend.
    """

    rest: Tensor | None
    bias: Tensor | None
    first: Tensor | None
    second: Tensor | None

    def __init__(self, layer: DualBranchLayer, title: str) -> None:
        super().__init__(layer, title)
        held, kind = layer.encoded, range_kind(layer)
        assert held is not None and kind is not None
        self.geometry, self.config, self.basis = layer.geometry, layer.config, layer.basis
        self.window: Window = window_of(layer)
        self.kind, self.dims = kind, layer.geometry.dims
        self.outputs, self.channels = layer.geometry.out_channels, layer.geometry.in_channels
        self.encoder = Encoder(layer, torch.float32)
        weight = integer_weight(layer)
        groups = layer.geometry.groups
        self.parts = nn.ModuleList(_Part(p.codes, p.scale, p.sums, groups) for p in weight.parts)
        bias = layer.total_bias()
        kept = {"rest": weight.rest, "bias": bias, "first": held.first, "second": held.second}
        for name, value in kept.items():
            self.register_buffer(name, None if value is None else value.detach().clone(), persistent=False)

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """As `DualBranchLayer.forward`."""
        # Passes and products here have types of their own.
        with no_autocast(x.device.type):
            return self._run(x)

    def _run(self, x: Tensor) -> Tensor:
        kind, geometry = x.dtype, self.geometry
        unbatched = self.dims > 0 and x.ndim == self.dims + 1
        x = (x[None] if unbatched else x).float()
        padded = False
        if self.config.honour_padding:
            x, padded = geometry.pad(x)
        rows = self._rows(x)
        features = self.encoder.features(rows)
        values = self.encoder.values(rows, features)
        y = 0
        for i, (part, piece) in enumerate(zip(self.parts, self.encoder.split(values), strict=True)):
            assert isinstance(part, _Part)
            y = y + self._product(part, piece, i)
        assert isinstance(y, Tensor)
        if self.rest is not None:
            y = y[..., : self.outputs] + y[..., self.outputs :] @ self.rest
        y = y if self.bias is None else y + self.bias
        y = self._shaped(y, x)
        if self.second is not None:
            assert self.first is not None
            if self.basis == "activation":
                skip = Skip(geometry.pointwise(x, self.first), self.second, geometry, padded)
            else:
                skip = Skip(geometry.apply(x, self.first, None, padded=padded), self.second, geometry)
            y = skip.added_to(y)
        y = y[0] if unbatched else y
        return y.to(kind) if self.config.keep_dtype else y

    def _rows(self, x: Tensor) -> Tensor:
        """(entries, Z, Y, X, C), contiguous."""
        if self.dims:
            last = x.movedim(1, -1)
            return last.reshape(len(x), *triple(last.shape[1:-1]), self.channels).contiguous()
        entries = x.shape[0] if self.kind == "frame" and x.ndim > 1 else 1
        return x.reshape(entries, 1, 1, -1, self.channels).contiguous()

    def _shaped(self, y: Tensor, x: Tensor) -> Tensor:
        """Outputs (entries, Z, Y, X, O) in the shape the layer gives for x."""
        if not self.dims:
            return y.reshape(*x.shape[:-1], self.outputs)
        return y.view(len(y), *y.shape[4 - self.dims : 4], self.outputs).movedim(-1, 1)

    def _product(self, part: _Part, values: Tensor, index: int) -> Tensor:
        """What one part adds to the outputs, (entries, Z, Y, X, O')."""
        window, encoder = self.window, self.encoder
        scale, zero = encoder.steps(values, index, _OVER[self.kind], padded=window.pads)
        codes = torch.empty(values.shape, dtype=torch.uint8, device=values.device)
        encoder.encode(values, scale, zero, codes)
        if window.pads:
            border = encoder.border_of(index).expand(*scale.shape[:-1], values.shape[-1]).clone()
            coded = torch.empty(border.shape, dtype=torch.uint8, device=values.device)
            encoder.encode(border, scale, zero, coded)
            sizes = window.padded(triple(values.shape[1:4]))
            wide = coded.expand(len(values), *sizes, -1).clone()
            inner = [slice(a, a + n) for a, n in zip(window.left, values.shape[1:4], strict=True)]
            wide[:, inner[0], inner[1], inner[2]] = codes
            codes = wide
        if encoder.top > 127:
            codes, zero = codes ^ 128, zero - 128
        found = self._sums(codes.view(torch.int8), part)
        out = found.shape[1:4]
        scale, zero = (self._at_outputs(value, out) for value in (scale, zero))
        return (found.float() * part.scale - zero * part.sums) * scale

    def _at_outputs(self, value: Tensor, out: torch.Size) -> Tensor:
        """Scales or zero points of the inputs that outputs see."""
        steps = [
            slice(None) if size == 1 else slice(0, (n - 1) * step + 1, step)
            for size, n, step in zip(value.shape[1:4], out, self.window.stride, strict=True)
        ]
        return value[:, steps[0], steps[1], steps[2]]

    def _sums(self, codes: Tensor, part: _Part) -> Tensor:
        """Sums of products, int32, (entries, Z, Y, X, O')."""
        window = self.window
        seen = codes
        for axis, (size, step, apart) in enumerate(
            zip(window.size, window.stride, window.dilation, strict=True), start=1
        ):
            seen = seen.unfold(axis, (size - 1) * apart + 1, step)[..., ::apart]
        # (entries, Z, Y, X, C, taps along Z, Y, X): taps before channels, as the weight has them.
        out = seen.shape[1:4]
        seen = seen.movedim(4, -1).reshape(len(codes), *out, window.taps, part.groups, -1)
        found = [
            _multiply(seen[..., g, :].reshape(-1, part.length), matrix)
            for g, matrix in enumerate(part.matrices())
        ]
        return torch.cat(found, 1).view(len(codes), *out, -1)


def _multiply(a: Tensor, b: Tensor) -> Tensor:
    """The product (rows, columns), int32, of int8 matrices of any size."""
    rows, columns = len(a), b.shape[1]
    more = -a.shape[1] % _MULTIPLE
    a = F.pad(a, (0, more, 0, max(0, _FEWEST_ROWS - rows)))
    b = F.pad(b, (0, -columns % _MULTIPLE, 0, more))
    return torch._int_mm(a, b)[:rows, :columns]  # pyright: ignore[reportPrivateImportUsage]


BACKEND = IntMmBackend()

"""An executable layer for GPUs: what the kernels need, laid out once.

Inputs of every kind are seen as (entries, Z, Y, X, channels): a linear layer has Z = Y = 1 and its rows along
X, a convolution over fewer than three dimensions has sizes of 1 in front.
"""

import math
import subprocess
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from triton.errors import TritonError  # pyright: ignore[reportMissingImports]

from quantvsr.errors import BadInput
from quantvsr.quant import activations
from quantvsr.quant.affine import code_range
from quantvsr.quant.layers import DualBranchLayer
from quantvsr.runtime.backend import PreparedLayer
from quantvsr.runtime.bitplanes import RUN, pack_planes, planes_of
from quantvsr.runtime.layout import range_kind, triple, window_of
from quantvsr.runtime.tiles import SMALLEST, Tile
from quantvsr.runtime.triton_call import Call
from quantvsr.runtime.triton_launch import compile_ahead


class TritonLayer(PreparedLayer):
    """Executes one frozen layer with integers on a GPU.

    Args:
        layer: Frozen, and not refused by the backend.
        carrier: Type of inputs and outputs it is fast for.
        title: Title of the backend.
        packed: Keep weights of fewer than 8 bits packed and unpack them in every call; else unpack once.
        tile: Sizes of the product's programs; None takes the measured ones.
    """

    compiled_for_shapes = True
    weights: Tensor
    weight_zeros: Tensor
    weight_scales: Tensor
    weight_sums: Tensor | None
    bias: Tensor | None
    matrix: Tensor | None
    signs: Tensor | None
    moved: Tensor | None
    border: Tensor
    clip: Tensor
    l1: Tensor | None
    directions: Tensor | None

    def __init__(
        self,
        layer: DualBranchLayer,
        carrier: torch.dtype,
        title: str,
        *,
        packed: bool = True,
        tile: Tile | None = None,
    ) -> None:
        super().__init__(layer, title)
        g = layer.geometry
        self.config, self.tile, self.dims = layer.config, tile, g.dims
        self.lean = False
        self.channels, self.outputs = g.in_channels, g.out_channels
        self.padding_mode = g.padding_mode if layer.config.honour_padding and g.pads else "zeros"
        self.explicit = g.explicit
        self.window, self.range_kind = window_of(layer), range_kind(layer)
        # Steps of 128 channels are faster than such of 64, also with a few zeros at the end.
        narrow, wide = (-(-self.channels // step) * step for step in (64, 128))
        self.step, self.padded_channels = (128, wide) if wide <= 1.1 * narrow else (64, narrow)
        self.calls: dict[tuple[torch.Size, torch.dtype], Call] = {}
        self._keep_weight(layer, packed)
        self._keep_activation(layer, carrier)
        self._keep_branch(layer, carrier)

    def _keep(self, name: str, value: Tensor | None) -> None:
        self.register_buffer(name, None if value is None else value.contiguous(), persistent=False)

    def _keep_weight(self, layer: DualBranchLayer, packed: bool) -> None:
        bits, out = layer.config.weight_bits, self.outputs
        taps, width = self.window.taps, self.padded_channels
        codes = layer.codes()[0].to(torch.int32).reshape(out, self.channels, taps)
        zero = layer.zero_points()[0].flatten().expand(out).to(torch.int32)
        if layer.config.weight_symmetric:  # -top..top as 0..2 top
            top = code_range(bits, True)[1]
            codes, zero = codes + top, zero + top
        self.length = -(-taps * width // RUN) * RUN
        # The code of what is not there is the zero point: nothing, whatever it meets.
        rows = zero[:, None].repeat(1, self.length)
        rows[:, : taps * width].view(out, taps, width)[:, :, : self.channels] = codes.transpose(1, 2)
        values = rows - zero[:, None]
        self.weight_zero = bool((values.abs() > 127).any())
        if self.weight_zero:
            # 8 bits with a zero point: stored less 128, corrected by the sums of activations.
            zero = zero - 128
            there = torch.zeros(taps, width, dtype=torch.bool, device=zero.device)
            there[:, : self.channels] = True
            values = (rows - 128) * F.pad(there.flatten(), (0, self.length - taps * width))
        self.planes = planes_of(bits) if packed and bits < 8 and not self.weight_zero else (0, 0, 0)
        stored = pack_planes(rows.to(torch.uint8), bits) if any(self.planes) else values.to(torch.int8)
        self._keep("weights", stored)
        self._keep("weight_zeros", zero.to(torch.int8))
        self._keep("weight_scales", layer.scales()[0].flatten().expand(out).float())
        bias = layer.total_bias()
        self._keep("bias", None if bias is None else bias.detach().float())
        self.act_zero = code_range(layer.config.activation_bits, layer.config.activation_symmetric)[1] > 127
        self._keep("weight_sums", values.sum(1).to(torch.int32) if self.act_zero else None)

    def _keep_activation(self, layer: DualBranchLayer, carrier: torch.dtype) -> None:
        device = layer.weight.device
        rotation = layer.rotation(0)
        matrix = None if rotation.is_identity else rotation.block_matrix()
        self.block, self.factor, self.exact = 64, 1.0, True
        if matrix is not None:
            self.block, self.factor = len(matrix), 1 / math.sqrt(len(matrix))
            matrix = matrix / self.factor
            # Entries of 1 and -1 are exact in every type, the others of Hartley matrices in none.
            self.exact = bool(np.all(np.abs(np.abs(matrix) - 1) < 1e-6))
        self.block_side = max(16, 1 << (self.block - 1).bit_length())
        full = np.zeros((self.block_side, self.block_side))
        if matrix is not None:
            # Convolutions take R x, linear layers x R; the kernels multiply from the right.
            full[: self.block, : self.block] = matrix.T if self.dims else matrix
        kind = carrier if self.exact else torch.float32
        matrix_kept = torch.from_numpy(full.round() if self.exact else full).to(device, kind)
        self._keep("matrix", None if matrix is None else matrix_kept)
        self._keep("signs", None if matrix is None else cast(Tensor, layer.signs[0]).to(device, torch.int8))
        moved = None
        border = torch.tensor([math.inf, -math.inf])
        if layer.is_shifted:
            assert layer.activation_shift is not None
            shift = layer.activation_shift.detach().float().reshape(1, -1, *[1] * self.dims)
            moved = activations.rotate(layer, shift)[0].flatten()
            if self.window.pads:  # the borders hold minus the shift
                border = torch.stack([-moved.amax(), -moved.amin()])
        self._keep("moved", moved)
        self._keep("border", border.to(device))
        clip = layer.activation_clip
        factors = torch.ones(2) if clip is None else clip[0].detach().clamp(min=activations.SMALLEST_FACTOR)
        self._keep("clip", factors.float().to(device))

    def _keep_branch(self, layer: DualBranchLayer, carrier: torch.dtype) -> None:
        held = layer.encoded
        assert held is not None
        rank = len(held.l2)
        self.leave = rank > 0 and layer.basis == "activation"
        # Few different ranks: kernels are compiled for each.
        step = 16 if rank <= 64 else 64
        self.rank = -(-rank // step) * step
        l1 = directions = None
        if rank:
            more = self.rank - rank
            l1 = F.pad(held.l1.reshape(self.outputs, rank, -1).transpose(1, 2), (0, more)).flatten(1)
            l2 = held.l2.reshape(rank, self.channels, *[1] * self.dims)
            directions = F.pad(activations.rotate(layer, l2)[0].reshape(rank, -1), (0, 0, 0, more))
        self._keep("l1", None if l1 is None else l1.to(carrier))
        self._keep("directions", None if directions is None else directions.to(carrier))

    def weight_bytes(self) -> int:
        """Bytes of everything held on the device."""
        return sum(b.numel() * b.element_size() for b in self.buffers())

    def forward(self, x: Tensor) -> Tensor:
        """As `DualBranchLayer.forward`."""
        if torch.is_autocast_enabled(x.device.type):
            x = x.to(torch.get_autocast_dtype(x.device.type))  # as the plain layer would do
        kind, dims = x.dtype, self.dims
        if kind not in (torch.float32, torch.float16, torch.bfloat16):
            x = x.float()
        unbatched = dims > 0 and x.ndim == dims + 1
        x = x[None] if unbatched else x
        if self.padding_mode != "zeros":
            x = F.pad(x, self.explicit, self.padding_mode)
        y = self._convolution(x) if dims else self._linear(x)
        y = y[0] if unbatched else y
        return y.to(kind) if self.config.keep_dtype else y

    def _linear(self, x: Tensor) -> Tensor:
        lead = x.shape[:-1]
        entries = x.shape[0] if self.range_kind == "frame" and x.ndim > 1 else 1
        rows = math.prod(lead) // max(entries, 1)
        y = self._run(x.reshape(entries, 1, 1, rows, self.channels).contiguous())
        return y.view(*lead, self.outputs)

    def _convolution(self, x: Tensor) -> Tensor:
        last = x.movedim(1, -1)
        sizes = triple(tuple(last.shape[1:-1]))
        y = self._run(last.contiguous().view(len(x), *sizes, self.channels))
        out = self.window.outputs(sizes)
        return y.view(len(x), *out[3 - self.dims :], self.outputs).movedim(-1, 1)

    def _run(self, x: Tensor) -> Tensor:
        """(entries, Z, Y, X, C) to (positions, O)."""
        if x.numel() == 0:
            sizes = self.window.outputs(triple(x.shape[1:4]))
            return x.new_zeros(x.shape[0] * math.prod(sizes), self.outputs)
        key = (x.shape, x.dtype)
        call = self.calls.get(key)
        if call is None:
            call = self.calls[key] = Call(self, x)
            if not isinstance(x, FakeTensor):
                compile_ahead(self._run, (x,), {})
        try:
            # Triton launches on the GPU that is current.
            with torch.cuda.device_of(x):
                y, scales = call(self, x)
        except (TritonError, subprocess.CalledProcessError) as error:
            if self.lean:
                raise RuntimeError(str(error).strip() or repr(error)) from error
            # Tiles were measured on a large GPU; a smaller one may have no room for them.
            self.tile, self.lean = SMALLEST, True
            self.calls.clear()
            return self._run(x)
        if self.check_finite and not bool(scales.isfinite().all()):
            raise BadInput(
                f"The input of layer {self.name or '(unnamed)'} holds NaN or infinite values; "
                "check the source clip and run the full-precision model in float32."
            )
        return y

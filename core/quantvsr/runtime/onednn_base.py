"""What executable layers on oneDNN's 8-bit products share, as torch offers these for x86 processors.

Measured with torch 2.13: the products are exact. A zero point of the activations makes oneDNN reorder the
weight at every call; so codes go in without one, and its share is taken off through the bias. A zero point of
the weight is silently ignored; so the weight has none. Padding is written as codes.
"""

import copy
from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor, nn

from quantvsr.quant.layers import DualBranchLayer, no_autocast
from quantvsr.runtime.backend import PreparedLayer
from quantvsr.runtime.encoding import Encoder
from quantvsr.runtime.integer_weight import IntegerPart, integer_weight
from quantvsr.runtime.passes import Passes

CHUNK = 8 * 2**20
"""Bytes of float32 values that are coded at once: they stay in the processor's cache."""


class PackedPart(nn.Module):
    """One part's packed weight."""

    scale: Tensor
    sums: Tensor
    zero_point: Tensor
    offset: Tensor | None

    def __init__(self, part: IntegerPart, packed: Tensor, middle: int) -> None:
        super().__init__()
        # Opaque to torch, so no buffer: it can neither be cast nor moved.
        self.packed = packed
        self.register_buffer("scale", part.scale, persistent=False)
        self.register_buffer("sums", part.sums, persistent=False)
        zero_point = torch.zeros(len(part.scale), dtype=torch.int32)
        self.register_buffer("zero_point", zero_point, persistent=False)
        # What a zero point that all codes have in common adds to a product, taken off.
        self.register_buffer("offset", -middle * part.sums if middle else None, persistent=False)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """A copy that shares the packed weight: torch cannot copy it, and nothing changes it."""
        memo[id(self.packed)] = self.packed
        found = type(self).__new__(type(self))
        memo[id(self)] = found
        found.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return found


class OneDnnLayer(PreparedLayer):
    """What linear layers and convolutions share."""

    bias: Tensor
    nothing: Tensor
    first: Tensor | None
    second: Tensor | None
    rest: Tensor | None

    def __init__(
        self,
        layer: DualBranchLayer,
        carrier: torch.dtype,
        title: str,
        pack: Callable[[IntegerPart], Tensor],
        passes: Callable[[Encoder, torch.dtype], Passes],
    ) -> None:
        super().__init__(layer, title)
        assert layer.encoded is not None
        # A static range may be taken for one of each frame.
        static = layer.activation_range is not None
        self.geometry = layer.geometry
        self.granularity = "frame" if static else layer.config.activation_granularity
        self.weight_shape, self.carrier, self.keep_dtype = (
            layer.weight.shape,
            carrier,
            layer.config.keep_dtype,
        )
        self.encoder = Encoder(layer, carrier)
        self.passes = passes(self.encoder, carrier)
        weight = integer_weight(layer)
        self.parts = nn.ModuleList(PackedPart(part, pack(part), self.passes.middle) for part in weight.parts)
        self._keep("rest", weight.rest)
        self.outputs = len(weight.parts[0].scale)
        # Several sums, or the additional outputs, want the digits.
        self.sum_kind = carrier if len(weight.parts) == 1 and weight.rest is None else torch.float32
        self.product_kind = self.sum_kind if self.passes.middle else torch.float32
        bias = layer.total_bias()
        bias = torch.zeros(layer.geometry.out_channels) if bias is None else bias.detach().float()
        self._keep("bias", self._grown(bias))
        self._keep("nothing", torch.zeros(self.outputs))
        first, second = layer.encoded.first, layer.encoded.second
        # In the basis "activation" the first operation is the encoder's.
        self._keep("first", None if first is None or layer.basis == "activation" else first.to(carrier))
        self._keep("second", None if second is None else self._grown(second).to(carrier))

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer to (..., I), or to (N, C, positions...) with or without N."""
        if not x.numel():
            return self._empty(x)
        # Passes and products here have types of their own.
        with no_autocast(x.device.type):
            return self._run(x)

    def _run(self, x: Tensor) -> Tensor:
        """The same for what is not empty."""
        raise NotImplementedError

    def _parts(self) -> list[PackedPart]:
        return [part for part in self.parts if isinstance(part, PackedPart)]

    def _grown(self, value: Tensor) -> Tensor:
        """With zeros for the additional outputs."""
        missing = self.outputs - len(value)
        return torch.cat([value, value.new_zeros(missing, *value.shape[1:])]) if missing else value

    def _keep(self, name: str, value: Tensor | None) -> None:
        # A copy: the storage may belong to the layer, which is to be freed.
        self.register_buffer(name, None if value is None else value.detach().clone(), persistent=False)

    def _combined(
        self, product: Tensor, steps: Tensor, part: int, more: Tensor | None, *, taken_off: bool
    ) -> Tensor:
        """One part's product (N, T, W, O') with its steps (2, N, W), the bias, and what came before.

        Args:
            product: Of the codes.
            steps: Scale and zero point.
            part: Which one.
            more: Is added.
            taken_off: The product is without the zero point's share.
        """
        bias = self.nothing if part else self.bias
        sums = self.nothing if taken_off else self._parts()[part].sums
        more = None if more is None else more.to(self.sum_kind)
        return self.passes.combine(product, steps, sums, bias, more, self.sum_kind)

    def _corrected(self, rows: Tensor) -> Tensor:
        """From (..., O') to (..., O): what the additional outputs say is added to the others."""
        if self.rest is None:
            return rows
        out, flat = self.geometry.out_channels, rows.reshape(-1, self.outputs)
        found = torch.addmm(flat[:, :out], flat[:, out:], self.rest.to(rows.dtype))
        return found.view(*rows.shape[:-1], out)

    def _empty(self, x: Tensor) -> Tensor:
        return self.geometry.apply(x, x.new_zeros(self.weight_shape), None)

"""A weight encoded once: codes, scales and zero points, and what the simulated execution needs of them."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from quantvsr.quant.affine import decode
from quantvsr.quant.config import Basis
from quantvsr.quant.lowrank import thin_weights


class EncodedWeight(nn.Module):
    """The frozen state of a dual-branch layer; holds buffers only, none of them in the state dictionary.

    Args:
        codes: Per part, (O, channels, kernel...), uint8 (int8 when symmetric).
        scales: Per part, float32, (O, 1...) or 0-dimensional.
        zero_points: Per part, whole numbers in float32, shaped like the scales.
        l1: Float32, with the values it has at rest; shape by `lowrank.factor_shapes`.
        l2: Likewise.
        groups: Groups of the convolution.
        basis: Of the low-rank branch.
        bias: (O,), all constant terms as stored in a file; None: the layer adds them up itself.
        offset: (O,), the residual's product with the activation shift, where there is one.

    Attributes:
        l1, l2, bias, offset: As given.
        hat: The weight the codes decode to, all parts, (O, channels, kernel...); decoded when first asked
            for, because integer execution never asks.
        first, second: Weights of the two thin operations, see `lowrank.thin_weights`; None at rank 0.
    """

    l1: Tensor
    l2: Tensor
    _hat: Tensor | None
    first: Tensor | None
    second: Tensor | None
    bias: Tensor | None
    offset: Tensor | None

    def __init__(
        self,
        codes: Sequence[Tensor],
        scales: Sequence[Tensor],
        zero_points: Sequence[Tensor],
        l1: Tensor,
        l2: Tensor,
        groups: int,
        basis: Basis,
        bias: Tensor | None = None,
        offset: Tensor | None = None,
    ) -> None:
        super().__init__()
        self._parts = len(codes)
        for i, (code, scale, zero_point) in enumerate(zip(codes, scales, zero_points, strict=True)):
            self._keep(f"codes{i}", code)
            self._keep(f"scale{i}", scale)
            self._keep(f"zero_point{i}", zero_point)
        self._keep("_hat", None)
        self._keep("l1", l1)
        self._keep("l2", l2)
        shape = torch.Size((codes[0].shape[0], sum(code.shape[1] for code in codes), *codes[0].shape[2:]))
        first, second = thin_weights(l1, l2, shape, groups, basis) if len(l2) else (None, None)
        self._keep("first", first)
        self._keep("second", second)
        self._keep("bias", bias)
        self._keep("offset", offset)

    def _keep(self, name: str, value: Tensor | None) -> None:
        if value is not None:
            # A copy: L1 and L2 may be trained on, which must not reach what was encoded beside them. Strides
            # of dimensions of size 1 are arbitrary, yet torch picks convolution routines by them: outputs
            # that are equal bit for bit after loading need plain strides.
            value = torch.empty(value.shape, dtype=value.dtype, device=value.device).copy_(value.detach())
        self.register_buffer(name, value, persistent=False)

    @property
    def hat(self) -> Tensor:
        """See the class."""
        if self._hat is None:
            found = zip(self.codes(), self.scales(), self.zero_points(), strict=True)
            hats = [decode(code.float(), scale, zero_point) for code, scale, zero_point in found]
            self._keep("_hat", hats[0] if len(hats) == 1 else torch.cat(hats, 1))
            assert self._hat is not None
        return self._hat

    def _all(self, name: str) -> tuple[Tensor, ...]:
        return tuple(cast(Tensor, getattr(self, f"{name}{i}")) for i in range(self._parts))

    def codes(self) -> tuple[Tensor, ...]:
        """Codes of each part."""
        return self._all("codes")

    def scales(self) -> tuple[Tensor, ...]:
        """Scales of each part."""
        return self._all("scale")

    def zero_points(self) -> tuple[Tensor, ...]:
        """Zero points of each part."""
        return self._all("zero_point")

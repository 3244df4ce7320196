"""Passes over activations around an integer product: ranges, codes, and what follows the product."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from quantvsr.runtime.encoding import Encoder


@dataclass(frozen=True)
class Coded:
    """Codes of activations.

    Attributes:
        codes: uint8, contiguous, with borders.
        steps: (2, N, W), float32: scale and zero point of each group.
    """

    codes: Tensor
    steps: Tensor


class Passes(Protocol):
    """What a layer needs around its product; one way to compute it.

    `values` are rows (..., channels) that `values` made; `part` is a part of the layer's channels.

    Attributes:
        middle: The zero point of all codes of `columns`; 0: each column has its own. In the first case its
            share of a product can be taken off within it, which may then be rounded.
    """

    middle: int

    def values(self, rows: Tensor, features: Tensor | None) -> Tensor:
        """What is to be coded, up to steps that the other passes do on the way; (..., C), contiguous."""
        ...

    def frames(
        self, values: Tensor, part: int, borders: Sequence[int], *, padded: bool, together: bool = False
    ) -> Coded:
        """Codes with a range for each entry of the batch.

        Args:
            values: (N, positions..., C), as many positions as `borders`.
            part: Of the channels.
            borders: Positions added on either side; they hold codes of zeros of the layer's input.
            padded: The border's values belong to the range.
            together: One range for all entries.

        Returns:
            Codes (N, positions..., channels), steps (2, N, 1), or (2, 1, 1) with `together`.

        Raises:
            BadInput: With `check_finite`, for NaN and infinity.
        """
        ...

    def columns(self, values: Tensor, part: int, border: int, *, padded: bool) -> Coded:
        """Codes with a range for each column (n, :, w) of values (N, T, W, C); T gets borders.

        Raises:
            BadInput: With `check_finite`, for NaN and infinity.
        """
        ...

    def combine(
        self,
        product: Tensor,
        steps: Tensor,
        sums: Tensor,
        bias: Tensor,
        more: Tensor | None,
        kind: torch.dtype,
    ) -> Tensor:
        """`(product - zero point * sums) * scale + bias + more`.

        Args:
            product: (N, T, W, O), float32, or `kind` with a `middle`; may be overwritten.
            steps: (2, N, W).
            sums: (O,); zeros where zero points are taken off.
            bias: (O,).
            more: Like the product, but of type `kind`; may be overwritten.
            kind: Type of the result, float32 or the carrier.
        """
        ...


class TorchPasses:
    """Passes in torch's operations."""

    middle = 0

    def __init__(self, encoder: Encoder, carrier: torch.dtype) -> None:
        self.encoder, self.carrier = encoder, carrier

    def values(self, rows: Tensor, features: Tensor | None) -> Tensor:
        """See `Passes`; float32."""
        return self.encoder.values(rows, features)

    def frames(
        self, values: Tensor, part: int, borders: Sequence[int], *, padded: bool, together: bool = False
    ) -> Coded:
        """See `Passes`."""
        over = range(0 if together else 1, values.ndim)
        return self._coded(values, part, list(over), borders, padded)

    def columns(self, values: Tensor, part: int, border: int, *, padded: bool) -> Coded:
        """See `Passes`."""
        return self._coded(values, part, [1, 3], [border, 0], padded)

    def _coded(
        self, values: Tensor, part: int, over: list[int], borders: Sequence[int], padded: bool
    ) -> Coded:
        piece = self.encoder.split(values)[part]
        each = [1 if d in over or d == piece.ndim - 1 else n for d, n in enumerate(piece.shape)]
        scale, zero = (s.expand(each) for s in self.encoder.steps(piece, part, over, padded=padded))
        shape = (*(n + 2 * b for n, b in zip(values.shape[1:-1], borders, strict=True)), piece.shape[-1])
        codes = torch.empty((len(values), *shape), dtype=torch.uint8)
        inside = codes
        if any(borders):
            line = torch.empty((len(values), *scale.shape[1:-1], shape[-1]), dtype=torch.uint8)
            border = self.encoder.border_of(part).expand(line.shape).clone()
            self.encoder.encode(border, scale, zero, line)
            for dim, b in enumerate(borders, 1):
                if b:
                    codes.narrow(dim, 0, b).copy_(line)
                    codes.narrow(dim, codes.shape[dim] - b, b).copy_(line)
                    inside = inside.narrow(dim, b, codes.shape[dim] - 2 * b)
        self.encoder.encode(piece, scale, zero, inside)
        steps = torch.stack([scale, zero])
        return Coded(codes, steps.reshape(2, len(scale), math.prod(scale.shape[1:])))

    def combine(
        self,
        product: Tensor,
        steps: Tensor,
        sums: Tensor,
        bias: Tensor,
        more: Tensor | None,
        kind: torch.dtype,
    ) -> Tensor:
        """See `Passes`."""
        scale, zero = steps[:, :, None, :, None]
        found = product.addcmul_(zero, sums, value=-1).mul_(scale).add_(bias)
        # A sum of two types takes longer than a conversion and a sum of one.
        return (found if more is None else found.add_(more.float())).to(kind)

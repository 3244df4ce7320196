"""From activations to codes: everything before the integer product, for one layer.

The stage before the codes (directions taken out, shift, rotation) is affine in the channels of one position.
Its matrix is found by sending unit vectors through the functions of the simulated layer. Where it consists of
equal blocks, up to signs, one product over short rows and thin ones execute it; else a dense product.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from quantvsr.errors import BadInput
from quantvsr.quant import activations
from quantvsr.quant.affine import code_range, scale_and_zero_point
from quantvsr.quant.layers import DualBranchLayer


class Encoder(nn.Module):
    """The activation side of a layer's low-bit branch.

    Args:
        layer: Frozen.
        carrier: Type of the products.

    Attributes:
        parts: Channels of each part.
        border: Per part, the value that a zero of the padding takes before it is coded, (channels,).
        directions: (r, C), whose products with the input are subtracted; None in the basis "weight".
        top: Largest code; codes start at 0.
    """

    before: Tensor | None
    block: Tensor | None
    matrix: Tensor | None
    back: Tensor | None
    after: Tensor | None
    offset: Tensor | None
    directions: Tensor | None
    clip: Tensor | None
    static: Tensor | None
    border: Tensor

    def __init__(self, layer: DualBranchLayer, carrier: torch.dtype) -> None:
        super().__init__()
        config = layer.config
        self.name, self.check_finite = layer.name, layer.check_finite
        self.parts = tuple(layer.activation_parts)
        self.bits, self.symmetric = config.activation_bits, config.activation_symmetric
        self.holds_zero, self.floor = config.range_holds_zero, config.scale_floor
        self.low, high = code_range(self.bits, self.symmetric)
        self.top = high - self.low
        plan = _plan(layer)
        for name in ("before", "block", "matrix", "back", "directions"):
            self._keep(name, getattr(plan, name), carrier)
        for name in ("after", "offset", "border"):
            self._keep(name, getattr(plan, name), torch.float32)
        clip = layer.activation_clip
        self._keep(
            "clip", None if clip is None else clip.clamp(min=activations.SMALLEST_FACTOR), torch.float32
        )
        self._keep("static", layer.activation_range, torch.float32)

    def _keep(self, name: str, value: Tensor | None, dtype: torch.dtype) -> None:
        self.register_buffer(
            name,
            None if value is None else value.detach().to(dtype).clone(memory_format=torch.contiguous_format),
            persistent=False,
        )

    def features(self, rows: Tensor) -> Tensor | None:
        """What the directions see of an input (..., C): (..., r); None without directions."""
        if self.directions is None:
            return None
        # On two dimensions: torch takes a slower way for more.
        return F.linear(rows.view(-1, rows.shape[-1]), self.directions).view(*rows.shape[:-1], -1)

    def raw(self, rows: Tensor, features: Tensor | None) -> Tensor:
        """What is to be coded but for factors and offsets of the channels, of the carrier, (positions, C).

        May be `rows` itself.

        Args:
            rows: (..., C) of the carrier, contiguous.
            features: What `features` returned for them.
        """
        flat = rows.view(-1, rows.shape[-1])
        found = flat if self.before is None else flat * self.before
        if self.matrix is not None:
            found = F.linear(found, self.matrix)
        elif self.block is not None:
            # The same block for all channels: one product over short rows.
            found = torch.mm(found.view(-1, len(self.block)), self.block).view(flat.shape)
        if self.back is not None:
            assert features is not None
            found = found.clone() if found is flat else found
            found.addmm_(features.view(len(flat), -1), self.back, alpha=-1)
        return found

    def values(self, rows: Tensor, features: Tensor | None) -> Tensor:
        """What is to be coded, (..., C), contiguous float32 of its own, from rows (..., C) of the carrier."""
        found = self.raw(rows, features)
        found = found.to(torch.float32, copy=found.data_ptr() == rows.data_ptr())
        if self.after is not None:
            found.mul_(self.after)
        if self.offset is not None:
            found.add_(self.offset)
        return found.view(rows.shape)

    def steps(self, values: Tensor, part: int, over: Sequence[int], *, padded: bool) -> tuple[Tensor, Tensor]:
        """Scales and zero points of one part.

        Args:
            values: (..., channels).
            part: Which one.
            over: Dimensions that share a range, the last one among them.
            padded: The border is coded as well.

        Returns:
            Scale and zero point (which belongs to codes from 0 on), of size 1 along `over`.

        Raises:
            BadInput: With `check_finite`, for NaN and infinity.
        """
        if self.static is None:
            lo, hi = self._dynamic(values, part, over, padded)
        else:
            lo, hi = (bound.reshape([1] * values.ndim) for bound in self.static[part])
        if self.clip is not None:
            lo, hi = lo * self.clip[part, 0], hi * self.clip[part, 1]
        scale, zero_point = scale_and_zero_point(
            lo, hi, self.bits, symmetric=self.symmetric, holds_zero=self.holds_zero, floor=self.floor
        )
        return scale, zero_point - self.low

    def _dynamic(self, values: Tensor, part: int, over: Sequence[int], padded: bool) -> tuple[Tensor, Tensor]:
        lo, hi = _bounds(values, over)
        if self.check_finite and not bool((hi - lo).isfinite().all()):
            raise self.not_finite()
        if padded:
            border = self.border_of(part)
            lo, hi = lo.clamp(max=border.amin()), hi.clamp(min=border.amax())
        return lo, hi

    def not_finite(self) -> BadInput:
        """The error for NaN and infinity."""
        return BadInput(
            f"The input of layer {self.name or '(unnamed)'} holds NaN or infinite values; "
            "check the source clip and run the full-precision model in float32."
        )

    def split(self, values: Tensor) -> list[Tensor]:
        """Values part by part, each contiguous."""
        if len(self.parts) == 1:
            return [values]
        return [piece.contiguous() for piece in values.split(self.parts, -1)]

    def border_of(self, part: int) -> Tensor:
        """The part's share of `border`."""
        return self.border.split(self.parts)[part]

    def encode(self, values: Tensor, scale: Tensor, zero_point: Tensor, out: Tensor) -> None:
        """Write codes of values, which are used up, to uint8 `out` of the same shape.

        As `quant.affine.encode` does: the quotient is rounded before the zero point is added.
        """
        values.div_(scale).round_().add_(zero_point).clamp_(0, self.top)
        # Conversion to int8 is many times faster than to uint8.
        if self.top <= 127:
            out.view(torch.int8).copy_(values)
        else:
            out.view(torch.int8).copy_(values.sub_(128))
            out.bitwise_xor_(128)


def _bounds(values: Tensor, over: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Minimum and maximum; channels first, because reducing the last dimension alone is fast."""
    first = values.ndim - 1
    if list(over) == list(range(values.ndim - len(over), values.ndim)):
        flat = values.flatten(values.ndim - len(over))
        shape = (*flat.shape[:-1], *[1] * len(over))
        return flat.amin(-1).view(shape), flat.amax(-1).view(shape)
    lo, hi = values.amin(first, keepdim=True), values.amax(first, keepdim=True)
    rest = [d for d in over if d != first]
    return lo.amin(rest, keepdim=True), hi.amax(rest, keepdim=True)


@dataclass(frozen=True)
class _Plan:
    """The stage before the codes, in the order of execution; None is left out.

    Attributes:
        before: (C,), factors of the channels.
        block: (b, b), multiplied from the right with every b channels; or
        matrix: (C, C), multiplied from the left.
        back: (r, C), subtracted times the features.
        after: (C,), factors.
        offset: (C,), added.
        border: (C,), the result for zero: `offset` even where that is zero.
        directions: (r, C), of the features.
    """

    before: Tensor | None
    block: Tensor | None
    matrix: Tensor | None
    back: Tensor | None
    after: Tensor | None
    offset: Tensor | None
    border: Tensor
    directions: Tensor | None


@torch.no_grad()
def _plan(layer: DualBranchLayer) -> _Plan:
    channels, dim = layer.geometry.in_channels, layer.geometry.channel_dim
    units = torch.eye(channels, device=layer.weight.device)
    units = units.reshape(channels, channels, *[1] * layer.geometry.dims)
    rotation = torch.cat(activations.rotate(layer, units), dim).reshape(channels, channels).float().T
    border = (
        torch.cat(activations.prepare(layer, torch.zeros_like(units[:1]))[0], dim).reshape(channels).float()
    )
    offset = border if bool(border.any()) else None
    directions = None
    if layer.basis == "activation" and layer.encoded is not None and len(layer.L2):
        directions = layer.encoded.l2
    balance = layer.activation_balance
    scaled = rotation if balance is None else rotation * balance
    found = _equal_blocks(scaled)
    if found is None:
        matrix = rotation if directions is None else rotation - (rotation @ directions.T) @ directions
        return _Plan(None, None, matrix, None, None, offset, border, directions)
    block, before, after = found
    back = None if directions is None else directions @ rotation.T / after
    if balance is not None:
        before = before / balance
    return _Plan(
        None if bool((before == 1).all()) else before,
        None if len(block) == 1 else block,
        None,
        back,
        None if bool((after == 1).all()) else after,
        offset,
        border,
        directions,
    )


def _equal_blocks(matrix: Tensor) -> tuple[Tensor, Tensor, Tensor] | None:
    """Write a matrix (C, C) as `diag(after) B diag(before)`, B made of one block all along its diagonal.

    Returns:
        The block, to be multiplied from the right, factors before and factors after it; None where the
        matrix has no such form or only itself as the block.
    """
    channels = len(matrix)
    rows, columns = matrix.nonzero(as_tuple=True)
    for size in (n for n in range(1, channels) if channels % n == 0):
        if not bool((rows // size == columns // size).all()):
            continue
        blocks = torch.stack([matrix[i : i + size, i : i + size] for i in range(0, channels, size)])
        for first in (False, True):
            # Rows, or columns, of all blocks are alike up to the entry that is largest in the first block.
            along = blocks.mT if first else blocks
            place = along[0].abs().argmax(1).expand(len(blocks), 1, -1).mT
            factors = along.gather(2, place)
            plain = along / factors
            if torch.allclose(plain, plain[0].expand_as(plain), rtol=1e-5, atol=1e-6):
                ones = torch.ones_like(factors).reshape(-1)
                factors = factors.reshape(-1)
                return (plain[0], factors, ones) if first else (plain[0].T, ones, factors)
    return None

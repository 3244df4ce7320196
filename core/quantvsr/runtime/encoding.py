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

    matrix: Tensor | None
    block: Tensor | None
    signs: Tensor | None
    offset: Tensor | None
    directions: Tensor | None
    back: Tensor | None
    clip: Tensor | None
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
        rotation, offset = _affine(layer)
        directions = None
        if layer.basis == "activation" and layer.encoded is not None and len(layer.L2):
            directions = layer.encoded.l2.detach()
        found = _equal_blocks(rotation)
        matrix = block = signs = back = None
        self.signs_first = False
        if found is not None:
            block, signs, self.signs_first = found.block, found.signs, found.signs_first
            if directions is not None:
                back = directions @ rotation.T if found.signs_first else directions @ rotation.T * signs
        elif directions is not None:
            matrix = rotation - (rotation @ directions.T) @ directions
        elif not torch.equal(rotation, torch.eye(len(rotation), device=rotation.device)):
            matrix = rotation
        for name, value in (("matrix", matrix), ("block", block), ("back", back), ("directions", directions)):
            self._keep(name, value, carrier)
        self._keep("signs", signs, carrier if self.signs_first else torch.float32)
        self._keep(
            "offset", offset if bool(offset.any()) else None, carrier if found is None else torch.float32
        )
        self._keep("border", offset, torch.float32)
        clip = layer.activation_clip
        if clip is not None:
            clip = clip.detach().float().clamp(min=activations.SMALLEST_FACTOR)
        self._keep("clip", clip, torch.float32)

    def _keep(self, name: str, value: Tensor | None, dtype: torch.dtype) -> None:
        self.register_buffer(name, None if value is None else value.to(dtype).contiguous(), persistent=False)

    def features(self, rows: Tensor) -> Tensor | None:
        """What the directions see of an input (..., C): (..., r); None without directions."""
        if self.directions is None:
            return None
        # On two dimensions: torch takes a slower way for more.
        return F.linear(rows.view(-1, rows.shape[-1]), self.directions).view(*rows.shape[:-1], -1)

    def values(self, rows: Tensor, features: Tensor | None) -> Tensor:
        """What is to be coded, (..., C), contiguous float32 of its own, from rows (..., C) of the carrier."""
        if self.block is None:
            if self.matrix is None:
                found = rows.to(torch.float32, copy=True)
                return found if self.offset is None else found.add_(self.offset)
            return F.linear(rows, self.matrix, self.offset).float()
        flat = rows if self.signs is None or not self.signs_first else rows * self.signs
        # The same block for all channels: one product over short rows.
        found = torch.mm(flat.view(-1, len(self.block)), self.block).view(-1, rows.shape[-1])
        if self.back is not None:
            assert features is not None
            found.addmm_(features.reshape(len(found), -1), self.back, alpha=-1)
        found = found.float()
        if self.signs is not None and not self.signs_first:
            found.mul_(self.signs)
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
        lo, hi = _bounds(values, over)
        if self.check_finite and not bool((hi - lo).isfinite().all()):
            raise BadInput(
                f"The input of layer {self.name or '(unnamed)'} holds NaN or infinite values; "
                "check the source clip and run the full-precision model in float32."
            )
        if padded:
            border = self.border_of(part)
            lo, hi = lo.clamp(max=border.amin()), hi.clamp(min=border.amax())
        if self.clip is not None:
            lo, hi = lo * self.clip[part, 0], hi * self.clip[part, 1]
        scale, zero_point = scale_and_zero_point(
            lo, hi, self.bits, symmetric=self.symmetric, holds_zero=self.holds_zero, floor=self.floor
        )
        return scale, zero_point - self.low

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


@torch.no_grad()
def _affine(layer: DualBranchLayer) -> tuple[Tensor, Tensor]:
    """The stage before the codes without the directions: matrix (C, C) and offset (C,), float32."""
    channels, dim = layer.geometry.in_channels, layer.geometry.channel_dim
    units = torch.eye(channels, device=layer.weight.device)
    units = units.reshape(channels, channels, *[1] * layer.geometry.dims)
    matrix = torch.cat(activations.rotate(layer, units), dim).reshape(channels, channels)
    offset = torch.cat(activations.prepare(layer, torch.zeros_like(units[:1]))[0], dim).reshape(channels)
    return matrix.float().T.contiguous(), offset.float()


@dataclass(frozen=True)
class _Blocks:
    """A rotation as one block for all channels.

    Attributes:
        block: (b, b), multiplied from the right.
        signs: (C,), multiplied before or after it.
        signs_first: Which of the two.
    """

    block: Tensor
    signs: Tensor
    signs_first: bool


def _equal_blocks(rotation: Tensor) -> _Blocks | None:
    """Take a rotation (C, C) apart; None where it has no equal diagonal blocks but itself."""
    channels = len(rotation)
    rows, columns = rotation.nonzero(as_tuple=True)
    for size in (n for n in range(1, channels) if channels % n == 0):
        if not bool((rows // size == columns // size).all()):
            continue
        blocks = torch.stack([rotation[i : i + size, i : i + size] for i in range(0, channels, size)])
        for first in (False, True):
            # Row by row, or column by column, up to a sign that the largest entry of the first block tells.
            along = blocks.mT if first else blocks
            place = along[0].abs().argmax(1).expand(len(blocks), 1, -1).mT
            signs = along.gather(2, place).sign()
            plain = along * signs
            if bool((plain == plain[0]).all()):
                block = plain[0] if first else plain[0].T
                return _Blocks(block.contiguous(), signs.reshape(-1), first)
    return None

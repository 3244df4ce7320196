"""From activations to codes: everything before the integer product, for one layer.

The stage before the codes (directions taken out, shift, rotation) is affine in the channels of one position.
Its matrix is found by sending unit vectors through the functions of the simulated layer, so that it cannot
differ from them; execution is one dense product, or a block-diagonal and two thin ones for wide layers.
"""

from collections.abc import Sequence

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
    blocks: Tensor | None
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
        matrix, blocks, back = _plan(rotation, directions)
        self._keep("matrix", matrix, carrier)
        self._keep("blocks", blocks, carrier)
        self._keep("back", back, carrier)
        self._keep("directions", directions, carrier)
        self._keep("offset", offset if bool(offset.any()) else None, carrier)
        self._keep("border", offset, torch.float32)
        clip = layer.activation_clip
        if clip is not None:
            clip = clip.detach().float().clamp(min=activations.SMALLEST_FACTOR)
        self._keep("clip", clip, torch.float32)

    def _keep(self, name: str, value: Tensor | None, dtype: torch.dtype) -> None:
        self.register_buffer(name, None if value is None else value.to(dtype).contiguous(), persistent=False)

    def features(self, rows: Tensor) -> Tensor | None:
        """What the directions see of an input (..., C): (..., r); None without directions."""
        return None if self.directions is None else F.linear(rows, self.directions)

    def values(self, rows: Tensor, features: Tensor | None) -> Tensor:
        """What is to be coded, (..., C), contiguous float32 of its own, from rows (..., C) of the carrier."""
        if self.matrix is not None:
            found = F.linear(rows, self.matrix, self.offset)
        elif self.blocks is not None:
            found = self._blockwise(rows, features)
        else:
            found = rows.to(torch.float32, copy=True)
            if self.offset is not None:
                found.add_(self.offset)
        return found.float()

    def _blockwise(self, rows: Tensor, features: Tensor | None) -> Tensor:
        assert self.blocks is not None
        flat = rows.reshape(-1, rows.shape[-1])
        size = self.blocks.shape[-1]
        found = torch.empty_like(flat)
        for i, block in enumerate(self.blocks):
            columns = slice(i * size, (i + 1) * size)
            torch.mm(flat[:, columns], block, out=found[:, columns])
        if self.back is not None:
            assert features is not None
            found.addmm_(features.reshape(len(found), -1), self.back, alpha=-1)
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
    channels, dims = layer.geometry.in_channels, layer.geometry.dims
    ones = [1] * dims
    probes = torch.cat([torch.eye(channels), torch.zeros(1, channels)]).reshape(channels + 1, channels, *ones)
    parts, _ = activations.prepare(layer, probes.to(layer.weight.device))
    found = torch.cat(parts, layer.geometry.channel_dim).reshape(channels + 1, channels).float()
    offset = found[-1].clone()
    return (found[:-1] - offset).T.contiguous(), offset


_BLOCK_COST = 1.5
"""Time of a block-diagonal product, per multiplication, compared with a dense one; measured."""


def _plan(rotation: Tensor, directions: Tensor | None) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """How to execute: (dense matrix (C, C), None, None), or (None, blocks (n, b, b), back (r, C)).

    All None where nothing is rotated and no direction is taken out. Blocks multiply from the right.
    """
    channels = len(rotation)
    unit = torch.eye(channels, device=rotation.device)
    rank = 0 if directions is None else len(directions)
    if not rank and torch.equal(rotation, unit):
        return None, None, None
    size = _block_size(rotation)
    if _BLOCK_COST * (size + 2 * rank) < channels:
        blocks = torch.stack([rotation[i : i + size, i : i + size].T for i in range(0, channels, size)])
        return None, blocks, None if directions is None else directions @ rotation.T
    if directions is not None:
        rotation = rotation - (rotation @ directions.T) @ directions
    return rotation, None, None


def _block_size(matrix: Tensor) -> int:
    """Size of the smallest equal diagonal blocks outside of which a square matrix is zero."""
    channels = len(matrix)
    rows, columns = matrix.nonzero(as_tuple=True)
    for size in range(1, channels):
        if channels % size == 0 and bool((rows // size == columns // size).all()):
            return size
    return channels

"""Affine quantization: ranges, scales, zero points, codes, and the derivatives used in training.

All values stay in floating point ("simulated"); codes are whole numbers. Specification, section 2.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from quantvsr.errors import BadInput

ABSOLUTE_FLOOR = 1e-4
"""Smallest scale of the reference (absolute, section 2.2)."""

RELATIVE_FLOOR = 2.0**-20
"""Smallest scale as a share of the largest magnitude in the range: keeps zero points exact in float32."""


def code_range(bits: int, symmetric: bool = False) -> tuple[int, int]:
    """Lowest and highest code (section 2.1); the symmetric range is narrow (-7..7 for 4 bits).

    Raises:
        BadInput: `bits` is outside 2..32.
    """
    if not 2 <= bits <= 32:
        raise BadInput(f"{bits} bits cannot be used; choose 2 to 32 bits.")
    if symmetric:
        top = 2 ** (bits - 1) - 1
        return -top, top
    return 0, 2**bits - 1


def value_range(x: Tensor, keep: Sequence[int] = ()) -> tuple[Tensor, Tensor]:
    """Minimum and maximum of `x` over all dimensions except those in `keep` (section 2.4).

    Args:
        x: Any tensor with at least one element.
        keep: Dimensions that keep a range of their own. Empty: one range, returned as 0-dimensional tensors.

    Returns:
        lo and hi; with `keep`, reduced dimensions have size 1. NaN in `x` gives NaN.
    """
    if not keep:
        return x.amin(), x.amax()
    kept = {d % x.ndim for d in keep}
    reduced = [d for d in range(x.ndim) if d not in kept]
    if not reduced:
        return x, x
    # Two passes: torch.aminmax along a dimension is several times slower on the processor than both.
    return x.amin(reduced, keepdim=True), x.amax(reduced, keepdim=True)


def running_range(previous: Tensor, current: Tensor, momentum: float = 0.95) -> Tensor:
    """One bound of the reference's optional running range (section 2.5)."""
    return momentum * previous + (1 - momentum) * current


class _RoundThrough(torch.autograd.Function):
    """Round half to even; derivative 1."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor) -> Tensor:
        return x.round()

    @staticmethod
    def backward(ctx: FunctionCtx, *grads: Tensor) -> Tensor:
        return grads[0]


def round_through(x: Tensor) -> Tensor:
    """Round half to even with derivative 1 ("pass-through")."""
    return _RoundThrough.apply(x) if x.requires_grad else x.round()  # type: ignore[return-value]


class _HalfThrough(torch.autograd.Function):
    """Round to half precision, kept as float32; derivative 1 (a cast would round the derivative too)."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor) -> Tensor:
        return x.half().float()

    @staticmethod
    def backward(ctx: FunctionCtx, *grads: Tensor) -> Tensor:
        return grads[0]


def half_through(x: Tensor) -> Tensor:
    """The value `x` has after being stored in half precision; derivative 1."""
    return _HalfThrough.apply(x) if x.requires_grad else x.half().float()  # type: ignore[return-value]


def _scale_unit(scale: Tensor) -> Tensor:
    """The power of two that brings the largest scale of a tensor into 0.5..1 (0-dimensional)."""
    largest = scale.detach().amax()
    mantissa, _ = torch.frexp(largest)
    return largest / mantissa  # exact, unlike 2**exponent of some vectorised pow


def stored_scale(scale: Tensor) -> Tensor:
    """The value `scale` has after `encode_scale` and `decode_scale`; derivative 1."""
    unit = _scale_unit(scale)
    return half_through(scale / unit) * unit


def encode_scale(scale: Tensor) -> tuple[Tensor, int]:
    """Scales as half-precision multiples of a power of two, and its exponent.

    Residual weights of trained networks have scales near 1e-5, where half precision alone has lost most of
    its digits; the common power of two brings them back.
    """
    unit = _scale_unit(scale)
    return (scale / unit).half(), int(torch.frexp(unit)[1]) - 1


def decode_scale(stored: Tensor, exponent: int) -> Tensor:
    """Inverse of `encode_scale`, float32."""
    return stored.float() * 2.0**exponent


def scale_and_zero_point(
    lo: Tensor,
    hi: Tensor,
    bits: int,
    *,
    symmetric: bool = False,
    holds_zero: bool = False,
    floor: str = "absolute",
    half_scale: bool = False,
) -> tuple[Tensor, Tensor]:
    """Scale and zero point of the range lo..hi (section 2.2), differentiable in lo and hi.

    The computation runs in the type of lo and hi: released reference files hold bfloat16 ranges and were made
    with bfloat16 scales (section 13.1).

    Args:
        lo: Lower bounds, any shape.
        hi: Upper bounds, same shape.
        bits: 2..32.
        symmetric: Zero point 0, scale from the larger magnitude.
        holds_zero: Widen each range to include 0, so that zero points (and the code of 0) are valid codes.
        floor: "absolute": no scale under 1e-4 (reference). "relative": no scale under 2**-20 of the range's
            largest magnitude; all-zero ranges take 1 (with `half_scale` the largest scale of the tensor).
        half_scale: Round scales to what `encode_scale` can store.

    Returns:
        scale > 0 and whole-numbered zero point, shaped like lo. NaN ranges give NaN.
    """
    low, high = code_range(bits, symmetric)
    if holds_zero:
        lo, hi = lo.clamp(max=0), hi.clamp(min=0)
    scale = torch.maximum(lo.abs(), hi.abs()) / high if symmetric else (hi - lo) / (high - low)
    if floor == "absolute":
        scale = scale.clamp(min=ABSOLUTE_FLOOR)
    else:
        if not holds_zero and not symmetric:  # otherwise the range is as large as the magnitude
            magnitude = torch.maximum(lo.detach().abs(), hi.detach().abs())
            scale = torch.maximum(scale, magnitude * RELATIVE_FLOOR)
        # Below the smallest normal number a division by the scale may overflow: such a range counts as zero.
        empty = scale.detach() < torch.finfo(scale.dtype).tiny
        one = torch.ones_like(scale)
        if half_scale:
            # One empty row must not take the digits of all others away: see encode_scale.
            largest = scale.detach().amax()
            one = torch.where(largest < torch.finfo(scale.dtype).tiny, one, largest)
        scale = torch.where(empty, one, scale)
    if half_scale:
        scale = stored_scale(scale)
    if symmetric:
        return scale, torch.zeros_like(scale)
    zero_point = round_through(-lo / scale)
    if holds_zero:
        # A scale rounded down for storage can push the quotient just past the last code.
        zero_point = zero_point.clamp(low, high)
    return scale, zero_point


def encode(x: Tensor, scale: Tensor, zero_point: Tensor, bits: int, symmetric: bool = False) -> Tensor:
    """Codes of `x` as whole numbers in floating point (section 2.3).

    The quotient is rounded first, then the zero point is added: rounding the sum differs at ties.
    """
    low, high = code_range(bits, symmetric)
    return (x / scale).round_().add_(zero_point).clamp_(low, high)


def decode(codes: Tensor, scale: Tensor, zero_point: Tensor) -> Tensor:
    """Values of codes: `(codes - zero_point) * scale`."""
    return (codes - zero_point) * scale


class _FakeQuantize(torch.autograd.Function):
    """Quantize and dequantize with the derivatives of section 2.7, in as few passes as possible."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, x: Tensor, scale: Tensor, zero_point: Tensor, low: int, high: int
    ) -> Tensor:
        ctx.low, ctx.high = low, high  # type: ignore[attr-defined]
        shifted = (x / scale).round_().add_(zero_point)
        _, needs_scale, needs_zero = ctx.needs_input_grad[:3]  # type: ignore[attr-defined]
        inside = (shifted >= low).logical_and_(shifted <= high)
        result = shifted.clamp_(low, high).sub_(zero_point).mul_(scale)
        if needs_scale or needs_zero:
            ctx.save_for_backward(inside, scale, zero_point, x, result)
        else:
            ctx.save_for_backward(inside)
        return result

    @staticmethod
    def backward(ctx: FunctionCtx, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grads
        inside, *rest = ctx.saved_tensors  # type: ignore[attr-defined]
        needs_x, needs_scale, needs_zero = ctx.needs_input_grad[:3]  # type: ignore[attr-defined]
        grad_x = grad * inside if needs_x or needs_scale else None
        grad_scale = grad_zero = None
        if rest:
            scale, zero_point, x, result = rest
            if needs_scale:
                # d result/d scale = (code - zero) - inside * x / scale
                grad_scale = _sum_to((grad * result).sub_(grad_x * x).div_(scale), scale)
            if needs_zero:
                grad_zero = _sum_to((grad * ~inside).mul_(-scale), zero_point)
        return (grad_x if needs_x else None), grad_scale, grad_zero, None, None


def _sum_to(x: Tensor, like: Tensor) -> Tensor:
    return x.sum_to_size(like.shape).to(like.dtype)


def fake_quantize(
    x: Tensor,
    scale: Tensor,
    zero_point: Tensor,
    bits: int,
    symmetric: bool = False,
    *,
    overwrite: bool = False,
) -> Tensor:
    """`decode(encode(x))` with pass-through rounding and a blocking clamp as derivative (section 2.7).

    Derivatives reach the scale and the zero point where these require them.

    Args:
        x: Values.
        scale: Broadcastable to x.
        zero_point: Broadcastable to x.
        bits: 2..32.
        symmetric: Code range -(2^(b-1)-1)..2^(b-1)-1.
        overwrite: The caller has no more use for `x`; used only where no derivative is recorded.
    """
    low, high = code_range(bits, symmetric)
    if torch.is_grad_enabled() and (x.requires_grad or scale.requires_grad or zero_point.requires_grad):
        return _FakeQuantize.apply(x, scale, zero_point, low, high)  # type: ignore[return-value]
    # A fresh tensor costs more than all passes over it together: reuse x where allowed.
    shifted = x.div_(scale) if overwrite and scale.dtype == x.dtype else x / scale
    # Whole numbers are exact in floating point: adding and subtracting the zero point around a clamp with
    # plain numbers is much faster than a clamp with tensors as bounds.
    return shifted.round_().add_(zero_point).clamp_(low, high).sub_(zero_point).mul_(scale)

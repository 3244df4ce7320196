import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from quantvsr.errors import BadInput
from quantvsr.quant.affine import (
    code_range,
    decode,
    decode_scale,
    encode,
    encode_scale,
    fake_quantize,
    scale_and_zero_point,
    stored_scale,
    value_range,
)

_BITS = st.integers(2, 8)
_VALUES = st.lists(
    st.floats(-1e6, 1e6, width=32, allow_subnormal=False).map(lambda v: 0.0 if abs(v) < 1e-30 else v),
    min_size=1,
    max_size=40,
)


def test_code_ranges() -> None:
    assert code_range(4) == (0, 15)
    assert code_range(4, symmetric=True) == (-7, 7)
    assert code_range(2, symmetric=True) == (-1, 1)
    for bits in (1, 33):
        with pytest.raises(BadInput, match="2 to 32"):
            code_range(bits)


@given(_VALUES, _BITS, st.booleans())
def test_ranges_that_hold_zero_give_codes_and_zero_points_that_fit(
    values: list[float], bits: int, half_scale: bool
) -> None:
    x = torch.tensor(values)
    scale, zero_point = scale_and_zero_point(
        *value_range(x), bits, holds_zero=True, floor="relative", half_scale=half_scale
    )
    codes = encode(x, scale, zero_point, bits)
    assert 0 <= float(zero_point) <= 2**bits - 1 and float(zero_point) == round(float(zero_point))
    assert float(codes.min()) >= 0 and float(codes.max()) <= 2**bits - 1
    assert float(encode(torch.zeros(1), scale, zero_point, bits)) == float(zero_point)
    # Half a step, plus up to another half because the zero point is rounded, plus what a rounded scale loses.
    slack = 1.0 + (2**bits * 2**-11 if half_scale else 0)
    error = float((decode(codes, scale, zero_point) - x).abs().max())
    assert error <= slack * float(scale) * 1.001 + 1e-6 * float(x.abs().max())


@given(_VALUES, _BITS, st.booleans())
def test_decoded_values_encode_to_the_same_codes(values: list[float], bits: int, symmetric: bool) -> None:
    x = torch.tensor(values)
    scale, zero_point = scale_and_zero_point(
        *value_range(x), bits, symmetric=symmetric, holds_zero=True, floor="relative"
    )
    codes = encode(x, scale, zero_point, bits, symmetric)
    again = encode(decode(codes, scale, zero_point), scale, zero_point, bits, symmetric)
    assert torch.equal(codes, again)
    low, high = code_range(bits, symmetric)
    assert float(codes.min()) >= low and float(codes.max()) <= high


@given(_VALUES, _BITS, st.booleans(), st.booleans(), st.booleans())
def test_fast_path_and_recorded_path_agree(
    values: list[float], bits: int, symmetric: bool, holds_zero: bool, overwrite: bool
) -> None:
    x = torch.tensor(values)
    settings = {"symmetric": symmetric, "holds_zero": holds_zero, "floor": "relative"}
    scale, zero_point = scale_and_zero_point(*value_range(x), bits, **settings)
    expected = decode(encode(x, scale, zero_point, bits, symmetric), scale, zero_point)
    recorded = fake_quantize(x.clone().requires_grad_(), scale, zero_point, bits, symmetric)
    assert torch.equal(recorded, expected)
    assert torch.equal(
        fake_quantize(x.clone(), scale, zero_point, bits, symmetric, overwrite=overwrite), expected
    )


@pytest.mark.parametrize("value", [0.0, 3.7, -2.5, 1e-20, -1e20])
@pytest.mark.parametrize("holds_zero", [True, False])
@pytest.mark.parametrize("symmetric", [True, False])
def test_constant_values_come_back(value: float, holds_zero: bool, symmetric: bool) -> None:
    x = torch.full((3, 5), value)
    scale, zero_point = scale_and_zero_point(
        *value_range(x, (0,)), 4, symmetric=symmetric, holds_zero=holds_zero, floor="relative"
    )
    assert bool(scale.isfinite().all()) and bool((scale > 0).all())
    hat = fake_quantize(x, scale, zero_point, 4, symmetric)
    torch.testing.assert_close(hat, x, rtol=1e-6, atol=0)


def test_a_zero_row_does_not_spoil_the_stored_scales_of_others() -> None:
    x = torch.tensor([[0.0, 0.0], [1e-6, -2e-6]])
    scale, _ = scale_and_zero_point(
        *value_range(x, (0,)), 4, holds_zero=True, floor="relative", half_scale=True
    )
    assert float(scale[1]) == pytest.approx(3e-6 / 15, rel=1e-3)
    assert float(scale[0]) == float(scale[1])


def test_tiny_rows_keep_their_resolution_where_the_reference_loses_it() -> None:
    x = torch.linspace(-1e-5, 1e-5, 16)
    lo, hi = value_range(x)
    ours = fake_quantize(x, *scale_and_zero_point(lo, hi, 4, holds_zero=True, floor="relative"), 4)
    theirs = fake_quantize(x, *scale_and_zero_point(lo, hi, 4), 4)
    assert float((ours - x).abs().max()) < 1e-6
    assert float(theirs.abs().max()) == 0


@given(st.lists(st.floats(2**-40, 2**40, width=32), min_size=1, max_size=20))
def test_stored_scales_are_what_the_file_gives_back(values: list[float]) -> None:
    scale = torch.tensor(values)
    stored, exponent = encode_scale(scale)
    assert stored.dtype == torch.float16
    assert torch.equal(decode_scale(stored, exponent), stored_scale(scale))
    # Relative to the largest: half precision has eleven digits, and fewer only far below the largest.
    error = (stored_scale(scale) - scale).abs()
    assert bool((error <= scale * 2**-11 + scale.max() * 2**-24).all())


def test_derivatives_reach_lo_and_hi_through_scale_and_zero_point() -> None:
    x = torch.tensor([-2.0, -0.4, 0.1, 0.9, 3.0], dtype=torch.float64)
    lo = torch.tensor(-1.03, dtype=torch.float64, requires_grad=True)
    hi = torch.tensor(1.01, dtype=torch.float64, requires_grad=True)
    scale, zero_point = scale_and_zero_point(lo, hi, 4)
    fake_quantize(x, scale, zero_point, 4).sum().backward()
    # By hand, with z constant where values are inside: section 2.7.
    s, z = float(scale.detach()), float(zero_point.detach())
    shifted = [round(float(v) / s) + z for v in x]
    inside = [0 <= q <= 15 for q in shifted]
    by_scale = sum(
        (min(max(q, 0), 15) - z) - (float(v) / s if keep else 0)
        for q, v, keep in zip(shifted, x, inside, strict=True)
    )
    by_zero = -s * sum(not keep for keep in inside)
    assert lo.grad is not None and hi.grad is not None
    assert float(hi.grad) == pytest.approx((by_scale + by_zero * float(lo.detach()) / s**2) / 15)
    through_lo = -(by_scale + by_zero * float(lo.detach()) / s**2) / 15 - by_zero / s
    assert float(lo.grad) == pytest.approx(through_lo)


def test_nan_gives_nan_in_its_own_row_only() -> None:
    x = torch.ones(2, 4)
    x[0, 1] = math.nan
    scale, zero_point = scale_and_zero_point(*value_range(x, (0,)), 4, holds_zero=True, floor="relative")
    hat = fake_quantize(x, scale, zero_point, 4)
    assert bool(hat[0].isnan().all()) and torch.equal(hat[1], x[1])

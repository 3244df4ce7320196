import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantvsr.errors import BadInput
from quantvsr.jobs.options import Bits


@pytest.mark.parametrize(
    ("text", "bits"),
    [
        ("4", (4, 4)),
        ("4,8", (4, 8)),
        ("W4A8", (4, 8)),
        ("w6a6", (6, 6)),
        (" 2 ", (2, 2)),
        ("8, 3", (8, 3)),
        ("W4", (4, 4)),
    ],
)
def test_bits_are_read(text, bits):
    assert Bits.parse(text) == Bits(*bits)


@given(st.integers(2, 8), st.integers(2, 8))
def test_bits_round_trip(weights, activations):
    assert Bits.parse(str(Bits(weights, activations))) == Bits(weights, activations)


@pytest.mark.parametrize("text", ["", "four", "4,4,4", "4.5", "-4", "A4,", "²"])
def test_what_is_no_number_of_bits(text):
    with pytest.raises(BadInput, match="not a number of bits"):
        Bits.parse(text)


@pytest.mark.parametrize("text", ["1", "9", "16", "0", "4,9", "W1A4"])
def test_bits_outside_the_range(text):
    with pytest.raises(BadInput, match="2 to 8"):
        Bits.parse(text)

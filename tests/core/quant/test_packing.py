import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from quantvsr.errors import BadModel
from quantvsr.quant.packing import pack_codes, pack_signs, packed_size, unpack_codes, unpack_signs


@given(st.integers(1, 8), st.integers(0, 70), st.integers(0, 2**32 - 1))
def test_round_trip_in_the_fewest_bytes(bits: int, count: int, seed: int) -> None:
    codes = torch.randint(0, 2**bits, (count,), generator=torch.Generator().manual_seed(seed))
    packed = pack_codes(codes, bits)
    assert packed.dtype == torch.uint8 and len(packed) == packed_size(count, bits) == (count * bits + 7) // 8
    assert torch.equal(unpack_codes(packed, bits, count).long(), codes)


def test_layout_is_lowest_bit_first() -> None:
    assert pack_codes(torch.tensor([[0x3, 0xA], [0xF, 0x1]]), 4).tolist() == [0xA3, 0x1F]
    assert pack_codes(torch.tensor([1, 0, 0, 63]), 6).tolist() == [0x01, 0x00, 0xFC]


def test_codes_that_do_not_fit_are_refused() -> None:
    for codes, bits in (([16], 4), ([-1], 4), ([2], 1)):
        with pytest.raises(ValueError, match="do not fit"):
            pack_codes(torch.tensor(codes), bits)
    with pytest.raises(ValueError, match="9 bits"):
        pack_codes(torch.tensor([1]), 9)


def test_wrong_sizes_are_refused() -> None:
    with pytest.raises(BadModel, match="damaged"):
        unpack_codes(torch.zeros(3, dtype=torch.uint8), 4, 7)


def test_signs() -> None:
    signs = torch.tensor([1, -1, -1, 1, 1, 1, -1, 1, -1], dtype=torch.int8)
    packed = pack_signs(signs)
    assert len(packed) == 2
    assert torch.equal(unpack_signs(packed, 9), signs)

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from quantvsr.errors import BadModel
from quantvsr.quant.hadamard import Rotation, draw_signs, from_dense, has_rotation

_SIZES = st.integers(1, 600)


def _rotation(kind: str, size: int, block: int = 64) -> Rotation:
    signs = draw_signs(size, torch.Generator().manual_seed(size))
    return Rotation(kind, size, signs, block)


@given(_SIZES, st.sampled_from(["reference", "block"]))
def test_matrices_are_orthogonal(size: int, kind: str) -> None:
    matrix = _rotation(kind, size).dense(torch.float64)
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(size, dtype=torch.float64), rtol=0, atol=1e-12)


@settings(max_examples=40)
@given(_SIZES, st.sampled_from(["reference", "block"]), st.sampled_from([16, 64, 128]))
def test_all_ways_to_apply_equal_the_matrix(size: int, kind: str, block: int) -> None:
    rotation = _rotation(kind, size, block)
    matrix = rotation.dense()
    x = torch.randn(2, size, 3, 2, generator=torch.Generator().manual_seed(1))
    expected = torch.einsum("jc,nchw->njhw", matrix, x)
    close = {"rtol": 1e-4, "atol": 1e-5}
    torch.testing.assert_close(rotation.apply_channels(x), expected, **close)
    last = rotation.apply_channels(x.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(last, expected, **close)
    rows = x.movedim(1, -1)
    torch.testing.assert_close(rotation.apply_last(rows), rows @ matrix, **close)


@pytest.mark.parametrize("size", [320, 640, 1920, 512])
def test_large_reference_sizes_use_two_factors(size: int) -> None:
    rotation = _rotation("reference", size)
    matrix = rotation.dense()
    x = torch.randn(2, size, 5, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(rotation.apply_channels(x), matrix @ x, rtol=1e-4, atol=1e-5)
    rows = x.movedim(1, -1)
    torch.testing.assert_close(rotation.apply_last(rows), rows @ matrix, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(from_dense(matrix).dense(), matrix, rtol=0, atol=1e-6)


@given(st.integers(2, 600))
def test_block_rotation_leaves_no_channel_alone_and_none_sticks_out(size: int) -> None:
    matrix = _rotation("block", size).dense(torch.float64).abs()
    # No entry is near 1: each channel is spread over a block of at least two.
    assert float(matrix.max()) <= math.sqrt(0.5) + 1e-9 or size == 3
    blocks = (matrix > 1e-12).sum(1)
    assert int(blocks.max()) <= 64
    # Hartley entries may vanish, but a channel's weight is still spread over several.
    assert int(blocks.min()) >= 2


def test_the_reference_leaves_sizes_alone_which_block_rotates() -> None:
    for size in (12, 24, 36, 48, 96, 150, 192, 384):
        assert not has_rotation("reference", size)
        assert has_rotation("block", size)
    assert not has_rotation("block", 1)
    assert Rotation("block", 1, None).is_identity


def test_outliers_are_spread() -> None:
    x = torch.zeros(1, 96, 1)
    x[0, 17] = 1.0
    rotated = _rotation("block", 96).apply_channels(x)
    assert float(rotated.abs().max()) == pytest.approx(1 / math.sqrt(48), rel=1e-5)


@pytest.mark.parametrize("kind", ["reference", "block"])
def test_derivative_is_the_transposed_rotation(kind: str) -> None:
    rotation = _rotation(kind, 40)
    for layout in (torch.contiguous_format, torch.channels_last):
        x = torch.randn(2, 40, 3, 3).contiguous(memory_format=layout).requires_grad_()
        upstream = torch.randn(2, 40, 3, 3)
        rotation.apply_channels(x).backward(upstream)
        expected = torch.einsum("jc,njhw->nchw", rotation.dense(), upstream)
        torch.testing.assert_close(x.grad, expected, rtol=1e-4, atol=1e-5)


def test_channels_last_memory_stays() -> None:
    x = torch.randn(2, 32, 4, 4).contiguous(memory_format=torch.channels_last)
    assert _rotation("block", 32).apply_channels(x).is_contiguous(memory_format=torch.channels_last)


def test_signs_come_from_the_given_generator() -> None:
    a = draw_signs(64, torch.Generator().manual_seed(3))
    b = draw_signs(64, torch.Generator().manual_seed(3))
    assert torch.equal(a, b) and set(a.tolist()) == {-1, 1} and a.dtype == torch.int8


@given(_SIZES)
def test_signs_are_recovered_from_the_dense_matrix(size: int) -> None:
    rotation = _rotation("reference", size)
    found = from_dense(rotation.dense())
    assert found.is_identity == rotation.is_identity
    if rotation.signs is not None:
        assert found.signs is not None and torch.equal(found.signs, rotation.signs)


def test_foreign_matrices_are_refused() -> None:
    matrix = _rotation("reference", 16).dense()
    matrix[3, 4] *= -1
    for bad in (matrix, torch.eye(16), torch.eye(12) * 2, torch.zeros(4, 5)):
        with pytest.raises(BadModel):
            from_dense(bad)
    assert from_dense(torch.empty(0, 0)).is_identity
    assert from_dense(torch.eye(12)).is_identity

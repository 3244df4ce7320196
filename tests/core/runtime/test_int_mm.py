import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from quantvsr.quant.config import LayerQuantConfig, default, reference
from quantvsr.quant.layers import DualBranchLayer
from quantvsr.runtime.bitplanes import RUN, pack_planes, unpack_planes
from quantvsr.runtime.int_mm import BACKEND, IntMmLayer


def error(plain: nn.Module, shape: tuple[int, ...], config: LayerQuantConfig, rank: int = 5) -> float:
    torch.manual_seed(0)
    layer = DualBranchLayer(plain, config, "layer")
    layer.set_rank(rank)
    layer.initialise(torch.Generator().manual_seed(1))
    if config.activation_shift:
        layer.set_activation_shift(torch.randn(layer.geometry.in_channels) * 0.3 + 0.5)
    layer.mode = "frozen"
    assert BACKEND.unsupported(layer) is None
    x = torch.randn(shape) + 0.5
    with torch.no_grad():
        wanted, found = layer(x), IntMmLayer(layer, "")(x)
    assert found.shape == wanted.shape and found.dtype == wanted.dtype
    return float((found - wanted).norm() / wanted.norm())


@pytest.mark.parametrize(
    ("plain", "shape"),
    [
        (nn.Linear(32, 12), (2, 5, 32)),
        (nn.Linear(21, 13, bias=False), (21,)),
        (nn.Conv2d(32, 12, 3, padding=1), (2, 32, 5, 6)),
        (nn.Conv2d(20, 12, 3, stride=2, padding=1), (20, 5, 7)),
        (nn.Conv2d(20, 12, 1, stride=2), (2, 20, 3, 5)),
        (nn.Conv2d(16, 12, 3, padding=1, groups=4), (2, 16, 5, 6)),
        (nn.Conv2d(16, 12, 3, padding=1, padding_mode="reflect"), (2, 16, 5, 6)),
        (nn.Conv3d(16, 12, (3, 1, 1), padding=(1, 0, 0)), (2, 16, 4, 3, 2)),
        (nn.Conv3d(7, 12, 3, padding=1), (1, 7, 3, 4, 3)),
        (nn.Conv1d(30, 12, 3, padding="same", dilation=2), (2, 30, 9)),
    ],
    ids=str,
)
@pytest.mark.parametrize("bits", [4, 8])
def test_the_simulated_result(plain, shape, bits) -> None:
    if bits == 8 and getattr(plain, "groups", 1) > 1:
        pytest.skip("groups with 8 bits are refused")
    # A value halfway between two codes may go either way.
    assert error(plain, shape, default(bits, bits)) < 2e-3


@pytest.mark.parametrize("rotation", ["block", "none"])
def test_automatic_types_change_nothing(rotation: str) -> None:
    torch.manual_seed(0)
    layer = DualBranchLayer(nn.Linear(32, 12), default().replace(rotation=rotation))
    layer.set_rank(5)
    layer.initialise()
    layer.mode = "frozen"
    prepared, x = IntMmLayer(layer, ""), torch.randn(2, 5, 32)
    with torch.autocast("cpu", torch.bfloat16):
        found = prepared(x)
    assert torch.equal(found, prepared(x))


@pytest.mark.parametrize("bits", [2, 3, 5, 6, 7])
def test_all_bit_widths(bits) -> None:
    assert error(nn.Conv2d(20, 12, 3, padding=1), (2, 20, 5, 6), default(bits, bits)) < 2e-3


@pytest.mark.parametrize(
    "config",
    [
        reference(),
        default().replace(parts=2, activation_granularity="tensor"),
        default().replace(low_rank_basis="weight", weight_granularity="tensor", keep_dtype=False),
        default().replace(weight_symmetric=True, activation_symmetric=True),
        default(8, 8).replace(parts=2),
        default().replace(rotation="none", activation_shift=False, activation_granularity="frame"),
    ],
    ids=range(6),
)
def test_settings(config) -> None:
    assert error(nn.Linear(32, 12), (2, 5, 32), config) < 2e-3
    padding = 1 if config.range_holds_zero else 0
    assert error(nn.Conv2d(32, 12, 3, padding=padding), (2, 32, 5, 6), config) < 2e-3


@given(st.integers(1, 7), st.integers(1, 5), st.integers(1, 3), st.integers(0, 2**31))
def test_planes_hold_every_code(bits, rows, runs, seed) -> None:
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randint(0, 2**bits, (rows, runs * RUN), dtype=torch.uint8, generator=generator)
    packed = pack_planes(codes, bits)
    assert packed.numel() == codes.numel() * bits // 8
    assert torch.equal(unpack_planes(packed, bits, rows), codes)


def test_what_it_refuses() -> None:
    layer = DualBranchLayer(nn.Conv2d(8, 8, 3, padding=1), reference(), "layer")
    layer.mode = "frozen"
    assert "borders" in (BACKEND.unsupported(layer) or "")
    assert "GPU" in (BACKEND.unavailable(torch.device("cpu")) or "")

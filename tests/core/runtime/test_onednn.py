"""The oneDNN backend against the simulated layers."""

import copy

import pytest
import torch
from torch import Tensor, nn

from quantvsr.errors import BadInput
from quantvsr.quant import activations
from quantvsr.quant.config import LayerQuantConfig, default, reference
from quantvsr.quant.layers import DualBranchLayer
from quantvsr.runtime import onednn, onednn_convolution, onednn_linear, onednn_plain
from quantvsr.runtime.backend import Backend
from quantvsr.runtime.encoding import Encoder
from quantvsr.runtime.integer_weight import fits
from quantvsr.runtime.onednn import BACKEND

pytestmark = pytest.mark.skipif(
    BACKEND.unavailable(torch.device("cpu")) is not None,
    reason="oneDNN's integer products do not run on this machine",
)

C2, C3 = nn.Conv2d, nn.Conv3d
# Name: plain layer, input shape.
KINDS: dict[str, tuple[nn.Module, tuple[int, ...]]] = {}


def _kinds() -> dict[str, tuple[nn.Module, tuple[int, ...]]]:
    torch.manual_seed(1)
    return {
        "linear": (nn.Linear(32, 24), (2, 7, 32)),
        "linear, one row": (nn.Linear(12, 8), (1, 12)),
        "linear, vector": (nn.Linear(12, 8), (12,)),
        "linear, wide": (nn.Linear(320, 10, bias=False), (3, 5, 320)),
        "conv1d": (nn.Conv1d(6, 5, 3, padding=1), (2, 6, 9)),
        "conv2d": (C2(16, 12, 3, padding=1), (3, 16, 8, 6)),
        "conv2d, unbatched": (C2(16, 12, 3, padding=1), (16, 5, 6)),
        "conv2d, odd channels": (C2(13, 7, 3, padding=1), (2, 13, 7, 5)),
        "conv2d, one channel": (C2(1, 3, 3, padding=1), (2, 1, 6, 6)),
        "conv2d, wide": (C2(192, 8, 3, padding=1), (2, 192, 5, 4)),
        "conv2d, stride 2": (C2(8, 6, 3, stride=2, padding=1), (2, 8, 9, 7)),
        "conv2d, stride leaves a rest": (C2(8, 6, 2, stride=2), (2, 8, 7, 5)),
        "conv2d, dilation": (C2(8, 6, 3, padding=2, dilation=2), (1, 8, 7, 7)),
        "conv2d, groups": (C2(8, 6, 3, padding=1, groups=2), (2, 8, 6, 6)),
        "conv2d, depthwise": (C2(6, 6, 3, padding=1, groups=6), (2, 6, 6, 6)),
        "conv2d, reflected": (C2(8, 6, 3, padding=1, padding_mode="reflect"), (2, 8, 6, 6)),
        "conv2d, same": (C2(8, 6, 3, padding="same"), (2, 8, 6, 6)),
        "conv2d, 1x1": (C2(16, 12, 1), (2, 16, 5, 6)),
        "conv2d, 3x1": (C2(8, 6, (3, 1), padding=(1, 0)), (2, 8, 6, 5)),
        "conv3d, over time": (C3(16, 12, (3, 1, 1)), (2, 16, 7, 4, 3)),
        "conv3d, over time, padded": (C3(16, 12, (3, 1, 1), padding=(1, 0, 0)), (1, 16, 5, 4, 3)),
        "conv3d, over space": (C3(8, 6, (1, 3, 3), padding=(0, 1, 1)), (2, 8, 3, 5, 4)),
        "conv3d, cube": (C3(8, 6, 3, padding=1), (2, 8, 3, 5, 4)),
    }


KINDS = _kinds()


def frozen(kind: str, config: LayerQuantConfig, rank: int = 3) -> tuple[DualBranchLayer, Tensor]:
    """A frozen layer whose activations have a mean and learned clip factors, and an input."""
    plain, shape = KINDS[kind]
    generator = torch.Generator().manual_seed(2)
    channels = shape[-1] if isinstance(plain, nn.Linear) else shape[-1 - len(plain.kernel_size)]  # type: ignore
    layer = DualBranchLayer(plain, config, kind)
    layer.set_rank(rank)
    mean = torch.randn(channels, generator=generator)
    x = torch.randn(shape, generator=generator)
    x = x + (mean if isinstance(plain, nn.Linear) else mean.reshape(-1, *[1] * len(plain.kernel_size)))  # type: ignore
    torch.manual_seed(3)
    layer.initialise()
    if layer.fits_inputs:
        layer.fit_to_inputs([x])
    layer.mode = "frozen"
    return layer, x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x


@torch.no_grad()
def error(
    layer: DualBranchLayer, x: Tensor, carrier: torch.dtype = torch.float32, backend: Backend = BACKEND
) -> float:
    """Distance of the two executions, relative to the simulated output."""
    found, wanted = backend.prepare(layer, carrier)(x.to(carrier)), layer(x.to(carrier))
    assert found.shape == wanted.shape and found.dtype == wanted.dtype
    return float((found.float() - wanted.float()).norm() / wanted.float().norm().clamp(min=1e-12))


def supported(layer: DualBranchLayer) -> bool:
    """Whether the backend takes a layer; it may only refuse groups whose weight codes do not fit."""
    reason = BACKEND.unsupported(layer)
    assert reason is None or (layer.geometry.groups > 1 and not fits(layer)), reason
    return reason is None


@pytest.mark.parametrize("bits", [(4, 4), (8, 8), (6, 6), (2, 3), (4, 8), (8, 4)], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_same_as_simulated(kind: str, bits: tuple[int, int]) -> None:
    layer, x = frozen(kind, default(*bits))
    if supported(layer):
        assert error(layer, x) < 1e-5


@pytest.mark.parametrize("kind", KINDS)
def test_without_numba(kind: str) -> None:
    layer, x = frozen(kind, default())
    if supported(layer):
        assert error(layer, x, backend=onednn_plain.BACKEND) < 1e-5


CONFIGS = {
    "rank 0": default().replace(low_rank=False),
    "no shift": default().replace(activation_shift=False),
    "no rotation": default().replace(rotation="none"),
    "from the weight": default().replace(low_rank_basis="weight"),
    "per tensor": default().replace(activation_granularity="tensor"),
    "per frame": default(8, 8).replace(activation_granularity="frame"),
    "symmetric": default(6, 6).replace(activation_symmetric=True, weight_symmetric=True),
    "weights per tensor": default(8, 4).replace(weight_granularity="tensor"),
    "two parts": default(8, 6).replace(parts=2),
    "static": default().replace(activation_range="static"),
    "balanced": default().replace(activation_balance=True),
    "reference": reference(4, 4),
    "reference, 8 bits": reference(8, 8),
}


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize(
    "kind",
    ["linear", "conv1d", "conv2d", "conv2d, odd channels", "conv2d, reflected", "conv3d, over time, padded"],
)
def test_every_setting(kind: str, config: str) -> None:
    layer, x = frozen(kind, CONFIGS[config])
    assert BACKEND.unsupported(layer) is None
    # In float32 one code of many may fall to the other side of a tie; none does on these inputs.
    assert error(layer, x) < 1e-5
    assert error(layer, x, backend=onednn_plain.BACKEND) < 1e-5


@pytest.mark.parametrize("kind", ["linear", "conv2d", "conv3d, over time"])
@pytest.mark.parametrize("bits", [4, 8])
def test_bfloat16_within_its_bound(kind: str, bits: int) -> None:
    layer, x = frozen(kind, default(bits, bits))
    for backend in (BACKEND, onednn_plain.BACKEND):
        assert 0 < error(layer, x, torch.bfloat16, backend) < BACKEND.tolerance(torch.bfloat16)


@pytest.mark.parametrize("values", ["constant", "zero", "negative", "positive", "tiny", "outlier"])
@pytest.mark.parametrize("profile", [default, reference])
@pytest.mark.parametrize("kind", ["linear", "conv2d", "conv3d, over time"])
def test_unusual_activations(kind: str, profile: object, values: str) -> None:
    layer, x = frozen(kind, profile(4, 4))  # type: ignore[operator]
    made = {
        "constant": torch.full_like(x, 0.7),
        "zero": torch.zeros_like(x),
        "negative": -x.abs() - 1,
        "positive": x.abs() + 1,
        "tiny": x * 1e-30,
        "outlier": torch.cat([x[:1] * 1e4, x[1:]]),
    }
    assert error(layer, made[values]) < 1e-4
    assert error(layer, made[values], backend=onednn_plain.BACKEND) < 1e-4


def test_sums_are_exact() -> None:
    # Integers in, integers out: with steps of one, nothing may be lost, not even in the largest sums.
    plain = nn.Linear(1024, 16, bias=False)
    config = default(8, 8).replace(
        rotation="none", low_rank=False, activation_shift=False, bias_alignment=False
    )
    layer = DualBranchLayer(plain, config)
    with torch.no_grad():
        plain.weight.copy_(torch.randint(-128, 128, plain.weight.shape))
        plain.weight[:, 0], plain.weight[:, 1] = -128, 127
    layer.mode = "frozen"
    x = torch.randint(0, 256, (3, 1024)).float()
    x[:, 0], x[:, 1] = 0, 255
    assert torch.equal(layer.scales()[0], torch.ones(16, 1))
    wanted = x.double() @ plain.weight.double().T
    assert torch.equal(BACKEND.prepare(layer, torch.float32)(x).double(), wanted)


def test_not_a_number_is_refused_with_the_name_of_the_layer() -> None:
    for kind in ("linear", "conv2d", "conv3d, over time"):
        layer, x = frozen(kind, default())
        layer.check_finite = True
        x[..., -1] = torch.nan
        for backend in (BACKEND, onednn_plain.BACKEND):
            with pytest.raises(BadInput, match=kind):
                backend.prepare(layer, torch.float32)(x)


def test_no_positions_at_all() -> None:
    layer, x = frozen("conv2d", default())
    assert BACKEND.prepare(layer, torch.float32)(x[:0]).shape == (0, 12, 8, 6)


@pytest.mark.parametrize("kind", ["linear", "conv2d", "conv3d, over time"])
@pytest.mark.parametrize("config", [default(), default().replace(rotation="none")], ids=["rotated", "plain"])
@pytest.mark.parametrize("compute", [torch.bfloat16, torch.float16], ids=str)
def test_automatic_types_change_nothing(kind: str, config: LayerQuantConfig, compute: torch.dtype) -> None:
    layer, x = frozen(kind, config)
    for backend in (BACKEND, onednn_plain.BACKEND):
        prepared = backend.prepare(layer, torch.float32)
        with torch.autocast("cpu", compute):
            found = prepared(x)
        assert torch.equal(found, prepared(x))


@pytest.mark.parametrize("kind", ["linear", "conv2d", "conv2d, 1x1"])
def test_pieces_give_the_whole(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onednn_convolution, "CHUNK", 1)
    monkeypatch.setattr(onednn_linear, "CHUNK", 1)
    monkeypatch.setattr(onednn_linear, "_ROWS", 5)
    layer, x = frozen(kind, default())
    assert error(layer, x) < 1e-5
    layer, x = frozen(kind, default().replace(activation_granularity="tensor"))
    assert error(layer, x) < 1e-5


def test_nothing_holds_on_to_the_full_precision_weight() -> None:
    layer, _ = frozen("conv2d, wide", default())
    prepared = BACKEND.prepare(layer, torch.float32)
    held = sum(b.numel() * b.element_size() for b in prepared.buffers())
    held += sum(p.numel() * p.element_size() for p in prepared.parameters())
    assert held < layer.weight.numel() * 4 / 2
    assert not any(isinstance(module, DualBranchLayer) for module in prepared.modules())


@pytest.mark.parametrize("kind", ["linear", "conv2d", "conv3d, over time"])
@torch.no_grad()
def test_a_copy_gives_the_same_and_stands_alone(kind: str) -> None:
    layer, x = frozen(kind, default())
    model = nn.Sequential(BACKEND.prepare(layer, torch.float32))
    wanted, copied = model(x), copy.deepcopy(model)
    for buffer in model.buffers():
        buffer.zero_()
    del model
    assert torch.equal(copied(x), wanted)


def test_an_unknown_setting_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, _ = frozen("linear", default())
    monkeypatch.setattr(onednn, "_KNOWN", onednn._KNOWN - {"rotation_block"})
    assert BACKEND.unsupported(layer) is None  # it has its usual value
    layer, _ = frozen("linear", default().replace(rotation_block=32))
    assert "rotation_block" in str(BACKEND.unsupported(layer))


@pytest.mark.parametrize("channels", [1, 7, 48, 96, 100, 128, 320])
@pytest.mark.parametrize("kind", ["conv", "linear"])
def test_the_stage_before_the_codes_is_that_of_the_layer(channels: int, kind: str) -> None:
    torch.manual_seed(4)
    plain = nn.Conv2d(channels, 4, 1) if kind == "conv" else nn.Linear(channels, 4)
    layer = DualBranchLayer(plain, default())
    layer.set_rank(2)
    layer.initialise()
    layer.set_activation_shift(torch.randn(channels))
    layer.mode = "frozen"
    rows = torch.randn(50, channels)
    encoder = Encoder(layer, torch.float32)
    x = rows.T.reshape(1, channels, 50, 1) if kind == "conv" else rows
    wanted = torch.cat(activations.prepare(layer, activations.leave_over(layer, x))[0])
    wanted = wanted[0, :, :, 0].T if kind == "conv" else wanted
    assert torch.allclose(encoder.values(rows, encoder.features(rows)), wanted, atol=1e-4)

"""The Triton backend against the simulated layers, on a GPU."""

import pytest
import torch
from torch import nn

from quantvsr.quant.config import LayerQuantConfig, default, reference
from quantvsr.quant.layers import DualBranchLayer
from quantvsr.runtime.replay import Replays
from quantvsr.runtime.tiles import Tile
from quantvsr.runtime.triton_int8 import BACKEND, refusal

REASON = BACKEND.unavailable(torch.device("cuda"))
gpu = pytest.mark.skipif(REASON is not None, reason=f"no GPU for Triton: {REASON}")
SMALL = Tile(32, 32, 64, 4, 2)
HALF = {torch.float16: 3e-2, torch.bfloat16: 6e-2}
"""Rounded to these types, a value near the edge of a code goes to the other side: no error of the code, but a
difference; 4 bits make a larger one."""


@pytest.fixture(autouse=True)
def _exact_oracle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def frozen(plain: nn.Module, config: LayerQuantConfig, rank: int = 8) -> DualBranchLayer:
    torch.manual_seed(0)
    layer = DualBranchLayer(plain, config, "layer")
    layer.set_rank(rank)
    layer.initialise(torch.Generator().manual_seed(1))
    if config.activation_shift:
        layer.set_activation_shift(torch.randn(layer.geometry.in_channels) * 0.3 + 0.5)
    if layer.activation_clip is not None:
        layer.activation_clip.data[:] = torch.tensor([[0.8, 0.9]])
    layer.mode = "frozen"
    return layer


def error(
    plain: nn.Module,
    shape: tuple[int, ...],
    config: LayerQuantConfig | None = None,
    rank: int = 8,
    dtype: torch.dtype = torch.float32,
    **how: object,
) -> float:
    """Of the integer layer's output to the simulated one's, by norm; in float32 the usual error instead."""
    from quantvsr.runtime.triton_layer import TritonLayer

    layer = frozen(plain, config or default(), rank).to("cuda")
    assert refusal(layer) is None
    module = TritonLayer(layer, dtype, "", **how)  # type: ignore[arg-type]
    x = (torch.randn(shape) + 0.5).to("cuda", dtype)
    with torch.no_grad():
        wanted, found = layer(x), module(x)
        again = module(x)
        layer.mode = "fp"
        full = layer(x.float())
    assert found.shape == wanted.shape and found.dtype == wanted.dtype
    assert torch.equal(found, again)
    difference, size = (found.float() - wanted.float()).abs(), wanted.float().norm()
    # As near to full precision as the simulated one, whichever way values near the edge of a code go.
    slack = 0.5 * HALF.get(dtype, 2e-3) * size
    assert float((found - full).norm()) < float(1.1 * (wanted - full).norm() + slack)
    if dtype != torch.float32:
        return float(difference.norm() / size)
    assert float(difference.norm() / size) < 2e-3
    return float(difference.median() * difference.numel() ** 0.5 / size)


torch.manual_seed(0)
LAYERS = [
    (nn.Linear(128, 96), (2, 5, 128)),
    (nn.Linear(128, 96), (128,)),
    (nn.Linear(100, 33, bias=False), (3, 7, 100)),
    (nn.Linear(1280, 320), (300, 1280)),
    (nn.Conv2d(64, 48, 3, padding=1), (2, 64, 5, 6)),
    (nn.Conv2d(320, 320, 3, padding=1), (2, 320, 32, 32)),
    (nn.Conv2d(128, 40, 3, stride=2, padding=1), (1, 128, 5, 7)),
    (nn.Conv2d(96, 40, 1), (2, 96, 3, 5)),
    (nn.Conv2d(96, 40, 1, stride=2), (2, 96, 3, 5)),
    (nn.Conv2d(64, 48, 3, padding=1, padding_mode="reflect"), (64, 5, 6)),
    (nn.Conv3d(64, 24, (3, 1, 1), padding=(1, 0, 0)), (2, 64, 4, 3, 2)),
    (nn.Conv3d(7, 24, 3, padding=1), (1, 7, 3, 4, 3)),
    (nn.Conv1d(30, 24, 3, padding="same", dilation=2), (2, 30, 9)),
]


@gpu
@pytest.mark.parametrize(("plain", "shape"), LAYERS, ids=str)
def test_float32_is_the_simulated_result(plain, shape) -> None:
    assert error(plain, shape) < 1e-5


@gpu
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize(("plain", "shape"), LAYERS, ids=str)
def test_half_types_stay_within_their_digits(plain, shape, dtype) -> None:
    assert error(plain, shape, dtype=dtype) < HALF[dtype]


def whole_rows(monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype) -> None:
    """Have few rows taken as many are; in half types no other way is left."""
    from quantvsr.runtime import triton_coding, triton_encode

    monkeypatch.setattr(triton_coding, "_FEW", 1)
    if dtype != torch.float32:
        monkeypatch.setattr(triton_encode, "features", None)


@gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
@pytest.mark.parametrize(("plain", "shape"), [pair for pair in LAYERS if 1280 not in pair[1]], ids=str)
def test_whole_rows(plain, shape, dtype, monkeypatch) -> None:
    whole_rows(monkeypatch, dtype)
    assert error(plain, shape, dtype=dtype) < (1e-5 if dtype == torch.float32 else HALF[dtype])


@gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
@pytest.mark.parametrize(
    ("plain", "shape", "rank"),
    [
        (nn.Linear(1280, 48), (700, 1280), 64),
        (nn.Linear(1280, 48), (70, 1280), 320),
        (nn.Conv2d(320, 40, 3, padding=1), (1, 320, 5, 6), 100),
        (nn.Conv3d(640, 24, (3, 1, 1), padding=(1, 0, 0)), (1, 640, 4, 3, 2), 160),
    ],
    ids=str,
)
def test_large_ranks(plain, shape, rank, dtype) -> None:
    assert error(plain, shape, rank=rank, dtype=dtype) < (1e-5 if dtype == torch.float32 else HALF[dtype])


@gpu
@pytest.mark.parametrize("bits", [(2, 2), (3, 4), (4, 3), (5, 5), (6, 6), (7, 7), (8, 8), (4, 8), (8, 4)])
@pytest.mark.parametrize("channels", [64, 20])
def test_all_bit_widths(bits, channels) -> None:
    assert error(nn.Conv2d(channels, 40, 3, padding=1), (2, channels, 5, 6), default(*bits)) < 1e-5


@gpu
@pytest.mark.parametrize(
    "changes",
    [
        {"weight_symmetric": True, "activation_symmetric": True},
        {"weight_granularity": "tensor", "activation_granularity": "tensor"},
        {"activation_granularity": "frame", "scale_floor": "absolute", "keep_dtype": False},
        {"rotation": "none", "activation_shift": False, "activation_clip": "none"},
        {"rotation_block": 16, "at_rest": "float32"},
        {"weight_bits": 8, "activation_bits": 8},
    ],
    ids=str,
)
@pytest.mark.parametrize("plain", [nn.Linear(64, 40), nn.Conv2d(64, 40, 3, padding=1)], ids=str)
@pytest.mark.parametrize("whole", [False, True])
def test_settings(plain, changes, whole, monkeypatch) -> None:
    if whole:
        whole_rows(monkeypatch, torch.float32)
    shape = (2, 5, 64) if isinstance(plain, nn.Linear) else (2, 64, 5, 6)
    assert error(plain, shape, default().replace(**changes)) < 1e-5


@gpu
@pytest.mark.parametrize(
    "tile",
    [
        Tile(128, 128, 64, 8, 4),
        Tile(128, 64, 64, 4, 3, swap=True),
        Tile(64, 64, 128, 4, 3, split=3),
        Tile(64, 64, 64, 4, 3, nibbles=True),
        Tile(64, 128, 64, 8, 3, nibbles=True, swap=True, split=2),
        Tile(16, 64, 128, 4, 2),
    ],
    ids=str,
)
@pytest.mark.parametrize("packed", [True, False])
def test_all_ways_to_cut_the_product(tile, packed) -> None:
    conv = nn.Conv2d(128, 72, 3, padding=1)
    assert error(conv, (2, 128, 9, 10), rank=20, tile=tile, packed=packed, dtype=torch.float16) < 3e-2
    assert error(nn.Linear(320, 72), (70, 320), rank=0, tile=tile, packed=packed) < 1e-5


@gpu
def test_integer_sums_are_exact() -> None:
    """Inputs whose codes are known: all arithmetic is exact then."""
    from quantvsr.runtime.triton_layer import TritonLayer

    config = default().replace(rotation="none", activation_shift=False, activation_clip="none")
    config = config.replace(scale_floor="absolute", activation_granularity="frame")
    layer = frozen(nn.Conv2d(96, 64, 3, padding=1, bias=False), config, 0).to("cuda")
    x = torch.randint(-7, 9, (3, 96, 6, 5), device="cuda").float()
    x[:, 0, 0, 0], x[:, 0, 0, 1] = -7, 8
    weight = (layer.codes()[0].float() - layer.zero_points()[0]).double()
    sums = nn.functional.conv2d(x.double().cpu(), weight.cpu(), padding=1)
    found = TritonLayer(layer, torch.float32, "")(x)
    assert torch.equal((found.double() / layer.scales()[0].double().view(1, -1, 1, 1)).round().cpu(), sums)


@gpu
@pytest.mark.parametrize("value", [0.0, 1.5, -2.0])
def test_constant_and_single_signed_activations(value) -> None:
    from quantvsr.runtime.triton_layer import TritonLayer

    for plain, shape in ((nn.Linear(64, 32), (4, 64)), (nn.Conv2d(64, 32, 3, padding=1), (2, 64, 4, 4))):
        layer = frozen(plain, default()).to("cuda")
        module = TritonLayer(layer, torch.float32, "")
        for x in (torch.full(shape, value), torch.randn(shape).abs() * (1 if value >= 0 else -1)):
            x = x.cuda()
            torch.testing.assert_close(module(x), layer(x), rtol=1e-4, atol=1e-4)


@gpu
def test_what_is_not_finite_stays_so() -> None:
    from quantvsr.errors import BadInput
    from quantvsr.runtime.triton_layer import TritonLayer

    for plain, shape in ((nn.Linear(64, 32), (4, 64)), (nn.Conv2d(64, 32, 3, padding=1), (2, 64, 4, 4))):
        layer = frozen(plain, default()).to("cuda")
        x = torch.randn(shape, device="cuda")
        x.view(-1)[5] = float("nan")
        found = TritonLayer(layer, torch.float32, "")(x)
        assert found[0].isnan().all() and found[1:].isfinite().all()
        layer.check_finite = True
        with pytest.raises(BadInput, match="NaN"):
            TritonLayer(layer, torch.float32, "")(x)


@gpu
def test_runs_in_a_graph_and_with_other_shapes() -> None:
    from quantvsr.runtime.triton_layer import TritonLayer

    layer = frozen(nn.Conv2d(64, 48, 3, padding=1), default()).to("cuda")
    module = TritonLayer(layer, torch.bfloat16, "")
    x = torch.randn(2, 64, 8, 8, device="cuda", dtype=torch.bfloat16)
    with torch.no_grad():
        module(x)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            y = module(x)
        x.copy_(torch.randn_like(x))
        graph.replay()
        torch.testing.assert_close(y, module(x), rtol=0, atol=0)
        for shape in ((64, 3, 3), (1, 64, 1, 7), (5, 64, 11, 2)):
            z = torch.randn(shape, device="cuda")
            assert float((module(z) - layer(z)).norm() / layer(z).norm()) < 4e-2
        assert module(torch.empty(0, 64, 8, 8, device="cuda")).shape == (0, 48, 8, 8)


@pytest.mark.skipif(REASON is not None or torch.cuda.device_count() < 2, reason="fewer than two GPUs")
def test_runs_and_is_replayed_on_a_gpu_that_is_not_current() -> None:
    from quantvsr.runtime.triton_layer import TritonLayer

    device = torch.device("cuda:1")
    layer = frozen(nn.Conv2d(64, 48, 3, padding=1), default()).to(device)
    network = nn.Sequential(TritonLayer(layer, torch.float32, ""))
    replays = Replays([network], device)
    with torch.no_grad(), replays:
        for made in (0, 1, 1, 1):
            x = torch.randn(2, 64, 8, 8, device=device)
            wanted = layer(x)
            assert float((network(x) - wanted).norm()) < 2e-3 * float(wanted.norm())
            assert len(replays._replays[0].records) == made
    assert torch.cuda.current_device() == 0


@gpu
def test_weights_stay_packed() -> None:
    from quantvsr.runtime.triton_layer import TritonLayer

    layer = frozen(nn.Conv2d(640, 640, 3, padding=1), default(), 0).to("cuda")
    module = TritonLayer(layer, torch.bfloat16, "")
    assert module.weight_bytes() < 0.26 * 2 * layer.weight.numel()


def test_refused_layers_are_named() -> None:
    assert "two parts" in (refusal(frozen(nn.Linear(32, 8), reference())) or "")
    grouped = frozen(nn.Conv2d(32, 8, 3, padding=1, groups=2), default())
    assert "grouped" in (refusal(grouped) or "")
    assert "static" in (refusal(frozen(nn.Linear(32, 8), default().replace(activation_range="static"))) or "")
    weight = default().replace(low_rank_basis="weight")
    assert "kernel" in (refusal(frozen(nn.Conv2d(32, 8, 3), weight)) or "")
    assert refusal(frozen(nn.Linear(32, 8), weight)) is None


def test_needs_a_gpu() -> None:
    assert "GPU" in (BACKEND.unavailable(torch.device("cpu")) or "")

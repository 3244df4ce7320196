"""The oneDNN backend against the simulated layers."""

import pytest
import torch
from torch import Tensor, nn

from quantvsr.errors import BadInput
from quantvsr.quant.config import LayerQuantConfig, default, reference
from quantvsr.quant.layers import DualBranchLayer
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
def error(layer: DualBranchLayer, x: Tensor, carrier: torch.dtype = torch.float32) -> float:
    """Distance of the two executions, relative to the simulated output."""
    found, wanted = BACKEND.prepare(layer, carrier)(x.to(carrier)), layer(x.to(carrier))
    assert found.shape == wanted.shape and found.dtype == wanted.dtype
    return float((found.float() - wanted.float()).norm() / wanted.float().norm().clamp(min=1e-12))


@pytest.mark.parametrize("bits", [(4, 4), (8, 8), (6, 6), (2, 3), (4, 8), (8, 4)], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_same_as_simulated(kind: str, bits: tuple[int, int]) -> None:
    layer, x = frozen(kind, default(*bits))
    if BACKEND.unsupported(layer) is not None:
        assert "groups" in kind or "depthwise" in kind
        return
    assert error(layer, x) < 1e-5

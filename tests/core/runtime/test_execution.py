"""Choosing backends, testing them before use, and whole models."""

import pytest
import torch
from torch import nn

from quantvsr.errors import BadInput
from quantvsr.models.compact.model import CompactVSRDenoiser
from quantvsr.quant.config import default
from quantvsr.quant.layers import DualBranchLayer
from quantvsr.quant.surgery import quantize_model
from quantvsr.runtime import execution, registry
from quantvsr.runtime.backend import Backend
from quantvsr.runtime.execution import accelerate
from quantvsr.runtime.onednn import BACKEND as ONEDNN
from quantvsr.runtime.simulated import BACKEND as SIMULATED

CPU = torch.device("cpu")
needs_onednn = pytest.mark.skipif(ONEDNN.unavailable(CPU) is not None, reason="no oneDNN products here")


class Twice(Backend):
    """Claims to be fast and is wrong, or raises."""

    key = "twice"
    title = "integer, twice"

    def __init__(self, fails: Exception | None = None) -> None:
        self.fails = fails

    def unavailable(self, device: torch.device) -> str | None:
        return None

    def unsupported(self, layer: DualBranchLayer) -> str | None:
        return "too wide" if layer.geometry.in_channels > 8 else None

    def prepare(self, layer: DualBranchLayer, carrier: torch.dtype) -> nn.Module:
        if self.fails is not None:
            raise self.fails
        return nn.Sequential(layer, Double())


class Double(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * x


def small_model() -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(8, 16, 3), nn.SiLU(), nn.Conv2d(16, 8, 1))
    quantize_model(model, default(), 2, seed=0).set_mode("frozen")
    return model


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch):
    """Offer these backends only."""

    def offer(*found: Backend) -> None:
        monkeypatch.setattr(registry, "backends", lambda: list(found))
        monkeypatch.setattr(execution, "_tested", {})

    return offer


@pytest.mark.parametrize(
    ("fails", "reason"),
    [
        (None, "off by 1.0e"),
        (RuntimeError("no such instruction\nat line 7"), "no such instruction"),
        (PermissionError("its cache cannot be written"), "cache cannot be written"),
    ],
)
def test_a_backend_that_is_wrong_is_passed_over_and_said(only, fails: Exception | None, reason: str) -> None:
    only(Twice(fails), SIMULATED)
    model, said = small_model(), []
    found = accelerate(model, CPU, warn=said.append)
    assert str(found) == "simulated"
    assert not found.integer
    assert said == list(found.notices)
    assert len(said) == 1
    assert reason in said[0]
    assert "\n" not in said[0]
    assert isinstance(model[0], DualBranchLayer)


def test_layers_that_stay_simulated_are_counted(only, monkeypatch: pytest.MonkeyPatch) -> None:
    only(Twice(), SIMULATED)
    monkeypatch.setattr(execution, "self_test", lambda *args: None)
    found = accelerate(small_model(), CPU)
    assert str(found) == "integer, twice (1 of 2 layers), simulated (1 of 2 layers)"


def test_a_layer_with_two_names_is_prepared_once(only) -> None:
    only(ONEDNN, SIMULATED)
    shared = nn.Conv2d(8, 8, 3)
    model = nn.Sequential(shared, nn.SiLU(), shared)
    quantize_model(model, default(), 2, seed=0).set_mode("frozen")
    found = accelerate(model, CPU)
    assert model[0] is model[2]
    assert len(found.layers) == 1


def test_a_wish_that_cannot_be_fulfilled_is_refused(only) -> None:
    only(Twice(), SIMULATED)
    with pytest.raises(BadInput, match="choose one of auto, twice, simulated"):
        accelerate(small_model(), CPU, backend="abacus")
    with pytest.raises(BadInput, match="cannot be used on cuda"):
        only(ONEDNN, SIMULATED)
        accelerate(small_model(), torch.device("cuda"), backend="onednn")


def test_the_environment_decides_where_nothing_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(registry.VARIABLE, "simulated")
    assert str(accelerate(small_model(), CPU)) == "simulated"


def denoiser() -> CompactVSRDenoiser:
    torch.manual_seed(0)
    model = CompactVSRDenoiser(
        channels=(16, 24, 32), encoder_blocks=(1, 1), middle_blocks=2, decoder_blocks=(1, 1), time_channels=16
    )
    for parameter in model.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.7 / parameter[0].numel() ** 0.5)
    return model.eval().requires_grad_(False)


@needs_onednn
@pytest.mark.parametrize("carriers", [(torch.float32,), (torch.float32, torch.bfloat16)], ids=str)
def test_a_whole_model_gives_the_picture_of_the_simulated_one(carriers: tuple[torch.dtype, ...]) -> None:
    exclude = ("conv_in", "conv_out", "time_embed.*")
    model = denoiser()
    quantize_model(model, default(8, 8), 4, exclude, seed=0).set_mode("frozen")
    size = (1, 5, 48, 16, 12)
    sample, condition = torch.randn(size), torch.randn(1, 5, 51, 16, 12)
    given = {"sample": sample, "time": torch.tensor([0.5]), "condition": condition}
    with torch.no_grad():
        wanted = model.predict_clean(**given)
        found = accelerate(model, CPU, backend="onednn", carriers=carriers)
        assert str(found) == ONEDNN.title
        assert found.carrier in carriers
        dtype = found.carrier
        got = model.predict_clean(sample.to(dtype), given["time"], condition.to(dtype)).float()
    # As a picture: the residual is small beside it.
    error = ((got - wanted) * model.residual_scale).square().mean()
    assert -10 * error.log10() > 45

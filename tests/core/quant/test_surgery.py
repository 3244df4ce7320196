import copy
import logging

import pytest
import torch
from torch import nn

from quantvsr.errors import BadInput
from quantvsr.quant.config import default, reference
from quantvsr.quant.layers import DualBranchLayer
from quantvsr.quant.surgery import iter_quantizable, quantize_model, quantized_layers, set_mode


class _Mine(nn.Linear):
    pass


class _Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.out = nn.ModuleDict({"2": nn.Linear(8, 8), "20": nn.Linear(8, 8)})
        self.body = nn.Sequential(nn.Linear(8, 8), nn.SiLU(), nn.Linear(8, 8))
        self.mine = _Mine(8, 8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x).flatten(2).transpose(1, 2)
        x = self.attention(x, x, x)[0]
        return self.mine(self.body(self.out["20"](self.out["2"](x))))


def test_layers_are_replaced_in_model_order_and_subclasses_named() -> None:
    model = _Net()
    x = torch.randn(1, 3, 4, 4)
    with torch.no_grad():
        before = model(x)
    layers = quantize_model(model, default(), 2, seed=0)
    assert list(layers) == ["first", "out.2", "out.20", "body.0", "body.2"]
    assert set(layers.skipped) == {"mine", "attention.out_proj"}
    assert "subclass _Mine" in layers.skipped["mine"]
    assert model.body[0] is layers["body.0"] and isinstance(model.first, DualBranchLayer)
    with torch.no_grad():
        assert torch.equal(model(x), before)
        set_mode(model, "frozen")
        assert not torch.equal(model(x), before)
    assert list(quantized_layers(model)) == list(layers)


def test_exclusions_are_names_or_globs_in_ours_and_prefixes_in_theirs() -> None:
    ours = quantize_model(_Net(), default(), exclude=["out.2", "body.*"])
    assert list(ours) == ["first", "out.20"]
    assert ours.skipped["body.2"] == "excluded by 'body.*'"
    theirs = quantize_model(_Net(), reference(), exclude=["out.2", "nowhere"])
    assert list(theirs) == ["first", "body.0", "body.2"]


def test_wrong_names_are_refused() -> None:
    with pytest.raises(BadInput, match=r"'out\.3' matches no layer"):
        quantize_model(_Net(), default(), exclude=["out.3"])
    with pytest.raises(BadInput, match="'bod'"):
        quantize_model(_Net(), default(), {"bod": 4})
    with pytest.raises(BadInput, match="left to quantize"):
        quantize_model(_Net(), default(), exclude=["*"])


def test_ranks_per_layer() -> None:
    layers = quantize_model(_Net(), default(), {"body.0": 3, "first": 100})
    assert {name: layer.rank for name, layer in layers.items() if layer.rank} == {"first": 3, "body.0": 3}


def test_signs_follow_from_seed_and_name_only() -> None:
    one = quantize_model(_Net(), default(), seed=5)
    two = quantize_model(_Net(), default(), exclude=["first"], seed=5)
    other = quantize_model(_Net(), default(), seed=6)
    assert torch.equal(one["body.2"].signs[0], two["body.2"].signs[0])
    assert not torch.equal(one["body.2"].signs[0], one["body.0"].signs[0])
    assert not torch.equal(one["body.2"].signs[0], other["body.2"].signs[0])


def test_shared_layers_stay_shared() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    model.append(model[0])
    layers = quantize_model(model, default())
    assert list(layers) == ["0"] and model[0] is model[2]
    assert [name for name, _, _ in iter_quantizable(nn.Sequential(model[1]))] == []


def test_the_root_is_never_replaced() -> None:
    with pytest.raises(BadInput):
        quantize_model(nn.Linear(3, 3), default())


def test_skips_and_departures_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    model = nn.Sequential(nn.Conv2d(6, 6, 3, groups=6), nn.Linear(6, 6))
    with caplog.at_level(logging.INFO, "quantvsr.quant"):
        quantize_model(model, default(), exclude=["1"])
    text = caplog.text
    assert "1 stays in full precision: excluded" in text and "0: not rotated" in text


def test_the_check_for_nan_reaches_all_layers() -> None:
    model = _Net()
    layers = quantize_model(model, default(), seed=0)
    layers.set_mode("frozen")
    layers.check_finite()
    x = torch.randn(1, 3, 4, 4)
    x[0, 0, 0, 0] = float("inf")
    with torch.no_grad(), pytest.raises(BadInput, match="layer first"):
        model(x)
    copy.deepcopy(model)

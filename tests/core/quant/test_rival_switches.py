"""The layer's switches that other methods need: balance, static ranges, a split, learned rounding."""

import pytest
import torch
from torch import nn

from quantvsr.calibration.cost import CostModel
from quantvsr.calibration.observe import layer_shape
from quantvsr.errors import BadInput
from quantvsr.methods.maxmin import plain
from quantvsr.quant import rounding
from quantvsr.quant.checkpoint import load_checkpoint, save_checkpoint
from quantvsr.quant.config import default
from quantvsr.quant.layers import DualBranchLayer
from quantvsr.quant.surgery import quantize_model


def conv(channels=12, **changes):
    torch.manual_seed(0)
    return nn.Conv2d(channels, 8, 3, padding=1, **changes)


def inputs(count=2, channels=12):
    """Inputs whose channels differ in size by up to three orders of magnitude."""
    torch.manual_seed(1)
    return [
        torch.randn(3, channels, 6, 7) * torch.logspace(-1, 2, channels)[:, None, None] for _ in range(count)
    ]


def error(layer, xs):
    with torch.no_grad():
        layer.mode = "fp"
        wanted = [layer(x) for x in xs]
        layer.mode = "frozen"
        found = [layer(x) for x in xs]
    return float(sum((a - b).square().sum() for a, b in zip(found, wanted, strict=True)))


@pytest.mark.parametrize("rank", [0, 3])
@pytest.mark.parametrize("module", [conv(), nn.Linear(12, 8), nn.Conv3d(12, 8, (3, 1, 1))])
def test_balance_changes_nothing_but_rounding(module, rank):
    x = {2: torch.randn(5, 12), 4: torch.randn(2, 12, 5, 5), 5: torch.randn(2, 12, 5, 3, 3)}[
        module.weight.ndim
    ]
    config = default(8, 8).replace(activation_balance=True, low_rank_basis="weight")
    layer = DualBranchLayer(module, config)
    layer.set_rank(rank)
    layer.set_activation_balance(torch.logspace(-0.3, 0.3, 12))
    wanted = layer(x)
    layer.mode = "frozen"
    assert (layer(x) - wanted).abs().max() < 0.05 * wanted.abs().max()
    # The leading part of the balanced weight is in the branch: what is left is smaller.
    left = layer.rotated_residual()[0].square().sum()
    layer.set_rank(0)
    layer.initialise()
    assert left <= layer.rotated_residual()[0].square().sum() * (1 + 1e-6)


def test_balance_helps_where_channels_differ_in_size():
    xs = inputs()
    layer = DualBranchLayer(conv(), plain(8, 4))
    balanced = DualBranchLayer(conv(), plain(8, 4, activation_balance=True))
    balanced.set_activation_balance(torch.logspace(-0.5, 1, 12))
    assert error(balanced, xs) < 0.6 * error(layer, xs)


def test_grouped_convolutions_are_not_balanced_and_say_so():
    layer = DualBranchLayer(conv(groups=2), plain(8, 8, activation_balance=True))
    assert layer.activation_balance is None
    assert "not balanced" in " ".join(layer.notes)


def test_static_ranges_are_those_of_the_calibration_inputs():
    xs = inputs()
    layer = DualBranchLayer(conv(), plain(8, 8, activation_range="static"))
    assert layer.fits_inputs
    layer.fit_to_inputs(xs)
    every = torch.cat(xs)
    assert layer.activation_range is not None
    torch.testing.assert_close(layer.activation_range[0], torch.stack([every.min(), every.max()]))
    # A larger input is cut off; a dynamic range would follow it.
    _, scale, _ = layer.activation_codes(xs[0])[0]
    _, same, _ = layer.activation_codes(10 * xs[0])[0]
    assert scale == same


def test_static_ranges_are_searched_too():
    xs = [x.sign() * x.abs().pow(3) for x in inputs()]
    whole = DualBranchLayer(conv(), plain(8, 3, activation_range="static"))
    searched = DualBranchLayer(conv(), plain(8, 3, activation_range="static", activation_clip="learned"))
    for layer in (whole, searched):
        layer.fit_to_inputs(xs)
    assert searched.activation_clip is not None and searched.activation_clip.max() < 1
    assert error(searched, xs) < error(whole, xs)


def test_a_split_gives_both_sources_ranges_of_their_own():
    torch.manual_seed(2)
    x = torch.cat([torch.randn(2, 5, 6, 6), 100 * torch.randn(2, 7, 6, 6)], 1)
    layer = DualBranchLayer(conv(), plain(8, 4, split_at=5))
    assert (layer.parts, layer.activation_parts) == ((5, 7), (5, 7))
    scales = [float(scale) for _, scale, _ in layer.activation_codes(x)]
    assert scales[1] > 20 * scales[0]
    weight = DualBranchLayer(conv(), plain(8, 4))
    small = torch.cat([x[:, :5], torch.zeros(2, 7, 6, 6)], 1)
    assert error(layer, [small + 0.0]) <= error(weight, [small + 0.0]) + 1e-6


@pytest.mark.parametrize("at", [12, 40])
def test_a_split_outside_the_channels_is_left_out_and_noted(at):
    layer = DualBranchLayer(conv(), plain(8, 8, split_at=at))
    assert layer.parts == (12,)
    assert "not split" in layer.notes[0]
    with pytest.raises(BadInput, match="split_at"):
        plain(8, 8, split_at=-1)


@pytest.mark.parametrize("symmetric", [False, True])
def test_rounding_starts_at_the_weight_itself_and_ends_at_whole_codes(symmetric):
    torch.manual_seed(3)
    weight, scale = torch.randn(6, 20), torch.rand(6, 1) / 4 + 0.3
    zero = torch.zeros(6, 1) if symmetric else torch.full((6, 1), 8.0)
    v = rounding.start(weight, scale)
    soft = rounding.soft_quantize(weight, v, scale, zero, 4, symmetric)
    inside = weight.abs() < 6 * scale
    torch.testing.assert_close(soft[inside], weight[inside], atol=1e-4, rtol=0)
    codes = rounding.hard_codes(weight, v, scale, zero, 4, symmetric)
    assert torch.equal(codes, codes.round())
    nearest = (weight / scale).round() + zero
    assert torch.equal(codes[inside], nearest[inside])
    up = rounding.hard_codes(weight, torch.full_like(v, 9.0), scale, zero, 4, symmetric)
    assert torch.equal(up[inside], ((weight / scale).floor() + 1 + zero)[inside])
    assert float(rounding.regulariser(torch.full_like(v, 9.0), 2.0)) == 0
    assert float(rounding.regulariser(torch.zeros_like(v), 2.0)) == pytest.approx(1)


def test_the_exponent_of_the_regulariser_falls_after_the_warm_up():
    found = [rounding.annealed(step, 10, 0.2, (20.0, 2.0)) for step in range(10)]
    assert found[:2] == [None, None]
    assert found[2] == 20.0
    assert found[-1] == pytest.approx(2.0)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(4)
        self.one = nn.Conv2d(12, 16, 3, padding=1)
        self.two = nn.Conv2d(16, 8, 1)

    def forward(self, x):
        return self.two(torch.relu(self.one(x)))


def test_all_of_it_survives_a_checkpoint(tmp_path):
    config = default(4, 4).replace(
        activation_balance=True, activation_range="static", low_rank_basis="weight", split_at=5
    )
    net = Net()
    layers = quantize_model(net, config, 2, seed=0)
    xs = inputs(1)
    layers["one"].set_activation_balance(torch.logspace(-1, 1, 12))
    layers["one"].fit_to_inputs(xs)
    with torch.no_grad():
        layers["two"].fit_to_inputs([torch.relu(layers["one"](xs[0]))])
    for layer in layers.values():
        layer.rounding = [
            rounding.start(part, weights_scale(layer, i)) * -1
            for i, part in enumerate(layer.rotated_residual())
        ]
    layers.set_mode("frozen")
    with torch.no_grad():
        wanted = net(xs[0])
    info = save_checkpoint(tmp_path / "c.safetensors", net)
    again = Net()
    found, _ = load_checkpoint(tmp_path / "c.safetensors", again)
    with torch.no_grad():
        assert torch.equal(again(xs[0]), wanted)
    shapes = [layer_shape(name, layer) for name, layer in layers.items()]
    cost = CostModel(shapes, config).estimate({"one": 2, "two": 2})
    for i, (name, layer) in enumerate(found.items()):
        stored = {part: size for part, size in layer.bytes_at_rest().items() if size}
        assert stored == info.layer_bytes[name]
        assert int(cost.layer_bytes[i]) == sum(stored.values())


def weights_scale(layer, part):
    from quantvsr.quant import weights

    return weights.scale(layer, layer.rotated_residual()[part], part)[0]

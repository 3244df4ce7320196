import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from quantvsr.calibration.balance import balance_factors, balance_layers
from quantvsr.calibration.samples import Sample
from quantvsr.methods.maxmin import plain
from quantvsr.quant.surgery import quantize_model


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.one = nn.Conv2d(8, 8, 3, padding=1)
        self.two = nn.Conv2d(8, 8, 3, padding=1, groups=2)

    def forward(self, x):
        return self.two(torch.relu(self.one(x)))


def samples():
    torch.manual_seed(1)
    sizes = torch.logspace(-1.5, 1.5, 8)[:, None, None]
    return [Sample({"x": torch.randn(1, 8, 6, 6) * sizes}, torch.zeros(0), {"window": i}) for i in range(3)]


@given(
    st.lists(st.floats(0, 1e3), min_size=4, max_size=4),
    st.floats(0, 1),
)
def test_factors_are_positive_with_mean_one_and_even_the_channels_out(sizes, alpha):
    torch.manual_seed(2)
    found = torch.tensor(sizes)
    weight = torch.randn(5, 4, 3)
    factors = balance_factors(found, weight, alpha)
    assert (factors > 0).all()
    used = found > 0
    assert (factors[~used] == 1).all()
    if used.any():
        assert float(factors[used].log().mean()) == pytest.approx(0, abs=1e-4)
        divided = found[used] / factors[used]
        grown = weight.abs().amax((0, 2))[used] * factors[used]
        # After balancing, what is large in the one is large in the other just as alpha says.
        whole = balance_factors(found, weight, 1.0)
        if alpha == 1:
            torch.testing.assert_close(divided, divided[:1].expand_as(divided), rtol=1e-3, atol=0)
            torch.testing.assert_close(factors, whole)
        if alpha == 0:
            torch.testing.assert_close(grown, grown[:1].expand_as(grown), rtol=1e-3, atol=0)


def test_the_exponent_with_the_least_error_of_the_layer_wins():
    net = Net()
    layers = quantize_model(net, plain(8, 3, activation_balance=True), seed=0)
    chosen = balance_layers(net, layers, samples(), (0.0, 0.5, 1.0))
    # Few bits for activations, many for weights: all the evening out is done for the activations.
    assert chosen == {"one": 1.0}
    assert layers["one"].initialised
    assert layers["one"].mode == "fp"


def test_layers_without_a_balance_are_left_alone():
    net = Net()
    layers = quantize_model(net, plain(8, 8), seed=0)
    assert balance_layers(net, layers, samples(), (0.5,)) == {}
    assert not layers["one"].initialised

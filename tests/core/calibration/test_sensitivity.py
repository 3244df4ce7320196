import numpy as np
import pytest
import torch
from torch import nn

from quantvsr.calibration.samples import Sample
from quantvsr.calibration.sensitivity import MOST_RANKS, expected_errors


class _Net(nn.Module):
    """Linear all through, so that the Jacobian of each layer's output is known."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Linear(6, 5)
        self.second = nn.Linear(5, 40)
        self.unused = nn.Linear(5, 5)
        self.aside = nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.aside(x)
        return self.second(self.first(x))


def _samples(count: int) -> list[Sample]:
    generator = torch.Generator().manual_seed(1)
    spread = torch.tensor([4.0, 2.0, 1.0, 0.5, 0.0, 0.0])
    inputs = [torch.randn(300, 6, generator=generator) * spread + 3 for _ in range(count)]
    return [Sample({"x": x}, torch.zeros(1), {}) for x in inputs]


def _layers(net: _Net) -> dict[str, nn.Module]:
    return {name: module for name, module in net.named_modules() if isinstance(module, nn.Linear)}


def test_errors_follow_from_what_is_left_over_and_from_the_way_to_the_output() -> None:
    net, samples = _Net(), _samples(6)
    found = expected_errors(net, _layers(net), samples, most=40)
    # A layer that is never called and one that does not reach the output are no concern.
    assert set(found) == {"first", "second"}
    vectors = torch.cat([sample.inputs["x"] for sample in samples])
    values = torch.linalg.eigvalsh(torch.cov(vectors.T, correction=0)).flip(0)
    left = torch.cat([values.sum()[None], values.sum() - values.cumsum(0)]).clamp_min(0)
    weight = net.first.weight.detach()
    jacobian = float(net.second.weight.detach().square().sum()) * len(vectors)
    expected = left / 6 * float(weight.square().sum()) / len(weight) * jacobian
    np.testing.assert_allclose(
        found["first"][:7], expected.numpy(), rtol=0.15, atol=float(expected[0]) * 1e-5
    )
    assert found["first"].shape == (MOST_RANKS + 1,)
    assert found["first"][6] == found["first"][MOST_RANKS]


@pytest.mark.parametrize("groups", [1, 4])
def test_only_directions_of_the_activations_lower_the_error(groups: int) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, groups=groups))
    sample = Sample({"input": torch.randn(2, 8, 6, 6)}, torch.zeros(1), {})
    errors = expected_errors(net, {"0": net[0]}, [sample])["0"]
    assert (np.diff(errors) <= 0).all()
    assert (errors[8] < 1e-3 * errors[0]) == (groups == 1)


def test_a_model_is_left_as_it_was() -> None:
    net, samples = _Net(), _samples(2)
    before = {name: p.requires_grad for name, p in net.named_parameters()}
    first = expected_errors(net, _layers(net), samples)
    assert {name: p.requires_grad for name, p in net.named_parameters()} == before
    assert all(p.grad is None for p in net.parameters())
    again = expected_errors(net, _layers(net), samples)
    assert all((first[name] == again[name]).all() for name in first)

import pytest
import torch

from quantvsr.quant import lowrank
from quantvsr.quant.lowrank import leading_directions


@pytest.mark.parametrize("decay", [0.3, 0.02])
def test_few_directions_of_many_channels_hold_as_much_as_the_best_ones(
    decay: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = torch.Generator().manual_seed(3)
    channels, rank = 300, 12
    turn = torch.linalg.qr(torch.randn(channels, channels, generator=generator)).Q
    values = torch.exp(-decay * torch.arange(channels))
    moment = turn * values @ turn.T
    monkeypatch.setattr(lowrank, "_WHOLE", 100)
    found = leading_directions(moment, rank)
    torch.testing.assert_close(found @ found.T, torch.eye(rank), rtol=0, atol=1e-5)
    held = float((found @ moment @ found.T).trace())
    assert held == pytest.approx(float(values[:rank].sum()), rel=2e-3)
    assert torch.equal(found, leading_directions(moment, rank))


def test_the_same_directions_by_either_way(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(4)
    turn = torch.linalg.qr(torch.randn(200, 200, generator=generator)).Q
    moment = turn * torch.exp(-0.5 * torch.arange(200)) @ turn.T
    whole = leading_directions(moment, 8)
    monkeypatch.setattr(lowrank, "_WHOLE", 100)
    torch.testing.assert_close(leading_directions(moment, 8), whole, rtol=1e-3, atol=1e-4)

import pytest
import torch
from torch import nn

from quantvsr.calibration.blocks import find_blocks
from quantvsr.calibration.learn_rounding import learn_rounding
from quantvsr.calibration.prepare import fit_to_samples, initialise_layers
from quantvsr.calibration.refine_config import RefineConfig
from quantvsr.calibration.rounding_config import Rounding
from quantvsr.calibration.samples import Sample
from quantvsr.errors import Cancelled
from quantvsr.methods.maxmin import plain
from quantvsr.progress import Progress
from quantvsr.quant.surgery import quantize_model

BUDGET = RefineConfig(updates=60, bias_updates=20, accumulation=1, seed=1)
CONFIG = plain(3, 8, activation_range="static")


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(6, 6, 3, padding=1)
        self.inner = nn.Sequential(nn.SiLU(), nn.Conv2d(6, 6, 1))

    def forward(self, x, add=None):
        y = x + self.inner(self.first(x))
        return y if add is None else y + add


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.blocks = nn.ModuleList([Residual(), Residual()])
        self.start = nn.Conv2d(4, 6, 1)
        self.unused = nn.Linear(3, 3)

    def forward(self, x):
        x = self.start(x)
        return self.blocks[1](self.blocks[0](x), add=0.5 * x)


def made(seed=0):
    net = Net()
    layers = quantize_model(net, CONFIG, seed=seed)
    torch.manual_seed(3)
    # Channels that go together: rounding errors of one weight can be made up for by another.
    mix = torch.randn(4, 2)
    inputs = [torch.einsum("cd,ndhw->nchw", mix, torch.randn(2, 2, 5, 5)) for _ in range(6)]
    with torch.no_grad():
        samples = [Sample({"x": x}, net(x), {"window": i}) for i, x in enumerate(inputs)]
    initialise_layers(layers)
    fit_to_samples(net, layers, samples)
    return net, layers, samples


def error(net, layers, samples):
    layers.set_mode("frozen")
    with torch.no_grad():
        found = sum(float((net(**s.inputs) - s.output).square().sum()) for s in samples)
    layers.set_mode("fp")
    return found


def test_blocks_are_modules_with_several_layers_in_the_order_of_execution():
    net, layers, samples = made()
    found = find_blocks(net, layers, samples[0], "cpu")
    assert [(block.name, block.layers) for block in found] == [
        ("start", ("start",)),
        ("blocks.0", ("blocks.0.first", "blocks.0.inner.1")),
        ("blocks.1", ("blocks.1.first", "blocks.1.inner.1")),
    ]


def test_learned_rounding_beats_rounding_to_nearest():
    net, layers, samples = made()
    nearest = error(net, layers, samples)
    plain_codes = layers["blocks.0.first"].codes()[0]
    for layer in layers.values():
        layer.encoded = None
    result = learn_rounding(net, layers, samples, Rounding(learning_rate=0.05), BUDGET)
    assert error(net, layers, samples) < 0.9 * nearest
    assert len(result.losses) == 80
    moved = layers["blocks.0.first"].codes()[0].int() - plain_codes.int()
    assert moved.any()
    # Never further than the next code.
    assert moved.abs().max() == 1


def test_it_is_the_same_every_time_and_goes_on_after_a_stop(tmp_path):
    net, layers, samples = made()
    learn_rounding(net, layers, samples, Rounding(), BUDGET)
    layers.set_mode("frozen")
    wanted = {name: layer.codes()[0] for name, layer in layers.items()}

    class Stop(Progress):
        def report(self, fraction, message="", **payload):
            if message.startswith("Block 3") and payload.get("step") == 5:
                self.cancel()

    net, layers, samples = made()
    with pytest.raises(Cancelled):
        learn_rounding(net, layers, samples, Rounding(), BUDGET, progress=Stop(), folder=tmp_path / "r")
    assert len(list((tmp_path / "r").iterdir())) == 2

    seen = set()

    class Watch(Progress):
        def report(self, fraction, message="", **payload):
            seen.add(message[:7])

    net, layers, samples = made()
    learn_rounding(net, layers, samples, Rounding(), BUDGET, progress=Watch(), folder=tmp_path / "r")
    assert seen == {"Block 3"}
    assert not (tmp_path / "r").exists()
    layers.set_mode("frozen")
    for name, layer in layers.items():
        assert torch.equal(layer.codes()[0], wanted[name])

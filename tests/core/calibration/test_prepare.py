import copy

import pytest
import torch
from torch import nn

from quantvsr.calibration import prepare
from quantvsr.calibration.observe import layer_shape, observe
from quantvsr.calibration.prepare import fit_to_samples, initialise_layers
from quantvsr.calibration.samples import Sample
from quantvsr.errors import BadInput, Cancelled
from quantvsr.progress import Progress
from quantvsr.quant.config import default, reference
from quantvsr.quant.surgery import quantize_model


class Net(nn.Module):
    """Five frames in the batch; one layer of each layout."""

    def __init__(self):
        super().__init__()
        self.image = nn.Conv2d(8, 16, 3, padding=1, stride=2)
        self.tokens = nn.Linear(16, 16)
        self.temporal = nn.Conv3d(16, 16, (3, 1, 1), padding=(1, 0, 0))
        self.vector = nn.Linear(4, 16)

    def forward(self, x, time):
        x = self.image(x) + self.vector(time)[:, :, None, None]
        tokens = self.tokens(x.flatten(2).transpose(1, 2))
        x = tokens.transpose(1, 2).unflatten(2, x.shape[2:])
        return self.temporal(x.transpose(0, 1)[None])[0].transpose(0, 1)


LAYOUTS = {"image": "image", "tokens": "tokens", "temporal": "temporal", "vector": "vector"}


def make(config=None):
    torch.manual_seed(3)
    net = Net().eval().requires_grad_(False)
    samples = []
    for step in range(4):
        # Heavy tails: some values far outside.
        x = torch.randn(5, 8, 8, 8) ** 3
        inputs = {"x": x, "time": torch.randn(1, 4).expand(5, 4)}
        with torch.no_grad():
            samples.append(Sample(inputs, net(**inputs), {"step": step, "steps": 4}))
    layers = quantize_model(net, config or default(4, 4), 2, seed=0)
    return net, layers, samples


def test_observation_has_a_value_per_layer_and_sample():
    net, layers, samples = make()
    found = observe(net, layers, samples, LAYOUTS.__getitem__)
    assert found.table.names == ("image", "tokens", "temporal")
    assert found.table.counts.tolist() == [4, 4, 4]
    assert found.table.sample.tolist() == [0, 1, 2, 3] * 3
    assert found.table.times.tolist() == pytest.approx([0, 1 / 3, 2 / 3, 1])
    spatial, temporal = found.table.layer("image")
    assert (spatial > 0).all()
    assert (temporal > 0).all()
    x = samples[2].inputs["x"]
    assert (found.table.low[2], found.table.high[2]) == pytest.approx((x.min().item(), x.max().item()))
    assert found.table.scale[2] == pytest.approx(x.square().mean().sqrt().item(), rel=1e-5)


def test_observation_knows_sizes_and_positions():
    net, layers, samples = make()
    shapes = {s.name: s for s in observe(net, layers, samples, LAYOUTS.__getitem__).shapes}
    assert shapes["image"].positions == 5 * 16
    assert shapes["image"].input_positions == 5 * 64
    assert shapes["tokens"].positions == shapes["temporal"].positions == 5 * 16
    assert shapes["vector"].positions == 5
    assert shapes["temporal"].kernel == (3, 1, 1)
    assert shapes["image"] == layer_shape("image", nn.Conv2d(8, 16, 3), 80, 320)
    with pytest.raises(ValueError, match="no layer"):
        layer_shape("x", nn.ReLU())


def test_observation_sees_the_full_precision_model_and_restores_modes():
    net, layers, samples = make()
    plain = observe(net, layers, samples, LAYOUTS.__getitem__)
    layers.set_mode("frozen")
    before = layers["tokens"].codes()[0]
    again = observe(net, layers, samples, LAYOUTS.__getitem__)
    assert again.table.spatial.tolist() == plain.table.spatial.tolist()
    assert {layer.mode for layer in layers.values()} == {"frozen"}
    assert layers["tokens"].codes()[0] is before


def test_observation_of_plain_layers():
    torch.manual_seed(3)
    net = Net()
    samples = make()[2]
    found = observe(net, dict(net.named_children()), samples, LAYOUTS.__getitem__)
    assert len(found.table) == 3


def test_observation_refuses_what_it_cannot_measure():
    net, layers, samples = make()
    with pytest.raises(BadInput, match="no calibration samples"):
        observe(net, layers, [], LAYOUTS.__getitem__)
    single = [Sample({k: v[:1] for k, v in s.inputs.items()}, s.output[:1], {}) for s in samples]
    with pytest.raises(BadInput, match="layer image"):
        observe(net, layers, single, LAYOUTS.__getitem__, kind="reference")
    assert len(observe(net, layers, single, LAYOUTS.__getitem__, frames=1).table) == 3
    watch = Progress()
    watch.cancel()
    with pytest.raises(Cancelled):
        observe(net, layers, samples, LAYOUTS.__getitem__, progress=watch)


def test_searched_clips_lower_the_error():
    net, layers, samples = make(default(8, 3))
    initialise_layers(layers)
    assert all(layer.initialised for layer in layers.values())
    layers.set_mode("train")

    def error():
        with torch.no_grad():
            return sum(float((net(**s.inputs) - s.output).square().mean()) for s in samples)

    before = error()
    fit_to_samples(net, layers, samples)
    assert error() < 0.9 * before
    assert {layer.mode for layer in layers.values()} == {"train"}


def test_little_memory_changes_nothing():
    clips = []
    for memory in (1, 10**9):
        net, layers, samples = make()
        initialise_layers(layers)
        fit_to_samples(net, layers, samples[:2], memory=memory)
        clips.append([layer.activation_clip.tolist() for layer in layers.values()])
    assert clips[0] == clips[1]


def test_nothing_to_search():
    net, layers, samples = make(reference(4, 4))
    initialise_layers(layers)
    before = copy.deepcopy(net.state_dict())
    fit_to_samples(net, layers, samples)
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())


def test_the_search_sees_more_than_the_border():
    """However many samples are given, shift and clips come out well: an even stride once met borders only."""
    torch.manual_seed(0)
    layer = nn.Conv2d(16, 16, 3, padding=1).eval().requires_grad_(False)
    model = nn.Sequential(layer)
    samples = []
    for step in range(24):
        x = torch.nn.functional.silu(torch.randn(5, 16, 32, 32)) + 2
        samples.append(Sample({"input": x}, layer(x), {"step": step % 4, "steps": 4}))
    layers = quantize_model(model, default(8, 4).replace(activation_shift=True), 0, seed=0)
    initialise_layers(layers)
    losses = []
    for used in (samples[:6], samples):
        fit_to_samples(model, layers, used)
        layers.set_mode("train")
        with torch.no_grad():
            losses.append(sum(float((model(**s.inputs) - s.output).square().mean()) for s in samples))
        layers.set_mode("fp")
    assert losses[1] < 1.1 * losses[0]


@pytest.mark.parametrize(
    ("free", "held"), [(None, 2**30), (40 * 2**30, 10 * 2**30), (2 * 2**30, 2**29), (2**20, 2**28)]
)
def test_inputs_take_a_share_of_what_is_free(
    monkeypatch: pytest.MonkeyPatch, free: int | None, held: int
) -> None:
    monkeypatch.setattr(prepare, "free_on", lambda device: free)
    assert prepare._room("cpu") == held

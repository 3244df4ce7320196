"""Adapters say which layers get inputs that are joined from two sources; the networks must agree."""

import pytest
import torch

from quantvsr.methods import get_method
from quantvsr.models.registry import open_model
from quantvsr.quant.surgery import iter_quantizable
from tiny_mgld import write_tiny_mgld


@pytest.fixture(scope="module")
def mgld(tmp_path_factory):
    return open_model(write_tiny_mgld(tmp_path_factory.mktemp("mgld") / "m"))


@pytest.fixture(scope="module")
def compact():
    return open_model("bundled")


@pytest.mark.parametrize(("name", "count"), [("compact", 4), ("mgld", None)])
def test_joined_inputs_are_where_the_network_joins(request, monkeypatch, name, count):
    adapter = request.getfixturevalue(name)
    joined = adapter.joined_inputs()
    layers = {layer: module for layer, module, _ in iter_quantizable(adapter.denoiser)}
    assert joined and (count is None or len(joined) == count)
    seen = set()
    real = torch.cat

    def cat(tensors, dim=0, **kwargs):
        if len(tensors) == 2 and dim == 1:
            seen.add((tensors[0].shape[1], tensors[0].shape[1] + tensors[1].shape[1]))
        return real(tensors, dim, **kwargs)

    monkeypatch.setattr(torch, "cat", cat)
    size = 2 * adapter.size_multiple
    lq = torch.rand(adapter.window, 3, size, size)
    adapter.record_window(lq, torch.randn(adapter.noise_channels, size, size), 1)
    for layer, channels in joined.items():
        assert (channels, layers[layer].in_channels) in seen


def test_only_methods_that_split_ask_for_it():
    split = [
        name for name in ("maxmin", "q-diffusion", "quantvsr") if get_method(name).recipe.split_shortcuts
    ]
    assert split == ["q-diffusion"]

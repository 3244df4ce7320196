"""RAFT against golden vectors; its weights come from a recipe instead of a file."""

import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from quantvsr.models.mgld.checkpoint import FLOW, Part, load_parts, on_meta
from quantvsr.models.mgld.raft import Raft


def weights_by_recipe(network: Raft) -> dict[str, Tensor]:
    """Specification, section 13: normal numbers seeded by the key, scaled by what the key is."""
    tensors = {}
    for name, like in network.state_dict().items():
        key = name.replace(".norm3.", ".downsample.1.")
        draw = np.random.RandomState(zlib.crc32(key.encode())).standard_normal(tuple(like.shape))
        r = np.asarray(draw, np.float32)
        if key.endswith("num_batches_tracked"):
            value = np.zeros((), np.int64)
        elif key.endswith("running_mean"):
            value = np.float32(0.05) * r
        elif key.endswith("running_var"):
            value = 1 + np.float32(0.1) * np.abs(r)
        elif r.ndim == 1:
            value = 1 + np.float32(0.1) * r if key.endswith("weight") else np.float32(0.05) * r
        else:
            gain = 0.1 if key.startswith("update_block.flow_head.conv2") else 1.2
            value = r * np.float32(gain / np.sqrt(np.prod(r.shape[1:])))
        tensors[name] = torch.from_numpy(np.asarray(value))
    return tensors


@pytest.fixture(scope="module")
def network() -> Raft:
    raft = on_meta(Raft)
    tensors = weights_by_recipe(raft)
    load_parts({FLOW + name: value for name, value in tensors.items()}, [Part(FLOW, raft)], "the recipe")
    return raft


def test_the_recipe_gives_the_weights_that_are_meant(network: Raft) -> None:
    checks = {"fnet.conv1": (-3.57104, 743.53990), "update_block.gru.convz1": (8.83893, 5370.75199)}
    for name, (total, absolute) in checks.items():
        weight = network.get_submodule(name).weight.double()  # type: ignore[union-attr]
        assert float(weight.sum()) == pytest.approx(total, abs=1e-4)
        assert float(weight.abs().sum()) == pytest.approx(absolute, abs=1e-3)


def test_both_flows(network: Raft, golden_mgld_folder: Path) -> None:
    path = golden_mgld_folder / "raft_io.safetensors"
    if not path.exists():
        pytest.skip(f"{golden_mgld_folder} has no RAFT vectors")
    with safe_open(path, framework="pt") as opened:
        io = {name: opened.get_tensor(name).float() for name in opened.keys()}  # noqa: SIM118
        iterations = int(opened.metadata()["iterations"])
    first, second = io["frames01"].split(1)
    with torch.no_grad():
        both = network(torch.cat([first, second]), torch.cat([second, first]), iterations)
    for flow, name in zip(both, ("flow.prev_to_next", "flow.next_to_prev"), strict=True):
        expected = io[name][0]
        # Ten iterations multiply rounding: single differs from double precision by 1.2e-5 pixels.
        assert float((flow - expected).abs().max()) < 2e-5 * float(expected.abs().max()) + 5e-5


def test_pictures_that_are_too_small_are_refused(network: Raft) -> None:
    with pytest.raises(ValueError, match="120x128"):
        network(torch.zeros(1, 3, 128, 120), torch.zeros(1, 3, 128, 120))

"""Golden vectors of MGLD-VSR: one folder per small configuration, described in its `index.json`."""

import copy
import functools
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from folders import golden_mgld_folders
from quantvsr.models.mgld.checkpoint import FIRST_STAGE, STRUCTURAL, UNET, Part, load_parts, on_meta
from quantvsr.models.mgld.config import MGLDConfig
from quantvsr.models.mgld.structcond import StructuralEncoder
from quantvsr.models.mgld.unet import DenoisingUNet
from quantvsr.models.mgld.vae import Autoencoder

# The specification promises this much, relative to the largest absolute value of each tensor.
TOLERANCE = 2e-5


def _configurations() -> list[Path]:
    """Every folder with an index: the golden folders themselves, and those directly inside."""
    found = []
    for folder in golden_mgld_folders():
        found += [path.parent for path in (folder / "index.json", *sorted(folder.glob("*/index.json")))]
    return [folder for folder in found if (folder / "index.json").exists()]


def each_configuration(test: Any) -> Any:
    """Run a test once per configuration folder, as argument `golden`."""
    found = [pytest.param(folder, id=f"{i}-{folder.name}") for i, folder in enumerate(_configurations())]
    skip = pytest.param(None, marks=pytest.mark.skip(reason="no golden folder on this machine"))
    return pytest.mark.parametrize("golden", found or [skip], indirect=True)(test)


@dataclass(frozen=True)
class Networks:
    """The four networks of one configuration."""

    unet: DenoisingUNet
    structural: StructuralEncoder
    first_stage: Autoencoder
    video_vae: Autoencoder


@dataclass
class Golden:
    """One configuration; remembers what was compared, so that nothing is left out unseen."""

    folder: Path
    index: dict[str, Any]
    config: MGLDConfig
    worst: dict[str, float] = field(default_factory=dict)

    def load(self, name: str) -> dict[str, Tensor]:
        """The tensors of one set; half precision is raised to single."""
        return _tensors(self.folder / f"{name}.safetensors")

    def networks(self) -> Networks:
        """Networks with the stored weights; the same objects every time."""
        return _networks(self.folder, self.config)

    def close(
        self, where: str, name: str, actual: Tensor, expected: Tensor, tolerance: float = TOLERANCE
    ) -> None:
        """Note how far a result is from set `where`, tensor `name`; `finish` judges."""
        assert actual.shape == expected.shape, f"{where}.{name}: {actual.shape} instead of {expected.shape}"
        largest = float(expected.double().abs().max())
        off = float((actual.double() - expected.double()).abs().max()) / max(largest, 1e-30)
        self.worst[f"{where}/{name}"] = off / tolerance

    def outputs(self, where: str, start: str = "") -> list[str]:
        """Names of all results in a set."""
        entries = self.index["tensors"][where].items()
        return [name for name, entry in entries if entry["role"] == "output" and name.startswith(start)]

    def finish(self, *sets: str, start: str = "") -> None:
        """All results of these sets were compared, and all are close enough."""
        left = [f"{s}/{n}" for s in sets for n in self.outputs(s, start) if f"{s}/{n}" not in self.worst]
        assert not left, f"never compared: {left}"
        assert self.worst, "nothing was compared"
        off = {name: f"{value:.2f} of the tolerance" for name, value in self.worst.items() if not value <= 1}
        assert not off, off


def subset(name: str, value: Tensor) -> Tensor:
    """The rows that a name such as `out@frames0,4` says were stored."""
    _, _, frames = name.partition("@frames")
    return value[[int(frame) for frame in frames.split(",")]] if frames else value


def shrunk(network: nn.Module, factor: float = 2.0**-8) -> nn.Module:
    """A copy with smaller weights and biases, save those of normalisation layers and mixing scalars."""
    network = copy.deepcopy(network)
    for module in network.modules():
        weight = getattr(module, "weight", None)
        if isinstance(weight, Tensor) and weight.dim() > 1:
            weight.data *= factor
            bias = getattr(module, "bias", None)
            if isinstance(bias, Tensor):
                bias.data *= factor
    return network


@functools.cache
def _tensors(path: Path) -> dict[str, Tensor]:
    if not path.exists():
        pytest.skip(f"{path.parent} has no {path.name}")
    tensors = load_file(path)
    return {name: t.float() if t.dtype == torch.float16 else t for name, t in tensors.items()}


@functools.cache
def _networks(folder: Path, config: MGLDConfig) -> Networks:
    unet = on_meta(DenoisingUNet, config.unet)
    structural = on_meta(StructuralEncoder, config.structural)
    first_stage = on_meta(Autoencoder, config.vae, False)
    video_vae = on_meta(Autoencoder, config.vae, True)
    tensors = _tensors(folder / "mgldvsr_unet_tiny.safetensors")
    parts = [Part(UNET, unet), Part(STRUCTURAL, structural), Part(FIRST_STAGE, first_stage)]
    load_parts(tensors, parts, "mgldvsr_unet_tiny")
    load_parts(
        _tensors(folder / "video_vae_cfw_tiny.safetensors"), [Part("", video_vae)], "video_vae_cfw_tiny"
    )
    return Networks(unet, structural, first_stage, video_vae)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """One configuration folder; import this into the test modules."""
    folder: Path = request.param
    index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    return Golden(folder, index, MGLDConfig.from_dict(index["config"]))

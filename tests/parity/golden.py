"""Reading golden folders: `NAME.json` describes what `NAME.safetensors` holds (specification, section 12)."""

import functools
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file


@functools.cache
def _load(folder: Path, name: str) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    return json.loads((folder / f"{name}.json").read_text()), load_file(folder / f"{name}.safetensors")


def load(folder: Path, name: str) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Description and tensors of one set; the test is skipped where a folder does not have it."""
    if not (folder / f"{name}.json").exists():
        pytest.skip(f"{folder} has no {name}")
    return _load(folder, name)


def tensors_of(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """The tensors below `prefix/`, by the rest of their names."""
    start = prefix + "/"
    return {name[len(start) :]: tensor for name, tensor in tensors.items() if name.startswith(start)}


class Failures:
    """Collects what differs, so that one test over many cases names all of them."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self.checked = 0

    def exact(self, where: str, actual: torch.Tensor, expected: torch.Tensor) -> None:
        self.checked += 1
        if actual.shape != expected.shape:
            self.found.append(f"{where}: shape {tuple(actual.shape)} instead of {tuple(expected.shape)}")
        elif not torch.equal(actual.to(torch.float64), expected.to(torch.float64)):
            wrong = int((actual.to(torch.float64) != expected.to(torch.float64)).sum())
            self.found.append(f"{where}: {wrong} of {expected.numel()} differ")

    def close(
        self, where: str, actual: torch.Tensor, expected: torch.Tensor, rtol: float, atol: float
    ) -> None:
        self.checked += 1
        if actual.shape != expected.shape:
            self.found.append(f"{where}: shape {tuple(actual.shape)} instead of {tuple(expected.shape)}")
        elif not torch.allclose(actual, expected, rtol=rtol, atol=atol, equal_nan=True):
            worst = float((actual - expected).abs().max())
            self.found.append(f"{where}: off by {worst:.3g}")

    def finish(self) -> None:
        assert self.checked, "nothing was compared"
        assert not self.found, f"{len(self.found)} of {self.checked} differ:\n" + "\n".join(self.found[:20])

"""How a low-bit model computes, as results say it."""

from pathlib import Path

import pytest
import torch
from torch import nn

from quantvsr.errors import BadInput
from quantvsr.jobs.settings import MethodSettings
from quantvsr.jobs.work.lowbit import Way, cached_checkpoint, execute
from quantvsr.models.adapter import VSRAdapter
from quantvsr.progress import Progress
from quantvsr.quant.config import default
from quantvsr.quant.layers import DualBranchLayer
from quantvsr.runtime.onednn import OneDnnBackend
from quantvsr.runtime.onednn_plain import BACKEND
from quantvsr.runtime.registry import candidates


class Adapter(VSRAdapter):
    """A quantized layer and a norm."""

    name, source, device = "two", Path("two"), torch.device("cpu")
    carriers = (torch.float32, torch.bfloat16)

    def __init__(self) -> None:
        layer = DualBranchLayer(nn.Linear(16, 16), default())
        layer.set_rank(2)
        layer.initialise()
        layer.mode = "frozen"
        self.denoiser = nn.Sequential(nn.LayerNorm(16), layer)

    def layout(self, layer_name):
        raise NotImplementedError

    def upscale_window(self, lq, noise, steps, before_step=None):
        raise NotImplementedError

    def record_window(self, lq, noise, steps):
        raise NotImplementedError


def test_a_simulated_model_computes_in_its_own_type() -> None:
    adapter = Adapter()
    assert execute(adapter, "simulated", Progress()) == Way("simulated", "float32")
    adapter.compute_in(torch.bfloat16)
    assert execute(adapter, "simulated", Progress()) == Way("simulated", "bfloat16")


@pytest.mark.skipif(BACKEND.unavailable(torch.device("cpu")) is not None, reason="no oneDNN here")
@pytest.mark.parametrize("kind", ["float32", "bfloat16"])
def test_an_integer_model_computes_in_the_type_that_pays(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OneDnnBackend, "carriers", lambda self, device: (getattr(torch, kind),))
    adapter = Adapter()
    best = candidates("onednn", adapter.device)[0]
    assert execute(adapter, "onednn", Progress()) == Way(best.title, kind)
    assert adapter.denoiser[0].weight.dtype == getattr(torch, kind)


def test_a_cache_that_cannot_be_written_to_is_said_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("QUANTVSR_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(BadInput, match="cannot be written to; set QUANTVSR_CACHE"):
        cached_checkpoint(MethodSettings(), Progress())

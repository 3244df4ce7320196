"""Compiling kernels ahead of a network's call."""

import sys
from types import ModuleType, TracebackType
from typing import Any

import pytest
import torch
import torch._dynamo.utils  # looks for Triton when it is imported
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor

from quantvsr.quant.config import default
from quantvsr.quant.layers import DualBranchLayer
from quantvsr.runtime.replay import Replays
from quantvsr.runtime.triton_int8 import BACKEND
from quantvsr.runtime.triton_launch import compile_ahead, launch

gpu = pytest.mark.skipif(BACKEND.unavailable(torch.device("cuda")) is not None, reason="no GPU for Triton")


class Kernel:
    """Writes down what it is asked to do."""

    def __init__(self) -> None:
        self.launched: list[Any] = []
        self.compiled: list[Any] = []

    def __getitem__(self, grid: tuple[int, ...]) -> Any:
        return lambda *args, **kwargs: self.launched.append((grid, args, kwargs))

    def warmup(self, *args: Any, grid: tuple[int, ...], **kwargs: Any) -> None:
        """Compile only."""
        self.compiled.append((grid, args, kwargs))


class Mock:
    """As Triton's stand-in for a tensor."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype


class Mode:
    """As Triton's mode in which kernels are compiled by threads."""

    entered = 0

    def __init__(self, executor: Any, *, ignore_errors: bool) -> None:
        assert ignore_errors and executor.submit(int).result() == 0

    def __enter__(self) -> "Mode":
        type(self).entered += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        """Nothing to wait for."""


@pytest.fixture
def triton(monkeypatch: pytest.MonkeyPatch) -> type[Mode]:
    for name, entries in {
        "triton": {},
        "triton.runtime": {},
        "triton.runtime.jit": {"MockTensor": Mock},
        "triton.runtime._async_compile": {"AsyncCompileMode": Mode},
    }.items():
        module = ModuleType(name)
        vars(module).update(entries)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(Mode, "entered", 0)
    return Mode


class Network(nn.Module):
    """A plain layer and a launch."""

    def __init__(self) -> None:
        super().__init__()
        self.plain, self.kernel = nn.Linear(4, 3), Kernel()

    def forward(self, x: Tensor, *, factor: float) -> Tensor:
        """Half of it by a kernel."""
        y = self.plain(x) * factor
        launch(self.kernel, (2, 1), y, 5, weight=self.plain.weight, out=torch.empty_like(y))
        return y


def test_a_kernel_is_launched_with_what_it_is_given() -> None:
    network, x = Network(), torch.ones(2, 4)
    network(x, factor=2.0)
    ((grid, args, kwargs),) = network.kernel.launched
    assert grid == (2, 1) and args[1] == 5 and kwargs["weight"] is network.plain.weight
    assert not network.kernel.compiled


def test_kernels_are_compiled_without_a_launch(triton) -> None:
    network, x = Network(), torch.ones(2, 4)
    compile_ahead(network.forward, (x,), {"factor": 2.0})
    assert triton.entered == 1 and not network.kernel.launched
    ((grid, args, kwargs),) = network.kernel.compiled
    assert grid == (2, 1) and isinstance(args[0], Mock) and args[0].dtype == torch.float32 and args[1] == 5
    assert isinstance(kwargs["out"], Mock) and not isinstance(kwargs["weight"], FakeTensor)


def test_a_network_that_looks_at_values_is_left_alone(triton, caplog) -> None:
    def looks(x: Tensor) -> Tensor:
        return x * 2 if bool((x > 0).any()) else x

    with caplog.at_level("INFO"):
        compile_ahead(looks, (torch.ones(3),), {})
    assert "compiled as they are met" in caplog.text


def test_without_triton_nothing_happens(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "triton.runtime._async_compile", None)

    def forward(x: Tensor) -> Tensor:
        raise AssertionError

    compile_ahead(forward, (torch.ones(3),), {})


@gpu
def test_a_call_finds_its_kernels_compiled(monkeypatch, tmp_path) -> None:
    from triton import knobs  # pyright: ignore[reportMissingImports]

    from quantvsr.runtime.triton_layer import TritonLayer

    def integer(plain: nn.Module) -> TritonLayer:
        layer = DualBranchLayer(plain, default(), "layer")
        layer.set_rank(8)
        layer.initialise(torch.Generator().manual_seed(1))
        layer.mode = "frozen"
        return TritonLayer(layer.to("cuda"), torch.float16, "")

    network = nn.Sequential(
        integer(nn.Conv2d(72, 88, 3, padding=1)),
        nn.GroupNorm(8, 88).cuda().half(),
        integer(nn.Conv2d(88, 104, 1)),
        integer(nn.Conv2d(104, 24, 3, stride=2, padding=1)),
    ).requires_grad_(False)
    met: list[str] = []
    monkeypatch.setattr(knobs.cache, "dir", str(tmp_path))
    monkeypatch.setattr(knobs.runtime, "jit_cache_hook", lambda **given: bool(met.append(given["fn"].name)))
    x = torch.randn(2, 72, 16, 16, device="cuda", dtype=torch.half)
    compile_ahead(network.forward, (x,), {})
    compiled = len(met)
    with torch.no_grad(), Replays([network], torch.device("cuda")):
        wanted = network(x)
        assert compiled >= 6 and len(met) == compiled
        for _ in range(2):
            assert torch.equal(network(x), wanted)

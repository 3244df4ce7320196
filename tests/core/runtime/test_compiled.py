"""Compiled kernels: their codes, threads, norms, and what happens without them."""

import errno
import functools
import importlib.util
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from quantvsr.quant.config import LayerQuantConfig, default, reference
from quantvsr.quant.layers import DualBranchLayer
from quantvsr.runtime import compiled, onednn, onednn_plain, teams
from quantvsr.runtime.compiled import CompiledNormSilu, CompiledPasses
from quantvsr.runtime.encoding import Encoder
from quantvsr.runtime.execution import accelerate
from quantvsr.runtime.norms import NormSilu
from quantvsr.runtime.passes import TorchPasses
from quantvsr.runtime.registry import candidates

CPU = torch.device("cpu")
pytestmark = pytest.mark.skipif(onednn.BACKEND.unavailable(CPU) is not None, reason="no kernels here")


@pytest.fixture(params=["one thread", "torch's threads", "own threads"])
def threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Small inputs divided into three pieces, in all ways that there are."""
    before = torch.get_num_threads()
    if request.param != "one thread":
        monkeypatch.setattr(compiled, "_SHARE", 1)
        torch.set_num_threads(3)
    if request.param == "own threads":
        monkeypatch.setattr(teams, "openmp", lambda: None)
    elif teams.openmp() is None:
        pytest.skip("torch has no OpenMP of GNU's kind")
    yield
    torch.set_num_threads(before)


def encoder(config: LayerQuantConfig, channels: int = 24) -> Encoder:
    """The activation side of a convolution with a shift and learned clips."""
    torch.manual_seed(5)
    layer = DualBranchLayer(nn.Conv2d(channels, 8, 3, padding=1), config)
    layer.set_rank(2)
    layer.initialise()
    if layer.activation_shift is not None:
        layer.set_activation_shift(torch.randn(channels))
    if layer.activation_clip is not None:
        layer.activation_clip.data.copy_(torch.tensor([[0.7, 0.8]] * len(layer.parts)))
    layer.mode = "frozen"
    return Encoder(layer, torch.float32)


def both(config: LayerQuantConfig, rows: Tensor) -> list[tuple[CompiledPasses | TorchPasses, Tensor]]:
    """Both ways, with the values that they start from."""
    made = encoder(config, rows.shape[-1])
    ways = CompiledPasses(made, torch.float32), TorchPasses(made, torch.float32)
    return [(way, way.values(rows, made.features(rows))) for way in ways]


CONFIGS = {
    "default": default(),
    "8 bits": default(8, 8),
    "reference": reference(4, 4),
    "symmetric": default(6, 6).replace(activation_symmetric=True),
    "no rotation": default().replace(rotation="none"),
    "two parts": default(8, 6).replace(parts=2),
}


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.usefixtures("threads")
def test_codes_of_frames(config: str) -> None:
    rows = torch.randn(4, 5, 7, 24, generator=torch.Generator().manual_seed(6))
    for together in (False, True):
        for part in range(CONFIGS[config].parts):
            found, wanted = (
                way.frames(values, part, (2, 1), padded=True, together=together)
                for way, values in both(CONFIGS[config], rows)
            )
            assert torch.equal(found.codes, wanted.codes)
            assert torch.allclose(found.steps, wanted.steps, rtol=1e-6)


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.usefixtures("threads")
def test_codes_of_columns(config: str) -> None:
    rows = torch.randn(2, 5, 7, 24, generator=torch.Generator().manual_seed(7))
    for part in range(CONFIGS[config].parts):
        found, wanted = (
            way.columns(values, part, 1, padded=True) for way, values in both(CONFIGS[config], rows)
        )
        assert torch.equal(found.codes, wanted.codes)
        assert torch.allclose(found.steps, wanted.steps, rtol=1e-6)


def test_one_zero_point_for_all_columns() -> None:
    # With bfloat16 codes are moved: what they stand for stays.
    rows = torch.randn(2, 5, 7, 24, generator=torch.Generator().manual_seed(8))
    made = encoder(default())
    moved, plain = CompiledPasses(made, torch.bfloat16), CompiledPasses(made, torch.float32)
    values = plain.values(rows, made.features(rows))
    found, wanted = (each.columns(values, 0, 0, padded=False) for each in (moved, plain))
    assert moved.middle == 15 and plain.middle == 0
    assert torch.equal(found.steps[1], torch.full((2, 7), 15.0))
    real = [each.codes.float() - each.steps[1][:, None, :, None] for each in (found, wanted)]
    assert torch.equal(real[0], real[1])


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_what_is_no_number_spoils_its_own_range_only(value: float) -> None:
    rows = torch.randn(3, 4, 5, 24)
    rows[1, 2, 3, 4] = value
    (way, values), _ = both(default(), rows)
    frames = way.frames(values, 0, (1, 1), padded=True).steps[0].flatten()
    assert frames.isfinite().tolist() == [True, False, True]
    columns = way.columns(values, 0, 0, padded=False).steps[0]
    assert int(columns.isfinite().logical_not().sum()) == 1 and not columns[1, 3].isfinite()


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_combine(kind: torch.dtype) -> None:
    made = encoder(default())
    product, steps = torch.randn(2, 3, 4, 8) * 9, torch.rand(2, 2, 4)
    sums, bias, more = torch.randn(8), torch.randn(8), torch.randn(2, 3, 4, 8).to(kind)
    for beside in (more, None):
        found, wanted = (
            way(made, kind).combine(
                product.clone(), steps, sums, bias, None if beside is None else beside.clone(), kind
            )
            for way in (CompiledPasses, TorchPasses)
        )
        assert found.dtype == wanted.dtype == kind
        assert torch.allclose(found.float(), wanted.float(), rtol=1e-5 if kind == torch.float32 else 8e-3)


def test_combine_takes_products_in_any_order_of_memory() -> None:
    made = encoder(default())
    product, steps, sums = torch.randn(2, 3, 4, 8), torch.rand(2, 2, 4), torch.randn(8)
    turned = product.transpose(1, 2).contiguous().transpose(1, 2)
    found, wanted = (
        CompiledPasses(made, torch.float32).combine(each, steps, sums, sums, more, torch.float32)
        for each, more in ((turned, turned.clone()), (product, product.clone()))
    )
    assert torch.equal(found, wanted)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("frames", [None, 3, 1])
def test_norms(kind: torch.dtype, frames: int | None) -> None:
    x = (torch.randn(6, 4, 5, 70, generator=torch.Generator().manual_seed(9)) * 3 + 1).to(kind)
    x[0, 0, 0] *= 30  # where e**-x has left its range
    weight, bias = torch.randn(2, 70).to(kind)
    for given in ((weight, bias), (None, None)):
        found, wanted = CompiledNormSilu()(x, *given, frames), NormSilu()(x.double(), *(
            None if each is None else each.double() for each in given
        ), frames)  # fmt: skip
        assert found.shape == wanted.shape and found.dtype == kind
        assert torch.allclose(found.double(), wanted, rtol=1e-5 if kind == torch.float32 else 4e-3, atol=1e-6)


@pytest.mark.parametrize("frames", [None, 3])
@pytest.mark.parametrize("shape", [(0, 4, 8), (3, 0, 8), (0, 8)])
def test_norms_of_nothing(shape: tuple[int, ...], frames: int | None) -> None:
    x = torch.zeros(shape).bfloat16()
    found, wanted = (module(x, None, None, frames) for module in (CompiledNormSilu(), NormSilu()))
    assert found.shape == wanted.shape and found.dtype == wanted.dtype


def test_norms_let_through_what_is_no_number() -> None:
    x = torch.randn(1, 2, 8).bfloat16()
    x[0, 0, 3] = torch.nan
    found = CompiledNormSilu()(x, None, None)
    assert found[0, 0].isnan().all() and found[0, 1].isfinite().all()


def test_norms_with_weights_that_lie_apart() -> None:
    x = torch.randn(3, 4, 8)
    weight, bias = torch.randn(8, 2).unbind(1)
    found = CompiledNormSilu()(x, weight, bias)
    assert torch.allclose(found, NormSilu()(x, weight, bias), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("trouble", ["full disk", "no folder", "empty files", "overwritten files"])
def test_kernels_compile_where_none_can_be_kept(
    trouble: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from numba.core import caching

    from quantvsr.runtime.kernels import basis, norm

    def full(*given: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def nowhere(*given: object) -> None:
        raise RuntimeError("cannot cache function: no locator available")

    monkeypatch.setattr(basis.config, "CACHE_DIR", str(tmp_path))
    if trouble == "full disk":
        monkeypatch.setattr(caching.IndexDataCacheFile, "save", full)
    elif trouble == "no folder":
        monkeypatch.setattr(caching.FunctionCache, "__init__", nowhere)
    else:
        assert basis.compiled(norm.norm_silu_float32)
        kept = list(tmp_path.rglob("*.nb[ic]"))
        assert len(kept) == 2
        for path in kept:
            path.write_bytes(b"" if trouble == "empty files" else bytes(100))
    with warnings.catch_warnings():
        # numba's remarks about its own internals.
        warnings.simplefilter("ignore")
        assert basis.compiled(norm.norm_silu_float32)


def test_without_numba_torch_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert candidates("onednn", CPU)[:2] == [onednn.BACKEND, onednn_plain.BACKEND]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert onednn.BACKEND.unavailable(CPU) == "numba is not installed"
    assert candidates("onednn", CPU)[0] is onednn_plain.BACKEND
    assert candidates("auto", CPU)[0] is onednn_plain.BACKEND


def test_kernels_that_do_not_compile_are_said_and_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> int:
        raise RuntimeError("no compiler today")

    monkeypatch.setattr(compiled, "_address", broken)
    monkeypatch.setattr("quantvsr.runtime.execution._tested", {})
    layer = DualBranchLayer(nn.Linear(8, 8), default())
    layer.initialise()
    layer.mode = "frozen"
    model = nn.Sequential(layer)
    said: list[str] = []
    found = accelerate(model, CPU, warn=said.append)
    assert str(found) == onednn_plain.BACKEND.title
    assert len(said) == 1 and "no compiler today" in said[0]


def test_a_numba_that_does_not_work_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> int:
        raise ImportError("Numba needs NumPy 2.3 or less")

    monkeypatch.setattr(compiled, "_compiled", broken)
    monkeypatch.setattr(compiled, "_faults", [])
    monkeypatch.setattr(compiled, "_address", functools.cache(compiled._address.__wrapped__))
    monkeypatch.setattr("quantvsr.runtime.execution._tested", {})
    model = nn.Sequential(
        *(DualBranchLayer(plain, default()) for plain in (nn.Conv2d(8, 8, 3), nn.Linear(8, 8)))
    )
    for layer in model.children():
        assert isinstance(layer, DualBranchLayer)
        layer.initialise()
        layer.mode = "frozen"
    said: list[str] = []
    assert str(accelerate(model, CPU, warn=said.append)) == onednn_plain.BACKEND.title
    assert len(said) == 1 and "Numba needs NumPy" in said[0]
    assert candidates("auto", CPU)[0] is onednn_plain.BACKEND

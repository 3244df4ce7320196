"""Making a quantized model executable: the best backend for each layer, tested before it is used."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from quantvsr.quant.layers import DualBranchLayer
from quantvsr.quant.surgery import cast_around_layers
from quantvsr.runtime.backend import Backend, PreparedLayer
from quantvsr.runtime.registry import AUTO, candidates

_WORST = 0.15
"""Largest error of a self-test's output by norm; a mistake at the borders alone makes more."""

_POSITIONS = 6
"""Positions along each dimension of a self-test's input."""


@dataclass(frozen=True)
class Execution:
    """How a model is executed.

    Attributes:
        layers: Title of the backend of each quantized layer, by name.
        carrier: Type of the activations between layers.
        notices: One sentence for each backend or kind of layer that was passed over for a fault.
    """

    layers: Mapping[str, str]
    carrier: torch.dtype = torch.float32
    notices: tuple[str, ...] = field(default=())

    @property
    def integer(self) -> bool:
        """Whether any layer is executed with integers."""
        return any(title != "simulated" for title in self.layers.values())

    def __str__(self) -> str:
        """As results show it: "simulated", or "integer, oneDNN int8 (70 of 72 layers)"."""
        counts = Counter(self.layers.values())
        total = sum(counts.values())
        return ", ".join(
            title if count == total else f"{title} ({count} of {total} layers)"
            for title, count in counts.most_common()
        )


def accelerate(
    model: nn.Module,
    device: torch.device,
    *,
    backend: str = AUTO,
    carriers: Collection[torch.dtype] = (torch.float32,),
    warn: Callable[[str], None] = lambda message: None,
) -> Execution:
    """Replace the frozen layers of a model, in place, by executable ones.

    The parts that are not quantized are cast to the carrier. Before a kind of layer is executed by a backend,
    one such layer is compared with its simulated output on random input, once per process; where the two
    differ or an exception is raised, the next backend is taken, and said.

    Args:
        model: With dual-branch layers, all in mode "frozen".
        device: Where it is.
        backend: `auto` or a key, see `registry.candidates`.
        carriers: Types of the activations that the model can run in, float32 among them; of these the one
            that pays on this machine is taken.
        warn: Told each notice.

    Raises:
        BadInput: The backend does not exist or does not run on the device.
    """
    usable = candidates(backend, device)
    kind = next((each for each in usable[0].carriers(device) if each in carriers), torch.float32)
    titles: dict[str, str] = {}
    used: dict[str, Backend] = {}
    notices: list[str] = []
    for names in _names(model):
        # One by one: what a layer held in full precision is freed before the next one is prepared.
        layer = model.get_submodule(names[0])
        assert isinstance(layer, DualBranchLayer)
        chosen, prepared = _prepare(layer, usable, kind, device, notices)
        titles[names[0]] = chosen.title
        used[chosen.title] = chosen
        for name in names:
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, prepared)
        del layer
    integer = any(each.integer for each in used.values())
    if integer and kind != torch.float32:
        cast_around_layers(model, kind, (PreparedLayer, DualBranchLayer))
        notices += [notice for each in used.values() if (notice := each.finish(model, kind)) is not None]
    found = Execution(titles, kind if integer else torch.float32, tuple(dict.fromkeys(notices)))
    for notice in found.notices:
        warn(notice)
    return found


def _names(model: nn.Module) -> list[list[str]]:
    """The names of each dual-branch layer, in the order of the model."""
    found: dict[int, list[str]] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        if isinstance(module, DualBranchLayer):
            found.setdefault(id(module), []).append(name)
    return list(found.values())


def _prepare(
    layer: DualBranchLayer,
    usable: list[Backend],
    carrier: torch.dtype,
    device: torch.device,
    notices: list[str],
) -> tuple[Backend, nn.Module]:
    for backend in usable[:-1]:
        if backend.unsupported(layer) is not None:
            continue
        fault = _fault(backend, layer, carrier, device)
        if fault is None:
            return backend, backend.prepare(layer, carrier)
        notices.append(fault)
    return usable[-1], usable[-1].prepare(layer, carrier)


_tested: dict[object, str | None] = {}


def _fault(
    backend: Backend, layer: DualBranchLayer, carrier: torch.dtype, device: torch.device
) -> str | None:
    """What is wrong with a backend's execution of this kind of layer; None when nothing is."""
    geometry = layer.geometry
    shape = (geometry.kernel, geometry.stride, geometry.padding, geometry.dilation, geometry.groups)
    # Kernels for many features need more of a GPU's memory than those for few.
    shape = (geometry.kind, *shape, layer.is_shifted, len(layer.L2).bit_length())
    key = (backend.title, str(device), carrier, layer.config, shape, layer.check_finite)
    if key not in _tested:
        _tested[key] = self_test(backend, layer, carrier, device)
    return _tested[key]


@torch.no_grad()
def self_test(
    backend: Backend, layer: DualBranchLayer, carrier: torch.dtype, device: torch.device
) -> str | None:
    """Compare a backend's output with the simulated one on random input.

    Returns:
        One sentence on what is wrong; None when nothing is.
    """
    x = _test_input(layer).to(device, carrier)
    try:
        found = backend.prepare(layer, carrier)(x).float()
        with _exact_convolutions():
            wanted = layer(x.float()).float()
        error = float((found - wanted).norm() / wanted.norm().clamp(min=1e-12))
        # A code on the other side of a tie is no fault, whatever it does to the few outputs that it meets.
        usual = float((found - wanted).abs().median() / wanted.square().mean().sqrt().clamp(min=1e-12))
        wrong = found.shape != wanted.shape or not (usual <= backend.tolerance(carrier) and error <= _WORST)
        reason = f"its result is off by {error:.1e}"
    except (RuntimeError, TypeError, ValueError, AttributeError, ImportError, OSError) as problem:
        # Whatever a library raises here, the next backend can do it.
        wrong, reason = True, str(problem).strip().splitlines()[0] if str(problem).strip() else repr(problem)
    if not wrong:
        return None
    return f"{backend.title} failed its self-test on layers of kind {layer.geometry.kind} ({reason})."


def _exact_convolutions() -> AbstractContextManager[None]:
    """float32 convolutions on GPUs by float32 products: they have 10 bits otherwise."""
    cudnn = torch.backends.cudnn
    return cudnn.flags(cudnn.enabled, cudnn.benchmark, cudnn.benchmark_limit, cudnn.deterministic, False)


def _test_input(layer: DualBranchLayer) -> Tensor:
    geometry, generator = layer.geometry, torch.Generator().manual_seed(0)
    dims = geometry.dims
    sides = [
        max(_POSITIONS, (k - 1) * d + 1) for k, d in zip(geometry.kernel, geometry.dilation, strict=True)
    ]
    shape = (2, geometry.in_channels, *sides) if dims else (2, _POSITIONS, geometry.in_channels)
    x = torch.randn(shape, generator=generator) + 0.5
    formats = {2: torch.channels_last, 3: torch.channels_last_3d}
    return x.contiguous(memory_format=formats[dims]) if dims in formats else x

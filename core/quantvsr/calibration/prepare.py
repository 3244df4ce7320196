"""What happens between rank allocation and training: initialisation, and the fit to calibration inputs."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from quantvsr.calibration.hooks import forward_hooks, full_precision
from quantvsr.calibration.order import order_of
from quantvsr.calibration.samples import Sample
from quantvsr.models.placing import free_on
from quantvsr.progress import Progress
from quantvsr.quant.layers import DualBranchLayer

Layers = Mapping[str, DualBranchLayer]
_MEMORY, _LEAST = 2**30, 2**28
# Positions looked at in each input. A prime: the search takes them at an even stride, and one that fits the
# width of a picture would meet the same column (the border, say) in every row.
_ROWS = 257


def initialise_layers(layers: Layers, progress: Progress | None = None) -> None:
    """Initialise the layers that are not: SVD, rotation, weight ranges."""
    watch = progress or Progress()
    for done, (name, layer) in enumerate(layers.items(), 1):
        watch.check()
        if not layer.initialised:
            layer.initialise()
        watch.report(done / len(layers), f"Initialised {name}")


def fit_to_samples(
    model: nn.Module,
    layers: Layers,
    samples: Sequence[Sample],
    *,
    indices: Sequence[int] | None = None,
    most: int = 8,
    memory: int | None = None,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> None:
    """Fit low-rank directions, activation shifts and clips of initialised layers to full-precision inputs.

    Layers that have none of them are left alone.

    Args:
        model: Holds the layers; run in full precision.
        layers: Layers to look at.
        samples: Calibration samples; at most `most` are used, picked in a fixed order that mixes windows and
            steps.
        indices: Numbers of the samples that may be used; all if left out.
        most: See `samples`.
        memory: Bytes of inputs held at once; with more the model runs again for the next layers. If left out
            a quarter of a GPU's free memory, or a gigabyte.
        device: Where samples are sent.
        progress: Checked between samples and between layers.
    """
    watch = progress or Progress()
    wanted = {name: layer for name, layer in layers.items() if layer.fits_inputs}
    found = layer_inputs(
        model,
        layers,
        wanted,
        samples,
        indices=indices,
        most=most,
        memory=memory,
        device=device,
        progress=watch,
    )
    for done, (name, inputs) in enumerate(found, 1):
        wanted[name].fit_to_inputs(inputs, rows=_ROWS * len(inputs))
        watch.report(min(done / len(wanted), 1.0), f"Clip of {name}")


def layer_inputs(
    model: nn.Module,
    layers: Layers,
    wanted: Layers,
    samples: Sequence[Sample],
    *,
    indices: Sequence[int] | None = None,
    most: int = 8,
    memory: int | None = None,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> Iterator[tuple[str, list[Tensor]]]:
    """What some layers get in full precision, layer by layer.

    Args:
        model: Holds the layers; run in full precision.
        layers: All quantized layers of the model.
        wanted: Those whose inputs are wanted.
        samples: Calibration samples; see `fit_to_samples` for which are used, and for the rest.
        indices: See there.
        most: See there.
        memory: See there.
        device: See there.
        progress: Checked between samples and between layers.

    Yields:
        A layer's name and its inputs, one for each call; layers that are never called do not come.
    """
    watch = progress or Progress()
    if not wanted or not len(samples):
        return
    allowed = range(len(samples)) if indices is None else indices
    few = [samples[i] for i in sorted({order_of(allowed, 0, "clips", n) for n in range(most)})]
    sizes: dict[str, int] = {}

    def measure(name: str, layer: nn.Module, x: Tensor, y: Tensor) -> None:
        watch.check()
        sizes[name] = sizes.get(name, 0) + 4 * x.numel()

    _run(model, layers, wanted, few[:1], device, measure)
    for group in _groups(sizes, max((memory or _room(device)) // len(few), 1)):
        inputs: dict[str, list[Tensor]] = {name: [] for name in group}

        def keep(
            name: str, layer: nn.Module, x: Tensor, y: Tensor, inputs: dict[str, list[Tensor]] = inputs
        ) -> None:
            watch.check()
            inputs[name].append(x.detach())

        _run(model, layers, {name: wanted[name] for name in group}, few, device, keep)
        for name in group:
            watch.check()
            yield name, inputs.pop(name)


def _run(
    model: nn.Module,
    layers: Layers,
    hooked: Layers,
    samples: Sequence[Sample],
    device: torch.device | str,
    function: Callable[[str, nn.Module, Tensor, Tensor], None],
) -> None:
    with torch.no_grad(), full_precision(layers), forward_hooks(hooked, function):
        for sample in samples:
            model(**sample.to(device).inputs)


def _room(device: torch.device | str) -> int:
    """Bytes of inputs that may be held at once."""
    free = free_on(torch.device(device))
    # A GPU that is nearly full gets less than main memory: the model runs oftener instead.
    return _MEMORY if free is None else max(free // 4, _LEAST)


def _groups(sizes: Mapping[str, int], most: int) -> Iterator[list[str]]:
    """Neighbours whose inputs fit into `most` bytes together; a larger one goes alone."""
    group: list[str] = []
    held = 0
    for name, size in sizes.items():
        if group and held + size > most:
            yield group
            group, held = [], 0
        group.append(name)
        held += size
    if group:
        yield group

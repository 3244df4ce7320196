"""One full-precision pass over the samples: complexity, activation ranges and sizes of all layers."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from quantvsr.calibration.complexity import statistics
from quantvsr.calibration.cost import LayerShape
from quantvsr.calibration.hooks import forward_hooks, full_precision
from quantvsr.calibration.samples import Sample
from quantvsr.calibration.sensitivity import expected_errors
from quantvsr.calibration.table import ComplexityTable
from quantvsr.errors import BadInput
from quantvsr.progress import Progress
from quantvsr.quant.geometry import geometry_of, plain_weight
from quantvsr.quant.layers import DualBranchLayer


@dataclass(frozen=True)
class Observation:
    """What one pass found.

    Attributes:
        table: Complexity, scale and range of the input per layer and sample.
        shapes: Sizes of all layers, with positions as in the first sample.
    """

    table: ComplexityTable
    shapes: tuple[LayerShape, ...]


def layer_shape(name: str, layer: nn.Module, positions: int = 0, input_positions: int = 0) -> LayerShape:
    """Size of a plain layer or a dual-branch one.

    Raises:
        ValueError: It is neither.
    """
    geometry = layer.geometry if isinstance(layer, DualBranchLayer) else geometry_of(layer)
    if geometry is None:
        raise ValueError(f"{name} is no layer that can be quantized")
    _, bias = plain_weight(layer)
    return LayerShape(
        name,
        geometry.kind,
        geometry.out_channels,
        geometry.in_channels // geometry.groups,
        geometry.kernel,
        geometry.groups,
        positions,
        bias is not None,
        input_positions,
    )


def observe(
    model: nn.Module,
    layers: Mapping[str, nn.Module],
    samples: Sequence[Sample],
    layout: Callable[[str], str],
    *,
    frames: int = 5,
    kind: str = "default",
    time_of: Callable[[Sample], float] | None = None,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> Observation:
    """Run the full-precision model over the samples and watch the layers' inputs.

    Args:
        model: Called as `model(**sample.inputs)`.
        layers: Layers to watch, in network order; plain ones or dual-branch ones (which stay in their mode).
        samples: Calibration samples, read one after another.
        layout: Layout of a layer's input, by the layer's name (see `VSRAdapter.layout`).
        frames: T, frames per clip.
        kind: Name of the statistics: "default" (which come with expected errors) or "reference".
        time_of: Timestep of a sample in the model's own unit; the step's place in the run, 0..1, if left out.
        device: Where to compute.
        progress: Checked before every sample.

    Returns:
        Table and sizes. Layers that were never called are missing in the table.

    Raises:
        BadInput: No sample, or samples with a single frame for the reference's statistics.
    """
    watch, measure = progress or Progress(), statistics(kind)
    if not len(samples):
        raise BadInput("There are no calibration samples; record some first.")
    values: dict[str, list[tuple[int, float, float, float, float, float]]] = {name: [] for name in layers}
    positions: dict[str, tuple[int, int]] = {}
    number = 0

    def look(name: str, layer: nn.Module, x: Tensor, y: Tensor) -> None:
        geometry = layer.geometry if isinstance(layer, DualBranchLayer) else geometry_of(layer)
        assert geometry is not None
        if number == 0:
            before = positions.get(name, (0, 0))
            found = (y.numel() // geometry.out_channels, x.numel() // geometry.in_channels)
            positions[name] = (before[0] + found[0], before[1] + found[1])
        try:
            seen = measure(x, name, layout(name), frames)
        except ValueError as error:
            raise BadInput(f"The complexity of layer {name} cannot be measured: {error}.") from error
        if seen is not None:
            low, high = (float(v) for v in x.detach().float().aminmax())
            values[name].append((number, seen.spatial, seen.temporal, seen.scale, low, high))

    times: list[float] = []
    with torch.no_grad(), full_precision(layers), forward_hooks(layers, look):
        for number in range(len(samples)):
            watch.check()
            sample = samples[number]
            model(**sample.to(device).inputs)
            times.append(time_of(sample) if time_of else _place(sample))
            watch.report(0.7 * (number + 1) / len(samples), f"Observed sample {number + 1} of {len(samples)}")
    errors = (
        expected_errors(model, layers, samples, device=device, progress=watch.stage("sensitivity", 0.7, 1.0))
        if kind == "default"
        else {}
    )
    seen_layers = {name: list(zip(*rows, strict=True)) for name, rows in values.items() if rows}
    table = ComplexityTable.from_layers(
        {name: (columns[1], columns[2]) for name, columns in seen_layers.items()},
        samples={name: columns[0] for name, columns in seen_layers.items()},
        scales={name: columns[3] for name, columns in seen_layers.items()},
        bounds={name: (columns[4], columns[5]) for name, columns in seen_layers.items()},
        times=times,
        errors=errors,
    )
    shapes = tuple(layer_shape(name, layer, *positions.get(name, (0, 0))) for name, layer in layers.items())
    return Observation(table, shapes)


def _place(sample: Sample) -> float:
    """Where in its run a sample was taken, 0 (first step) to 1; NaN where unknown."""
    step, steps = sample.info.get("step"), sample.info.get("steps")
    if step is None or steps is None:
        return math.nan
    return step / max(steps - 1, 1)

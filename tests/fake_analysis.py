"""An analysis of a made-up network with layers of every type."""

import json

import numpy as np

from quantvsr.calibration.cost import LayerShape
from quantvsr.calibration.table import ComplexityTable
from quantvsr.project.requests import analyze_job
from quantvsr_gui.pages.complexity.data import Measured
from quantvsr_gui.project import ProjectModel

NAMES = (
    "down.0.conv1",
    "down.0.time_proj",
    "down.0.temporal.conv",
    "downsample",
    "middle.0.conv1",
    "middle.1.attn.to_q",
    "middle.1.ff.net",
    "middle.2.conv2",
    "upsample",
    "up.0.skip",
    "up.0.conv1",
    "up.1.temporal.conv",
)
STEPS, WINDOWS = 4, 3


def make_measured(names: tuple[str, ...] = NAMES, seed: int = 0) -> Measured:
    random = np.random.default_rng(seed)
    shapes, layers, errors = [], {}, {}
    for i, name in enumerate(names):
        conv = any(word in name for word in ("conv", "sample", "skip"))
        kernel = (3, 3) if conv else ()
        shapes.append(
            LayerShape(name, "conv2d" if conv else "linear", 256, 128 + 16 * i, kernel, positions=80)
        )
        if "time" not in name:  # vectors are not observed
            level = 0.2 + 0.06 * i
            values = [level * random.uniform(0.8, 1.2, STEPS * WINDOWS) for _ in range(2)]
            layers[name] = (values[0], values[1] * 0.7)
            errors[name] = (1 + i) * np.exp(-np.arange(33) / 8)
    times = np.tile(np.linspace(0, 1, STEPS), WINDOWS)
    table = ComplexityTable.from_layers(layers, times=times, errors=errors)
    return Measured(tuple(shapes), table)


def write_analysis(model: ProjectModel, measured: Measured) -> None:
    """Put it into the open project."""
    project = model.project
    assert project is not None
    measured.table.save(project.folder / "complexity.npz")
    shapes = {"shapes": [shape.to_json() for shape in measured.shapes]}
    (project.folder / "ranks.json").write_text(json.dumps(shapes))
    model.set_analysis(analyze_job(model.settings, project.folder), {})

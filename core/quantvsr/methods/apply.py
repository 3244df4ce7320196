"""From a recipe to calibrated layers: balancing, initialisation, fit to samples, training, rounding."""

from collections.abc import Sequence
from pathlib import Path

from quantvsr.calibration.refine import refine
from quantvsr.calibration.refine_config import RefineConfig
from quantvsr.calibration.results import RefineResult
from quantvsr.calibration.samples import Sample
from quantvsr.methods.registry import Recipe
from quantvsr.models.adapter import VSRAdapter
from quantvsr.progress import Progress
from quantvsr.quant.surgery import LayerMap


def calibrate(
    adapter: VSRAdapter,
    layers: LayerMap,
    samples: Sequence[Sample],
    recipe: Recipe,
    training: RefineConfig,
    progress: Progress | None = None,
    *,
    snapshot_dir: Path | None = None,
    stop_at: int | None = None,
) -> RefineResult:
    """Do with quantized layers what a recipe says.

    Args:
        adapter: The model that holds the layers.
        layers: Its quantized layers, with their ranks, not initialised.
        samples: Calibration samples.
        recipe: What is to be done.
        training: `recipe.training` of the budget.
        progress: Of everything.
        snapshot_dir: Where snapshots of the training are kept; a calibration that was stopped goes on there.
        stop_at: End the training after so many updates, with the state of that moment.

    Returns:
        Losses of all that was trained. The layers are in a low-bit mode.
    """
    watch = progress or Progress()
    return refine(
        adapter.denoiser,
        layers,
        samples,
        training,
        progress=watch,
        snapshot_dir=snapshot_dir,
        device=adapter.device,
        stop_at=stop_at,
    )

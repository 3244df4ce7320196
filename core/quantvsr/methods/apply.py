"""From a recipe to calibrated layers: balancing, initialisation, fit to samples, training, rounding."""

from collections.abc import Sequence
from pathlib import Path

import torch

from quantvsr.calibration.balance import balance_layers
from quantvsr.calibration.learn_rounding import learn_rounding
from quantvsr.calibration.prepare import fit_to_samples, initialise_layers
from quantvsr.calibration.refine import refine
from quantvsr.calibration.refine_config import RefineConfig
from quantvsr.calibration.results import RefineResult
from quantvsr.calibration.samples import Sample
from quantvsr.hashing import hash_json
from quantvsr.methods.registry import Recipe
from quantvsr.models.adapter import VSRAdapter
from quantvsr.progress import Progress
from quantvsr.quant.surgery import LayerMap


def calibrate(
    adapter: VSRAdapter,
    layers: LayerMap,
    samples: Sequence[Sample],
    recipe: Recipe,
    budget: RefineConfig,
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
        budget: How much may be trained: what the preset and the seed say.
        progress: Of everything.
        snapshot_dir: Where snapshots of the training are kept; a calibration that was stopped goes on there.
        stop_at: End the training after so many updates, with the state of that moment.

    Returns:
        Losses of all that was trained. The layers are in a low-bit mode.
    """
    watch = progress or Progress()
    training = recipe.training(budget)
    model, device = adapter.denoiser, adapter.device
    if recipe.balance is not None:
        balance_layers(
            model,
            layers,
            samples,
            recipe.balance.alphas,
            device=device,
            progress=watch.stage("balance", 0.0, 0.1),
        )
    if recipe.balance is not None or recipe.clip is not None:
        # Initialised layers are not fitted by the refinement any more.
        initialise_layers(layers)
        fit_to_samples(model, layers, samples, device=device, progress=watch.stage("fit", 0.1, 0.2))
    if recipe.clip is not None:
        _set_clips(layers, recipe.clip)
    result = refine(
        model,
        layers,
        samples,
        training,
        progress=watch,
        snapshot_dir=snapshot_dir,
        device=device,
        stop_at=stop_at,
    )
    if recipe.rounding is None:
        return result
    identity = hash_json(
        {
            "recipe": recipe.to_json(),
            "budget": budget.to_json(),
            "layers": {name: layer.config.to_json() for name, layer in layers.items()},
        }
    )
    learned = learn_rounding(
        model,
        layers,
        samples,
        recipe.rounding,
        budget,
        device=device,
        progress=watch,
        folder=None if snapshot_dir is None else snapshot_dir / f"rounding-{identity[:16]}",
    )
    return RefineResult((*result.stages, learned), result.resumed)


@torch.no_grad()
def _set_clips(layers: LayerMap, factor: float) -> None:
    """Set all factors on activation bounds to one value."""
    for layer in layers.values():
        if layer.activation_clip is not None:
            layer.activation_clip.fill_(factor)

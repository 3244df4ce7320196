"""Models as the jobs use them: opened on the right device, their layers replaced as the method says."""

from collections.abc import Mapping
from typing import Protocol

from quantvsr.jobs.options import Bits
from quantvsr.jobs.work.machine import choose_device, quiet_loading
from quantvsr.methods import get_method
from quantvsr.models.adapter import VSRAdapter
from quantvsr.models.registry import open_model
from quantvsr.progress import Progress
from quantvsr.quant.config import LayerQuantConfig
from quantvsr.quant.surgery import LayerMap, quantize_model


class ModelChoice(Protocol):
    """The part of a job that names a model."""

    @property
    def model(self) -> str: ...  # noqa: D102
    @property
    def device(self) -> str: ...  # noqa: D102


def open_full(job: ModelChoice) -> VSRAdapter:
    """The full-precision model of a job on its device.

    Raises:
        BadInput: The device or the model cannot be used.
    """
    with quiet_loading():
        return open_model(job.model, choose_device(job.device))


def tell_notes(adapter: VSRAdapter, progress: Progress) -> None:
    """Tell the user what there is to know about an opened model, such as its licence; each note once a job."""
    for note in adapter.notes:
        progress.warn(note)


def layer_config(method: str, bits: Bits) -> LayerQuantConfig:
    """The settings of quantized layers behind a method's name."""
    return get_method(method).recipe.layer(bits.weights, bits.activations)


def quantize_layers(
    adapter: VSRAdapter, config: LayerQuantConfig, ranks: Mapping[str, int] | int, seed: int
) -> LayerMap:
    """Replace the layers of an adapter's denoiser in place; they start in full-precision mode.

    Raises:
        BadInput: Nothing is left to quantize, or a rank is given for a layer that does not exist.
    """
    exclude = adapter.default_exclude
    if config.exclude_by_prefix:
        # The reference compares beginnings of names; ours are globs.
        exclude = tuple(pattern.rstrip("*") for pattern in exclude)
    return quantize_model(adapter.denoiser, config, ranks, exclude, seed=seed)

"""Models as the jobs use them: opened on the right device, their layers replaced as the method says."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from quantvsr.jobs.options import Bits
from quantvsr.jobs.settings import MethodSettings
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
    """Tell the user what there is to know about an opened model, such as its licence; once a job."""
    for note in adapter.notes:
        progress.warn(note)


def layer_config(method: str, bits: Bits) -> LayerQuantConfig:
    """The settings of quantized layers behind a method's name."""
    return get_method(method).recipe.layer(bits.weights, bits.activations)


def layers_apart(job: MethodSettings) -> dict[str, LayerQuantConfig]:
    """Settings of the layers that have bits of their own."""
    return {item.layer: layer_config(job.method, item.bits) for item in job.layer_bits}


def quantize_layers_of(job: MethodSettings, adapter: VSRAdapter, ranks: Mapping[str, int] | int) -> LayerMap:
    """Replace the layers as a job says: its method, bits, exclusions and bits of single layers.

    Raises:
        BadInput: Nothing is left to quantize, or a layer that is named does not exist.
    """
    config, apart = layer_config(job.method, job.bits), layers_apart(job)
    if get_method(job.method).recipe.split_shortcuts:
        for name, channels in adapter.joined_inputs().items():
            apart[name] = apart.get(name, config).replace(split_at=channels)
    return quantize_layers(adapter, config, ranks, job.seed, job.exclude, apart)


def quantize_layers(
    adapter: VSRAdapter,
    config: LayerQuantConfig,
    ranks: Mapping[str, int] | int,
    seed: int,
    exclude: Sequence[str] = (),
    apart: Mapping[str, LayerQuantConfig] | None = None,
) -> LayerMap:
    """Replace the layers of an adapter's denoiser in place; they start in full-precision mode.

    Args:
        adapter: The model.
        config: How layers are quantized.
        ranks: One for all, or by layer.
        seed: Of rotations.
        exclude: Layers left alone besides those that the model's family names.
        apart: Layers with other settings.

    Raises:
        BadInput: Nothing is left to quantize, or a rank is given for a layer that does not exist.
    """
    patterns = (*adapter.default_exclude, *exclude)
    if config.exclude_by_prefix:
        # The reference compares beginnings of names; ours are globs.
        patterns = tuple(pattern.rstrip("*") for pattern in patterns)
    return quantize_model(adapter.denoiser, config, ranks, patterns, seed=seed, configs=apart)

"""Replacing the layers of a model by dual-branch layers.

Specification, section 7; layers that stay as they are come back with the reason.
"""

import fnmatch
import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import nn

from quantvsr.errors import BadInput
from quantvsr.quant.config import LayerQuantConfig
from quantvsr.quant.geometry import geometry_of
from quantvsr.quant.layers import DualBranchLayer, Mode

_log = logging.getLogger(__name__)
_TYPES = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


class LayerMap(dict[str, DualBranchLayer]):
    """Quantized layers by dotted name, in the order of the model.

    Attributes:
        skipped: Layers left in full precision, with the reason.
    """

    def __init__(self, *args: object, skipped: Mapping[str, str] | None = None) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self.skipped: dict[str, str] = dict(skipped or {})

    def set_mode(self, mode: Mode) -> None:
        """Set the mode of all layers."""
        for layer in self.values():
            layer.mode = mode

    def check_finite(self, on: bool = True) -> None:
        """Switch the check for NaN and infinity in activations."""
        for layer in self.values():
            layer.check_finite = on


def iter_quantizable(model: nn.Module) -> Iterator[tuple[str, nn.Module, str | None]]:
    """Linear and convolution layers below the root, depth first.

    Yields:
        Dotted name, layer, and None or the reason why it cannot be quantized. A layer reached by several
        names comes under each of them.
    """
    for name, module in model.named_modules(remove_duplicate=False):
        if isinstance(module, _TYPES) and name:
            known = geometry_of(module) is not None
            yield name, module, None if known else f"subclass {type(module).__name__} of a layer type"


def quantize_model(
    model: nn.Module,
    config: LayerQuantConfig,
    ranks: int | Mapping[str, int] = 0,
    exclude: Sequence[str] = (),
    *,
    seed: int | None = None,
    configs: Mapping[str, LayerQuantConfig] | None = None,
) -> LayerMap:
    """Replace layers in place by dual-branch layers (mode "fp").

    Args:
        model: Any module; its root is never replaced itself.
        config: Switches for all layers.
        ranks: One rank, or a rank per layer (0 for layers not named).
        exclude: Layers to leave alone: prefixes of dotted names when `config.exclude_by_prefix`, else exact
            names or globs (`*`, `?`, `[...]`; `*` matches dots too).
        seed: Draws rotation signs per layer from this seed and the layer's name, whatever the order of
            execution.
            None: at the first low-bit call, from the global generator (as the reference does).
        configs: Layers with other switches than `config`.

    Returns:
        The new layers, and in `.skipped` those left alone.

    Raises:
        BadInput: An exclusion, a rank or a configuration matches no layer (exclusions of profiles with
            prefixes may), or nothing is left to quantize.
    """
    layers = LayerMap()
    replaced: dict[int, DualBranchLayer] = {}
    candidates = list(iter_quantizable(model))
    names = [name for name, _, _ in candidates]
    if not config.exclude_by_prefix:
        _check_patterns(exclude, names)
    if isinstance(ranks, Mapping):
        unknown = sorted(set(ranks) - set(names))
        if unknown:
            raise BadInput(f"A rank is given for {unknown[0]!r}, which is no layer of the model; remove it.")
    apart = dict(configs or {})
    unknown = sorted(set(apart) - set(names))
    if unknown:
        raise BadInput(f"Bits are given for {unknown[0]!r}, which is no layer of the model; remove it.")
    for name, module, reason in candidates:
        if reason is None and (pattern := _excluded(name, exclude, config.exclude_by_prefix)) is not None:
            reason = f"excluded by {pattern!r}"
        if reason is not None:
            layers.skipped[name] = reason
            _log.info("%s stays in full precision: %s", name, reason)
            continue
        layer = replaced.get(id(module))
        if layer is None:
            layer = replaced[id(module)] = DualBranchLayer(module, apart.get(name, config), name)
            layer.train(module.training)
            layer.set_rank(ranks if isinstance(ranks, int) else ranks.get(name, 0))
            if seed is not None:
                layer.draw_signs(layer_generator(seed, name))
            layers[name] = layer
            for note in layer.notes:
                _log.info("%s: %s", name, note)
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, layer)
    if not layers:
        raise BadInput("No layer of the model is left to quantize; exclude fewer layers.")
    return layers


def layer_generator(seed: int, name: str) -> torch.Generator:
    """A generator that depends on the seed and the layer's name only."""
    digest = hashlib.sha256(f"{seed}\0{name}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def quantized_layers(model: nn.Module) -> LayerMap:
    """The dual-branch layers of a model by name."""
    return LayerMap({name: m for name, m in model.named_modules() if isinstance(m, DualBranchLayer)})


def set_mode(model: nn.Module, mode: Mode) -> None:
    """Set the mode of all dual-branch layers of a model."""
    quantized_layers(model).set_mode(mode)


def _excluded(name: str, patterns: Sequence[str], prefix: bool) -> str | None:
    for pattern in patterns:
        if name.startswith(pattern) if prefix else fnmatch.fnmatchcase(name, pattern):
            return pattern
    return None


def _check_patterns(patterns: Sequence[str], names: Sequence[str]) -> None:
    for pattern in patterns:
        if not fnmatch.filter(names, pattern):
            raise BadInput(f"The exclusion {pattern!r} matches no layer of the model; correct or remove it.")


def cast_around_layers(
    module: nn.Module, dtype: torch.dtype, layers: tuple[type[nn.Module], ...] = (DualBranchLayer,)
) -> None:
    """Cast the floating values of a model, in place, apart from those of quantized layers.

    Args:
        module: The model, or a part of it.
        dtype: A floating type.
        layers: Kinds of modules that keep their types.
    """
    if isinstance(module, layers):
        return
    for values in (module._parameters, module._buffers):
        for value in values.values():
            if value is not None and value.is_floating_point():
                value.data = value.data.to(dtype)
    for child in module.children():
        cast_around_layers(child, dtype, layers)

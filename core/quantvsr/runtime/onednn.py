"""Integer execution on x86 processors through oneDNN's 8-bit products."""

import platform
from collections.abc import Callable

import torch
from torch import nn

from quantvsr.quant.config import LayerQuantConfig
from quantvsr.quant.layers import DualBranchLayer
from quantvsr.runtime.backend import Backend
from quantvsr.runtime.compiled import CompiledNormSilu, CompiledPasses, missing
from quantvsr.runtime.encoding import Encoder
from quantvsr.runtime.integer_weight import fits
from quantvsr.runtime.norms import NormSilu
from quantvsr.runtime.onednn_convolution import OneDnnConvolution
from quantvsr.runtime.onednn_linear import OneDnnLinear
from quantvsr.runtime.passes import Passes
from quantvsr.runtime.planar import Planar, is_pointwise, planar

_SATURATION = 2**15 - 1
"""Without VNNI two products are added in 16 bits first."""

_PLAIN = LayerQuantConfig()
_KNOWN = {
    "weight_bits",
    "activation_bits",
    "weight_symmetric",
    "activation_symmetric",
    "weight_granularity",
    "activation_granularity",
    "parts",
    "rotation",
    "rotation_block",
    "low_rank",
    "low_rank_basis",
    "bias_alignment",
    "range_holds_zero",
    "scale_floor",
    "weight_range",
    "weight_clip_search",
    "activation_clip",
    "activation_shift",
    "activation_range",
    "activation_balance",
    "split_at",
    "cap_rank",
    "honour_padding",
    "exclude_by_prefix",
    "at_rest",
    "keep_dtype",
    "profile",
}
"""Settings that this backend follows, or that do not matter to a frozen layer."""


class OneDnnBackend(Backend):
    """Codes in 8 bits, sums in 32, on the processor; the passes around products are compiled by numba."""

    key = "onednn"
    title = "integer, oneDNN int8"
    passes: Callable[[Encoder, torch.dtype], Passes] = CompiledPasses

    def unavailable(self, device: torch.device) -> str | None:
        """See `Backend`."""
        if device.type != "cpu":
            return "it runs on the processor only"
        if platform.machine().lower() not in ("x86_64", "amd64"):
            return "it needs an x86 processor"
        if not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.onednn, "qconv_prepack"):
            return "this build of torch has no oneDNN"
        if not _supports("avx2"):
            return "it needs AVX2"
        return self._missing()

    def _missing(self) -> str | None:
        return missing()

    def carriers(self, device: torch.device) -> tuple[torch.dtype, ...]:
        """Bfloat16 where the processor multiplies it: twice as fast there as float32, by measurement."""
        fast = _supports("avx512_bf16") or _supports("amx_bf16")
        return (torch.bfloat16, torch.float32) if fast else (torch.float32,)

    def unsupported(self, layer: DualBranchLayer) -> str | None:
        """See `Backend`."""
        if (fault := self._missing()) is not None:
            return fault  # found at an earlier layer
        geometry, config = layer.geometry, layer.config
        fields = config.to_json()
        unknown = sorted(name for name in set(fields) - _KNOWN if fields[name] != getattr(_PLAIN, name))
        if unknown:
            return f"the setting {unknown[0]}"
        if geometry.groups > 1 and len(layer.parts) > 1:
            return "groups in two parts"
        if geometry.groups > 1 and not fits(layer):
            return "groups with weight codes that do not fit into 8 bits with sign"
        if not _supports("avx512_vnni") and not _supports("avx_vnni"):
            most = 2**config.activation_bits - 1
            if 2 * most * min(2**config.weight_bits - 1, 127) > _SATURATION:
                return "so many bits need a processor with VNNI"
        if is_pointwise(geometry):
            return None
        plan = _plan(layer)
        if plan is None:
            return "padding that differs between sides"
        if config.activation_granularity == "token" and not _one_range_per_product(layer, plan):
            return "ranges per position along these dimensions"
        return None

    def prepare(self, layer: DualBranchLayer, carrier: torch.dtype) -> nn.Module:
        """See `Backend`."""
        if is_pointwise(layer.geometry):
            return OneDnnLinear(layer, carrier, self.title, self.passes)
        plan = _plan(layer)
        assert plan is not None
        return OneDnnConvolution(layer, carrier, self.title, self.passes, plan)

    def finish(self, model: nn.Module, carrier: torch.dtype) -> str | None:
        """See `Backend`."""
        if self.passes is not CompiledPasses:
            return None
        replaced = [name for name, module in model.named_modules() if type(module) is NormSilu]
        if not replaced:
            return None
        x = torch.randn(4, 5, 70, generator=torch.Generator().manual_seed(0)).to(carrier)
        compiled = CompiledNormSilu()
        try:
            found, wanted = compiled(x, x[0, 0], x[0, 1], 2), NormSilu()(x, x[0, 0], x[0, 1], 2)
            sound = torch.allclose(found.float(), wanted.float(), rtol=2e-2, atol=2e-2)
        except (RuntimeError, ImportError) as problem:
            return f"Norms are computed by torch ({str(problem).splitlines()[0]})."
        if not sound:
            return "Norms are computed by torch (their compiled form failed its self-test)."
        for name in replaced:
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, compiled)
        return None


def _plan(layer: DualBranchLayer) -> Planar | None:
    # A range per entry of the batch would otherwise become one per frame.
    return planar(layer.geometry, join_frames=layer.config.activation_granularity != "frame")


def _one_range_per_product(layer: DualBranchLayer, plan: Planar) -> bool:
    """Whether ranges per token become ranges per frame, or per column under a (k, 1) kernel."""
    if plan.dims == 3:
        return min(plan.kernel) > 1
    if layer.geometry.dims == 1:
        return plan.kernel[1] > 1
    if plan.kernel[0] == 1:
        return False
    return plan.kernel[1] > 1 or (plan.stride[1] == 1 and plan.padding[1] == 0)


_OLDER = {"avx2": "_is_avx2_supported", "avx512_vnni": "_is_vnni_supported"}


def _supports(feature: str) -> bool:
    """Whether the processor has a feature, by torch's name for it."""
    ask = getattr(torch.cpu, "get_capabilities", None)
    if ask is not None:
        return bool(ask().get(feature, False))
    # Before torch 2.9 there are only these.
    older = getattr(torch.cpu, _OLDER.get(feature, f"_is_{feature}_supported"), None)
    return older is not None and bool(older())


BACKEND = OneDnnBackend()

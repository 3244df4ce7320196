"""The backend for NVIDIA GPUs: int8 tensor cores through Triton."""

import dataclasses
import functools
import importlib.util

import torch
from torch import nn

from quantvsr.quant.config import LayerQuantConfig
from quantvsr.quant.layers import DualBranchLayer
from quantvsr.runtime.backend import Backend, no_cuda
from quantvsr.runtime.layout import range_kind, refused_block

_OLDEST = (8, 0)
"""Compute capability from which int8 tensor cores take what the kernels give them."""

_MOST_TERMS = 2**31 // 255**2

_KNOWN = {
    *("weight_bits", "weight_symmetric", "weight_granularity", "weight_range", "weight_clip_search"),
    *("activation_bits", "activation_symmetric", "activation_granularity", "activation_range"),
    *("activation_clip", "activation_shift", "activation_balance", "range_holds_zero", "scale_floor"),
    *("parts", "split_at", "rotation", "rotation_block", "low_rank", "low_rank_basis", "bias_alignment"),
    *("cap_rank", "honour_padding", "exclude_by_prefix", "at_rest", "keep_dtype", "profile"),
}


class TritonBackend(Backend):
    """Products of int8 in tensor cores, everything around them fused."""

    key = "triton"
    title = "integer, Triton int8"

    def unavailable(self, device: torch.device) -> str | None:
        """See `Backend`."""
        missing = no_cuda(device, _OLDEST)
        return missing or (None if _has_triton() else "Triton is not installed")

    def unsupported(self, layer: DualBranchLayer) -> str | None:
        """See `Backend`."""
        return refusal(layer)

    def carriers(self, device: torch.device) -> tuple[torch.dtype, ...]:
        """See `Backend`."""
        return torch.bfloat16, torch.float16, torch.float32

    def prepare(self, layer: DualBranchLayer, carrier: torch.dtype) -> nn.Module:
        """See `Backend`."""
        from quantvsr.runtime.triton_layer import TritonLayer

        return TritonLayer(layer, carrier, self.title)


def refusal(layer: DualBranchLayer) -> str | None:
    """Why the kernels do not execute a layer, in words; None when they do."""
    config, geometry = layer.config, layer.geometry
    unknown = {field.name for field in dataclasses.fields(LayerQuantConfig)} - _KNOWN
    if unknown:
        return f"the setting {min(unknown)} is not known here"
    if len(layer.parts) > 1:
        return "its channels are quantized in two parts"
    if geometry.groups > 1:
        return "it is a grouped convolution"
    if config.activation_range != "dynamic":
        return "its activations have a static range"
    if config.activation_balance:
        return "its activations are balanced"
    if not config.range_holds_zero:
        return "its ranges need not hold zero"
    if layer.weight[0].numel() > _MOST_TERMS:
        return "its sums have too many terms for 32 bits"
    if len(layer.L2) and layer.basis == "weight" and layer.weight[0, 0].numel() > 1:
        return "the first thin operation of its low-rank branch has a kernel"
    if range_kind(layer) is None:
        return "its ranges are per position along some dimensions only"
    return refused_block(layer)


@functools.cache
def _has_triton() -> bool:
    return importlib.util.find_spec("triton") is not None


BACKEND = TritonBackend()

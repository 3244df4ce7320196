"""The frozen layers as they are: whole numbers computed in floating point. Slow, exact, everywhere."""

import torch
from torch import nn

from quantvsr.quant.layers import DualBranchLayer
from quantvsr.runtime.backend import Backend


class SimulatedBackend(Backend):
    """The reference of all others."""

    key = "simulated"
    title = "simulated"
    integer = False

    def unavailable(self, device: torch.device) -> str | None:
        """See `Backend`."""
        return None

    def unsupported(self, layer: DualBranchLayer) -> str | None:
        """See `Backend`."""
        return None

    def prepare(self, layer: DualBranchLayer, carrier: torch.dtype) -> nn.Module:
        """The layer itself, whatever the carrier: it computes in float32."""
        return layer


BACKEND = SimulatedBackend()

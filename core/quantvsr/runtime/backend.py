"""What a backend is: a way to execute frozen layers on some device."""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import nn

from quantvsr.quant.layers import DualBranchLayer


class PreparedLayer(nn.Module):
    """An executable layer; its tensors keep their types when a model is cast.

    Args:
        layer: The frozen layer it stands for; not kept.
        title: Title of its backend.

    Attributes:
        compiled_for_shapes: Whether kernels are compiled for every shape of the input, which `compile_ahead`
            can have done.
    """

    compiled_for_shapes = False

    def __init__(self, layer: DualBranchLayer, title: str) -> None:
        super().__init__()
        self.name, self.title, self.check_finite = layer.name, title, layer.check_finite
        self._summary = layer.extra_repr()

    def extra_repr(self) -> str:
        """How the layer is quantized, and who executes it."""
        return f"{self._summary}, execution={self.title}"


class Backend(ABC):
    """A way to execute frozen layers.

    Attributes:
        key: Name for people who choose it: "onednn".
        title: Name in results and logs: "integer, oneDNN int8".
        integer: Whether products are accumulated as integers.
    """

    key: ClassVar[str]
    title: ClassVar[str]
    integer: ClassVar[bool] = True

    @abstractmethod
    def unavailable(self, device: torch.device) -> str | None:
        """Why this backend does not run on a device of this machine, in words; None when it does.

        Cheap (no compilation), and raises nothing.
        """

    @abstractmethod
    def unsupported(self, layer: DualBranchLayer) -> str | None:
        """Why this backend does not execute a layer, in words; None when it does.

        Has to refuse every setting it does not know, so that no result is silently different.
        """

    def carriers(self, device: torch.device) -> tuple[torch.dtype, ...]:
        """Types of the activations between layers that pay here, best first."""
        return (torch.float32,)

    @abstractmethod
    def prepare(self, layer: DualBranchLayer, carrier: torch.dtype) -> nn.Module:
        """An executable layer with the call signature and the output of a frozen one.

        The result holds no reference to `layer`, whose full-precision weights can be freed. It takes inputs
        of any floating type and is fast for `carrier`; outputs have the input's type, or float32 where
        `keep_dtype` is off. With `layer.check_finite` it raises `BadInput` for NaN and infinity.

        Args:
            layer: Frozen, and not `unsupported`.
            carrier: Type of the activations, one of `carriers`.
        """

    def finish(self, model: nn.Module, carrier: torch.dtype) -> str | None:
        """Make faster, in place, what this backend can of a model besides its quantized layers.

        Called once, after all layers were prepared and some of them by this backend, where the carrier is not
        float32.

        Args:
            model: The rest of it is of the carrier.
            carrier: Type of the activations.

        Returns:
            One sentence where something that should work failed its test and was left as it is.
        """
        return None

    def tolerance(self, carrier: torch.dtype) -> float:
        """Largest median error of outputs in the self-test, relative to their root mean square."""
        return 1e-3 if carrier == torch.float32 else 5e-2


def no_cuda(device: torch.device, oldest: tuple[int, int]) -> str | None:
    """Why a backend for NVIDIA GPUs does not run on a device; None when it does.

    Args:
        device: Where layers are to run.
        oldest: Least compute capability.
    """
    if device.type != "cuda":
        return "it needs an NVIDIA GPU"
    if torch.version.cuda is None or not torch.cuda.is_available():
        return "PyTorch finds no CUDA here"
    if torch.cuda.get_device_capability(device) < oldest:
        major, minor = oldest
        return f"the GPU is too old (compute capability {major}.{minor} or newer is needed)"
    return None

"""The plain operation of a linear or convolution layer, without its weight.

One description for all four layer types, so that the quantized layer is written once.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_CONVOLUTIONS: dict[int, Callable[..., Tensor]] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_KINDS: dict[type[nn.Module], str] = {
    nn.Linear: "linear",
    nn.Conv1d: "conv1d",
    nn.Conv2d: "conv2d",
    nn.Conv3d: "conv3d",
}


@dataclass(frozen=True)
class Geometry:
    """A linear layer (dims 0) or a convolution over `dims` positions.

    Attributes:
        kind: "linear", "conv1d", "conv2d" or "conv3d".
        kernel: Kernel size per position dimension; empty for linear.
        stride: As in torch.
        padding: Numbers per dimension, or torch's "same" or "valid".
        dilation: As in torch.
        groups: As in torch; 1 for linear.
        padding_mode: "zeros", "reflect", "replicate" or "circular".
        explicit: What is padded, (left, right) per dimension, last first (as `F.pad` wants).
    """

    kind: str
    in_channels: int
    out_channels: int
    kernel: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()
    padding: tuple[int, ...] | str = ()
    dilation: tuple[int, ...] = ()
    groups: int = 1
    padding_mode: str = "zeros"
    explicit: tuple[int, ...] = ()

    @property
    def dims(self) -> int:
        """Position dimensions; 0 for linear."""
        return len(self.kernel)

    @property
    def channel_dim(self) -> int:
        """Dimension of the input that holds channels."""
        return 1 if self.dims else -1

    @property
    def pads(self) -> bool:
        """Whether the operation pads at all."""
        return any(self.explicit)

    def pad(self, x: Tensor) -> tuple[Tensor, bool]:
        """Apply a padding mode other than zeros, which the operation itself does not do.

        Returns:
            The input, and whether it was padded.
        """
        if self.padding_mode == "zeros" or not self.pads:
            return x, False
        return F.pad(x, self.explicit, self.padding_mode), True

    def pad_zeros(self, x: Tensor) -> Tensor:
        """Pad with zeros, whatever the mode."""
        return F.pad(x, self.explicit)

    def apply(self, x: Tensor, weight: Tensor, bias: Tensor | None, *, padded: bool = False) -> Tensor:
        """The operation with any weight of the right input channels.

        Args:
            x: (..., I) for linear, (N, C, positions...) for convolutions.
            weight: (O, I) or (O, C/groups, kernel...).
            bias: (O,) or None.
            padded: The input is padded already; else zeros are padded here.
        """
        if not self.dims:
            return F.linear(x, weight, bias)
        padding = (0,) * self.dims if padded else self.padding
        return _CONVOLUTIONS[self.dims](x, weight, bias, self.stride, padding, self.dilation, self.groups)

    def pointwise(self, x: Tensor, weight: Tensor) -> Tensor:
        """A 1 x 1 operation: one of the two thin operations of the low-rank branch."""
        if not self.dims:
            return F.linear(x, weight)
        return _CONVOLUTIONS[self.dims](x, weight, groups=self.groups)

    def token_dims(self, ndim: int) -> tuple[int, ...]:
        """Dimensions of an input of `ndim` dimensions along which a scale may vary in integer execution.

        A sum runs over channels and over the positions under the kernel; where the kernel has size 1 each
        output position sees one input position, so the scale can be applied after the sum.
        """
        if not self.dims:
            return tuple(range(ndim - 1))
        return (0, *(2 + i for i, size in enumerate(self.kernel) if size == 1))


def geometry_of(module: nn.Module) -> Geometry | None:
    """Geometry of exactly one of the four layer types; None for anything else, subclasses included."""
    kind = _KINDS.get(type(module))
    if kind is None:
        return None
    if isinstance(module, nn.Linear):
        return Geometry(kind, module.in_features, module.out_features)
    assert isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d)
    padding = module.padding if isinstance(module.padding, str) else tuple(module.padding)
    return Geometry(
        kind,
        module.in_channels,
        module.out_channels,
        tuple(module.kernel_size),
        tuple(module.stride),
        padding,
        tuple(module.dilation),
        module.groups,
        module.padding_mode,
        _explicit_padding(module.kernel_size, padding, module.dilation),
    )


def _explicit_padding(
    kernel: tuple[int, ...], padding: tuple[int, ...] | str, dilation: tuple[int, ...]
) -> tuple[int, ...]:
    """Amounts for `F.pad`: last dimension first, left before right."""
    amounts: list[int] = []
    for i in reversed(range(len(kernel))):
        if isinstance(padding, str):
            total = dilation[i] * (kernel[i] - 1) if padding == "same" else 0
            amounts += [total // 2, total - total // 2]
        else:
            amounts += [padding[i], padding[i]]
    return tuple(amounts)


def plain_weight(module: nn.Module) -> tuple[Tensor, Tensor | None]:
    """Weight and bias of a layer `geometry_of` knows."""
    weight, bias = module.weight, module.bias
    assert isinstance(weight, torch.Tensor)
    assert bias is None or isinstance(bias, torch.Tensor)
    return weight, bias

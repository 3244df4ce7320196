"""Where and how precisely networks run: helpers that several models share."""

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager

import torch
from torch import nn

_SMALL = 16 * 2**30


def is_small(device: torch.device) -> bool:
    """Whether a device is a GPU whose memory should not hold networks that are not in use (below 16 GiB)."""
    return device.type == "cuda" and torch.cuda.get_device_properties(device).total_memory < _SMALL


@contextlib.contextmanager
def visiting(network: nn.Module, device: torch.device, back: bool) -> Iterator[None]:
    """Have a network on a device; afterwards it goes back into main memory, if `back` is set."""
    if not back:
        yield
        return
    network.to(device)
    try:
        yield
    finally:
        network.to("cpu")


def computing_in(dtype: torch.dtype, device: torch.device) -> AbstractContextManager[object]:
    """Run networks in half precision where their operations allow it; no effect for float32."""
    return torch.autocast(device.type, dtype, enabled=dtype != torch.float32)

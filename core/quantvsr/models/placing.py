"""Where and how precisely networks run: helpers that several models share."""

import contextlib
import os
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import torch
from torch import nn

from quantvsr.errors import QuantVSRError

_SMALL = 16 * 2**30


def weight_bytes(networks: Iterable[nn.Module]) -> int:
    """Bytes of the weights in single precision; the networks may lie on the meta device."""
    return sum(4 * value.numel() for network in networks for value in network.state_dict().values())


def check_memory(needed: int, device: torch.device, what: str) -> None:
    """Say that a model does not fit before minutes are spent on loading it.

    Args:
        needed: Bytes of weights.
        device: Where they shall be in the end; they pass through main memory.
        what: The model, for the message.

    Raises:
        QuantVSRError: There is too little free memory.
    """
    for place, free, remedy in (
        ("main memory", _free_memory(), "close other programs"),
        (str(device), free_on(device), "close other programs or use --device cpu"),
    ):
        if free is not None and free < needed:
            raise QuantVSRError(
                f"{what} needs {needed / 1e9:.1f} GB of {place} for its weights alone and "
                f"{free / 1e9:.1f} GB are free; {remedy}."
            )


PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
"""Types that networks may compute in, by their names for users."""


def type_name(dtype: torch.dtype) -> str:
    """A type's name for users, such as `bfloat16`."""
    return str(dtype).removeprefix("torch.")


def _free_memory() -> int | None:
    """Bytes that programs may still take; None where the system does not tell."""
    try:
        with Path("/proc/meminfo").open(encoding="ascii") as lines:
            for line in lines:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def free_on(device: torch.device) -> int | None:
    """Free bytes of a GPU; None for the processor."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else None


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

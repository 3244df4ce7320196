"""The backends we have, and which of them run here."""

import importlib
import os

import torch

from quantvsr.errors import BadInput
from quantvsr.runtime.backend import Backend

# Modules with a constant BACKEND, best first; what runs only on GPUs says so by `unavailable`.
_BUILT_IN = (
    "quantvsr.runtime.triton_int8",
    "quantvsr.runtime.int_mm",
    "quantvsr.runtime.onednn",
    "quantvsr.runtime.onednn_plain",
    "quantvsr.runtime.simulated",
)
AUTO = "auto"
SIMULATED = "simulated"
VARIABLE = "QUANTVSR_BACKEND"
"""Environment variable that forces a backend where none is asked for."""


def backends() -> list[Backend]:
    """All backends, best first; the last one works everywhere."""
    return [importlib.import_module(name).BACKEND for name in _BUILT_IN]


def available(device: torch.device) -> list[Backend]:
    """The backends that run on a device, best first; never empty."""
    return [backend for backend in backends() if backend.unavailable(device) is None]


def wanted(name: str) -> str:
    """The wish behind a name: what the environment says where it is `auto`."""
    return os.environ.get(VARIABLE) or AUTO if name == AUTO else name


def candidates(name: str, device: torch.device) -> list[Backend]:
    """The backends to try for a wish, best first, simulated last.

    Args:
        name: `auto`, or a backend's key.
        device: Where the model runs.

    Raises:
        BadInput: There is no such backend, or it does not run on the device.
    """
    known = backends()
    name = wanted(name)
    if name == AUTO:
        return available(device)
    # Of one key there may be several, best first.
    chosen = [backend for backend in known if backend.key == name]
    if not chosen:
        keys = ", ".join((AUTO, *dict.fromkeys(backend.key for backend in known)))
        raise BadInput(f"There is no backend '{name}'; choose one of {keys}.")
    reasons = [backend.unavailable(device) for backend in chosen]
    usable = [backend for backend, reason in zip(chosen, reasons, strict=True) if reason is None]
    if not usable:
        raise BadInput(f"The backend '{name}' cannot be used on {device}: {reasons[-1]}; choose auto.")
    return usable if usable[-1] is known[-1] else [*usable, known[-1]]

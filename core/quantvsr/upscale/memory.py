"""How much memory the work took at its highest."""

import sys
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class PeakMemory:
    """Highest use of memory in bytes; None where the system does not tell.

    Attributes:
        ram: Resident memory of the process since it started, with everything loaded (interpreter, torch,
            weights).
        gpu: Memory handed out by torch on the GPU since `reset_peak`.
    """

    ram: int | None
    gpu: int | None


def _gpu(device: torch.device | str) -> torch.device | None:
    device = torch.device(device)
    return device if device.type == "cuda" and torch.cuda.is_available() else None


def reset_peak(device: torch.device | str) -> None:
    """Start measuring the GPU's peak anew; no effect on a CPU."""
    if (gpu := _gpu(device)) is not None:
        torch.cuda.reset_peak_memory_stats(gpu)


def peak_memory(device: torch.device | str) -> PeakMemory:
    """The peak so far."""
    gpu = _gpu(device)
    try:
        import resource
    except ImportError:  # Windows
        ram = None
    else:
        # macOS counts bytes, the others kilobytes.
        unit = 1 if sys.platform == "darwin" else 1024
        ram = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return PeakMemory(ram, None if gpu is None else torch.cuda.max_memory_allocated(gpu))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a failed computation asked for more memory than there is, on a GPU or in RAM."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # torch's CPU allocator has no class of its own.
    return isinstance(error, RuntimeError) and any(
        words in str(error) for words in ("DefaultCPUAllocator", "out of memory", "not enough memory")
    )


def release(device: torch.device | str) -> None:
    """Give cached GPU memory back, so that a smaller plan can start from a clean slate."""
    if _gpu(device) is not None:
        torch.cuda.empty_cache()

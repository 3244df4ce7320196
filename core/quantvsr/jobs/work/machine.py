"""What this machine is: processor, GPUs, disk; and opening models on it without noise."""

import contextlib
import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from quantvsr import __version__
from quantvsr.errors import BadInput, QuantVSRError
from quantvsr.jobs.info import InfoResult
from quantvsr.models.registry import BUNDLED, open_model
from quantvsr.progress import Progress
from quantvsr.runtime.registry import available

_LIBRARIES = {
    "torch": "torch",
    "diffusers": "diffusers",
    "numpy": "numpy",
    "av": "av",
    "opencv": "opencv-python-headless",
    "safetensors": "safetensors",
}
# Name of a feature, and the flag that Linux shows for it.
_FEATURES = {
    "AVX2": "avx2",
    "AVX-512": "avx512f",
    "AVX-VNNI": "avx_vnni",
    "AVX-512 VNNI": "avx512_vnni",
    "AVX-512 BF16": "avx512_bf16",
    "AMX INT8": "amx_int8",
    "AMX BF16": "amx_bf16",
    "NEON dot product": "asimddp",
    "NEON int8 matrix": "i8mm",
}


def info(progress: Progress) -> InfoResult:
    """Look at everything; nothing here fails because one part is missing."""
    progress.check()
    place = Path.cwd()
    usage = shutil.disk_usage(place)
    return InfoResult(
        versions={"quantvsr": __version__, "python": platform.python_version(), **_versions()},
        system=f"{platform.system()} {platform.release()} ({platform.machine()})",
        cpu={
            "name": _cpu_name(),
            "cores": os.cpu_count() or 1,
            "threads": torch.get_num_threads(),
            "features": _cpu_features(),
        },
        memory=main_memory(),
        gpus=tuple(_gpus()),
        disk={"path": str(place), "free": usage.free, "total": usage.total},
        execution=execution_backends(),
        model=_bundled_model(),
    )


def execution_backends() -> tuple[str, ...]:
    """Ways to run a quantized model here, best first; `simulated` (integers in floats) always works."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return tuple(dict.fromkeys(backend.title for backend in available(device)))


def choose_device(name: str) -> torch.device:
    """The device behind `auto`, `cpu`, `cuda`, `cuda:1`, ...

    Raises:
        BadInput: This machine has no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        # Making a value is the only test that holds for every kind of device.
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, ValueError, NotImplementedError) as error:
        raise BadInput(f"The device '{name}' cannot be used here; choose auto or cpu.") from error
    return device


@contextlib.contextmanager
def quiet_loading() -> Iterator[None]:
    """Keep libraries that load models from printing bars and notes about their own future."""
    from diffusers.utils import logging

    logging.disable_progress_bar()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for name, package in _LIBRARIES.items():
        try:
            found[name] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def _cpuinfo() -> dict[str, str]:
    """The first processor's entries of Linux' /proc/cpuinfo; empty elsewhere."""
    try:
        lines = (
            Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split("\n\n")[0].splitlines()
        )
    except OSError:
        return {}
    pairs = (line.split(":", 1) for line in lines if ":" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def _sysctl(name: str) -> str:
    try:
        done = subprocess.run(["sysctl", "-n", name], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


def _cpu_name() -> str:
    named = _cpuinfo().get("model name", "")
    if not named and sys.platform == "darwin":
        named = _sysctl("machdep.cpu.brand_string")
    return named or platform.processor() or platform.machine()


def _cpu_features() -> list[str]:
    entries = _cpuinfo()
    flags = set((entries.get("flags") or entries.get("Features") or "").split())
    found = [name for name, flag in _FEATURES.items() if flag in flags]
    if found:
        return found
    # Elsewhere torch knows the widest instructions it would use: "AVX2", "AVX512", "DEFAULT", "NO AVX".
    capability = torch.backends.cpu.get_cpu_capability()
    return {"AVX2": ["AVX2"], "AVX512": ["AVX2", "AVX-512"]}.get(capability, [])


def main_memory() -> int | None:
    """Bytes of main memory; None where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _gpus() -> list[dict[str, Any]]:
    if not torch.cuda.is_available():
        return []
    found = []
    for number in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(number)
        found.append({"name": properties.name, "device": f"cuda:{number}", "memory": properties.total_memory})
    return found


def _bundled_model() -> dict[str, Any]:
    try:
        with quiet_loading():
            adapter = open_model(BUNDLED)
    except QuantVSRError as error:
        return {"error": str(error)}
    return {
        "name": adapter.name,
        "path": str(adapter.source),
        "parameters": sum(each.numel() for each in adapter.denoiser.parameters()),
        "bytes": _size(adapter.source),
    }


def _size(place: Path) -> int:
    files = place.rglob("*") if place.is_dir() else [place]
    return sum(file.stat().st_size for file in files if file.is_file())

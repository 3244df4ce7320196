"""Running a model over whole clips, and showing what came out.

What needs torch is imported when it is first asked for, so that pictures and charts can be made without it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from quantvsr.upscale.bicubic import enlarge, make_lq, pillow_resize
from quantvsr.upscale.noise import NoiseField

if TYPE_CHECKING:
    from quantvsr.upscale.engine import DEFAULT_OVERLAP, DEFAULT_TILE, UpscaleReport, upscale_clip
    from quantvsr.upscale.memory import PeakMemory, peak_memory, reset_peak

__all__ = [
    "DEFAULT_OVERLAP",
    "DEFAULT_TILE",
    "NoiseField",
    "PeakMemory",
    "UpscaleReport",
    "enlarge",
    "make_lq",
    "peak_memory",
    "pillow_resize",
    "reset_peak",
    "upscale_clip",
]

_LATER = {
    "DEFAULT_OVERLAP": "engine",
    "DEFAULT_TILE": "engine",
    "UpscaleReport": "engine",
    "upscale_clip": "engine",
    "PeakMemory": "memory",
    "peak_memory": "memory",
    "reset_peak": "memory",
}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)

"""The pipelines of diffusers that can be opened, told by the class that `model_index.json` names.

Their networks are imported when one is opened, not before.
"""

import importlib
from pathlib import Path

import torch

from quantvsr.models.adapter import Recognition, VSRAdapter
from quantvsr.models.registry import ModelFamily
from quantvsr.models.weights import read_json_object


def _family(name: str, title: str, class_name: str, module: str) -> ModelFamily:
    def recognise(path: Path) -> Recognition | None:
        index = read_json_object(path / "model_index.json") or {}
        found = index.get("_class_name") == class_name
        return Recognition(name, f"model_index.json names {class_name}") if found else None

    def open_folder(path: Path, device: torch.device) -> VSRAdapter:
        return importlib.import_module(f"quantvsr.models.upscalers.{module}").open_folder(path, device)

    return ModelFamily(name, title, recognise, open_folder)


FAMILIES = (
    _family("sd-x4-upscaler", "Stable Diffusion x4 upscaler", "StableDiffusionUpscalePipeline", "sd_x4"),
    _family("stablevsr", "StableVSR", "StableVSRPipeline", "stablevsr"),
    _family("ldm-super-resolution", "Latent diffusion upscaler", "LDMSuperResolutionPipeline", "ldm"),
)

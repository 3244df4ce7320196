"""Metrics that are networks, through packages that the user installs; see docs/metrics.md for their licences.

Each entry of the table below names its packages and how a score is made; nothing is imported before it is
asked for, and nothing is downloaded unless that is allowed (`Resources.download`).
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Literal

import numpy as np

from quantvsr.errors import BadInput
from quantvsr.metrics.frames import Picture, check_same_size, crop
from quantvsr.metrics.motion import Motion
from quantvsr.metrics.registry import Accumulator, metric
from quantvsr.metrics.resources import MissingMetric, Resources

# Gets one or two (1, 3, H, W) tensors, RGB in 0..1, and gives a number.
Score = Callable[..., Any]


@dataclass(frozen=True)
class Learned:
    """A metric that is a network.

    Attributes:
        name, title, direction, range, licence, conventions: As in `Metric`.
        reference: Whether it compares with a reference clip.
        packages: What must be installed, as pip and Python name it.
        smallest: Smallest side of a frame that the network takes.
        build: Makes the score from the first package's module, offline where weights are at hand.
    """

    name: str
    title: str
    direction: Literal["higher", "lower"]
    range: tuple[float | None, float | None]
    licence: str
    conventions: str
    reference: bool
    packages: tuple[str, ...]
    smallest: int
    build: Callable[[Any, str], Score]


def _lpips(torchmetrics: Any, device: str) -> Score:
    module = importlib.import_module(f"{torchmetrics.__name__}.image.lpip")
    return module.LearnedPerceptualImagePatchSimilarity(net_type="alex", normalize=True).to(device)


def _dists(torchmetrics: Any, device: str) -> Score:
    module = importlib.import_module(f"{torchmetrics.__name__}.image.dists")
    return module.DeepImageStructureAndTextureSimilarity().to(device)


def _clip_iqa(torchmetrics: Any, device: str) -> Score:
    module = importlib.import_module(f"{torchmetrics.__name__}.multimodal")
    return module.CLIPImageQualityAssessment(model_name_or_path="clip_iqa", data_range=1.0).to(device)


def _pyiqa(pyiqa: Any, device: str, *, name: str) -> Score:
    return pyiqa.create_metric(name, device=device)


_WHOLE = (
    "Whole frames at their own size, RGB in 0..1, mean over frames; `border` left out on every side first."
)
_NOT_FREE = "CC BY-NC-SA 4.0 (pyiqa, code and weights): not for commercial use, not part of any extra"

LEARNED = (
    Learned(
        "lpips",
        "LPIPS",
        "lower",
        (0.0, None),
        "Apache-2.0 (torchmetrics); weights BSD-2-Clause, AlexNet of torchvision BSD-3-Clause",
        f"Zhang 2018, AlexNet, linear weights 0.1, as torchmetrics computes it. {_WHOLE}",
        True,
        ("torchmetrics", "torchvision"),
        32,
        _lpips,
    ),
    Learned(
        "dists",
        "DISTS",
        "lower",
        (0.0, 1.0),
        "Apache-2.0 (torchmetrics); weights MIT, VGG16 of torchvision BSD-3-Clause",
        f"Ding 2020, VGG16, as torchmetrics computes it; frames are not shrunk to 256 pixels. {_WHOLE}",
        True,
        ("torchmetrics", "torchvision"),
        32,
        _dists,
    ),
    Learned(
        "clip_iqa",
        "CLIP-IQA",
        "higher",
        (0.0, 1.0),
        "Apache-2.0 (torchmetrics, piq, transformers); CLIP's weights MIT",
        "Wang 2023, ResNet-50 without position embedding, prompts 'Good photo.' and 'Bad photo.', as "
        f"torchmetrics and piq compute it. {_WHOLE}",
        False,
        ("torchmetrics", "piq", "transformers"),
        32,
        _clip_iqa,
    ),
    Learned(
        "musiq",
        "MUSIQ",
        "higher",
        (0.0, 100.0),
        _NOT_FREE,
        f"Ke 2021, KonIQ-10k weights, as pyiqa computes it. {_WHOLE}",
        False,
        ("pyiqa",),
        32,
        partial(_pyiqa, name="musiq"),
    ),
    Learned(
        "maniqa",
        "MANIQA",
        "higher",
        (0.0, 1.0),
        _NOT_FREE,
        "Yang 2022, KonIQ-10k weights, as pyiqa computes it on random crops of 224 pixels (drawn from one "
        f"seed per frame). {_WHOLE}",
        False,
        ("pyiqa",),
        224,
        partial(_pyiqa, name="maniqa"),
    ),
)


@lru_cache(maxsize=4)
def _score(entry: Learned, resources: Resources) -> Score:
    """The score of an entry, loaded once.

    Raises:
        MissingMetric: A package or its weights are not there.
    """
    try:
        with resources.network():
            modules = [importlib.import_module(name) for name in entry.packages]
            return entry.build(modules[0], resources.device)
    except ImportError as error:
        absent = error.name or " ".join(entry.packages)
        raise MissingMetric(
            f"{entry.title} is left out: the package {absent} is missing "
            f"(pip install {' '.join(entry.packages)}; {entry.licence})."
        ) from error
    except (OSError, RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        remedy = "check the connection" if resources.download else "allow it once with --download"
        raise MissingMetric(
            f"{entry.title} is left out: {entry.packages[0]} does not find its weights ({reason[:120]}); "
            f"{remedy}."
        ) from error


class LearnedAccumulator(Accumulator):
    """Mean score of a network over the frames of a clip."""

    def __init__(self, entry: Learned, border: int = 0, resources: Resources | None = None) -> None:
        super().__init__(border)
        self._entry, self._resources = entry, resources or Resources()
        self._score = _score(entry, self._resources)

    def _value(self, frame: Picture, reference: Picture | None, motion: Motion | None) -> float | None:
        pictures = [frame]
        if self._entry.reference:
            if reference is None:
                raise BadInput(f"{self._entry.title} compares two clips; give the reference clip as well.")
            check_same_size(frame, reference)
            pictures.append(reference)
        if min(frame.unit.shape[:2]) - 2 * self.border < self._entry.smallest:
            return None
        import torch

        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return float(self._score(*(self._tensor(picture) for picture in pictures)))

    def _tensor(self, picture: Picture) -> Any:
        import torch

        inner = np.ascontiguousarray(crop(picture.unit, self.border).transpose(2, 0, 1), np.float32)
        return torch.from_numpy(inner)[None].to(self._resources.device)


for _entry in LEARNED:
    metric(
        _entry.name,
        title=_entry.title,
        direction=_entry.direction,
        range=_entry.range,
        needs=("reference", "package", "weights") if _entry.reference else ("package", "weights"),
        licence=_entry.licence,
        conventions=_entry.conventions,
    )(partial(LearnedAccumulator, _entry))

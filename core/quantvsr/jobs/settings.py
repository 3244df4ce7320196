"""Settings that several jobs share, with the same names, defaults and explanations everywhere."""

from dataclasses import dataclass
from fractions import Fraction

from quantvsr.jobs.base import Job
from quantvsr.jobs.options import (
    BITS,
    INTEGER,
    LAYER_BITS,
    LAYER_RANK,
    METHOD,
    NUMBER,
    PATH,
    RATE,
    REFERENCE,
    SWITCH,
    TEXT,
    Bits,
    LayerBits,
    LayerRank,
    option,
)
from quantvsr.jobs.presets import preset_names
from quantvsr.methods import methods
from quantvsr.preview.keys import FP, LQ, PLAIN

BUNDLED = "bundled"
CODECS = ("h264", "h265", "av1", "ffv1", "prores", "png")
METHOD_DEFAULT = "quantvsr"
METHOD_HELP = (
    f"Method: {', '.join(methods())}; parts of quantvsr can be changed by switches, for example "
    "quantvsr+no-bias+rank-32."
)
_FOUR = Bits(4, 4)
RANK_NUMBERS = ("min_rank", "max_rank", "percentile", "extra_bits")
"""Settings of a method about ranks, as the rank rule calls them too."""


@dataclass(frozen=True, kw_only=True)
class ModelSettings(Job):
    """Which model runs, where, with which seed."""

    model: str = option(
        REFERENCE, "The VSR model: 'bundled', or a folder or file of weights.", default=BUNDLED
    )
    device: str = option(TEXT, "Where to compute: auto, cpu, cuda, cuda:1, ...", default="auto")
    seed: int = option(INTEGER, "Seed of everything random.", default=42, least=0, most=2**63 - 1)
    steps: int | None = option(
        INTEGER, "Sampling steps; the model's own number if left out.", default=None, least=1, most=1000
    )


@dataclass(frozen=True, kw_only=True)
class MethodSettings(ModelSettings):
    """How a model is quantized."""

    bits: Bits = option(  # noqa: RUF009  (makes a field)
        BITS, "Bits 2..8: 4, or W4A8 for weights and activations.", default=_FOUR
    )
    preset: str = option(TEXT, "Calibration budget.", default="quick", choices=preset_names())
    method: str = option(METHOD, METHOD_HELP, default=METHOD_DEFAULT)
    min_rank: int | None = option(INTEGER, "Smallest rank; the profile's if left out.", default=None, least=0)
    max_rank: int | None = option(INTEGER, "Largest rank; the profile's if left out.", default=None, least=0)
    percentile: float | None = option(
        NUMBER,
        "Share of layers that count as simple and as complex; the profile's if left out.",
        default=None,
        least=0.0,
        most=0.5,
    )
    extra_bits: float | None = option(
        NUMBER,
        "Bits a weight for all besides the codes, where ranks share a budget; the profile's if left out.",
        default=None,
        least=0.0,
        most=32.0,
    )
    exclude: tuple[str, ...] = option(
        TEXT, "Layers left in full precision, names or patterns with *.", default=(), many=True
    )
    layer_ranks: tuple[LayerRank, ...] = option(
        LAYER_RANK, "Ranks set by hand, whatever the rule says.", default=(), many=True
    )
    layer_bits: tuple[LayerBits, ...] = option(
        LAYER_BITS, "Bits of single layers, where they differ from --bits.", default=(), many=True
    )
    samples: int | None = option(
        INTEGER, "Calibration samples in all; the preset's if left out.", default=None, least=1, most=100_000
    )
    keep_steps: int | None = option(
        INTEGER, "Sampling steps recorded of a window; the preset's if left out.", default=None, least=1
    )
    crop: int | None = option(
        INTEGER, "Edge of recorded windows in LQ pixels; the preset's if left out.", default=None, least=16
    )


@dataclass(frozen=True, kw_only=True)
class ExecutionSettings(Job):
    """How quantized layers are executed."""

    backend: str = option(
        TEXT, "How integers are computed: auto, simulated, onednn, triton, ...", default="auto"
    )


@dataclass(frozen=True, kw_only=True)
class PictureSettings(Job):
    """Which part of a clip is enlarged, and how it is cut up."""

    tile: int | None = option(
        INTEGER, "Tile size in LQ pixels; smaller needs less memory.", default=None, least=16, most=4096
    )
    overlap: int | None = option(INTEGER, "Overlap of tiles in LQ pixels.", default=None, least=0, most=2048)
    start: int = option(INTEGER, "First frame, counted from 0.", default=0, least=0)
    frames: int | None = option(INTEGER, "Number of frames; all if left out.", default=None, least=1)
    frame_rate: Fraction | None = option(  # noqa: RUF009  (makes a field)
        RATE, "Frames per second of a folder of pictures (25 if left out).", default=None
    )


@dataclass(frozen=True, kw_only=True)
class VersionsSettings(ExecutionSettings, PictureSettings, ModelSettings):
    """Several versions of one clip."""

    clip: str = option(PATH, "The low-quality video or folder of pictures.", positional=True)
    versions: tuple[str, ...] = option(
        TEXT, f"Any of {', '.join(PLAIN)} and paths of quantized checkpoints.", default=(LQ, FP), many=True
    )
    gt: str | None = option(PATH, "Ground truth, 4 times as large.", default=None)


@dataclass(frozen=True, kw_only=True)
class TruthSettings(Job):
    """Where the ground truth of a comparison comes from."""

    gt: str | None = option(PATH, "Ground truth: the clip in high quality, 4 times as large.", default=None)
    shrink: bool = option(
        SWITCH,
        "Take CLIP as the ground truth and make the low-quality clip from it (4 times smaller, bicubic).",
        default=False,
    )

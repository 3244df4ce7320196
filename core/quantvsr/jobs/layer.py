"""Everything about one layer: its values on their grids, its spectrum, the error that quantization adds."""

from dataclasses import dataclass

from quantvsr.jobs.base import Result, register
from quantvsr.jobs.options import BITS, INTEGER, METHOD, PATH, TEXT, Bits, option
from quantvsr.jobs.settings import METHOD_DEFAULT, METHOD_HELP, ModelSettings
from quantvsr.progress import Progress


@dataclass(frozen=True)
class Histogram:
    """How often values fall where, in units of codes: a value of 3.2 is rounded to code 3.

    Attributes:
        counts: Number of values in each of as many intervals of equal width; values beyond the ends are in
            the outermost ones.
        low, high: Ends of the intervals.
        first, last: Lowest and highest code.
        step: Width of a code in the layer's own unit; the median where channels or tokens differ.
        outside: Share of values beyond the first or last code by more than half a code, which are clipped.
    """

    counts: tuple[int, ...]
    low: float
    high: float
    first: int
    last: int
    step: float
    outside: float


@dataclass(frozen=True, kw_only=True)
class LayerResult(Result):
    """One layer, before training.

    Attributes:
        layer: Its name.
        kind: What it is and how it is quantized, in words.
        notes: Where it departs from the method's settings.
        rank: Rank looked at.
        bits: Bits looked at.
        weights: The residual weight after rotation.
        activations: The input of the low-bit branch after rotation.
        basis: What the low-rank branch is made from: "weight" or "activation".
        spectrum: Singular values of the weight, or of the inputs' channels, largest first.
        energy: Share of the sum of squares that the first `rank` of them hold.
        errors: By bits: how much the layer's output stands above the error added to it, in dB.
        samples: Calibration samples looked at.
    """

    layer: str
    kind: str
    notes: tuple[str, ...]
    rank: int
    bits: Bits
    weights: Histogram
    activations: Histogram
    basis: str
    spectrum: tuple[float, ...]
    energy: float
    errors: dict[str, float]
    samples: int

    def rows(self) -> list[tuple[str, str]]:
        """What it is, how well its values fit their grids, and the error by bits."""
        return [
            ("Layer", f"{self.layer} ({self.kind})"),
            *(("Note", note) for note in self.notes),
            ("Weights", f"step {self.weights.step:.3g}, {self.weights.outside:.2%} clipped"),
            ("Activations", f"step {self.activations.step:.3g}, {self.activations.outside:.2%} clipped"),
            ("Low-rank branch", f"rank {self.rank} holds {self.energy:.1%} of the {self.basis}'s energy"),
            *(
                (f"Output at {bits}", f"{value:.1f} dB above its error")
                for bits, value in self.errors.items()
            ),
        ]


@register("layer")
@dataclass(frozen=True, kw_only=True)
class LayerJob(ModelSettings):
    """Look at one layer with the calibration samples of an analysis."""

    summary = "Show how one layer's weights and inputs fit their codes, and what error that makes."
    details = (
        "LAYER is a name from 'inspect' or ranks.json. Its inputs are taken from a few calibration samples "
        "of an 'analyze' or 'quantize'. Nothing is trained."
    )
    example = "quantvsr layer up0.0.conv1 --analysis analysis --bits 4 --rank 16"
    group = "quantize"

    layer: str = option(TEXT, "Name of the layer.", positional=True)
    analysis: str = option(PATH, "Folder that 'analyze' or 'quantize' wrote.", default="analysis")
    bits: Bits = option(BITS, "Bits 2..8: 4, or W4A8.", default=Bits(4, 4))  # noqa: RUF009  (makes a field)
    method: str = option(METHOD, METHOD_HELP, default=METHOD_DEFAULT)
    rank: int | None = option(
        INTEGER, "Rank of the low-rank branch; the analysis' own if left out.", default=None, least=0
    )
    look_at: int = option(INTEGER, "Calibration samples looked at.", default=4, least=1, most=64)

    def run(self, progress: Progress) -> LayerResult:
        """Run it."""
        from quantvsr.jobs.work.layer import look_at_layer

        return look_at_layer(self, progress)

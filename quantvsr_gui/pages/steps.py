"""The steps of the work, in order; the rail and the pages are made from this list."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """One step of the way from a model to an exported video.

    Attributes:
        key: Stable name, also of its folder below `pages` and of its part of a project's `view`.
        title: As shown in the rail.
        summary: What the step is for, one sentence.
    """

    key: str
    title: str
    summary: str


STEPS: tuple[Step, ...] = (
    Step("model", "Model", "Choose the video super-resolution model that is to become smaller."),
    Step("clips", "Clips", "Choose the clips that the model learns from and the ones it is judged by."),
    Step("complexity", "Complexity", "See how complex each layer's input is, and which rank it gets."),
    Step("quantize", "Quantize", "Choose the bits, start, and watch the refinement."),
    Step("compare", "Compare", "Look at full precision and low bit side by side, with the same noise."),
    Step("export", "Export", "Write the enlarged video, the quantized model and a report."),
)

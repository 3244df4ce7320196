"""The steps of the work, in order; the rail and the pages are made from this list."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """One step of the way from a model to an exported video.

    Attributes:
        key: Stable name, also the page's object name.
        title: As shown in the rail.
        summary: What the step is for, one sentence.
        shows: What its page will show, in the order of the page.
        job: The job whose command line does this today; empty where there is none.
    """

    key: str
    title: str
    summary: str
    shows: tuple[str, ...]
    job: str = ""


STEPS: tuple[Step, ...] = (
    Step(
        "model",
        "Model",
        "Choose the diffusion model that is to become smaller and faster.",
        ("The layers of its denoiser, with shapes, sizes and cost", "Which layers stay as they are, and why"),
        "info",
    ),
    Step(
        "clips",
        "Clips",
        "Choose the clips that the model is calibrated on and the ones it is judged by.",
        ("Thumbnails with size, frame rate and colour of each clip", "What is unusual about a clip"),
    ),
    Step(
        "complexity",
        "Complexity",
        "See how much each layer's input varies in space and in time.",
        ("Spatial and temporal complexity of every layer", "The spread over calibration samples"),
        "analyze",
    ),
    Step(
        "quantize",
        "Quantize",
        "Set the bits, give each layer its rank, and refine.",
        ("Rank, bytes and cost of every layer while you move sliders", "Loss curves of the refinement, live"),
        "quantize",
    ),
    Step(
        "compare",
        "Compare",
        "Look at full precision and low bit side by side, with the same noise.",
        ("The same frame from both models", "What was lost and what was saved, in figures"),
        "compare",
    ),
    Step(
        "export",
        "Export",
        "Write the enlarged video, the quantized model and a report.",
        ("Codec, quality and colour of the video", "The checkpoint's size, part by part"),
        "upscale",
    ),
)

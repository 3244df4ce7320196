"""The main job in one go, on the bundled model and clip or on any clip."""

from dataclasses import dataclass

from quantvsr.jobs.base import register
from quantvsr.jobs.compare import CompareResult
from quantvsr.jobs.options import INTEGER, PATH, SWITCH, option
from quantvsr.jobs.settings import ExecutionSettings, MethodSettings, TruthSettings
from quantvsr.progress import Progress


@register("demo")
@dataclass(frozen=True, kw_only=True)
class DemoJob(ExecutionSettings, TruthSettings, MethodSettings):
    """Analyse, allocate, quantize, enlarge with all versions, compare."""

    summary = "Do the whole job once: analyse, quantize to 4 bits, enlarge a clip with both models, compare."
    details = (
        "Writes compare.mp4, frames/, charts of complexity and ranks, and metrics.json into --out. Of a long "
        "or large clip it takes a piece that fits into a few minutes (--frames, --whole). Finished parts are "
        "kept."
    )
    example = "quantvsr demo --out demo"
    group = "other"

    clip: str | None = option(
        PATH, "Any video or folder of pictures; a bundled clip if left out.", default=None
    )
    out: str = option(PATH, "Folder for the results.", default="demo", reproducible=False)
    frames: int | None = option(INTEGER, "Number of frames; a few if left out.", default=None, least=1)
    whole: bool = option(SWITCH, "Take the whole clip, however long it takes.", default=False)

    def run(self, progress: Progress) -> CompareResult:
        """Run it."""
        from quantvsr.jobs.work.demo import demo

        return demo(self, progress)

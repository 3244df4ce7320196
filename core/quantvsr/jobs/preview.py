"""A few frames of several versions, rendered into a cache for looking at."""

from dataclasses import dataclass
from pathlib import Path

from quantvsr.jobs.base import Result, register
from quantvsr.jobs.options import INTEGER, NUMBER, PATH, SWITCH, option
from quantvsr.jobs.settings import VersionsSettings
from quantvsr.preview.keys import Scene
from quantvsr.progress import Progress


@dataclass(frozen=True, kw_only=True)
class PreviewResult(Result):
    """Rendered frames.

    Attributes:
        out: The folder that was written to.
        keys: Version to the folder of its frames below `out`.
        start, stop: Frames that are there now for every version.
        rendered: Frames that were computed now; the others were there.
        seconds: Time taken.
        bytes: Size of the whole cache.
    """

    out: Path
    keys: dict[str, str]
    start: int
    stop: int
    rendered: int
    seconds: float
    bytes: int

    def rows(self) -> list[tuple[str, str]]:
        """What is there now."""
        return [
            ("Frames", f"{self.start} to {self.stop - 1}, {self.rendered} of them rendered now"),
            ("Time", f"{self.seconds:.1f} s"),
            *((version, str(self.out / key)) for version, key in self.keys.items()),
        ]


@register("preview")
@dataclass(frozen=True, kw_only=True)
class PreviewJob(VersionsSettings):
    """Render a few frames of several versions of a clip."""

    summary = "Render a few frames of several versions into a cache of raw frames."
    details = (
        "What the desktop app does for its Compare page. The frames are the very ones that 'upscale' would "
        "give (unless a cut lies more than 40 frames before them); those that are there already are kept."
    )
    example = "quantvsr preview walk.mp4 --versions lq fp my-model-4bit --start 40 --frames 5 --out cache"

    out: str = option(PATH, "Folder of the cache.", default="preview", reproducible=False)
    first: int = option(INTEGER, "First frame of the part of the clip that is used.", default=0, least=0)
    last: int | None = option(
        INTEGER, "Frame after the last one of that part; the clip's end if left out.", default=None, least=1
    )
    measure: bool = option(
        SWITCH, "Measure each frame against ground truth and full precision.", default=False
    )
    limit: float = option(
        NUMBER, "Gigabytes that the cache may take; older frames go.", default=8.0, least=0.1,
        reproducible=False,
    )  # fmt: skip

    def scene(self) -> Scene:
        """What decides the frames besides the version."""
        return Scene(
            self.clip, self.first, self.last, self.gt, self.model, self.seed, self.steps, self.tile,
            self.overlap,
        )  # fmt: skip

    def run(self, progress: Progress) -> PreviewResult:
        """Run it."""
        from quantvsr.jobs.work.previewing import preview

        return preview(self, progress)

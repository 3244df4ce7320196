"""One HTML file from the results in a folder."""

from dataclasses import dataclass
from pathlib import Path

from quantvsr.jobs.base import Job, Result, register
from quantvsr.jobs.options import PATH, SWITCH, TEXT, option
from quantvsr.progress import Progress
from quantvsr.words import counted, megabytes


@dataclass(frozen=True, kw_only=True)
class ReportResult(Result):
    """A report.

    Attributes:
        out: The HTML file.
        size: Its bytes.
        clips, versions: How many it shows.
    """

    out: Path
    size: int
    clips: int
    versions: int

    def rows(self) -> list[tuple[str, str]]:
        """Place and size."""
        return [
            ("Shows", f"{counted(self.versions, 'version')} on {counted(self.clips, 'clip')}"),
            ("Written to", f"{self.out} ({megabytes(self.size)})"),
        ]


@register("report")
@dataclass(frozen=True, kw_only=True)
class ReportJob(Job):
    """Write an HTML report of a sweep, a comparison or a quantization."""

    summary = "Write one HTML file with tables, charts and pictures of the results in a folder."
    details = (
        "FOLDER is what 'sweep', 'compare', 'demo', 'quantize' or 'analyze' wrote, or a project. The file "
        "holds everything it shows: it can be read offline, sent and archived. What is missing is said in it."
    )
    example = "quantvsr report sweep --out report.html"
    group = "compare"

    folder: str = option(PATH, "Folder with results.", positional=True)
    out: str | None = option(
        PATH, "The HTML file; report.html in the folder if left out.", default=None, reproducible=False
    )
    pictures: bool = option(SWITCH, "Show crops and slices (makes the file larger).", default=True)
    title: str | None = option(TEXT, "Heading.", default=None)

    def run(self, progress: Progress) -> ReportResult:
        """Run it."""
        from quantvsr.jobs.work.reporting import write_report

        return write_report(self, progress)

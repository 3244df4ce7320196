"""Writing a report."""

from dataclasses import replace
from pathlib import Path

from quantvsr.files import atomic_bytes, file_for
from quantvsr.jobs.report import ReportJob, ReportResult
from quantvsr.progress import Progress
from quantvsr.report import build_report, read_folder

FILE = "report.html"


def write_report(job: ReportJob, progress: Progress) -> ReportResult:
    """Read the folder and write the file.

    Raises:
        BadInput: The folder holds no results, or the file is none.
    """
    folder = Path(job.folder).expanduser()
    target = file_for(folder / FILE if job.out is None else job.out, job.name, ".html")
    progress.check()
    progress.report(0.0, "reading")
    report = read_folder(folder, pictures=job.pictures, progress=progress.stage("read", 0.0, 0.6))
    if job.title:
        report = replace(report, title=job.title)
    progress.check()
    progress.report(0.6, "drawing")
    data = build_report(report).encode("utf-8")
    progress.check()
    atomic_bytes(target, data)
    progress.report(1.0, "done")
    versions = sum(bool(entry.figures or entry.bytes_lowbit) for entry in report.entries)
    return ReportResult(out=target, size=len(data), clips=len(report.clips), versions=versions)

"""A project on disk: settings, clips, runs and results in one folder. Imports no torch and no Qt."""

from quantvsr.project.folder import Project, ProjectLocked, is_project
from quantvsr.project.records import ExportRecord, RunRecord, RunState
from quantvsr.project.settings import ClipEntry, Settings

__all__ = [
    "ClipEntry",
    "ExportRecord",
    "Project",
    "ProjectLocked",
    "RunRecord",
    "RunState",
    "Settings",
    "is_project",
]

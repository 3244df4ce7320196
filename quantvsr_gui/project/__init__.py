"""The open project as the pages see it: values with signals, undo and redo, one shared selection."""

from quantvsr_gui.project.model import ProjectModel
from quantvsr_gui.project.selection import LayerSelection

__all__ = ["LayerSelection", "ProjectModel"]

"""The Export page: a queue of what is to be written."""

from quantvsr_gui.pages.base import Context
from quantvsr_gui.pages.export.controller import ExportController
from quantvsr_gui.pages.export.page import ExportPage


def build(context: Context) -> ExportController:
    """The page with its behaviour."""
    return ExportController(ExportPage(), context)

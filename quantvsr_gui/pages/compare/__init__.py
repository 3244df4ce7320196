"""The Compare page: versions of the same frames beside each other."""

from quantvsr_gui.pages.base import Context
from quantvsr_gui.pages.compare.controller import CompareController
from quantvsr_gui.pages.compare.page import ComparePage


def build(context: Context) -> CompareController:
    """The page with its behaviour."""
    return CompareController(ComparePage(), context)

"""The Complexity page."""

from quantvsr_gui.pages.base import Context, PageController, step_of
from quantvsr_gui.pages.complexity.controller import ComplexityController
from quantvsr_gui.pages.complexity.page import ComplexityPage


def build(context: Context) -> PageController:
    """Make the page and its controller."""
    return ComplexityController(
        ComplexityPage(step_of("complexity"), context.project.selection, context.engines.preview), context
    )

"""The Quantize page."""

from quantvsr_gui.pages.base import Context, PageController, step_of
from quantvsr_gui.pages.quantize.controller import QuantizeController
from quantvsr_gui.pages.quantize.page import QuantizePage


def build(context: Context) -> PageController:
    """Make the page and its controller."""
    return QuantizeController(QuantizePage(step_of("quantize"), context.engines.preview), context)

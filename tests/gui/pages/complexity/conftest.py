"""The Complexity page on an analysis of a made-up network."""

from collections.abc import Callable

import pytest
from pytestqt.qtbot import QtBot

from fake_analysis import make_measured, write_analysis
from quantvsr_gui.pages.base import Context
from quantvsr_gui.pages.complexity import build
from quantvsr_gui.pages.complexity.controller import ComplexityController
from quantvsr_gui.pages.complexity.data import Measured


@pytest.fixture
def measured() -> Measured:
    return make_measured()


@pytest.fixture
def analysed(context: Context, measured: Measured) -> Context:
    """The context of a project with a finished analysis."""
    write_analysis(context.project, measured)
    return context


@pytest.fixture
def open_page(qtbot: QtBot) -> Callable[[Context], ComplexityController]:
    """Builds the page and shows it."""

    def open_(context: Context) -> ComplexityController:
        controller = build(context)
        assert isinstance(controller, ComplexityController)
        qtbot.addWidget(controller.page)
        controller.page.resize(1100, 800)
        controller.page.show()
        qtbot.waitExposed(controller.page)
        return controller

    return open_

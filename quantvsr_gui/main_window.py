"""The main window: the rail of steps on the left, one page per step."""

from pathlib import Path

from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import QHBoxLayout, QListWidget, QMainWindow, QStackedWidget, QVBoxLayout, QWidget

from quantvsr import __version__
from quantvsr_gui.compare_controller import CompareController
from quantvsr_gui.compare_page import ComparePage
from quantvsr_gui.engine import Engine
from quantvsr_gui.pages import EmptyPage, label
from quantvsr_gui.steps import STEPS

_RAIL_WIDTH = 190


class MainWindow(QMainWindow):
    """The window; closing it ends the engine."""

    def __init__(self, results: Path, engine: Engine | None = None) -> None:
        """Make the window.

        Args:
            results: Folder of the demo's results.
            engine: Runs the jobs; a real one if left out.
        """
        super().__init__()
        self.setWindowTitle("QuantVSR Studio")
        self.resize(1180, 780)
        self.setMinimumSize(940, 600)
        self._engine = engine or Engine()
        self._engine.setParent(self)

        self.rail = QListWidget()
        self.rail.setObjectName("steps")
        self.rail.setAccessibleName("Steps")
        self.pages = QStackedWidget()
        for step in STEPS:
            self.rail.addItem(step.title)
            self.rail.item(self.rail.count() - 1).setToolTip(step.summary)
            if step.key == "compare":
                page = ComparePage(step)
                self.compare = CompareController(page, self._engine, results)
                self.pages.addWidget(page)
            else:
                self.pages.addWidget(EmptyPage(step))
        self.rail.currentRowChanged.connect(self.pages.setCurrentIndex)

        side = QWidget()
        side.setObjectName("rail")
        side.setFixedWidth(_RAIL_WIDTH)
        column = QVBoxLayout(side)
        column.setContentsMargins(12, 22, 12, 14)
        column.setSpacing(14)
        column.addWidget(label("QuantVSR Studio", "brand"))
        column.addWidget(self.rail, 1)
        column.addWidget(label(f"Version {__version__}", "version"))

        whole = QWidget()
        row = QHBoxLayout(whole)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        row.addWidget(side)
        row.addWidget(self.pages, 1)
        self.setCentralWidget(whole)
        # The only page that shows something today.
        self.show_step("compare")

    def show_step(self, key: str) -> None:
        """Go to a step's page."""
        self.rail.setCurrentRow([step.key for step in STEPS].index(key))

    def closeEvent(self, event: QCloseEvent) -> None:
        """End the engine with the window."""
        self._engine.shut_down()
        super().closeEvent(event)

"""The Compare page's layout: two pictures, a frame slider, a table of figures, the demo's controls.

Holds no behaviour; `compare_controller.py` does.
"""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QComboBox,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from quantvsr_gui.image_view import ImageView
from quantvsr_gui.pages import Page, label
from quantvsr_gui.results import Row
from quantvsr_gui.steps import Step


class Side(QWidget):
    """One of the two pictures, with the choice of what it shows."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.choice = QComboBox()
        self.choice.setAccessibleName(f"{name} picture shows")
        self.choice.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.choice.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        self.view = ImageView()
        self.view.setAccessibleName(f"{name} picture")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addWidget(self.choice)
        column.addWidget(self.view, 1)


class Figures(QFrame):
    """The table of figures."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("card")
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(18, 12, 18, 12)
        self._grid.setHorizontalSpacing(22)
        self._grid.setVerticalSpacing(5)
        self._grid.setColumnStretch(0, 1)

    def show_rows(self, rows: list[Row], low_bit: str) -> None:
        """Replace the table's content; `low_bit` names the bits, such as W4A4."""
        while (item := self._grid.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.setParent(None)
                widget.deleteLater()
        for column, text in enumerate(("", "Full precision", f"{low_bit}, refined", f"{low_bit}, min-max")):
            self._add(label(text, "muted"), 0, column)
        for line, row in enumerate(rows, start=1):
            name = label(row.label)
            name.setToolTip(row.meaning)
            self._add(name, line, 0)
            for column, text in enumerate((row.fp, row.lowbit, row.minmax), start=1):
                self._add(label(text or "–", "figure" if text else "muted", selectable=True), line, column)

    def texts(self) -> list[str]:
        """What the table shows, cell by cell."""
        widgets = [self._grid.itemAt(i).widget() for i in range(self._grid.count())]
        return [widget.text() for widget in widgets if isinstance(widget, QLabel)]

    def _add(self, cell: QLabel, line: int, column: int) -> None:
        side = Qt.AlignmentFlag.AlignLeft if column == 0 else Qt.AlignmentFlag.AlignRight
        self._grid.addWidget(cell, line, column, side | Qt.AlignmentFlag.AlignVCenter)


class ComparePage(Page):
    """All widgets of the page, by name."""

    def __init__(self, step: Step) -> None:
        super().__init__(step)
        self.run_button = QPushButton("Run the demo")
        self.run_button.setObjectName("primary")
        self.run_button.setToolTip(
            "Quantize the bundled model to 4 bits and enlarge a bundled clip with both"
        )
        self.cancel_button = QPushButton("Cancel")
        self.progress = QProgressBar()
        self.progress.setRange(0, 1000)
        self.progress.setTextVisible(False)
        self.progress.setAccessibleName("Progress of the demo")
        self.status = label("", "muted", wrap=True)
        self.status.setAccessibleName("State of the demo")
        self.status.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)

        controls = QHBoxLayout()
        controls.setSpacing(10)
        controls.addWidget(self.run_button)
        controls.addWidget(self.cancel_button)
        controls.addSpacing(6)
        controls.addWidget(self.status, 1)
        self.body.addLayout(controls)
        self.body.addSpacing(6)
        self.body.addWidget(self.progress)
        self.body.addSpacing(10)

        self.empty = QFrame()
        self.empty.setObjectName("card")
        words = QVBoxLayout(self.empty)
        words.setContentsMargins(22, 18, 22, 20)
        words.setSpacing(8)
        words.addWidget(label("Nothing to compare yet.", "heading"))
        words.addWidget(
            label(
                "The demo takes a bundled clip, quantizes the bundled model to 4 bits, enlarges the clip "
                "with both models and shows them here with their figures. It runs on this computer and takes "
                "some minutes.",
                wrap=True,
            )
        )
        self.empty.setMaximumWidth(720)

        self.left, self.right = Side("Left"), Side("Right")
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName("Frame")
        self.frame_label = label("", "muted")
        self.figures = Figures()
        pictures = QHBoxLayout()
        pictures.setSpacing(12)
        pictures.addWidget(self.left, 1)
        pictures.addWidget(self.right, 1)
        timeline = QHBoxLayout()
        timeline.setSpacing(12)
        timeline.addWidget(self.slider, 1)
        timeline.addWidget(self.frame_label)
        self.comparison = QWidget()
        column = QVBoxLayout(self.comparison)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(10)
        column.addLayout(pictures, 1)
        column.addLayout(timeline)
        column.addWidget(self.figures)

        self.body.addWidget(self.empty)
        self.body.addWidget(self.comparison, 1)
        self.body.addStretch(0)

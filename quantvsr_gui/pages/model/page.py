"""Layout of the Model page."""

from PySide6.QtWidgets import QGridLayout, QHeaderView, QSizePolicy, QVBoxLayout, QWidget

from quantvsr_gui.pages.base import Page, step_of
from quantvsr_gui.pages.model.layers import KIND, MACS, NAME, PARAMETERS, SHAPE, LayersModel
from quantvsr_gui.pages.model.running import RunningForm
from quantvsr_gui.widgets.card import Card, row
from quantvsr_gui.widgets.table import SearchTable
from quantvsr_gui.widgets.text import button, label


class ModelPage(Page):
    """Choice of the model, what was recognised, table of layers."""

    def __init__(self, layers: LayersModel) -> None:
        super().__init__(step_of("model"))
        self.bundled_button = button("Bundled model", tip="The small model that comes with the program")
        self.folder_button = button("Open a folder…", tip="A model's folder as diffusers writes it")
        self.file_button = button("Open a file…", tip="A checkpoint file, full precision or quantized")
        self.card = Card("Model")
        for made in (self.bundled_button, self.folder_button, self.file_button):
            self.card.head.addWidget(made)
        self.facts = Facts()
        self.running = RunningForm()
        self.card.body.addLayout(row(self.facts, self.running, spacing=32))
        self.body.addWidget(self.card)

        self.table_card = Card("Layers")
        self.table = SearchTable(layers, "Layers of the model")
        self.summary = label("", "muted")
        self.exclude_button = button("Leave out", tip="Keep the selected layers in full precision")
        self.include_button = button("Quantize", tip="Quantize the selected layers")
        self.reset_button = button("Reset", tip="Quantize all layers that can be quantized")
        for number, made in enumerate((self.exclude_button, self.include_button, self.reset_button), start=1):
            self.table.controls.insertWidget(number, made)
        self.table_card.body.addWidget(self.table, 1)
        self.table_card.body.addWidget(self.summary)
        header = self.table.view.horizontalHeader()
        for column, width in ((NAME, 216), (KIND, 80), (SHAPE, 168), (PARAMETERS, 104), (MACS, 88)):
            header.resizeSection(column, width)
        header.setSectionResizeMode(NAME, QHeaderView.ResizeMode.Interactive)
        self.body.addWidget(self.table_card, 1)


class Facts(QWidget):
    """Label and value, two columns of them."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._holder: QWidget | None = None

    def show_rows(self, rows: list[tuple[str, str]]) -> None:
        """Replace all rows."""
        if self._holder is not None:
            self._column.removeWidget(self._holder)
            self._holder.hide()
            self._holder.deleteLater()
        self._holder = QWidget()
        grid = QGridLayout(self._holder)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(16)
        grid.setVerticalSpacing(4)
        grid.setColumnStretch(1, 1)
        for line, (name, text) in enumerate(rows):
            grid.addWidget(label(name, "muted"), line, 0)
            value = label(text, wrap=True, selectable=True)
            value.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
            value.setAccessibleName(f"{name}: {text}")
            grid.addWidget(value, line, 1)
        # What is left below stays below.
        grid.setRowStretch(len(rows), 1)
        self._column.addWidget(self._holder)

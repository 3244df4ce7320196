"""A number that is dragged or typed."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QSlider, QSpinBox, QWidget

BOX_WIDTH = 76  # of spin boxes with a few digits


class NumberSlider(QWidget):
    """A slider with a spin box.

    Signals:
        edited: A person changed the value.
        released: The slider was let go: what follows is another edit.
    """

    edited = Signal(int)
    released = Signal()

    def __init__(
        self, name: str, least: int, most: int, *, suffix: str = "", parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(least, most)
        self.slider.setAccessibleName(f"{name}, slider")
        self.slider.setMinimumWidth(40)
        self.box = QSpinBox()
        self.box.setRange(least, most)
        self.box.setSuffix(suffix)
        self.box.setAccessibleName(name)
        self.box.setFixedWidth(BOX_WIDTH)
        line = QHBoxLayout(self)
        line.setContentsMargins(0, 0, 0, 0)
        line.setSpacing(8)
        line.addWidget(self.slider, 1)
        line.addWidget(self.box)
        self.slider.valueChanged.connect(self._moved)
        self.box.valueChanged.connect(self._moved)
        self.slider.sliderReleased.connect(self.released)
        self.box.editingFinished.connect(self.released)

    @property
    def value(self) -> int:
        """The value shown."""
        return self.box.value()

    def show_value(self, value: int) -> None:
        """Show a value without telling anybody."""
        for part in (self.slider, self.box):
            part.blockSignals(True)
            part.setValue(value)
            part.blockSignals(False)

    def _moved(self, value: int) -> None:
        self.show_value(value)
        self.edited.emit(value)

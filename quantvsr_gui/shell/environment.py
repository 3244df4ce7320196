"""What program and machine this is, as text that can be copied into a report."""

import contextlib
import platform
import shutil
from typing import Any

import PySide6
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QDialog, QPlainTextEdit, QVBoxLayout, QWidget

from quantvsr import __version__
from quantvsr.jobs import InfoJob
from quantvsr_gui.engine import Engine, JobHandle
from quantvsr_gui.widgets.card import row
from quantvsr_gui.widgets.text import button, label, size


class Environment(QDialog):
    """Asks the engine (which knows torch and the GPUs) and shows its answer.

    Args:
        engine: The engine for quick looks.
        folder: Whose disk is of interest; empty for that of the program.
        parent: The window.
    """

    def __init__(self, engine: Engine, folder: str, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Environment")
        self.resize(640, 480)
        self._folder = folder
        self.text = QPlainTextEdit()
        self.text.setReadOnly(True)
        self.text.setAccessibleName("Environment")
        self.note = label("", "muted", wrap=True)
        self.copy_button = button("Copy", "primary", "Copy the text for a report", self.copy)
        self.close_button = button("Close", clicked=self.close)
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 16, 16, 16)
        column.setSpacing(8)
        column.addWidget(self.text, 1)
        column.addWidget(self.note)
        column.addLayout(row(None, self.copy_button, self.close_button))
        self._handle: JobHandle = engine.submit(InfoJob())
        self._handle.succeeded.connect(self._show)
        self._handle.failed.connect(self._failed)
        self._lines = [
            f"QuantVSR Studio {__version__}",
            f"System: {platform.platform()}",
            f"Python {platform.python_version()}, Qt {PySide6.__version__}",
            f"Screen: {_screen()}",
        ]
        self.text.setPlainText("\n".join(self._lines))
        self.note.setText("Asking the engine…")

    def copy(self) -> None:
        """Copy the text."""
        QGuiApplication.clipboard().setText(self.text.toPlainText())
        self.note.setText("Copied.")

    def _show(self, result: dict[str, Any]) -> None:
        cpu, disk = result["cpu"], result["disk"]
        versions = ", ".join(f"{name} {version or 'missing'}" for name, version in result["versions"].items())
        gpus = [f"GPU: {gpu['name']}, {size(gpu['memory'])}, {gpu['device']}" for gpu in result["gpus"]]
        features = ", ".join(cpu["features"]) or "none of those that matter"
        self._lines += [
            f"Libraries: {versions}",
            f"Processor: {cpu['name']}, {cpu['cores']} cores, features: {features}",
            f"Memory: {size(result['memory'])}",
            *(gpus or ["GPU: none that can be used"]),
            f"Disk: {size(disk['free'])} free of {size(disk['total'])} at {disk['path']}",
            f"Execution of quantized layers: {', '.join(result['execution'])}",
        ]
        if self._folder:
            with contextlib.suppress(OSError):
                free = size(shutil.disk_usage(self._folder).free)
                self._lines.append(f"Project: {self._folder}, {free} free")
        self.text.setPlainText("\n".join(self._lines))
        self.note.setText("")

    def _failed(self, reason: str) -> None:
        self._lines.append(f"Engine: {reason}")
        self.text.setPlainText("\n".join(self._lines))
        self.note.setText("The engine could not be asked.")

    def done(self, result: int) -> None:
        """Stop asking when it is closed."""
        self._handle.cancel()
        super().done(result)


def _screen() -> str:
    screen = QGuiApplication.primaryScreen()
    edges = screen.geometry()
    ratio = screen.devicePixelRatio()
    return f"{edges.width()} x {edges.height()} at {ratio:g}x, {QGuiApplication.platformName()}"

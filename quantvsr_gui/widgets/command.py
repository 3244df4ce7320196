"""The command line that does what a button does, for the clipboard."""

from collections.abc import Callable

from PySide6.QtCore import QTimer
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QPushButton, QWidget

from quantvsr.errors import QuantVSRError
from quantvsr.jobs.base import Job


class CopyCommand(QPushButton):
    """Copies a job's command line to the clipboard.

    Args:
        job: Makes the job as it would be started now; None, or an error of the user, where it cannot.
    """

    def __init__(self, job: Callable[[], Job | None], parent: QWidget | None = None) -> None:
        super().__init__("Copy as command", parent)
        self.setProperty("look", "link")
        self.setToolTip("Copy the command line that does the same")
        self.setAutoDefault(False)
        self._job = job
        self._back = QTimer(self)
        self._back.setSingleShot(True)
        self._back.setInterval(2000)
        self._back.timeout.connect(lambda: self.setText("Copy as command"))
        self.clicked.connect(self.copy)

    def copy(self) -> None:
        """Copy it, and say so for a moment."""
        try:
            job = self._job()
        except QuantVSRError as error:
            self._say(str(error))
            return
        if job is not None:
            QGuiApplication.clipboard().setText(job.command())
            self._say("Copied")
        else:
            self._say("Nothing to run yet")

    def _say(self, text: str) -> None:
        self.setText(text)
        self._back.start()

"""Start the desktop app."""

import signal
import sys
from pathlib import Path

from PySide6.QtCore import QStandardPaths, QTimer
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QApplication

from quantvsr.resources import resource
from quantvsr_gui import theme
from quantvsr_gui.main_window import MainWindow


def make_application(arguments: list[str]) -> QApplication:
    """The application object, with name, icon and look."""
    app = QApplication(arguments)
    app.setApplicationName("QuantVSR Studio")
    app.setOrganizationName("QuantVSR")
    app.setDesktopFileName("quantvsr-studio")
    app.setWindowIcon(QIcon(str(resource("icons/quantvsr-studio.svg"))))
    theme.apply(app)
    return app


def default_results() -> Path:
    """Where an installed app keeps the demo's results: the user's data folder."""
    location = QStandardPaths.StandardLocation.AppLocalDataLocation
    return Path(QStandardPaths.writableLocation(location)) / "demo"


def main(results: Path | None = None) -> int:
    """Open the window and run until it is closed; returns the exit code.

    With `--check` among the arguments the window closes by itself as soon as it has been shown.
    """
    app = make_application(sys.argv)
    window = MainWindow(results or default_results())
    window.show()
    if "--check" in sys.argv[1:]:
        QTimer.singleShot(0, window.close)
    # Ctrl-C in the terminal closes the window properly. Python sees a signal only while it runs some code.
    signal.signal(signal.SIGINT, lambda *_: window.close())
    awake = QTimer()
    awake.timeout.connect(lambda: None)
    awake.start(250)
    return app.exec()


if __name__ == "__main__":
    sys.exit(main())

"""Start the desktop app."""

import signal
import sys
from pathlib import Path

from PySide6.QtCore import QStandardPaths, QTimer
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QApplication

from quantvsr.resources import resource
from quantvsr_gui.shell.settings import SettingsStore
from quantvsr_gui.shell.theme import ThemeManager
from quantvsr_gui.shell.window import MainWindow


def make_application(arguments: list[str]) -> QApplication:
    """The application object, with name and icon."""
    app = QApplication(arguments)
    app.setApplicationName("QuantVSR Studio")
    app.setOrganizationName("QuantVSR")
    app.setDesktopFileName("quantvsr-studio")
    app.setWindowIcon(QIcon(str(resource("icons/quantvsr-studio.svg"))))
    return app


def folders() -> tuple[Path, Path]:
    """The user's folders for the app's settings and data."""
    kinds = QStandardPaths.StandardLocation
    places = (kinds.AppConfigLocation, kinds.AppLocalDataLocation)
    config, data = (Path(QStandardPaths.writableLocation(place)) for place in places)
    return config, data


def make_window(app: QApplication, config: Path, data: Path) -> MainWindow:
    """The window with the settings kept in `config` and the example project in `data`."""
    settings = SettingsStore(config / "settings.json", app)
    return MainWindow(settings, ThemeManager(app, settings.value.theme), data)


def main() -> int:
    """Open the window and run until it is closed; returns the exit code.

    A project's folder among the arguments is opened. With `--check` the window closes by itself as soon as
    it has been shown.
    """
    app = make_application(sys.argv)
    window = make_window(app, *folders())
    window.show()
    named = [Path(text) for text in app.arguments()[1:] if not text.startswith("-")]
    checking = "--check" in sys.argv[1:]

    def begin() -> None:
        if checking:
            window.close()
        elif named:
            window.projects.open(named[0])
            window.prewarm()
        else:
            window.projects.open_first()
            window.tools.offer_tour()
            window.prewarm()

    QTimer.singleShot(0, begin)
    # Ctrl-C in the terminal closes the window properly. Python sees a signal only while it runs some code.
    signal.signal(signal.SIGINT, lambda *_: window.close())
    awake = QTimer()
    awake.timeout.connect(lambda: None)
    awake.start(250)
    return app.exec()


if __name__ == "__main__":
    sys.exit(main())

"""Windows beside the pages: palette, shortcuts, environment, the saved log, the tour."""

from PySide6.QtCore import QObject, Qt
from PySide6.QtWidgets import QDialog, QWidget

from quantvsr.errors import QuantVSRError
from quantvsr.files import atomic_bytes
from quantvsr_gui.pages.base import Context
from quantvsr_gui.shell.actions import Action
from quantvsr_gui.shell.environment import Environment
from quantvsr_gui.shell.log import LogPanel
from quantvsr_gui.shell.palette import Palette
from quantvsr_gui.shell.projects import Projects
from quantvsr_gui.shell.shortcuts import Shortcuts
from quantvsr_gui.shell.tour import Tour
from quantvsr_gui.widgets.banner import Messages


class Tools(QObject):
    """Opens them.

    Args:
        window: Their parent.
        context: What pages get too.
        projects: Opens the example for the tour.
        messages: Where failures and the offer of the tour are shown.
        log: What is saved.
        tour: Shown when it is asked for.
    """

    def __init__(
        self,
        window: QWidget,
        context: Context,
        projects: Projects,
        messages: Messages,
        log: LogPanel,
        tour: Tour,
    ) -> None:
        super().__init__(window)
        self._window, self._context, self._projects = window, context, projects
        self._messages, self._log = messages, log
        self.tour = tour
        context.actions.add(
            Action("edit.palette", "Find a command…", self.show_palette, "Edit", "Ctrl+K"),
            Action("view.save-log", "Save the log…", self.save_log, "View"),
            Action("help.tour", "Tour", self.start_tour, "Help", "F1"),
            Action("help.shortcuts", "Keyboard shortcuts…", self.show_shortcuts, "Help"),
            Action("help.environment", "Environment…", self.show_environment, "Help"),
        )

    def show_palette(self) -> None:
        """Open the command palette."""
        palette = Palette(self._context.actions, self._window)
        palette.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        palette.open_above(self._window)

    def show_shortcuts(self) -> None:
        """Open the list of shortcuts."""
        self._open(Shortcuts(self._context.actions, self._window))

    def show_environment(self) -> None:
        """Say what machine this is."""
        project = self._context.project.project
        folder = "" if project is None else str(project.folder)
        self._open(Environment(self._context.engines.preview, folder, self._window))

    def save_log(self) -> None:
        """Write the log to a file."""
        for path in self._context.ask_files("save", "Save the log", "quantvsr-log.txt", "Text (*.txt)"):
            try:
                atomic_bytes(path, self._log.content().encode("utf-8"))
            except (QuantVSRError, OSError) as error:
                self._messages.show_message(str(error), "alert", key="log")

    def start_tour(self) -> None:
        """Walk through the pages."""
        self._messages.clear("tour")
        if not self._context.project.is_open:
            self._projects.open_demo()
        self.tour.begin()

    def offer_tour(self) -> None:
        """At the first start: offer the tour once."""
        settings = self._context.settings
        if settings.value.tour_seen or not self._context.project.is_open:
            return
        text = "Welcome. This example project has a finished result on every page."
        self._messages.show_message(text, "info", {"Take the tour": self.start_tour}, "tour")
        settings.change(tour_seen=True)

    def _open(self, dialog: QDialog) -> None:
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()

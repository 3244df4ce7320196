"""The main window: the rail of steps on the left, one page per step, messages above, the log below."""

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QByteArray, Qt, QTimer
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import (
    QListWidget,
    QMainWindow,
    QSplitter,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from quantvsr import __version__
from quantvsr_gui.engine import Engines
from quantvsr_gui.pages.base import Context, PageController, builder
from quantvsr_gui.pages.steps import STEPS
from quantvsr_gui.project import ProjectModel
from quantvsr_gui.shell import dialogs
from quantvsr_gui.shell.actions import Action, Actions
from quantvsr_gui.shell.log import LogPanel
from quantvsr_gui.shell.menus import Menus, window_actions
from quantvsr_gui.shell.projects import Projects
from quantvsr_gui.shell.settings import SettingsStore
from quantvsr_gui.shell.status import EngineStatus
from quantvsr_gui.shell.theme import ThemeManager
from quantvsr_gui.shell.tools import Tools
from quantvsr_gui.shell.tour import Tour
from quantvsr_gui.shell.watch import EngineWatch
from quantvsr_gui.shell.welcome import Welcome
from quantvsr_gui.widgets.banner import Messages
from quantvsr_gui.widgets.card import row
from quantvsr_gui.widgets.drop import DropTarget
from quantvsr_gui.widgets.text import label

_RAIL_WIDTH = 184
_IDLE_MS = 300


class MainWindow(QMainWindow):
    """The window; closing it saves the project and ends the engines.

    Args:
        settings: The app's own settings.
        theme: The look.
        home: The user's data folder, for the copy of the bundled project.
        engines: Real ones if left out.
        ask_files: Asks for paths; the system's dialogs if left out.
        ask_close: Asks whether to close while a job runs; a dialog if left out.
    """

    def __init__(
        self,
        settings: SettingsStore,
        theme: ThemeManager,
        home: Path,
        engines: Engines | None = None,
        ask_files=None,
        ask_close=None,
    ) -> None:
        super().__init__()
        self.setWindowTitle("QuantVSR Studio")
        self.resize(1280, 832)
        self.setMinimumSize(960, 640)
        self.settings, self.theme = settings, theme
        self.engines = engines or Engines()
        self.project = ProjectModel(self)
        self.actions_ = Actions(self, settings)
        self._controllers: dict[str, PageController] = {}
        self._front = ""
        # Between two pages there is time for what the user does.
        self._idle = QTimer(self)
        self._idle.setSingleShot(True)
        self._idle.setInterval(_IDLE_MS)
        self._idle.timeout.connect(self._make_next)
        self._ask_close = ask_close or self._ask_by_dialog
        ask = ask_files or (lambda kind, title, *more: dialogs.ask_files(self, kind, title, *more))

        self.messages = Messages()
        self.projects = Projects(
            self.project, settings, self.messages, ask, home, lambda: self.engines.at_work
        )
        self.context = Context(
            self.project,
            self.engines,
            self.actions_,
            theme,
            settings,
            self.show_step,
            self.messages.show_message,
            ask,
        )
        self.log = LogPanel()
        self._build()
        self._add_actions()
        self._connect()
        self._project_opened()

    # Layout

    def _build(self) -> None:
        self.rail = QListWidget()
        self.rail.setProperty("look", "steps")
        self.rail.setAccessibleName("Steps")
        self.rail.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.pages = QStackedWidget()
        self._places: dict[str, QWidget] = {}
        for step in STEPS:
            self.rail.addItem(step.title)
            self.rail.item(self.rail.count() - 1).setToolTip(step.summary)
            # Pages are made when they are first shown: the window opens sooner.
            place = self._places[step.key] = QWidget()
            QVBoxLayout(place).setContentsMargins(0, 0, 0, 0)
            self.pages.addWidget(place)
        self.welcome = Welcome(self.projects, self.settings)
        self.pages.addWidget(self.welcome)

        self.project_name = label("", "muted", wrap=True)
        self.status = EngineStatus(self.engines)
        side = QWidget()
        side.setProperty("look", "rail")
        side.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        side.setFixedWidth(_RAIL_WIDTH)
        column = QVBoxLayout(side)
        column.setContentsMargins(12, 16, 12, 12)
        column.setSpacing(4)
        column.addWidget(label("QuantVSR Studio", "brand"))
        column.addWidget(self.project_name)
        column.addSpacing(12)
        column.addWidget(self.rail, 1)
        self.tour = Tour(self.show_step, self.rail.setFocus)
        column.addWidget(self.tour)
        column.addSpacing(8)
        column.addWidget(self.status)
        column.addWidget(label(f"Version {__version__}", "small"))

        above = QWidget()
        inner = QVBoxLayout(above)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.setSpacing(0)
        holder = QWidget()
        line = row(self.messages)
        line.setContentsMargins(24, 8, 24, 0)
        holder.setLayout(line)
        inner.addWidget(holder)
        inner.addWidget(self.pages, 1)
        self.splitter = QSplitter(Qt.Orientation.Vertical)
        self.splitter.addWidget(above)
        self.splitter.addWidget(self.log)
        self.splitter.setStretchFactor(0, 1)
        self.splitter.setCollapsible(0, False)
        self.splitter.setSizes([600, 200])
        whole = QWidget()
        whole.setLayout(row(side, self.splitter, spacing=0))
        self.setCentralWidget(whole)
        DropTarget(whole, self.take)

    def _connect(self) -> None:
        self.rail.currentRowChanged.connect(self._row_chosen)
        self.project.opened.connect(self._project_opened)
        self.log.save_button.clicked.connect(self.tools.save_log)
        self.log.close_button.clicked.connect(lambda: self.settings.change(log_shown=False))
        self.settings.changed.connect(self._apply_settings)
        self.watch = EngineWatch(self.engines, self.messages, self.log, self.show_step, lambda: self._front)
        if self.settings.value.window:
            self.restoreGeometry(QByteArray.fromBase64(self.settings.value.window.encode("ascii")))
        self._apply_settings()

    def _apply_settings(self) -> None:
        self.log.setVisible(self.settings.value.log_shown)
        self.theme.set_mode(self.settings.value.theme)
        self.actions_.refresh()

    # Actions

    def _add_actions(self) -> None:
        self.actions_.add(
            *window_actions(self.projects, self.project, self.settings, self.show_step),
            Action("file.quit", "Quit", self.close, "File", "Ctrl+Q"),
        )
        self.tools = Tools(self, self.context, self.projects, self.messages, self.log, self.tour)
        self.menus = Menus(self.menuBar(), self.actions_, self.projects, self.settings)
        stack = self.project.undo_stack
        stack.undoTextChanged.connect(lambda text: self._name_undo("edit.undo", "Undo", text))
        stack.redoTextChanged.connect(lambda text: self._name_undo("edit.redo", "Redo", text))
        stack.indexChanged.connect(lambda _: self.actions_.refresh())

    def _name_undo(self, action_id: str, verb: str, text: str) -> None:
        self.actions_.action(action_id).setText(f"{verb}: {text}" if text else verb)

    # Pages

    def show_step(self, key: str) -> None:
        """Go to a step's page."""
        self.rail.setCurrentRow([step.key for step in STEPS].index(key))

    def controller(self, key: str) -> PageController:
        """The controller of a page; the page is made if it has not been shown yet."""
        if key not in self._controllers:
            controller = builder(key)(self.context)
            layout = self._places[key].layout()
            assert layout is not None
            layout.addWidget(controller.page)
            self._controllers[key] = controller
        return self._controllers[key]

    def _row_chosen(self, number: int) -> None:
        if not self.project.is_open or number < 0:
            return
        key = STEPS[number].key
        if self._front in self._controllers and self._front != key:
            self._controllers[self._front].hidden()
        self._front = key
        self.messages.clear("done")
        walking = self.rail.hasFocus()
        controller = self.controller(key)
        self.pages.setCurrentWidget(self._places[key])
        self.project.set_view("window", page=key)
        controller.shown()
        if walking:
            # Arrow keys go on from step to step, whatever a page does with the focus.
            self.rail.setFocus()
        self.actions_.refresh()

    def _project_opened(self) -> None:
        project = self.project.project
        self.rail.setEnabled(project is not None)
        if project is None:
            if self._front in self._controllers:
                self._controllers[self._front].hidden()
            self._front = ""
            self.rail.setCurrentRow(-1)
            self.setWindowTitle("QuantVSR Studio")
            self.project_name.setText("No project")
            self.welcome.refresh()
            self.pages.setCurrentWidget(self.welcome)
        else:
            self.setWindowTitle(f"{project.name} - QuantVSR Studio")
            self.project_name.setText(project.name + (" (reading)" if project.read_only else ""))
            self.project_name.setToolTip(str(project.folder))
            keys = [step.key for step in STEPS]
            wanted = self.project.view("window").get("page")
            number = keys.index(wanted) if wanted in keys else 0
            self.rail.setCurrentRow(number)
            self.rail.setFocus()
            self._row_chosen(number)
        self.actions_.refresh()

    def take(self, paths: Sequence[Path]) -> None:
        """Files were dropped: a project is opened, the rest goes to the page in front, then to Clips."""
        rest = self.projects.take(paths)
        if rest and self.project.is_open and self._front:
            rest = self.controller(self._front).take(rest)
            if rest and self._front != "clips":
                # Whatever else it is may be a clip; there it is seen what becomes of it.
                self.show_step("clips")
                rest = self.controller("clips").take(rest)
        if rest:
            names = ", ".join(path.name for path in rest[:3]) + (" and others" if len(rest) > 3 else "")
            text = f"{names} cannot be used here; drop videos, folders of pictures, models or projects."
            self.messages.show_message(text, "warning", key="drop")

    # Closing

    def closeEvent(self, event: QCloseEvent) -> None:
        """Ask while a job runs; then end everything."""
        if self.engines.at_work and not self._ask_close():
            event.ignore()
            return
        self.shut_down()
        super().closeEvent(event)

    def shut_down(self) -> None:
        """Save, end the engines and wait for them."""
        self._idle.stop()
        geometry = bytes(self.saveGeometry().toBase64().data()).decode("ascii")
        self.settings.change(window=geometry)
        self.settings.save()
        self.engines.shut_down()
        self.project.close()

    def _ask_by_dialog(self) -> bool:
        from PySide6.QtWidgets import QMessageBox

        box = QMessageBox(self)
        box.setIcon(QMessageBox.Icon.Question)
        box.setWindowTitle("A job is running")
        box.setText("A job is still running. Close anyway?")
        kept = "What it has done so far is kept; you can continue it later."
        trial = "It trains changed layers, and begins anew when you try them again."
        box.setInformativeText(kept if self.engines.work.busy else trial)
        close = box.addButton("Close", QMessageBox.ButtonRole.AcceptRole)
        stay = box.addButton("Keep running", QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(stay)
        box.exec()
        return box.clickedButton() is close

    def prewarm(self) -> None:
        """Once the window is shown: load the preview engine, and make the pages that nobody has opened yet.

        Pages bring their commands along, so that the palette and the menus know all of them.
        """
        self._idle.start()

    def _make_next(self) -> None:
        if not self.engines.preview.process_id:
            self.engines.preview.prepare()
        missing = [step.key for step in STEPS if step.key not in self._controllers]
        if missing and self.project.is_open:
            self.controller(missing[0])
        if missing:
            self._idle.start()

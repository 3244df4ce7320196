"""Opening, making, copying and closing projects; files stay where a person put them."""

from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import QObject

from quantvsr.errors import QuantVSRError
from quantvsr.project import Project, ProjectLocked, is_project
from quantvsr.project.folder import SUFFIX
from quantvsr.resources import resource
from quantvsr_gui.project import ProjectModel
from quantvsr_gui.shell.settings import SettingsStore
from quantvsr_gui.widgets.banner import Messages

DEMO = "projects/demo.qvsr"
_KEY = "project"


class Projects(QObject):
    """The File menu's behaviour.

    Args:
        model: The open project.
        settings: Keeps the recent ones.
        messages: Where failures are shown.
        ask_files: Asks for paths.
        home: Folder where the copy of the bundled project is kept.
        busy: Whether a job of the open project runs: it keeps its project.
    """

    def __init__(
        self,
        model: ProjectModel,
        settings: SettingsStore,
        messages: Messages,
        ask_files: Callable[..., list[str]],
        home: Path,
        busy: Callable[[], bool] = lambda: False,
    ) -> None:
        super().__init__(model)
        self._model, self._settings, self._messages = model, settings, messages
        self._ask, self._home, self._busy = ask_files, home, busy
        model.save_failed.connect(self._save_failed)
        model.saved.connect(lambda: messages.clear("save"))

    def open_first(self) -> None:
        """At the start: the project open last, or the bundled one at the very first start."""
        recent = self._settings.value.recent
        if recent:
            if is_project(recent[0]):
                self.open(Path(recent[0]))
        else:
            self.open_demo()

    def open(self, folder: Path, *, read_only: bool = False) -> bool:
        """Open a project; says why where it cannot be, and keeps the one before."""
        if folder.name == "project.json":
            folder = folder.parent
        current = self._model.project
        again = current is not None and current.folder == folder.absolute()
        if again and current is not None and (not current.read_only or read_only):
            return True
        if self._held():
            return False
        try:
            project = Project.open(folder, read_only=read_only)
        except ProjectLocked as error:
            actions = {"Open for reading": lambda: self.open(folder, read_only=True)}
            self._messages.show_message(str(error), "warning", actions, _KEY)
            return False
        except QuantVSRError as error:
            self._messages.show_message(str(error), "alert", key=_KEY)
            if not is_project(folder):
                self._settings.remove_recent(folder)
            return False
        self._show(project)
        return True

    def open_demo(self) -> None:
        """Open the user's copy of the bundled project; it is made where there is none."""
        copy = self._home / "demo.qvsr"
        try:
            if not is_project(copy):
                bundled = Project.open(resource(DEMO), read_only=True)
                bundled.copy_to(copy, cache=True)
        except QuantVSRError as error:
            self._messages.show_message(str(error), "warning", key=_KEY)
            return
        self.open(copy)

    def ask_open(self) -> None:
        """Ask which project to open."""
        for path in self._ask("folder", "Open a project (a folder that ends in .qvsr)", self._start()):
            self.open(Path(path))

    def ask_new(self) -> None:
        """Ask for the new project's name."""
        suggestion = str(Path(self._start()) / f"Untitled{SUFFIX}")
        for path in self._ask("save", "New project", suggestion, f"Projects (*{SUFFIX})"):
            self.new(_named(path))

    def new(self, folder: Path) -> bool:
        """Make a project and open it."""
        if self._held():
            return False
        try:
            project = Project.create(folder)
        except (QuantVSRError, OSError) as error:
            self._messages.show_message(str(error), "alert", key=_KEY)
            return False
        self._show(project)
        return True

    def ask_save_as(self) -> None:
        """Ask where the copy goes."""
        project = self._model.project
        if project is None:
            return
        suggestion = str(Path(self._start()) / f"{project.name} copy{SUFFIX}")
        for path in self._ask("save", "Save the project as", suggestion, f"Projects (*{SUFFIX})"):
            self.save_as(_named(path))

    def save_as(self, folder: Path) -> bool:
        """Copy the project, with what has not been saved, and go on with the copy."""
        project = self._model.project
        if project is None or self._held():
            return False
        self._model.save()
        try:
            target = project.copy_to(folder)
        except (QuantVSRError, OSError) as error:
            self._messages.show_message(str(error), "alert", key=_KEY)
            return False
        return self.open(target)

    def close(self) -> None:
        """Close the project and show the start page."""
        if not self._held():
            self._model.open(None)

    def take(self, paths: Sequence[Path]) -> list[Path]:
        """Open a dropped project; returns what is none."""
        for path in paths:
            if path.name.endswith(SUFFIX) or is_project(path) or path.name == "project.json":
                self.open(path)
                return [other for other in paths if other != path]
        return list(paths)

    def _held(self) -> bool:
        """Whether the open project has to stay; says why."""
        if not self._busy():
            return False
        text = "A job of this project is running; cancel it, or wait for it, before you open another one."
        self._messages.show_message(text, "warning", key=_KEY)
        return True

    def _show(self, project: Project) -> None:
        self._messages.clear(_KEY)
        self._messages.clear("save")
        self._model.open(project)
        self._settings.add_recent(project.folder)
        if project.read_only:
            text = f"{project.name} is open for reading: changes are not kept."
            self._messages.show_message(text, "info", {"Save a copy…": self.ask_save_as}, _KEY)

    def _save_failed(self, reason: str) -> None:
        actions = {"Try again": self._model.save, "Save a copy…": self.ask_save_as}
        self._messages.show_message(f"The project could not be saved. {reason}", "alert", actions, "save")

    def _start(self) -> str:
        project = self._model.project
        if project is not None and project.folder.parent != self._home:
            return str(project.folder.parent)
        return str(Path.home())


def _named(path: str) -> Path:
    return Path(path if path.endswith(SUFFIX) else path + SUFFIX)

"""The window's own actions, and the menu bar made from all actions."""

from collections.abc import Callable
from pathlib import Path

from PySide6.QtWidgets import QMenu, QMenuBar

from quantvsr_gui.pages.steps import STEPS
from quantvsr_gui.project import ProjectModel
from quantvsr_gui.shell.actions import Action, Actions
from quantvsr_gui.shell.projects import Projects
from quantvsr_gui.shell.settings import SettingsStore

MENUS = ("File", "Edit", "View", "Go", "Run", "Help")


def window_actions(
    projects: Projects, project: ProjectModel, settings: SettingsStore, go_to: Callable[[str], None]
) -> list[Action]:
    """Actions about projects, editing, looks and pages."""
    stack = project.undo_stack

    def is_open() -> bool:
        return project.is_open

    def theme(mode: str) -> Action:
        return Action(
            f"view.theme-{mode}",
            {"system": "Theme of the system", "dark": "Dark theme", "light": "Light theme"}[mode],
            lambda: settings.change(theme=mode),
            "View",
            checked=lambda: settings.value.theme == mode,
        )

    return [
        Action("file.new", "New project…", projects.ask_new, "File", "Ctrl+N"),
        Action("file.open", "Open project…", projects.ask_open, "File", "Ctrl+O"),
        Action("file.example", "Open the example", projects.open_demo, "File"),
        Action(
            "file.save", "Save now", project.save, "File", "Ctrl+S", is_open, tip="Changes are saved anyway"
        ),
        Action("file.save-as", "Save a copy…", projects.ask_save_as, "File", "Ctrl+Shift+S", is_open),
        Action("file.close", "Close project", projects.close, "File", "Ctrl+W", is_open),
        Action("edit.undo", "Undo", stack.undo, "Edit", "Ctrl+Z", stack.canUndo),
        Action("edit.redo", "Redo", stack.redo, "Edit", "Ctrl+Shift+Z", stack.canRedo),
        *(theme(mode) for mode in ("system", "dark", "light")),
        Action(
            "view.log",
            "Log",
            lambda: settings.change(log_shown=not settings.value.log_shown),
            "View",
            "Ctrl+L",
            checked=lambda: settings.value.log_shown,
        ),
        *(
            Action(
                f"go.{step.key}",
                step.title,
                lambda key=step.key: go_to(key),
                "Go",
                f"Ctrl+{number}",
                is_open,
                tip=step.summary,
            )
            for number, step in enumerate(STEPS, start=1)
        ),
    ]


class Menus:
    """Keeps the menu bar as the actions are.

    Args:
        bar: The window's menu bar.
        actions: All actions.
        projects: Opens recent projects.
        settings: Knows the recent projects.
    """

    def __init__(self, bar: QMenuBar, actions: Actions, projects: Projects, settings: SettingsStore) -> None:
        self._actions, self._projects, self._settings = actions, projects, settings
        self._menus = {name: bar.addMenu(name) for name in MENUS}
        self._recent = QMenu("Open recent", bar)
        for menu in self._menus.values():
            menu.aboutToShow.connect(actions.refresh)
        self._recent.aboutToShow.connect(self._fill_recent)
        self._known: tuple[str, ...] = ()
        actions.changed.connect(self._fill)
        self._fill()

    def _fill(self) -> None:
        records = self._actions.records
        if tuple(records) == self._known:
            return
        self._known = tuple(records)
        for name, menu in self._menus.items():
            menu.clear()
            group = ""
            for record in records.values():
                if record.menu != name:
                    continue
                kind = record.id.partition(".")[0]
                if group and kind != group:
                    menu.addSeparator()
                group = kind
                menu.addAction(self._actions.action(record.id))
                if record.id == "file.open":
                    menu.addMenu(self._recent)

    def _fill_recent(self) -> None:
        self._recent.clear()
        for path in self._settings.value.recent:
            folder = Path(path)
            shown = self._recent.addAction(f"{folder.name}  ({folder.parent})")
            shown.triggered.connect(lambda _=False, folder=folder: self._projects.open(folder))
        if self._recent.isEmpty():
            self._recent.addAction("No project yet").setEnabled(False)

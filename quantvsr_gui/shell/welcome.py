"""What is shown while no project is open."""

from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QVBoxLayout, QWidget

from quantvsr_gui.shell.projects import Projects
from quantvsr_gui.shell.settings import SettingsStore
from quantvsr_gui.widgets.empty import EmptyState
from quantvsr_gui.widgets.text import button


class Welcome(QWidget):
    """New, open, the example, and the recent projects."""

    def __init__(self, projects: Projects, settings: SettingsStore, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._projects, self._settings = projects, settings
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(24, 16, 24, 16)
        self._shown: QWidget | None = None

    def refresh(self) -> None:
        """Show the recent projects anew."""
        if self._shown is not None:
            self._column.removeWidget(self._shown)
            self._shown.hide()
            self._shown.deleteLater()
        buttons = [
            button("New project…", "primary", clicked=self._projects.ask_new),
            button("Open a project…", clicked=self._projects.ask_open),
            button("Open the example", clicked=self._projects.open_demo),
        ]
        empty = EmptyState(
            "Start with a project",
            "A project is a folder that keeps your model, clips, settings and results together. "
            "Drop one here, or:",
            *buttons,
        )
        recent = [Path(path) for path in self._settings.value.recent[:5]]
        layout = empty.layout()
        assert isinstance(layout, QVBoxLayout)
        for folder in recent:
            made = button(f"{folder.name.removesuffix('.qvsr')}  -  {folder.parent}", "link")
            made.setAccessibleName(f"Open {folder}")
            made.clicked.connect(lambda _=False, folder=folder: self._projects.open(folder))
            layout.insertWidget(layout.count() - 1, made, 0, Qt.AlignmentFlag.AlignHCenter)
        self._shown = empty
        self._column.addWidget(empty)

"""What every page is made of: a view that holds layout, and a controller that holds behaviour."""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QVBoxLayout, QWidget

from quantvsr.jobs.base import Job
from quantvsr_gui.engine import Engines
from quantvsr_gui.pages.steps import STEPS, Step
from quantvsr_gui.project import ProjectModel
from quantvsr_gui.shell.actions import Actions
from quantvsr_gui.shell.settings import SettingsStore
from quantvsr_gui.shell.theme import ThemeManager
from quantvsr_gui.widgets.banner import Messages
from quantvsr_gui.widgets.card import row
from quantvsr_gui.widgets.command import CopyCommand
from quantvsr_gui.widgets.text import label


@dataclass(frozen=True)
class Context:
    """What a page's controller may use; never the window itself.

    Attributes:
        project: The open project. Pages write only through it.
        engines: `engines.work` for long jobs, `engines.preview` for quick looks.
        actions: Register `Action` records here; menus, shortcuts and the palette follow.
        theme: Colours, and when they change.
        settings: What the app remembers itself.
        go_to: Show the page of that key.
        tell: Show a message above all pages: `tell(text, level, actions, key)` as `Messages.show_message`.
            For a message that concerns one page use `page.messages`.
        ask_files: Ask for files or folders; see `shell/dialogs.py`. Tests replace it.
    """

    project: ProjectModel
    engines: Engines
    actions: Actions
    theme: ThemeManager
    settings: SettingsStore
    go_to: Callable[[str], None]
    tell: Callable[..., None]
    ask_files: Callable[..., list[str]]


class Page(QWidget):
    """A page: title, summary, messages, and a `body` to fill.

    Attributes:
        head: The title's line; put the page's main buttons there, at the right.
        messages: Messages in place.
        body: Everything else.
    """

    def __init__(self, step: Step, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName(f"page-{step.key}")
        self.setAccessibleName(f"{step.title} page")
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 16, 24, 16)
        column.setSpacing(8)
        words = QVBoxLayout()
        words.setSpacing(0)
        words.addWidget(label(step.title, "title"))
        words.addWidget(label(step.summary, "muted", wrap=True))
        self.head = row()
        self.head.addLayout(words, 1)
        column.addLayout(self.head)
        self.messages = Messages()
        column.addWidget(self.messages)
        self.body = QVBoxLayout()
        self.body.setSpacing(8)
        column.addLayout(self.body, 1)


class PageController(QObject):
    """Base of all controllers. Made once per window, when its page is first shown.

    Args:
        page: The view; owns the controller.
        context: What it may use.
    """

    def __init__(self, page: Page, context: Context) -> None:
        super().__init__(page)
        self.page = page
        self.context = context

    def shown(self) -> None:
        """The page has come to the front."""

    def hidden(self) -> None:
        """Another page has come to the front."""

    def take(self, paths: Sequence[Path]) -> list[Path]:
        """Files and folders were dropped while the page is in front; returns those it has no use for."""
        return list(paths)

    def job(self) -> Job | None:
        """The job that the page's main button starts, as the settings are now; None where there is none.

        Raises:
            QuantVSRError: The settings allow none; the message says what to change.
        """
        return None

    def offer_command(self) -> CopyCommand:
        """Put "Copy as command" into the page's head, left of its buttons; it copies `job()`."""
        made = CopyCommand(self.job)
        self.page.head.insertWidget(1, made)
        return made


Build = Callable[[Context], PageController]


def step_of(key: str) -> Step:
    """The step of that key."""
    return next(step for step in STEPS if step.key == key)


def builder(key: str) -> Build:
    """The function that builds a step's page."""
    return importlib.import_module(f"quantvsr_gui.pages.{key}").build

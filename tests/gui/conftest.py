"""Fixtures of the app's tests; nothing may be left running after one."""

import gc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import shiboken6
from PySide6.QtCore import QCoreApplication, QEvent, QProcess, Qt, QThread, QTimer
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from fake_engine import FakeEngine
from quantvsr.project import Project, Settings
from quantvsr_gui.engine import Engines
from quantvsr_gui.pages.base import Context
from quantvsr_gui.project import ProjectModel
from quantvsr_gui.shell.actions import Actions
from quantvsr_gui.shell.settings import SettingsStore
from quantvsr_gui.shell.theme import ThemeManager
from quantvsr_gui.shell.window import MainWindow

_themes: dict[int, ThemeManager] = {}


@pytest.fixture
def theme(qapp: QApplication) -> ThemeManager:
    """The one theme manager; setting a style sheet anew for every test would be slow."""
    if id(qapp) not in _themes:
        _themes[id(qapp)] = ThemeManager(qapp, "dark")
    _themes[id(qapp)].set_mode("dark")
    return _themes[id(qapp)]


@pytest.fixture(autouse=True)
def nothing_left_running(qapp: QApplication, theme: ThemeManager) -> Iterator[None]:
    """No window, process, thread or timer may be left after a test."""
    yield
    if QApplication.keyboardModifiers():
        # Qt keeps the last key's modifiers; with Ctrl held, selecting a row in the next test would add it.
        QTest.keyClick(QWidget(), Qt.Key.Key_Escape)
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    for widget in QApplication.topLevelWidgets():
        assert not widget.isVisible(), f"{widget} is still open"
    for wrapper in shiboken6.getAllValidWrappers():
        if isinstance(wrapper, QProcess):
            assert wrapper.state() == QProcess.ProcessState.NotRunning, "a process is still running"
        elif isinstance(wrapper, QThread):
            assert wrapper is qapp.thread() or not wrapper.isRunning(), "a thread is still running"
        elif isinstance(wrapper, QTimer):
            assert not wrapper.isActive(), f"a timer of {wrapper.parent()} is still active"


@pytest.fixture
def project(tmp_path: Path) -> Iterator[ProjectModel]:
    """An open, empty project in `tmp_path/p.qvsr`."""
    model = ProjectModel()
    model.open(Project.create(tmp_path / "p.qvsr", Settings()))
    yield model
    model.close()


@pytest.fixture
def fake_engines() -> Engines:
    """Two engines that do nothing by themselves: `fake_engines.work.submitted[-1].succeed({...})`."""
    return Engines(FakeEngine("work"), FakeEngine("preview"))  # type: ignore[arg-type]


@pytest.fixture
def context(
    qtbot: QtBot, project: ProjectModel, fake_engines: Engines, theme: ThemeManager, tmp_path: Path
) -> Iterator[Context]:
    """What a page's controller gets; messages go to `context.tell.told`."""

    class Tell:
        def __init__(self) -> None:
            self.told: list[tuple[object, ...]] = []

        def __call__(self, *parts: object, **more: object) -> None:
            self.told.append(parts)

    window = QWidget()
    qtbot.addWidget(window)
    settings = SettingsStore(tmp_path / "settings.json", window)
    yield Context(
        project,
        fake_engines,
        Actions(window, settings),
        theme,
        settings,
        lambda key: None,
        Tell(),
        lambda *_: [],
    )
    settings.save()


@pytest.fixture
def open_window(qtbot: QtBot, theme: ThemeManager, tmp_path: Path) -> Iterator[Callable[..., MainWindow]]:
    """Opens a main window with its own settings; real engines unless others are given."""
    made: list[MainWindow] = []

    def open_(engines: Engines | None = None, **details: object) -> MainWindow:
        settings = SettingsStore(tmp_path / "config" / "settings.json")
        details.setdefault("ask_files", lambda *_: [])
        # A question would wait for a person.
        details.setdefault("ask_close", lambda: True)
        window = MainWindow(settings, theme, tmp_path / "data", engines, **details)  # type: ignore[arg-type]
        settings.setParent(window)
        made.append(window)
        qtbot.addWidget(window)
        window.show()
        qtbot.waitExposed(window)
        return window

    yield open_
    for window in made:
        if shiboken6.isValid(window):
            window.close()
    gc.collect()

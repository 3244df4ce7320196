"""The window around the pages: projects, messages, palette, shortcuts, settings, log, tour, closing."""

import dataclasses
import json
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent, QGuiApplication
from PySide6.QtWidgets import QApplication, QPushButton, QWidget
from pytestqt.qtbot import QtBot

from quantvsr.jobs import InfoJob, Job, QuantizeJob, job_types
from quantvsr.jobs.options import LayerRank
from quantvsr.jobs.repack import RepackJob
from quantvsr.project import Project
from quantvsr_gui.pages.steps import STEPS
from quantvsr_gui.shell.actions import Action
from quantvsr_gui.shell.environment import Environment
from quantvsr_gui.shell.palette import Palette, matches
from quantvsr_gui.shell.settings import AppSettings, SettingsStore
from quantvsr_gui.shell.shortcuts import Shortcuts
from quantvsr_gui.shell.status import _WORDS
from quantvsr_gui.widgets.drop import DropTarget


@pytest.fixture
def window(open_window, fake_engines, tmp_path: Path):
    made = open_window(fake_engines)
    made.projects.new(tmp_path / "p.qvsr")
    return made


def press(widget: QWidget, text: str) -> None:
    buttons = [
        button for button in widget.findChildren(QPushButton) if button.text() == text and button.isVisible()
    ]
    assert len(buttons) == 1, f"{len(buttons)} buttons {text}"
    buttons[0].click()


# Projects


def test_the_title_and_the_recent_list_follow_the_project(window, tmp_path: Path) -> None:
    assert window.windowTitle() == "p - QuantVSR Studio"
    window.projects.new(tmp_path / "q.qvsr")
    assert window.settings.value.recent[:2] == (str(tmp_path / "q.qvsr"), str(tmp_path / "p.qvsr"))


@pytest.mark.parametrize("kind", ["damaged", "newer", "gone", "no project"])
def test_a_project_that_cannot_be_opened_is_a_message_and_the_one_before_stays(
    window, tmp_path: Path, kind: str
) -> None:
    bad = tmp_path / "bad.qvsr"
    Project.create(bad).close()
    file = bad / "project.json"
    if kind == "damaged":
        file.write_text("{")
    elif kind == "newer":
        file.write_text(json.dumps({**json.loads(file.read_text()), "version": 99}))
    elif kind == "gone":
        bad = tmp_path / "gone.qvsr"
    else:
        file.unlink()
    assert not window.projects.open(bad)
    assert bad.name in window.messages.texts()[0]
    assert window.project.project.name == "p"


def test_a_project_that_is_open_elsewhere_can_be_read(window, tmp_path: Path) -> None:
    other = Project.create(tmp_path / "other.qvsr")
    assert not window.projects.open(tmp_path / "other.qvsr")
    assert "open in another window" in window.messages.texts()[0]
    press(window.messages, "Open for reading")
    assert window.project.read_only
    assert "changes are not kept" in window.messages.texts()[0]
    other.close()


def test_a_copy_of_a_project_open_for_reading_can_be_changed(
    open_window, fake_engines, tmp_path: Path
) -> None:
    Project.create(tmp_path / "a.qvsr").close()
    copy = str(tmp_path / "copy")
    window = open_window(fake_engines, ask_files=lambda *_: [copy])
    window.projects.open(tmp_path / "a.qvsr", read_only=True)
    window.project.change("choose a seed", seed=7)
    press(window.messages, "Save a copy…")
    assert window.project.project.folder == tmp_path / "copy.qvsr"
    assert not window.project.read_only
    assert window.project.settings.seed == 7


def test_the_first_start_opens_a_copy_of_the_bundled_project(
    open_window, fake_engines, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundled = tmp_path / "resources" / "demo.qvsr"
    project = Project.create(bundled)
    project.cache.mkdir()
    (project.cache / "frame.jpg").write_bytes(b"pixels")
    project.close()
    monkeypatch.setattr("quantvsr_gui.shell.projects.resource", lambda _: bundled)
    window = open_window(fake_engines)
    window.projects.open_first()
    window.tools.offer_tour()
    assert window.project.project.folder == tmp_path / "data" / "demo.qvsr"
    assert (window.project.project.cache / "frame.jpg").exists()
    assert not window.project.read_only
    press(window.messages, "Take the tour")
    assert window.tools.tour.isVisible()
    for _ in range(5):
        # Whatever a page does with the focus, Enter goes on.
        assert window.focusWidget() is window.tools.tour.next_button
        qtbot.keyClick(window.focusWidget(), Qt.Key.Key_Return)
    assert window.controller("export").page.isVisible()
    assert window.tools.tour.next_button.text() == "Done"
    window.tools.tour.next_button.click()
    assert not window.tools.tour.isVisible()
    # Offered once.
    window.messages.clear("tour")
    window.tools.offer_tour()
    assert window.messages.texts() == []


def test_files_dropped_on_any_page_are_looked_at_where_it_is_seen(
    open_window, fake_engines, tmp_path: Path
) -> None:
    window = open_window(fake_engines)
    window.projects.new(tmp_path / "p.qvsr")
    window.show_step("export")
    window.take([tmp_path / "notes.txt"])
    assert window.controller("clips").page.isVisible()
    assert fake_engines.preview.submitted[-1].job.clips == (str(tmp_path / "notes.txt"),)


def test_without_a_project_the_start_page_helps(open_window, fake_engines, tmp_path: Path) -> None:
    Project.create(tmp_path / "a.qvsr").close()
    window = open_window(fake_engines)
    window.settings.change(recent=(str(tmp_path / "a.qvsr"),))
    window.projects.close()
    QApplication.processEvents()
    buttons = window.welcome.findChildren(QPushButton)
    texts = [button.text() for button in buttons if button.isVisible()]
    assert texts[:3] == ["New project…", "Open a project…", "Open the example"]
    press(window.welcome, texts[3])
    assert window.project.project.name == "a"


def test_a_save_that_fails_is_told_and_can_be_tried_again(window, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        window.project.change("choose a seed", seed=7)
        window.project.save()
    assert "could not be saved" in window.messages.texts()[0]
    press(window.messages, "Try again")
    assert window.messages.texts() == []
    assert not window.project.unsaved


# Dropping


def drop(widget: QWidget, *paths: Path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    buttons, keys = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    event = QDropEvent(QPointF(5, 5), Qt.DropAction.CopyAction, data, buttons, keys)
    # Qt delivers drops only in the course of a real drag.
    assert widget.acceptDrops()
    target = widget.findChild(DropTarget, options=Qt.FindChildOption.FindDirectChildrenOnly)
    target.eventFilter(widget, event)


def test_a_dropped_project_is_opened(window, tmp_path: Path) -> None:
    Project.create(tmp_path / "other.qvsr").close()
    drop(window.centralWidget(), tmp_path / "other.qvsr")
    assert window.project.project.name == "other"


def test_a_dropped_clip_goes_to_the_clips_page_from_any_page(window, fake_engines, tmp_path: Path) -> None:
    window.show_step("export")
    drop(window.centralWidget(), tmp_path / "walk.mp4")
    jobs = [handle.job for handle in fake_engines.preview.submitted]
    assert [job.clips for job in jobs if job.name == "probe"] == [(str(tmp_path / "walk.mp4"),)]


def test_only_local_files_are_taken(qtbot: QtBot) -> None:
    widget, taken = QWidget(), []
    qtbot.addWidget(widget)
    target = DropTarget(widget, taken.append)
    data = QMimeData()
    data.setUrls([QUrl("https://example.org/clip.mp4")])
    buttons, keys = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    target.eventFilter(widget, QDropEvent(QPointF(), Qt.DropAction.CopyAction, data, buttons, keys))
    assert taken == []
    data.setUrls([QUrl("https://example.org/clip.mp4"), QUrl.fromLocalFile("/walk.mp4")])
    target.eventFilter(widget, QDropEvent(QPointF(), Qt.DropAction.CopyAction, data, buttons, keys))
    assert taken == [[Path("/walk.mp4")]]


# Actions, palette, shortcuts


@pytest.mark.parametrize(
    ("query", "text", "fits"),
    [
        ("", "Open", True),
        ("opn", "Open project…", True),
        ("nope", "Open project…", False),
        ("PRO", "Open pro", True),
    ],
)
def test_letters_in_their_order_find_a_command(query: str, text: str, fits: bool) -> None:
    assert (matches(query, text) is not None) is fits


def test_a_better_match_comes_first() -> None:
    better = matches("log", "Save the log")
    worse = matches("log", "Light or go")
    assert better is not None
    assert worse is not None
    assert better < worse


def test_the_palette_finds_and_does(window, qtbot: QtBot) -> None:
    window.tools.show_palette()
    palette = window.findChild(Palette)
    qtbot.keyClicks(palette.line, "export")
    assert "go.export" in palette.shown()
    while palette.list.currentItem().data(Qt.ItemDataRole.UserRole) != "go.export":
        qtbot.keyClick(palette.line, Qt.Key.Key_Down)
    qtbot.keyClick(palette.line, Qt.Key.Key_Return)
    assert window.controller("export").page.isVisible()


def test_what_cannot_be_done_now_is_not_offered(window) -> None:
    window.actions_.add(Action("test.never", "Never", lambda: pytest.fail("done"), enabled=lambda: False))
    window.tools.show_palette()
    palette = window.findChild(Palette)
    assert "test.never" not in palette.shown()
    assert not window.actions_.trigger("test.never")
    palette.close()


def test_undo_from_the_menu_names_what_it_undoes(window) -> None:
    window.project.change("choose a seed", seed=7)
    assert window.actions_.action("edit.undo").text() == "Undo: choose a seed"
    window.actions_.trigger("edit.undo")
    assert window.project.settings.seed == 42
    assert not window.actions_.action("edit.undo").isEnabled()


def test_shortcuts_are_unique_and_every_menu_entry_is_an_action(window) -> None:
    for key in ("model", "clips", "complexity", "quantize", "compare", "export"):
        window.controller(key)
    for name in window.actions_.records:
        keys = window.actions_.shortcut(name)
        assert not window.actions_.conflicts(keys, but=name), f"{keys} of {name} is taken twice"


def test_a_shortcut_can_be_changed_and_taken_back(window, qtbot: QtBot) -> None:
    window.tools.show_shortcuts()
    dialog = window.findChild(Shortcuts)
    dialog.select("view.log")
    dialog.keys.setKeySequence("Ctrl+N")
    dialog.set_button.click()
    assert "taken by “New project…”" in dialog.note.text()
    dialog.keys.setKeySequence("Ctrl+Alt+L")
    dialog.set_button.click()
    action = window.actions_.action("view.log")
    assert action.shortcut().toString() == "Ctrl+Alt+L"
    assert window.settings.value.shortcuts == {"view.log": "Ctrl+Alt+L"}
    dialog.reset_button.click()
    assert action.shortcut().toString() == "Ctrl+L"
    assert window.settings.value.shortcuts == {}
    dialog.remove_button.click()
    assert action.shortcut().isEmpty()
    dialog.close()


def test_a_shortcut_does_what_it_says(window, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: window.isActiveWindow(), timeout=10_000)
    qtbot.keyClick(window, Qt.Key.Key_L, Qt.KeyboardModifier.ControlModifier)
    assert window.log.isVisible()
    qtbot.keyClick(window, Qt.Key.Key_4, Qt.KeyboardModifier.ControlModifier)
    assert window.controller("quantize").page.isVisible()


# Settings


def test_settings_survive_a_restart(tmp_path: Path) -> None:
    store = SettingsStore(tmp_path / "s.json")
    store.change(theme="light", recent=("/a", "/b"), shortcuts={"view.log": ""}, tour_seen=True)
    store.save()
    assert SettingsStore(tmp_path / "s.json").value == store.value


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"version": 99, "theme": "light"}', '{"version": 1, "theme": 3}']
)
def test_settings_that_cannot_be_read_are_the_defaults(tmp_path: Path, content: str) -> None:
    (tmp_path / "s.json").write_text(content)
    assert SettingsStore(tmp_path / "s.json").value == AppSettings()


def test_the_theme_can_be_chosen(window) -> None:
    window.actions_.trigger("view.theme-light")
    assert window.theme.tokens.name == "light"
    assert window.actions_.action("view.theme-light").isChecked()
    window.actions_.trigger("view.theme-dark")
    assert window.theme.tokens.name == "dark"


# Engine


def test_a_crash_offers_to_go_on(window, fake_engines) -> None:
    engine = fake_engines.work
    handle = engine.submit(InfoJob())
    handle.begin()
    engine.changed.emit()
    handle.fail("The engine crashed.", crashed=True)
    engine.crashed.emit(handle, "The engine crashed.")
    assert "The engine crashed." in window.messages.texts()[0]
    press(window.messages, "Restart and continue")
    assert engine.asked == [("retry", handle)]
    assert window.log.content().count("The engine crashed.") == 1
    assert "[work] info failed: The engine crashed." in window.log.content()


def test_an_engine_without_a_sign_of_life_can_be_restarted(window, fake_engines) -> None:
    fake_engines.work.silent.emit(True)
    assert "no sign of life" in window.messages.texts()[0]
    fake_engines.work.silent.emit(False)
    assert window.messages.texts() == []


def test_closing_asks_while_a_job_runs(open_window, fake_engines, tmp_path: Path) -> None:
    answers = [False, True]
    window = open_window(fake_engines, ask_close=lambda: answers.pop(0))
    window.projects.new(tmp_path / "p.qvsr")
    fake_engines.work.submit(InfoJob()).begin()
    window.project.change("choose a seed", seed=7)
    assert not window.close()
    assert window.isVisible()
    assert window.close()
    assert Project.open(tmp_path / "p.qvsr", read_only=True).content.settings.seed == 7
    assert answers == []


def test_closing_asks_while_a_trial_trains(open_window, fake_engines, tmp_path: Path) -> None:
    asked: list[bool] = []
    window = open_window(fake_engines, ask_close=lambda: bool(asked.append(True)))
    window.projects.new(tmp_path / "p.qvsr")
    trial = RepackJob(checkpoint="c", out=str(tmp_path), layer_ranks=(LayerRank("a", 8),))
    handle = fake_engines.preview.submit(dataclasses.replace(trial, updates=30))
    handle.begin()
    assert not window.close() and asked
    assert not window.projects.new(tmp_path / "other.qvsr")
    handle.succeed({})
    # Without a training it is a matter of seconds.
    fake_engines.preview.submit(trial).begin()
    assert window.close() and len(asked) == 1


def test_a_project_whose_job_runs_stays_open(window, fake_engines, tmp_path: Path) -> None:
    handle = fake_engines.work.submit(InfoJob())
    handle.begin()
    assert not window.projects.new(tmp_path / "other.qvsr")
    window.projects.close()
    assert window.project.project.name == "p"
    assert "before you open another one" in window.messages.texts()[0]
    handle.succeed({})
    assert window.projects.new(tmp_path / "other.qvsr")


def test_the_log_can_be_saved(open_window, fake_engines, tmp_path: Path) -> None:
    target = tmp_path / "log.txt"
    window = open_window(fake_engines, ask_files=lambda *_: [str(target)])
    fake_engines.work.printed.emit("a library prints this")
    window.log.save_button.click()
    assert target.read_text().rstrip().endswith("[work] a library prints this")


def test_long_jobs_are_written_down_and_small_ones_only_when_they_fail(window, fake_engines) -> None:
    for engine in fake_engines.all():
        for waiting in engine.submitted:
            waiting.stop()
        for end in ("succeed", "fail"):
            handle = engine.submit(InfoJob())
            handle.begin()
            engine.changed.emit()
            engine.changed.emit()
            handle.warn("The clip is short.")
            handle.succeed({}) if end == "succeed" else handle.fail("The disk is full.")
    lines = [line.split(" ", 1)[1] for line in window.log.content().splitlines() if line]
    note, failed = "Note: The clip is short.", "info failed: The disk is full."
    work = ["quantvsr info", note, "info done in 0 s", "quantvsr info", note, failed]
    assert lines == [f"[work] {line}" for line in work] + [
        f"[preview] {line}" for line in (note, note, failed)
    ]


def test_a_finished_job_offers_the_page_where_it_is_seen(window, fake_engines) -> None:
    def finish(job: Job) -> None:
        handle = fake_engines.work.submit(job)
        handle.begin()
        fake_engines.work.changed.emit()
        handle.succeed({})

    finish(QuantizeJob(out="x"))
    assert window.messages.texts() == ["The model is quantized."]
    press(window.messages, "Compare it")
    assert window.controller("compare").page.isVisible()
    assert window.messages.texts() == []
    # Nothing is said to somebody who is there already.
    finish(QuantizeJob(out="x"))
    finish(InfoJob())
    assert window.messages.texts() == []


def test_the_environment_can_be_copied(window, fake_engines) -> None:
    window.tools.show_environment()
    dialog = window.findChild(Environment)
    result = {
        "versions": {"torch": "2.13.0", "opencv": None},
        "cpu": {"name": "CPU", "cores": 2, "features": ["AVX2"]},
        "memory": 8 * 10**9,
        "gpus": [{"name": "H200", "memory": 140 * 10**9, "device": "cuda:0"}],
        "disk": {"free": 10**9, "total": 10**10, "path": "/"},
        "execution": ["simulated"],
    }
    fake_engines.preview.submitted[-1].succeed(result)
    dialog.copy_button.click()
    text = QGuiApplication.clipboard().text()
    for part in ("torch 2.13.0", "opencv missing", "AVX2", "GPU: H200, 140 GB, cuda:0", "p.qvsr"):
        assert part in text
    dialog.close()


def test_pages_are_made_in_the_background_and_bring_their_commands(
    window, fake_engines, qtbot: QtBot
) -> None:
    assert "export.add" not in window.actions_.records
    window.prewarm()
    qtbot.waitUntil(lambda: len(window._controllers) == 6, timeout=30_000)
    assert fake_engines.preview.prepared
    names = ("model.file", "clips.add", "complexity.analyze", "quantize.start", "compare.play", "export.add")
    for name in names:
        assert name in window.actions_.records
    # The page in front stays.
    assert window.controller("model").page.isVisible()


def test_all_controls_of_the_window_have_names(window) -> None:
    for step in STEPS:
        window.controller(step.key)
    from PySide6.QtWidgets import QAbstractItemView, QAbstractSpinBox, QComboBox, QLineEdit, QProgressBar

    kinds = (QAbstractSpinBox, QAbstractItemView, QComboBox, QProgressBar, QLineEdit)
    for kind in kinds:
        for widget in window.findChildren(kind):
            inside = isinstance(widget.parent(), QAbstractSpinBox | QComboBox | QAbstractItemView)
            popup = widget.window() is not window
            if inside or popup:
                continue
            assert widget.accessibleName(), f"{widget} {widget.objectName()} has no name"


def test_the_status_has_words_for_jobs_that_exist(open_window, fake_engines, tmp_path: Path) -> None:
    assert set(_WORDS) <= set(job_types())
    window = open_window(fake_engines)
    handle = fake_engines.work.submit(QuantizeJob(out=str(tmp_path)))
    handle.begin()
    handle.report(0.5, "refine", "update 3")
    fake_engines.work.changed.emit()
    assert window.status.text.text() == "Quantizing 50%"


def test_an_idle_engine_that_crashes_is_no_alarm(open_window, fake_engines) -> None:
    window = open_window(fake_engines)
    fake_engines.preview.crashed.emit(None, "The engine crashed.")
    assert "starts again when it is needed" in window.messages.texts()[0]

"""The open project with signals: undo, autosave, records, selection."""

import dataclasses
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from quantvsr.errors import DiskFull
from quantvsr.jobs import AnalyzeJob, QuantizeJob
from quantvsr.project import Project, RunState
from quantvsr_gui.project import ProjectModel


def saved(model: ProjectModel) -> Project:
    assert model.project is not None
    return Project.open(model.project.folder, read_only=True)


def test_every_edit_can_be_undone_and_done_again(project: ProjectModel) -> None:
    changes: list[frozenset[str]] = []
    project.settings_changed.connect(changes.append)
    project.change("choose a seed", seed=7)
    project.change("leave out layers", exclude=("mid",), rank_overrides={"up": 4})
    assert (project.settings.seed, project.settings.exclude) == (7, ("mid",))
    project.undo_stack.undo()
    assert (project.settings.seed, project.settings.exclude) == (7, ())
    project.undo_stack.undo()
    assert project.settings.seed == 42
    project.undo_stack.redo()
    assert project.settings.seed == 7
    both = frozenset({"exclude", "rank_overrides"})
    assert changes == [{"seed"}, both, both, {"seed"}, {"seed"}]
    assert project.undo_stack.redoText() == "leave out layers"


def test_dragging_is_one_edit_and_an_edit_without_effect_is_none(project: ProjectModel) -> None:
    for value in (0.1, 0.2, 0.3):
        project.change("drag", merge="percentile", percentile=value)
    project.change("nothing", seed=42)
    assert project.undo_stack.count() == 1
    project.undo_stack.undo()
    assert project.settings.percentile is None


def test_a_drag_back_to_the_beginning_leaves_nothing_to_undo(project: ProjectModel) -> None:
    project.change("drag", merge="seed", seed=1)
    project.change("drag", merge="seed", seed=42)
    assert not project.undo_stack.canUndo()


def test_changes_are_saved_by_themselves(project: ProjectModel, qtbot: QtBot) -> None:
    with qtbot.waitSignal(project.saved, timeout=20_000):
        project.change("choose a seed", seed=7)
        assert project.unsaved
    assert not project.unsaved
    assert saved(project).content.settings.seed == 7


def test_closing_saves(tmp_path: Path) -> None:
    model = ProjectModel()
    model.open(Project.create(tmp_path / "a.qvsr"))
    model.set_view("compare", frame=3)
    model.open(Project.create(tmp_path / "b.qvsr"))
    assert model.view("compare") == {}
    assert Project.open(tmp_path / "a.qvsr", read_only=True).content.view == {"compare": {"frame": 3}}
    model.close()
    # Both locks were given back.
    for name in ("a", "b"):
        Project.open(tmp_path / f"{name}.qvsr").close()


def test_a_full_disk_is_told_and_the_next_save_succeeds(
    project: ProjectModel, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise DiskFull("The disk is full.")

    with monkeypatch.context() as patch:
        patch.setattr("quantvsr.project.folder.atomic_json", full)
        project.change("choose a seed", seed=7)
        with qtbot.waitSignal(project.save_failed, timeout=5000) as failed:
            project.save()
    assert failed.args == ["The disk is full."]
    assert project.unsaved
    project.save()
    assert saved(project).content.settings.seed == 7


def test_runs_are_kept_with_their_results(project: ProjectModel) -> None:
    told: list[str] = []
    project.runs_changed.connect(told.append)
    run_id = project.new_id("W4A4")
    assert run_id == "w4a4-1"
    project.add_run(run_id, "W4A4", QuantizeJob(out="x"))
    assert project.new_id("W4A4") == "w4a4-2"
    project.update_run(run_id, state=RunState.DONE, result={"layers": 66})
    run = project.run(run_id)
    assert run is not None
    assert (run.state, run.result, run.request()) == (RunState.DONE, {"layers": 66}, QuantizeJob(out="x"))
    assert project.finished_runs() == (run,)
    project.save()
    assert saved(project).content.runs == (run,)
    project.remove_run(run_id)
    assert project.runs == ()
    assert told == [run_id, run_id, ""]


def test_a_folder_that_is_left_over_is_not_used_again(project: ProjectModel) -> None:
    assert project.project is not None
    project.project.run_folder("w4a4-1").mkdir(parents=True)
    assert project.new_id("W4A4") == "w4a4-2"


def test_the_analysis_is_kept(project: ProjectModel, qtbot: QtBot) -> None:
    with qtbot.waitSignal(project.analysis_changed, timeout=1000):
        project.set_analysis(AnalyzeJob(out="x"), {"layers": 66})
    assert project.analysis["result"] == {"layers": 66}


def test_a_project_open_for_reading_changes_in_memory_only(tmp_path: Path, qtbot: QtBot) -> None:
    Project.create(tmp_path / "a.qvsr").close()
    model = ProjectModel()
    model.open(Project.open(tmp_path / "a.qvsr", read_only=True))
    model.change("choose a seed", seed=7)
    assert (model.settings.seed, model.read_only, model.unsaved) == (7, True, False)
    model.close()
    assert Project.open(tmp_path / "a.qvsr", read_only=True).content.settings.seed == 42


def test_without_a_project_there_are_defaults_and_no_writing() -> None:
    model = ProjectModel()
    assert (model.is_open, model.settings.model, model.runs) == (False, "bundled", ())
    with pytest.raises(RuntimeError, match="no project"):
        model.set_view("compare", frame=1)


def test_one_selection_is_told_once_a_change(project: ProjectModel) -> None:
    changes, hovers, cards = [], [], []
    selection = project.selection
    selection.changed.connect(lambda: changes.append(selection.names))
    selection.hovered.connect(hovers.append)
    selection.opened.connect(cards.append)
    selection.select(["a", "b"])
    selection.select(("a", "b"))
    selection.hover("c")
    selection.hover("c")
    selection.open_card("d")
    assert changes == [("a", "b"), ("d",)]
    assert (hovers, cards, selection.current) == (["c"], ["d"], "d")


def test_content_is_replaced_never_changed(project: ProjectModel) -> None:
    assert project.project is not None
    before = project.project.content
    project.change("choose a seed", seed=7)
    assert before.settings.seed == 42
    assert project.project.content == dataclasses.replace(before, settings=before.settings.replace(seed=7))

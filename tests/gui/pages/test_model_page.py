"""The Model page: what was recognised, the table of layers, exclusions, quantized checkpoints."""

from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QAbstractItemModelTester
from PySide6.QtWidgets import QLabel, QPushButton
from pytestqt.qtbot import QtBot

from quantvsr.jobs import InfoJob, InspectJob
from quantvsr.project import RunState
from quantvsr_gui.pages.base import Context
from quantvsr_gui.pages.model import build
from quantvsr_gui.pages.model.controller import ModelController
from quantvsr_gui.pages.model.layers import MACS, NAME, STATE, LayerRow, LayersModel


def layer(
    name: str, parameters: int = 100, skipped: str | None = None, macs: int | None = 10
) -> dict[str, Any]:
    return {
        "name": name,
        "kind": "Conv2d",
        "shape": [4, 5, 3, 3],
        "parameters": parameters,
        "macs": macs,
        "skipped": skipped,
        "family": skipped is not None,
    }


def answer(**changes: Any) -> dict[str, Any]:
    return {
        "path": "/models/compact",
        "family": "compact",
        "title": "Compact model",
        "reason": "its files say so",
        "notes": ["For research only."],
        "checkpoint": None,
        "scale": 4,
        "window": 5,
        "steps": 4,
        "parameters": 1000,
        "size": [32, 32],
        "layers": [
            layer("conv_in", skipped="left out by the family"),
            layer("mid.a", 300),
            layer("mid.b", 600),
        ],
    } | changes


@pytest.fixture
def controller(context: Context, qtbot: QtBot) -> ModelController:
    made = build(context)
    qtbot.addWidget(made.page)
    made.page.resize(1000, 700)
    made.page.show()
    return made


@pytest.fixture
def ready(controller: ModelController) -> ModelController:
    reply(controller, answer())
    return controller


def reply(controller: ModelController, result: dict[str, Any]) -> None:
    handle = controller.context.engines.preview.submitted[-1]  # type: ignore[attr-defined]
    assert isinstance(handle.job, InspectJob)
    handle.begin()
    handle.succeed(result)


def cell(controller: ModelController, row: int, column: int, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
    return controller.layers.index(row, column).data(role)


def test_what_was_recognised_and_why_is_shown(ready: ModelController) -> None:
    texts = [label.text() for label in ready.view.facts.findChildren(QLabel)]
    for part in ("Compact model", "its files say so", "/models/compact", "For research only."):
        assert part in texts
    assert ready.view.summary.text() == (
        "2 of 3 layers are quantized, 90.0% of 1.0 k parameters, 66.7% of the multiply-accumulates."
    )
    assert cell(ready, 0, STATE) == "no, left out by the family"
    assert cell(ready, 1, STATE) == "yes"


def test_a_tick_leaves_a_layer_out_and_undo_brings_it_back(ready: ModelController) -> None:
    box = Qt.ItemDataRole.CheckStateRole
    assert ready.layers.setData(ready.layers.index(1, NAME), Qt.CheckState.Unchecked.value, box)
    assert ready.context.project.settings.exclude == ("mid.a",)
    assert Qt.CheckState(cell(ready, 1, NAME, box)) == Qt.CheckState.Unchecked
    assert cell(ready, 1, STATE) == "no, left out by hand"
    ready.context.project.undo_stack.undo()
    assert Qt.CheckState(cell(ready, 1, NAME, box)) == Qt.CheckState.Checked


def test_a_layer_of_the_family_has_no_box_to_click(ready: ModelController) -> None:
    index = ready.layers.index(0, NAME)
    assert not ready.layers.flags(index) & Qt.ItemFlag.ItemIsUserCheckable
    assert not ready.layers.setData(index, Qt.CheckState.Checked.value, Qt.ItemDataRole.CheckStateRole)


def test_selected_layers_are_left_out_together_but_never_all(ready: ModelController) -> None:
    ready.view.table.view.selectAll()
    ready.view.exclude_button.click()
    assert ready.context.project.settings.exclude == ()
    assert ready.page.messages.texts() == ["At least one layer has to be quantized."]
    ready.view.table.search.setText("mid.b")
    ready.view.table.view.selectAll()
    ready.view.exclude_button.click()
    assert ready.context.project.settings.exclude == ("mid.b",)
    ready.view.reset_button.click()
    assert ready.context.project.settings.exclude == ()


def test_only_buttons_that_change_something_can_be_pressed(ready: ModelController) -> None:
    def able() -> tuple[bool, bool, bool]:
        page = ready.view
        return tuple(b.isEnabled() for b in (page.exclude_button, page.include_button, page.reset_button))

    assert able() == (False, False, False)
    ready.view.table.view.selectRow(0)
    assert able() == (False, False, False)
    ready.view.table.view.selectRow(1)
    assert able() == (True, False, False)
    ready.view.exclude_button.click()
    assert able() == (False, True, True)


def test_sorting_is_by_value_and_unknown_values_come_last(ready: ModelController) -> None:
    rows = [layer("a", macs=None), layer("b", macs=9), layer("c", macs=10)]
    ready.layers.set_rows([LayerRow.from_json(row) for row in rows])
    ready.view.table.view.sortByColumn(MACS, Qt.SortOrder.AscendingOrder)
    proxy = ready.view.table.proxy
    assert [proxy.index(row, NAME).data() for row in range(3)] == ["b", "c", "a"]


def test_the_selection_is_shared(ready: ModelController) -> None:
    selection = ready.context.project.selection
    ready.view.table.view.selectRow(1)
    assert selection.names == ("mid.a",)
    selection.select(["mid.b"])
    assert [index.row() for index in ready.view.table.view.selectionModel().selectedRows()] == [2]


def test_another_model_forgets_what_was_set_by_hand_and_undo_brings_all_back(ready: ModelController) -> None:
    project = ready.context.project
    project.change("by hand", exclude=("mid.a",), rank_overrides={"mid.b": 4})
    ready.take([Path("/models/other.safetensors")])
    reply(ready, answer(title="Other"))
    assert (project.settings.model, project.settings.exclude) == ("/models/other.safetensors", ())
    project.undo_stack.undo()
    assert (project.settings.exclude, project.settings.rank_overrides) == (("mid.a",), {"mid.b": 4})
    # The table follows: the model before is looked at again.
    job = ready.context.engines.preview.submitted[-1].job  # type: ignore[attr-defined]
    assert job.model == "bundled"


def test_what_is_no_model_is_explained_and_the_model_stays(ready: ModelController) -> None:
    ready.choose("/models/cat.jpg")
    handle = ready.context.engines.preview.submitted[-1]  # type: ignore[attr-defined]
    handle.fail("/models/cat.jpg is not a model this program knows.")
    assert ready.page.messages.texts() == ["/models/cat.jpg is not a model this program knows."]
    assert ready.context.project.settings.model == "bundled"
    assert len(ready.layers.rows) == 3


def test_only_the_last_question_counts(controller: ModelController) -> None:
    engine = controller.context.engines.preview
    first = engine.submitted[-1]  # type: ignore[attr-defined]
    controller.choose("/models/other")
    assert first.state == "cancelled"
    reply(controller, answer(title="Other"))
    assert controller.context.project.settings.model == "/models/other"


def test_a_quantized_checkpoint_becomes_a_run(ready: ModelController, tmp_path: Path) -> None:
    file = tmp_path / "small.safetensors"
    file.write_bytes(b"codes")
    found = {
        "path": str(file),
        "meta": {"model": "bundled", "bits": "W6A8", "method": "quantvsr", "seed": 3},
        "layers": 66,
        "bytes_fp32": 1000,
        "bytes_file": 200,
        "saving": 0.8,
        "weight_bits": [6],
    }
    ready.choose(str(file))
    reply(ready, answer(checkpoint=found))
    (run,) = ready.context.project.runs
    assert (run.state, run.result["bits"], run.name) == (RunState.DONE, "W6A8", "small (W6A8)")
    assert Path(run.result["checkpoint"]).read_bytes() == b"codes"
    assert ready.context.project.settings.model == "bundled"
    assert "was added to the project's runs" in ready.page.messages.texts()[0]


def test_the_page_can_be_copied_as_a_command(ready: ModelController) -> None:
    ready.context.project.change("leave out", exclude=("mid.a",))
    button = next(b for b in ready.page.findChildren(QPushButton) if b.text() == "Copy as command")
    button.click()
    from PySide6.QtGui import QGuiApplication

    assert QGuiApplication.clipboard().text() == "quantvsr inspect bundled --exclude mid.a"


def test_the_table_model_keeps_qts_rules(qtbot: QtBot) -> None:
    model = LayersModel()
    QAbstractItemModelTester(model, QAbstractItemModelTester.FailureReportingMode.Fatal)
    rows = [LayerRow.from_json(row) for row in answer()["layers"]]
    model.set_rows(rows)
    model.set_excluded(["mid.a"])
    model.set_rows(rows[:1])
    model.set_rows([])


def test_without_the_projects_gpu_the_model_is_looked_at_elsewhere(controller: ModelController) -> None:
    submitted = controller.context.engines.preview.submitted  # type: ignore[attr-defined]
    controller.context.project.change("choose a device", device="cuda:0")
    assert submitted[-1].job.device == "cuda:0"
    submitted[-1].fail("The device 'cuda:0' cannot be used here; choose auto or cpu.")
    # Which devices there are is asked then, not only once a model is open.
    assert isinstance(submitted[-1].job, InfoJob)
    submitted[-1].succeed({"gpus": []})
    assert controller.context.project.settings.device == "auto"
    assert submitted[-1].job == InspectJob(device="auto")
    reply(controller, answer())
    assert controller.view.messages.texts() == [
        "The GPU cuda:0 of this project is not there; the processor is used instead."
    ]

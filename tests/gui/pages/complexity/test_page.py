import numpy as np
import pytest
from PySide6.QtCore import QModelIndex, QPointF, Qt
from PySide6.QtTest import QAbstractItemModelTester, QTest

from fake_analysis import make_measured, write_analysis
from quantvsr.jobs import AnalyzeJob, LayerJob
from quantvsr.jobs.options import Bits
from quantvsr_gui.pages.complexity.table import BITS, BY_HAND, COLUMNS, RANK


def turn(qtbot, controller):
    """Let what was asked for be planned."""
    qtbot.waitUntil(lambda: not controller._soon.isActive())


def test_without_an_analysis_the_page_says_what_to_do(context, open_page):
    page = open_page(context).page
    assert page.main.currentWidget() is page.empty
    assert not page.analyze_button.isVisible()
    page.start_button.click()
    job = context.engines.work.submitted[-1].job
    assert isinstance(job, AnalyzeJob)
    assert job.out == str(context.project.project.folder)
    assert page.cancel_button.isVisible()


def test_an_analysis_runs_and_is_shown(qtbot, context, open_page, measured):
    controller = open_page(context)
    page = controller.page
    controller.analyze()
    controller.analyze()  # no second one beside it
    assert len(context.engines.work.submitted) == 1
    handle = context.engines.work.submitted[0]
    handle.begin()
    handle.report(0.4, "record", "Recorded window 2 of 6")
    assert page.progress.value() == 400
    assert "Recorded window 2 of 6" in page.status.text()
    page.pause_button.click()
    assert page.pause_button.text() == "Resume"
    page.pause_button.click()
    assert [what for what, _ in context.engines.work.asked] == ["pause", "resume"]
    project = context.project.project
    measured.table.save(project.folder / "complexity.npz")
    write_analysis(context.project, measured)
    handle.succeed({"layers": 12})
    assert page.main.currentWidget() is page.content
    assert context.project.analysis["result"] == {"layers": 12}
    assert page.analyze_button.isVisible()
    assert not page.cancel_button.isVisible()


def test_failure_and_cancel_are_told_in_place(context, open_page):
    controller = open_page(context)
    page = controller.page
    controller.analyze()
    context.engines.work.submitted[-1].begin()
    context.engines.work.submitted[-1].fail("walk.mp4 cannot be read; choose another clip.")
    assert page.messages.texts() == ["walk.mp4 cannot be read; choose another clip."]
    assert page.start_button.isEnabled()
    controller.analyze()
    page.cancel_button.click()
    assert "Cancelled" in page.status.text()
    assert page.start_button.isEnabled()


def test_after_a_crash_the_window_tells_and_the_page_goes_on(context, open_page):
    controller = open_page(context)
    page = controller.page
    controller.analyze()
    handle = context.engines.work.submitted[-1]
    handle.begin()
    handle.report(0.5, "record", "window 2")
    handle.fail("The engine crashed.", crashed=True)
    assert (page.messages.texts(), page.status.text()) == ([], "")
    handle.retry()
    handle.begin()
    assert page.cancel_button.isVisible() and not page.start_button.isEnabled()


def test_a_damaged_analysis_is_told(context, measured, open_page):
    write_analysis(context.project, measured)
    (context.project.project.folder / "complexity.npz").write_bytes(b"nothing")
    page = open_page(context).page
    assert page.main.currentWidget() is page.empty
    assert "complexity.npz" in page.messages.texts()[0]


def test_the_percentile_moves_lines_ranks_and_totals_and_is_undone_at_once(qtbot, analysed, open_page):
    controller = open_page(analysed)
    page = controller.page
    assert page.percentile.value == 25
    before = {name: line.value() for name, line in page.scatter.lines.items()}
    figures = [part.value.text() for part in page.figures.parts.values()]
    for value in (30, 35, 45):
        page.percentile.slider.setValue(value)
    turn(qtbot, controller)
    assert analysed.project.settings.percentile == 0.45
    after = {name: line.value() for name, line in page.scatter.lines.items()}
    assert after["spatial_low"] > before["spatial_low"]
    assert after["temporal_high"] < before["temporal_high"]
    assert page.scatter.lines["spatial_high"].label.format == "55 %"
    assert analysed.project.undo_stack.count() == 1
    analysed.project.undo_stack.undo()
    turn(qtbot, controller)
    assert page.percentile.value == 25
    assert [part.value.text() for part in page.figures.parts.values()] == figures


def test_a_dragged_line_sets_the_percentile(qtbot, analysed, open_page, measured):
    controller = open_page(analysed)
    scatter = controller.page.scatter
    line = scatter.lines["temporal_high"]
    for value in (-0.15, -0.2):
        line.setValue(value)
        line.sigDragged.emit(line)
        turn(qtbot, controller)
        assert line.value() == value  # it stays under the pointer
    share = np.mean(measured.table.temporal >= 10**-0.2)
    assert analysed.project.settings.percentile == pytest.approx(share, abs=2e-3)
    line.sigPositionChangeFinished.emit(line)
    turn(qtbot, controller)
    assert 10 ** line.value() == pytest.approx(controller.plan.allocation.thresholds.temporal_high)
    assert analysed.project.undo_stack.count() == 1


def test_limits_of_ranks(qtbot, analysed, open_page):
    controller = open_page(analysed)
    page = controller.page
    page.max_rank.box.setValue(8)
    page.max_rank.released.emit()
    turn(qtbot, controller)
    assert controller.plan.ranks.max() <= 8
    assert page.ranks.limits["max_rank"].label.format.startswith("max 8")
    # The lowest rank pushes the highest up; both are one step for undo.
    page.min_rank.box.setValue(12)
    turn(qtbot, controller)
    settings = analysed.project.settings
    assert (settings.min_rank, settings.max_rank) == (12, 12)
    line = page.ranks.limits["min_rank"]
    line.setValue(5.6)
    line.sigDragged.emit(line)
    assert analysed.project.settings.min_rank == 6
    analysed.project.undo_stack.undo()
    assert analysed.project.settings.min_rank is None
    assert analysed.project.settings.max_rank == 8


def test_bits_of_all_layers(qtbot, analysed, open_page):
    controller = open_page(analysed)
    page = controller.page
    small = controller.plan.cost.total_bytes
    page.weight_bits.setValue(8)
    turn(qtbot, controller)
    assert analysed.project.settings.bits == Bits(8, 4)
    assert controller.plan.cost.total_bytes > 1.5 * small
    assert page.layer_model.index(0, BITS).data() == "W8A4"
    analysed.project.undo_stack.undo()
    turn(qtbot, controller)
    assert page.weight_bits.value() == 4


def cell(page, name, column):
    line = [page.layer_model.layer(i) for i in range(page.layer_model.rowCount())].index(name)
    return page.layer_model.index(line, column)


def test_rank_and_bits_of_a_layer_by_hand_and_back(qtbot, analysed, open_page):
    controller = open_page(analysed)
    page, project = controller.page, analysed.project
    model = page.layer_model
    QAbstractItemModelTester(model, QAbstractItemModelTester.FailureReportingMode.Fatal)
    assert model.setData(cell(page, "upsample", RANK), "20")
    assert model.setData(cell(page, "upsample", BITS), "W8A8")
    turn(qtbot, controller)
    assert dict(project.settings.rank_overrides) == {"upsample": 20}
    assert dict(project.settings.bit_overrides) == {"upsample": Bits(8, 8)}
    assert cell(page, "upsample", RANK).data() == "20"
    assert cell(page, "upsample", BY_HAND).data() == "rank and bits"
    assert cell(page, "upsample", RANK).data(Qt.ItemDataRole.FontRole).bold()
    assert page.reset_button.text() == "Reset 1 by hand"
    job = controller.job()
    assert [str(item) for item in (*job.layer_ranks, *job.layer_bits)] == ["upsample=20", "upsample=W8A8"]
    for text in ("many", "-3", "W9A9"):
        assert not model.setData(cell(page, "upsample", RANK), text)
    assert not model.setData(cell(page, "upsample", BITS), "W9A9")
    assert not model.setData(cell(page, "upsample", 0), "5")
    # An empty text, or the bits of all layers, take it back.
    assert model.setData(cell(page, "upsample", RANK), "")
    assert model.setData(cell(page, "upsample", BITS), "4")
    assert not project.settings.rank_overrides
    assert not project.settings.bit_overrides
    project.undo_stack.undo()
    assert project.settings.bit_overrides
    page.reset_button.click()
    assert not project.settings.bit_overrides


def test_one_selection_for_all_charts_and_tables(qtbot, analysed, open_page, measured):
    controller = open_page(analysed)
    page, selection = controller.page, analysed.project.selection
    selection.select(["up.0.skip", "downsample"])
    rows = page.layer_table.view.selectionModel().selectedRows()
    assert {index.data() for index in rows} == {"up.0.skip", "downsample"}
    assert len(page.scatter._rings.points()) == 2
    chosen = [measured.index["up.0.skip"], measured.index["downsample"]]
    for chart in (page.spatial, page.temporal, page.heat, page.ranks):
        assert list(chart._marks.opts["x"]) == chosen
    page.layer_table.view.selectRow(0)
    assert selection.names == (page.layer_model.layer(0),)
    # Sorted and searched, the table still means the same layers.
    page.layer_table.view.sortByColumn(RANK, Qt.SortOrder.DescendingOrder)
    page.layer_table.search.setText("up.")
    page.layer_table.view.selectRow(0)
    assert selection.current == page.layer_table.proxy.index(0, 0).data()
    assert selection.current.startswith("up.")


def scene(chart, x, y):
    return chart.view_box.mapViewToScene(QPointF(x, y))


def viewport(chart, x, y):
    return chart.mapFromScene(scene(chart, x, y))


def test_pointing_names_a_layer_and_a_click_opens_its_card(qtbot, analysed, open_page, measured):
    controller = open_page(analysed)
    page, selection = controller.page, analysed.project.selection
    where = measured.index["middle.1.attn.to_q"]
    assert page.spatial.layer_at(scene(page.spatial, where + 0.3, 0.1)) == where
    assert page.spatial.layer_at(scene(page.spatial, -3, 0.1)) is None
    x, y = np.log10(measured.spatial[where]), np.log10(measured.temporal[where])
    assert page.scatter.layer_at(scene(page.scatter, x, y)) == where
    assert page.scatter.layer_at(scene(page.scatter, x - 5, y)) is None
    QTest.mouseMove(page.scatter.viewport(), viewport(page.scatter, x, y))
    qtbot.waitUntil(lambda: "middle.1.attn.to_q" in page.hover.text())
    assert "rank" in page.hover.text()
    QTest.mouseClick(page.ranks.viewport(), Qt.MouseButton.LeftButton, pos=viewport(page.ranks, where, 1))
    assert selection.names == ("middle.1.attn.to_q",)
    assert page.card.isVisible()
    assert page.card.layer == "middle.1.attn.to_q"
    QTest.mouseClick(
        page.ranks.viewport(),
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.ControlModifier,
        viewport(page.ranks, 0, 1),
    )
    assert selection.names == ("middle.1.attn.to_q", measured.names[0])
    page.ranks.setFocus()
    QTest.keyClick(page.ranks, Qt.Key.Key_Right)
    assert selection.names == (measured.names[1],)
    QTest.keyClick(page.ranks, Qt.Key.Key_Return)
    assert page.card.layer == measured.names[1]


CARD = {
    "rank": 4,
    "bits": "W4A4",
    "basis": "activation",
    "spectrum": [3.0, 2.0, 1.0],
    "energy": 0.9,
    "errors": {"W4A4": 12.5, "W8A8": 31.0},
    **{
        name: {
            "counts": [1, 5, 9, 5, 1, 0],
            "low": -1.5,
            "high": 16.5,
            "first": 0,
            "last": 15,
            "step": 0.02,
            "outside": 0.001,
        }
        for name in ("weights", "activations")
    },
}


def test_the_card_measures_its_layer_and_follows_edits(qtbot, analysed, open_page, measured):
    controller = open_page(analysed)
    card, preview = controller.page.card, analysed.engines.preview
    analysed.project.selection.open_card("upsample")
    qtbot.waitUntil(lambda: bool(preview.submitted))
    job = preview.submitted[-1].job
    assert isinstance(job, LayerJob)
    assert (job.layer, job.rank) == ("upsample", card.rank.value())
    assert job.analysis == str(analysed.project.project.folder)
    assert card.errors.isVisible()
    assert not card.weights.isVisible()
    preview.submitted[-1].succeed(CARD)
    assert card.weights.isVisible()
    assert len(card.weights._grid) == 16
    assert not card.state.isVisible()
    # Another rank: what was measured stays until the new figures are there.
    card.rank.setValue(7)
    card.rank.editingFinished.emit()
    turn(qtbot, controller)
    assert analysed.project.settings.rank_overrides["upsample"] == 7
    qtbot.waitUntil(lambda: len(preview.submitted) == 2)
    assert preview.submitted[-1].job.rank == 7
    assert card.weights.isVisible()
    preview.submitted[-1].fail("The analysis holds no calibration samples; analyse again.")
    assert "analyse again" in card.state.text()
    # Back at the first rank the figures are known.
    card.reset_button.click()
    turn(qtbot, controller)
    assert not analysed.project.settings.rank_overrides
    assert card.weights.isVisible()
    assert not card.state.isVisible()
    assert len(preview.submitted) == 2
    card.weight_bits.setValue(8)
    turn(qtbot, controller)
    assert analysed.project.settings.bit_overrides["upsample"] == Bits(8, 4)
    card.close_button.click()
    assert not card.isVisible()
    assert not controller.card._later.isActive()


def test_the_card_lists_the_values_behind_its_charts(qtbot, analysed, open_page, measured):
    controller = open_page(analysed)
    card, preview = controller.page.card, analysed.engines.preview
    analysed.project.selection.open_card("upsample")
    card.table_button.click()
    assert [card.table_choice.itemText(i) for i in range(card.table_choice.count())] == [
        "Complexity by timestep and sample", "Expected error by rank"
    ]  # fmt: skip
    # Samples of the same timestep stand together: three windows at each of four.
    model = card._table.model
    assert [model.value(i)[1] for i in range(12)] == pytest.approx(
        [0.0] * 3 + [1 / 3] * 3 + [2 / 3] * 3 + [1.0] * 3
    )
    spatial, _ = measured.table.layer("upsample")
    assert model.value(1)[2] == pytest.approx(spatial[4])
    qtbot.waitUntil(lambda: bool(preview.submitted))
    preview.submitted[-1].succeed(CARD)
    card.table_choice.setCurrentIndex(4)
    card.table_choice.activated.emit(4)
    assert [card._table.model.value(i) for i in range(3)] == [(1, 3.0), (2, 2.0), (3, 1.0)]
    # Another layer: what was measured of this one is gone at once.
    analysed.project.selection.open_card("down.0.conv1")
    assert not card.weights.isVisible()
    assert card.table_choice.count() == 2
    card.table_button.click()
    card.close_button.click()


def test_a_layer_without_statistics_has_a_card_too(qtbot, analysed, open_page):
    controller = open_page(analysed)
    analysed.project.selection.open_card("down.0.time_proj")
    card = controller.page.card
    assert card.isVisible()
    assert not card.samples.isVisible()
    assert not card.errors.isVisible()
    card.close_button.click()


def test_tables_behind_the_charts(analysed, open_page, measured):
    controller = open_page(analysed)
    page = controller.page
    assert page.layer_model.rowCount() == 12
    assert page.layer_model.columnCount(QModelIndex()) == len(COLUMNS)
    page.view_group.button(2).click()
    assert page.views.currentWidget() is page.step_table
    assert analysed.project.view("complexity")["tab"] == "steps"
    cells = measured.by_step("temporal")
    assert page.step_model.index(0, 1).data() == f"{cells[0, 0]:.3f}"
    page.step_statistic.setCurrentIndex(0)
    cells = measured.by_step("spatial")
    assert page.step_model.index(0, 1).data() == f"{cells[0, 0]:.3f}"
    assert page.heat.limits() == pytest.approx((np.nanmin(cells), np.nanmax(cells)))
    for model in (page.layer_model, page.step_model):
        QAbstractItemModelTester(model, QAbstractItemModelTester.FailureReportingMode.Fatal)


def test_excluded_layers_disappear_and_come_back(qtbot, analysed, open_page):
    controller = open_page(analysed)
    page = controller.page
    whole = controller.plan.cost.total_bytes
    analysed.project.selection.open_card("upsample")
    analysed.project.change("exclude a layer", exclude=("upsample", "down.*"))
    assert page.layer_model.rowCount() == 8
    assert not page.card.isVisible()
    assert controller.plan.cost.total_bytes < whole
    analysed.project.undo_stack.undo()
    assert page.layer_model.rowCount() == 12
    assert controller.plan.cost.total_bytes == whole


def test_the_extra_bits_move_all_ranks_and_the_size(analysed, open_page):
    controller = open_page(analysed)
    page, project = controller.page, analysed.project
    assert page.extra_bits.value() == pytest.approx(0.99)
    before = controller.plan
    page.extra_bits.setValue(1.5)
    assert project.settings.extra_bits == 1.5
    controller._replan()
    assert controller.plan.cost.total_bytes > before.cost.total_bytes
    assert (controller.plan.ranks >= before.ranks).all()
    assert "--extra-bits 1.5" in controller.job().command()
    # Ranks of the published rule share no budget.
    project.change("choose a method", method="quantvsr-reference")
    controller._replan()
    assert not page.extra_bits.isEnabled()


def test_an_analysis_of_other_settings_is_marked(analysed, open_page):
    controller = open_page(analysed)
    assert controller.page.messages.texts() == []
    analysed.project.change("choose a budget", preset="standard")
    assert "(budget)" in controller.page.messages.texts()[0]
    analysed.project.undo_stack.undo()
    assert controller.page.messages.texts() == []


def test_methods_without_ranks_have_nothing_to_drag(qtbot, analysed, open_page):
    controller = open_page(analysed)
    analysed.project.change("choose a method", method="maxmin")
    turn(qtbot, controller)
    page = controller.page
    assert controller.plan.ranks.max() == 0
    assert not page.percentile.isEnabled()
    assert page.weight_bits.isEnabled()


def test_both_themes_and_another_project(qtbot, analysed, open_page, theme, tmp_path):
    controller = open_page(analysed)
    theme.set_mode("light")
    assert controller.page.scatter.tokens.name == "light"
    theme.set_mode("dark")
    analysed.project.selection.open_card("upsample")
    analysed.project.set_analysis(controller.job(), {"other": 1})
    assert not controller.page.card.isVisible()
    write_analysis(analysed.project, make_measured(("a.conv1", "a.temporal.conv", "b.conv2")))
    assert controller.page.layer_model.rowCount() == 3

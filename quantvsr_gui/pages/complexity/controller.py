"""What happens on the Complexity page."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from PySide6.QtCore import QItemSelection, QItemSelectionModel, QModelIndex, QObject, QTimer
from PySide6.QtGui import QColor

from quantvsr.errors import BadInput, QuantVSRError
from quantvsr.jobs import AnalyzeJob
from quantvsr.jobs.options import Bits
from quantvsr.project.requests import analyze_job
from quantvsr_gui.engine import JobHandle
from quantvsr_gui.pages.base import Context, PageController
from quantvsr_gui.pages.complexity.card_controller import CardController
from quantvsr_gui.pages.complexity.data import KINDS, Measured, share_at
from quantvsr_gui.pages.complexity.page import VIEWS, ComplexityPage
from quantvsr_gui.pages.complexity.plan import Choice, Plan, Planner, choice_of
from quantvsr_gui.pages.complexity.table import BITS, RANK
from quantvsr_gui.project import ProjectModel
from quantvsr_gui.shell.actions import Action
from quantvsr_gui.widgets.text import duration, size

_RELEVANT = frozenset(
    ("method", "bits", "min_rank", "max_rank", "percentile", "rank_overrides", "bit_overrides", "exclude")
)
# Settings that decide what an analysis measures.
_MEASURED = ("model", "clips", "ranges", "preset", "samples", "keep_steps", "crop", "steps", "seed")


class ComplexityController(PageController):
    """Connects the page with the project and the engines."""

    page: ComplexityPage

    def __init__(self, page: ComplexityPage, context: Context) -> None:
        super().__init__(page, context)
        self.project = context.project
        self.edits = Edits(self.project, self)
        self.plan: Plan | None = None
        self._all: Measured | None = None
        self._planner: Planner | None = None
        self._handle: JobHandle | None = None
        self._dragged = ""
        self._filling = False
        self._in_front = False
        # Several changes in one turn of the event loop are planned once.
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(0)
        self._soon.timeout.connect(self._replan)
        self.card = CardController(page.card, context, self.edits, self)
        self.copy_button = self.offer_command()
        page.head.insertWidget(1, self.copy_button)
        self._connect()
        context.actions.add(
            Action("complexity.analyze", "Analyse", self.analyze, "Run", "Ctrl+Shift+A", self._may_analyze),
            Action("complexity.reset", "Reset Ranks and Bits Set by Hand", self.edits.reset_all, "Edit"),
        )
        self._show_theme()
        self._set_running(None)
        self.reload()

    def _connect(self) -> None:
        page, edits = self.page, self.edits
        for made in (page.analyze_button, page.start_button):
            made.clicked.connect(self.analyze)
        page.cancel_button.clicked.connect(lambda: self._handle and self._handle.cancel())
        page.pause_button.clicked.connect(self._pause)
        page.percentile.edited.connect(lambda value: edits.set_percentile(value / 100))
        page.min_rank.edited.connect(lambda value: edits.set_limit("min_rank", value))
        page.max_rank.edited.connect(lambda value: edits.set_limit("max_rank", value))
        for number in (page.percentile, page.min_rank, page.max_rank):
            number.released.connect(edits.end)
        page.weight_bits.valueChanged.connect(lambda value: edits.set_bits(weights=value))
        page.activation_bits.valueChanged.connect(lambda value: edits.set_bits(activations=value))
        for box in (page.weight_bits, page.activation_bits):
            box.editingFinished.connect(edits.end)
        page.reset_button.clicked.connect(edits.reset_all)
        page.scatter.line_dragged.connect(self._line_dragged)
        page.scatter.line_released.connect(self._drag_ended)
        page.ranks.limit_dragged.connect(self._limit_dragged)
        page.ranks.limit_released.connect(self._drag_ended)
        page.view_group.idClicked.connect(self._show_view)
        page.statistic.currentIndexChanged.connect(self._statistic_chosen)
        page.layer_model.rank_edited.connect(edits.set_rank)
        page.layer_model.bits_edited.connect(edits.set_layer_bits)
        table = page.layer_table.view
        table.selectionModel().selectionChanged.connect(self._rows_chosen)
        table.setMouseTracking(True)
        table.entered.connect(lambda index: self.project.selection.hover(self._layer_of(index)))
        table.doubleClicked.connect(self._row_opened)
        self.project.selection.changed.connect(self._selection_changed)
        self.project.selection.hovered.connect(self._hovered)
        self.project.opened.connect(self._project_opened)
        self.project.analysis_changed.connect(self.reload)
        self.project.settings_changed.connect(self._settings_changed)
        self.context.theme.changed.connect(self._show_theme)

    # Analysis ----------------------------------------------------------------------------------------------

    def job(self) -> AnalyzeJob:
        """The analysis with the settings as they are."""
        if self.project.project is None:
            raise BadInput("No project is open; open one first.")
        return analyze_job(self.project.settings, self.project.project.folder)

    def analyze(self) -> None:
        """Start the analysis."""
        if not self._may_analyze():
            return
        try:
            job = self.job()
        except QuantVSRError as error:
            self.page.messages.show_message(str(error), "alert", key="job")
            return
        self.page.messages.clear("job")
        handle = self.context.engines.work.submit(job)
        handle.started.connect(lambda: self._tell_state("Starting the engine"))
        handle.progressed.connect(lambda fraction, stage, message, _: self._progressed(fraction, message))
        handle.warned.connect(lambda text: self.page.messages.show_message(text, "warning", key=text))
        for signal in (handle.paused, handle.resumed):
            signal.connect(lambda: self._set_running(handle))
        handle.succeeded.connect(partial(self._succeeded, job))
        handle.failed.connect(self._failed)
        handle.cancelled.connect(lambda: self._tell_state("Cancelled. What was recorded is kept."))
        handle.ended.connect(lambda: self._set_running(None))
        self._set_running(handle)
        self._tell_state("Waiting for the job before it")

    def _may_analyze(self) -> bool:
        return self.project.is_open and not self.project.read_only and self._handle is None

    def _pause(self) -> None:
        if self._handle is not None:
            paused = self._handle.state == "paused"
            self._handle.resume() if paused else self._handle.pause()

    def _progressed(self, fraction: float, message: str) -> None:
        self.page.progress.setValue(round(1000 * fraction))
        taken = self._handle.seconds if self._handle is not None else 0.0
        left = f", about {duration(taken / fraction - taken)} left" if fraction > 0.05 and taken > 2 else ""
        self._tell_state(f"{message} ({duration(taken)}{left})")

    def _succeeded(self, job: AnalyzeJob, result: Mapping[str, Any]) -> None:
        self._tell_state("")
        if self.project.project is not None and job.out == str(self.project.project.folder):
            self.project.set_analysis(job, result)

    def _failed(self, sentence: str) -> None:
        handle, self._handle = self._handle, None
        actions = {"Try again": self.analyze} if handle is not None and not handle.crashed else {}
        self.page.messages.show_message(sentence, "alert", actions, "job")

    def _set_running(self, handle: JobHandle | None) -> None:
        self._handle = handle
        page, running = self.page, handle is not None
        page.pause_button.setVisible(running)
        page.cancel_button.setVisible(running)
        page.pause_button.setText("Resume" if handle is not None and handle.state == "paused" else "Pause")
        page.progress.setVisible(running)
        if not running:
            page.progress.setValue(0)
        for made in (page.analyze_button, page.start_button):
            made.setEnabled(self._may_analyze())
        page.analyze_button.setVisible(not running and self._all is not None)
        page.running.setVisible(running or bool(page.status.text()))
        self._ask_preflight()
        self.context.actions.refresh()

    def _tell_state(self, text: str) -> None:
        self.page.status.setText(text)
        self.page.running.setVisible(bool(text) or self._handle is not None)

    # What is shown -----------------------------------------------------------------------------------------

    def shown(self) -> None:
        """The page has come to the front."""
        self._in_front = True
        self._ask_preflight()

    def hidden(self) -> None:
        """Another page has come to the front."""
        self._in_front = False
        self._ask_preflight()

    def _ask_preflight(self) -> None:
        """What an analysis would take, while there is none and none runs."""
        page = self.page
        wanted = self._in_front and page.main.currentWidget() is page.empty and self._may_analyze()
        try:
            job = self.job() if wanted else None
        except QuantVSRError:
            job = None
        page.preflight.setVisible(job is not None)
        page.preflight.ask(job)

    def _project_opened(self) -> None:
        self._tell_state("")
        self.page.messages.clear("job")
        self.reload()

    def reload(self) -> None:
        """Show the project's analysis."""
        page, project = self.page, self.project.project
        self._all, self._planner, self.plan = None, None, None
        page.messages.clear("data")
        if project is not None and self.project.analysis:
            try:
                self._all = Measured.load(project.folder)
            except BadInput as error:
                page.messages.show_message(str(error), "alert", {"Analyse": self.analyze}, "data")
        page.main.setCurrentWidget(page.content if self._all is not None else page.empty)
        self.card.close()
        self._set_running(self._handle)
        view = self.project.view("complexity")
        number = [key for key, _ in VIEWS].index(view["tab"]) if view.get("tab") in dict(VIEWS) else 0
        page.view_group.button(number).setChecked(True)
        page.views.setCurrentIndex(number)
        if self._all is not None:
            self._show_layers()

    def _settings_changed(self, names: frozenset[str]) -> None:
        if self._all is None:
            self._ask_preflight()
            return
        if "exclude" in names:
            self._show_layers()
        elif names & _RELEVANT:
            self._soon.start()
        self._tell_if_stale()

    def _show_layers(self) -> None:
        """Show another set of layers."""
        assert self._all is not None
        page = self.page
        measured = self._all.without(self.project.settings.exclude)
        self._planner = Planner(measured)
        page.scatter.show_layers(measured.names, measured.spatial, measured.temporal, measured.kinds)
        for chart in (page.spatial, page.temporal, page.heat, page.ranks):
            chart.show_layers(measured.names, measured.groups, measured.kinds)
        page.spatial.show_values(measured.spatial)
        page.temporal.show_values(measured.temporal)
        page.legend.show_kinds([KINDS[kind] for kind in sorted(set(measured.kinds.tolist()))])
        self._show_cells()
        self._replan()
        self._tell_if_stale()

    def _show_cells(self) -> None:
        if self._planner is None:
            return
        page, measured = self.page, self._planner.measured
        cells = measured.by_step(page.statistic.currentData())
        page.heat.show_cells(cells, measured.steps)
        page.step_model.show_cells(measured, cells)
        page.step_table.view.setColumnWidth(0, 220)
        colours = [QColor(*colour[:3]) for colour in page.heat.colours[::32].tolist()]
        page.scale.show_range(*page.heat.limits(), colours)

    def choice(self) -> Choice:
        """What the settings decide.

        Raises:
            BadInput: They do not go together.
        """
        return choice_of(self.project.settings)

    def _replan(self) -> None:
        self._soon.stop()
        if self._planner is None:
            return
        try:
            plan = self._planner.plan(self.choice())
        except BadInput as error:
            self.page.messages.show_message(str(error), "alert", key="plan")
            return
        self.page.messages.clear("plan")
        self.plan = plan
        self._show_plan(plan)

    def _show_plan(self, plan: Plan) -> None:
        page, settings = self.page, plan.choice.ranks
        page.percentile.show_value(round(100 * settings.percentile))
        for number, value in ((page.min_rank, settings.min_rank), (page.max_rank, settings.max_rank)):
            if value > number.slider.maximum():
                number.slider.setMaximum(value)
                number.box.setMaximum(value)
            number.show_value(value)
        self._filling = True
        page.weight_bits.setValue(plan.choice.bits.weights)
        page.activation_bits.setValue(plan.choice.bits.activations)
        self._filling = False
        allocates = bool((plan.model.bytes_per_rank > 0).any())
        for part in (page.percentile, page.min_rank, page.max_rank):
            part.setEnabled(allocates)
        dragged = self._dragged
        page.scatter.show_thresholds(plan.allocation.thresholds, settings.percentile, dragged)
        page.ranks.show_ranks(plan.ranks, settings.min_rank, settings.max_rank, plan.by_hand, dragged)
        page.layer_model.show_plan(plan)
        self._show_figures(plan)
        by_hand = int(plan.by_hand.sum())
        page.reset_button.setText(f"Reset {by_hand} by hand" if by_hand else "Nothing set by hand")
        page.reset_button.setEnabled(by_hand > 0)
        if plan.allocation.within_budget:
            page.messages.clear("budget")
        else:
            text = (
                "Even the lowest ranks take more than the budget of bits; lower them, or take fewer by hand."
            )
            page.messages.show_message(text, "warning", key="budget")
        self.card.show_plan(plan)
        self._hovered("")

    def _show_figures(self, plan: Plan) -> None:
        cost, figures = plan.cost, self.page.figures
        extra = int(cost.macs_low_rank.sum() + cost.macs_rotation.sum())
        base = int(cost.macs_low_bit.sum())
        figures.show_value("size", size(cost.total_bytes), f"{100 * cost.reduction:.1f} % smaller")
        figures.show_value("bits", f"{cost.effective_bits:.2f}")
        figures.show_value("work", count(base), "low bit")
        figures.show_value("branch", count(extra), f"{100 * extra / max(base, 1):.1f} % more")
        ranks = plan.ranks
        span = f"{ranks.min()} to {ranks.max()}" if len(ranks) else ""
        figures.show_value("ranks", f"{ranks.mean():.1f}" if len(ranks) else "–", span)

    def _tell_if_stale(self) -> None:
        """Say so where the analysis was made with other clips or another model."""
        done = self.project.analysis.get("job", {}).get("settings", {})
        try:
            wanted = self.job().to_json()["settings"]
        except QuantVSRError:
            return
        names = [name for name in _MEASURED if name in done and done[name] != wanted[name]]
        if not names or self._all is None:
            self.page.messages.clear("stale")
            return
        text = f"This analysis was made with other settings ({', '.join(names)})."
        self.page.messages.show_message(text, "warning", {"Analyse again": self.analyze}, "stale")

    def _show_theme(self) -> None:
        self.page.set_tokens(self.context.theme.tokens)

    # What a person does ------------------------------------------------------------------------------------

    def _show_view(self, number: int) -> None:
        self.page.views.setCurrentIndex(number)
        self.project.set_view("complexity", tab=VIEWS[number][0])

    def _statistic_chosen(self) -> None:
        self._show_cells()

    def _line_dragged(self, name: str, value: float) -> None:
        if self._planner is None:
            return
        which, _, side = name.partition("_")
        share = share_at(self._planner.measured.table, which, value, above=side == "high")
        self._dragged = name
        self.edits.set_percentile(min(max(round(share, 3), 0.0), 0.5))

    def _limit_dragged(self, name: str, rank: int) -> None:
        self._dragged = name
        self.edits.set_limit(name, rank)

    def _drag_ended(self) -> None:
        if self._dragged:
            self._dragged = ""
            self.edits.end()
            self._soon.start()

    def _layer_of(self, index: QModelIndex) -> str:
        return self.page.layer_model.layer(self.page.layer_table.source_row(index))

    def _rows_chosen(self, *_: QItemSelection) -> None:
        if not self._filling:
            rows = self.page.layer_table.view.selectionModel().selectedRows()
            self.project.selection.select([self._layer_of(index) for index in rows])

    def _row_opened(self, index: QModelIndex) -> None:
        if index.column() not in (RANK, BITS):  # these are edited by a double click
            self.project.selection.open_card(self._layer_of(index))

    def _selection_changed(self) -> None:
        """Select the same rows in the table."""
        table, names = self.page.layer_table, set(self.project.selection.names)
        chosen = QItemSelection()
        for line in range(self.page.layer_model.rowCount()):
            if self.page.layer_model.layer(line) in names:
                index = table.proxy.mapFromSource(self.page.layer_model.index(line, 0))
                chosen.select(index, index)
        self._filling = True
        flags = QItemSelectionModel.SelectionFlag
        table.view.selectionModel().select(chosen, flags.ClearAndSelect | flags.Rows)
        if chosen.indexes():
            table.view.scrollTo(chosen.indexes()[0])
        self._filling = False
        self._hovered("")

    def _hovered(self, name: str) -> None:
        """Say what is known of the layer under the pointer, or else of the one selected."""
        shown = name or self.project.selection.current
        if self.plan is None or shown not in self.plan.measured.index:
            rim = self.page.scatter.rim
            note = f" · {rim} with a value of 0 on the rim" if rim else ""
            self.page.hover.setText(f"Drag a dashed line to change the percentile{note}")
            return
        i = self.plan.measured.index[shown]
        bits = Bits(int(self.plan.weight_bits[i]), int(self.plan.activation_bits[i]))
        self.page.hover.setText(f"{shown} · rank {self.plan.ranks[i]} · {bits}")


class Edits(QObject):
    """Edits of the project's settings from this page; those of one drag are undone together."""

    def __init__(self, project: ProjectModel, parent: ComplexityController) -> None:
        super().__init__(parent)
        self._project, self._page, self._turn = project, parent, 0

    def end(self) -> None:
        """What follows is another edit."""
        self._turn += 1

    def _change(self, text: str, **changes: Any) -> None:
        if self._project.is_open:
            self._project.change(text, merge=f"complexity {text} {self._turn}", **changes)

    def set_percentile(self, value: float) -> None:
        """Set the percentile, 0..0.5."""
        self._change("change the percentile", percentile=value)

    def set_limit(self, name: str, value: int) -> None:
        """Set the lowest or the highest rank; the other one gives way."""
        plan = self._page.plan
        if plan is None:
            return
        low, high = plan.choice.ranks.min_rank, plan.choice.ranks.max_rank
        changes = {name: value}
        if name == "min_rank" and value > high:
            changes["max_rank"] = value
        elif name == "max_rank" and value < low:
            changes["min_rank"] = value
        word = "lowest" if name == "min_rank" else "highest"
        self._change(f"change the {word} rank", **changes)

    def set_bits(self, weights: int | None = None, activations: int | None = None) -> None:
        """Set the bits of all layers."""
        if not self._page._filling:
            now = self._project.settings.bits
            self._change("change the bits", bits=Bits(weights or now.weights, activations or now.activations))

    def set_rank(self, layer: str, rank: int | None) -> None:
        """Set a layer's rank by hand; None takes that back."""
        ranks = {
            name: value for name, value in self._project.settings.rank_overrides.items() if name != layer
        }
        if rank is not None:
            ranks[layer] = rank
        self._change(f"change the rank of {layer}", rank_overrides=ranks)

    def set_layer_bits(self, layer: str, bits: Bits | None) -> None:
        """Set a layer's bits by hand; None, or the bits of all layers, takes that back."""
        settings = self._project.settings
        own = {name: value for name, value in settings.bit_overrides.items() if name != layer}
        if bits is not None and bits != settings.bits:
            own[layer] = bits
        self._change(f"change the bits of {layer}", bit_overrides=own)

    def reset(self, layer: str) -> None:
        """Take back what was set by hand for a layer."""
        settings = self._project.settings
        ranks = {name: value for name, value in settings.rank_overrides.items() if name != layer}
        bits = {name: value for name, value in settings.bit_overrides.items() if name != layer}
        self.end()
        self._change(f"reset {layer}", rank_overrides=ranks, bit_overrides=bits)

    def reset_all(self) -> None:
        """Take back everything that was set by hand."""
        self.end()
        self._change("reset what was set by hand", rank_overrides={}, bit_overrides={})


def count(number: int) -> str:
    """A large number for a person: "10.9 G"."""
    for letter, factor in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= factor:
            return f"{number / factor:.3g} {letter}"
    return str(number)

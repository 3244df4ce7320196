"""What happens on the Complexity page."""

from PySide6.QtCore import QTimer
from PySide6.QtGui import QColor

from quantvsr.errors import BadInput, QuantVSRError
from quantvsr.jobs import AnalyzeJob
from quantvsr.jobs.options import Bits
from quantvsr.jobs.settings import RANK_NUMBERS
from quantvsr.project.requests import analyze_job
from quantvsr_gui.pages.base import Context, PageController
from quantvsr_gui.pages.complexity.analysis import AnalysisControl
from quantvsr_gui.pages.complexity.card_controller import CardController
from quantvsr_gui.pages.complexity.data import KINDS, Measured, share_at
from quantvsr_gui.pages.complexity.edits import Edits
from quantvsr_gui.pages.complexity.page import VIEWS, ComplexityPage
from quantvsr_gui.pages.complexity.plan import Choice, Plan, Planner, choice_of
from quantvsr_gui.pages.complexity.table_link import TableLink
from quantvsr_gui.shell.actions import Action
from quantvsr_gui.widgets.text import size

_RELEVANT = frozenset(("method", "bits", *RANK_NUMBERS, "rank_overrides", "bit_overrides", "exclude"))
_BUDGET = (
    "This method spends ranks where they save most expected error, within a budget of bits.\n"
    "Layers in the red corner count double, those in the blue corner half: the percentile moves the corners."
)
# Settings that decide what an analysis measures, and what they are called.
_MEASURED = {
    "model": "model",
    "clips": "clips",
    "ranges": "frames used",
    "preset": "budget",
    "samples": "samples",
    "keep_steps": "timesteps",
    "crop": "window",
    "steps": "sampling steps",
    "seed": "seed",
}


class ComplexityController(PageController):
    """Connects the page with the project and the engines."""

    page: ComplexityPage

    def __init__(self, page: ComplexityPage, context: Context) -> None:
        super().__init__(page, context)
        self.project = context.project
        self.analysis = AnalysisControl(page, context, self.job, self)
        self.edits = Edits(self.project, self._limits, self)
        self.plan: Plan | None = None
        self._all: Measured | None = None
        self._planner: Planner | None = None
        self._dragged = ""
        self._filling = False
        self._in_front = False
        # Several changes in one turn of the event loop are planned once.
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(0)
        self._soon.timeout.connect(self._replan)
        self.card = CardController(page.card, context, self.edits, self)
        self.link = TableLink(page.layer_table, page.layer_model, self.project.selection, self)
        self.copy_button = self.offer_command()
        page.head.insertWidget(1, self.copy_button)
        self._connect()
        context.actions.add(
            Action(
                "complexity.analyze",
                "Analyse",
                self.analyze,
                "Run",
                "Ctrl+Shift+A",
                lambda: self.analysis.possible,
            ),
            Action(
                "complexity.reset",
                "Reset ranks and bits set by hand",
                self.edits.reset_all,
                "Edit",
                enabled=self.page.reset_button.isEnabled,
            ),
        )
        self._show_theme()
        self.reload()

    def _connect(self) -> None:
        page, edits = self.page, self.edits
        self.analysis.changed.connect(self._show_state)
        page.percentile.edited.connect(lambda value: edits.set_percentile(value / 100))
        page.min_rank.edited.connect(lambda value: edits.set_limit("min_rank", value))
        page.max_rank.edited.connect(lambda value: edits.set_limit("max_rank", value))
        for number in (page.percentile, page.min_rank, page.max_rank):
            number.released.connect(edits.end)
        page.weight_bits.valueChanged.connect(lambda value: self._bits_edited(weights=value))
        page.activation_bits.valueChanged.connect(lambda value: self._bits_edited(activations=value))
        page.extra_bits.valueChanged.connect(self._extra_bits_edited)
        for box in (page.weight_bits, page.activation_bits, page.extra_bits):
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
        self.project.selection.changed.connect(lambda: self._hovered(""))
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

    def _may_analyze(self) -> bool:
        return self.analysis.possible

    def analyze(self) -> None:
        """Start the analysis."""
        self.analysis.start()

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
        wanted = self._in_front and page.main.currentWidget() is page.empty and self.analysis.possible
        try:
            job = self.job() if wanted else None
        except QuantVSRError:
            job = None
        page.preflight.setVisible(job is not None)
        page.preflight.ask(job)

    def _show_state(self) -> None:
        """Whether an analysis runs, and whether there is one."""
        self.analysis.show()
        self.page.analyze_button.setVisible(self.analysis.handle is None and self._all is not None)
        self._ask_preflight()

    def _project_opened(self) -> None:
        self.analysis.tell("")
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
        self._show_state()
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
        page.extra_bits.setValue(settings.extra_bits or 0.0)
        page.extra_bits.setEnabled(settings.extra_bits is not None)
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
        names = [word for name, word in _MEASURED.items() if name in done and done[name] != wanted[name]]
        if not names or self._all is None:
            self.page.messages.clear("stale")
            return
        text = f"This analysis was made with other settings ({', '.join(names)})."
        self.page.messages.show_message(text, "warning", {"Analyse again": self.analyze}, "stale")

    def _show_theme(self) -> None:
        self.page.set_tokens(self.context.theme.tokens)

    # What a person does ------------------------------------------------------------------------------------

    def _limits(self) -> tuple[int, int] | None:
        ranks = None if self.plan is None else self.plan.choice.ranks
        return None if ranks is None else (ranks.min_rank, ranks.max_rank)

    def _bits_edited(self, **values: int) -> None:
        if not self._filling:
            self.edits.set_bits(**values)

    def _extra_bits_edited(self, value: float) -> None:
        if not self._filling:
            self.edits.set_extra_bits(round(value, 2))

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

    def _hovered(self, name: str) -> None:
        """Say what is known of the layer under the pointer, or else of the one selected."""
        shown = name or self.project.selection.current
        if self.plan is None or shown not in self.plan.measured.index:
            rim = self.page.scatter.rim
            note = f" · {rim} with a value of 0 on the rim" if rim else ""
            self.page.hover.setText(f"Drag a dashed line to change the percentile{note}")
            shared = self.plan is not None and self.plan.choice.ranks.extra_bits is not None
            self.page.hover.setToolTip(_BUDGET if shared else "")
            return
        i = self.plan.measured.index[shown]
        bits = Bits(int(self.plan.weight_bits[i]), int(self.plan.activation_bits[i]))
        self.page.hover.setText(f"{shown} · rank {self.plan.ranks[i]} · {bits}")


def count(number: int) -> str:
    """A large number for a person: "10.9 G"."""
    for letter, factor in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= factor:
            return f"{number / factor:.3g} {letter}"
    return str(number)

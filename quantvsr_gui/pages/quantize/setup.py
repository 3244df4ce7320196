"""The settings of a new run: bits, method, budget, and what they come to."""

from PySide6.QtCore import QObject, Signal

from quantvsr.errors import QuantVSRError
from quantvsr.jobs.options import Bits
from quantvsr.jobs.presets import budget_of, preset_names
from quantvsr.methods import get_method, methods
from quantvsr_gui.pages.complexity.data import Measured
from quantvsr_gui.pages.complexity.plan import Planner, choice_of
from quantvsr_gui.pages.quantize.page import PRESET_BITS, QuantizePage
from quantvsr_gui.project import ProjectModel
from quantvsr_gui.widgets.text import size


class Setup(QObject):
    """Connects the card "New run" with the project's settings.

    Signals:
        shown: The settings are shown anew.
    """

    shown = Signal()

    def __init__(self, page: QuantizePage, project: ProjectModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._page, self._project = page, project
        self._planner: Planner | None = None
        self._filling = False
        for name, method in methods().items():
            page.method.addItem(method.title, name)
        for name in preset_names():
            page.budget.addItem(name.capitalize(), name)
        page.bit_group.idClicked.connect(lambda i: self._set_bits(PRESET_BITS[i]))
        page.weight_bits.valueChanged.connect(self._bits_edited)
        page.activation_bits.valueChanged.connect(self._bits_edited)
        page.method.activated.connect(lambda _: self._choose("method", page.method.currentData()))
        page.budget.activated.connect(lambda _: self._choose("preset", page.budget.currentData()))
        project.settings_changed.connect(self._settings_changed)
        project.analysis_changed.connect(self.load_analysis)

    def name(self) -> str:
        """What a run with these settings is called."""
        settings = self._project.settings
        method = "" if settings.method == "quantvsr" else f" {settings.method}"
        return f"{settings.bits} {settings.preset}{method}"

    def _set_bits(self, bits: Bits) -> None:
        if self._project.is_open:
            self._project.change("change the bits", bits=bits)
        self.show()

    def _bits_edited(self) -> None:
        if not self._filling:
            self._set_bits(Bits(self._page.weight_bits.value(), self._page.activation_bits.value()))

    def _choose(self, field: str, value: str) -> None:
        if self._project.is_open:
            words = {"method": "choose a method", "preset": "choose a budget"}
            self._project.change(words[field], **{field: value})

    def show(self) -> None:
        """Show the settings as they are."""
        page, settings = self._page, self._project.settings
        self._filling = True
        for i, bits in enumerate(PRESET_BITS):
            page.bit_group.button(i).setChecked(bits == settings.bits)
        page.weight_bits.setValue(settings.bits.weights)
        page.activation_bits.setValue(settings.bits.activations)
        if page.method.findData(settings.method) < 0:
            # With switches, as the command line knows them.
            page.method.addItem(get_method(settings.method).title, settings.method)
        page.method.setCurrentIndex(page.method.findData(settings.method))
        page.budget.setCurrentIndex(page.budget.findData(settings.preset))
        self._filling = False
        method = get_method(settings.method)
        page.method_note.setText(method.summary)
        page.method.setToolTip("\n".join(filter(None, (method.summary, method.source, method.simplified))))
        budget = budget_of(settings)
        training = method.recipe.training(budget.refine)
        each = f" of {training.accumulation} samples" if training.accumulation > 1 else ""
        page.budget_note.setText(
            f"{budget.samples} samples, {training.updates} + {training.bias_updates} updates{each}"
            if method.recipe.uses_samples
            else "Nothing is recorded or trained."
        )
        self._show_size()
        self.shown.emit()

    def _settings_changed(self, names: frozenset[str]) -> None:
        if "exclude" in names:
            self.load_analysis()
        else:
            self.show()

    def _show_size(self) -> None:
        """Size as the Complexity page has it."""
        if self._planner is None:
            self._page.size_note.setText("Known after the analysis on the Complexity page")
            return
        try:
            cost = self._planner.plan(choice_of(self._project.settings)).cost
        except QuantVSRError as error:
            self._page.size_note.setText(str(error))
            return
        self._page.size_note.setText(f"{size(cost.total_bytes)}, {100 * cost.reduction:.1f} % smaller")
        self._page.size_note.setToolTip(f"{cost.effective_bits:.2f} bits a weight")

    def load_analysis(self) -> None:
        """Take sizes from the project's analysis, where there is one."""
        self._planner = None
        project = self._project.project
        if project is not None and self._project.analysis:
            try:
                measured = Measured.load(project.folder)
                self._planner = Planner(measured.without(self._project.settings.exclude))
            except QuantVSRError:
                # The Complexity page tells what is wrong with it; a run analyses anew.
                self._planner = None
        self.show()

"""The tab of trials: what was tried, on which frames, where; show or delete one."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from PySide6.QtCore import QItemSelectionModel, Signal
from PySide6.QtWidgets import QStackedWidget, QVBoxLayout, QWidget

from quantvsr_gui.pages.compare.trials import Trial
from quantvsr_gui.widgets.empty import EmptyState
from quantvsr_gui.widgets.table import RowsModel, SearchTable
from quantvsr_gui.widgets.text import button, size

_COLUMNS = (
    "Trial",
    "Changed layers",
    "Training|Updates of a short training of the changed layers",
    "Size|Of the packed checkpoint",
    "Frames|Rendered last with it",
    "Rendered on|Device, backend and compute type",
    "Made|In UTC",
)
_WIDTHS = (108, 264, 80, 84, 190, 172)


class TrialPanel(QWidget):
    """A table of trials.

    Signals:
        show_wanted: The id of a trial is to be shown.
        delete_wanted: It is to be deleted.
    """

    show_wanted = Signal(str)
    delete_wanted = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._trials: Sequence[Trial] = ()
        self.model = RowsModel(_COLUMNS)
        self.table = SearchTable(self.model, "Trials of changed layers")
        self.model.setParent(self)
        self.show_button = button("Show", tip="Show the trial in the place of its run")
        self.delete_button = button("Delete", tip="Remove the trial and its checkpoint; the run stays")
        for place, made in enumerate((self.show_button, self.delete_button), start=1):
            self.table.controls.insertWidget(place, made)
        self.show_button.clicked.connect(lambda: self._tell(self.show_wanted))
        self.delete_button.clicked.connect(lambda: self._tell(self.delete_wanted))
        self.table.view.doubleClicked.connect(lambda _: self._tell(self.show_wanted))
        self.table.view.selectionModel().selectionChanged.connect(lambda *_: self._able())
        for column, width in enumerate(_WIDTHS):
            self.table.view.setColumnWidth(column, width)
        self.empty = EmptyState(
            "No trials yet",
            "Change the rank or the bits of a layer on the Complexity page while a run is shown here, then "
            "choose “Re-render these frames”. Each trial is kept with its run.",
        )
        self.stack = QStackedWidget()
        self.stack.addWidget(self.empty)
        self.stack.addWidget(self.table)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.stack)
        self._able()

    def show_trials(self, trials: Sequence[Trial], runs: Mapping[str, str]) -> None:
        """Show trials.

        Args:
            trials: All.
            runs: Names of runs by id.
        """
        chosen = self.chosen()
        self._trials = list(trials)
        shown = [_words(each, runs.get(each.run, each.run)) for each in self._trials]
        values = [
            (*words[:2], each.job.updates, each.result.get("bytes_lowbit"), *words[4:])
            for each, words in zip(self._trials, shown, strict=True)
        ]
        self.model.set_rows(list(values), shown)
        self.stack.setCurrentIndex(1 if self._trials else 0)
        ids = [each.id for each in self._trials]
        place = ids.index(chosen) if chosen in ids else len(ids) - 1
        if place >= 0:
            index = self.table.proxy.mapFromSource(self.model.index(place, 0))
            flags = QItemSelectionModel.SelectionFlag
            self.table.view.selectionModel().select(index, flags.ClearAndSelect | flags.Rows)
        self._able()

    def chosen(self) -> str:
        """Id of the selected trial; empty without one."""
        rows = self.table.view.selectionModel().selectedRows()
        return self._trials[self.table.source_row(rows[0])].id if rows and self._trials else ""

    def _able(self) -> None:
        for made in (self.show_button, self.delete_button):
            made.setEnabled(bool(self.chosen()))

    def _tell(self, signal: object) -> None:
        chosen = self.chosen()
        if chosen:
            signal.emit(chosen)  # type: ignore[attr-defined]


def _words(trial: Trial, run: str) -> tuple[str, ...]:
    frames = f"{trial.start + 1}–{trial.stop}, {Path(trial.clip).name}" if trial.stop else "–"
    return (
        trial.label(run),
        trial.what(),
        f"{trial.job.updates} updates" if trial.job.updates else "none",
        size(trial.result.get("bytes_lowbit")),
        frames,
        trial.execution or "–",
        trial.made[:16].replace("T", " "),
    )

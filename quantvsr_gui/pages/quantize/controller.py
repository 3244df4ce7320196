"""What happens on the Quantize page."""

from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import QItemSelection, QItemSelectionModel, QModelIndex, QTimer

from quantvsr.calibration.snapshot_list import list_snapshots
from quantvsr.errors import QuantVSRError
from quantvsr.jobs import QuantizeJob
from quantvsr.project import RunRecord, RunState
from quantvsr.project.requests import quantize_job
from quantvsr_gui.engine import JobHandle
from quantvsr_gui.pages.base import Context, PageController
from quantvsr_gui.pages.compare.trials import trials_of
from quantvsr_gui.pages.quantize.curves import Shown
from quantvsr_gui.pages.quantize.history import LossHistory, snapshot_folder
from quantvsr_gui.pages.quantize.keeper import RunKeeper
from quantvsr_gui.pages.quantize.page import QuantizePage
from quantvsr_gui.pages.quantize.setup import Setup
from quantvsr_gui.shell.actions import Action
from quantvsr_gui.widgets.text import duration, size

_DRAW_MS = 100


class QuantizeController(PageController):
    """Connects the page with the project and the engines."""

    page: QuantizePage

    def __init__(self, page: QuantizePage, context: Context) -> None:
        super().__init__(page, context)
        self.project = context.project
        self.keeper = RunKeeper(self.project, context.engines.work, self)
        self.setup = Setup(page, self.project, self)
        self.setup.shown.connect(self._ask_preflight)
        self.shown_id = ""
        self._histories: dict[str, LossHistory] = {}
        self._told: dict[str, tuple[float, str]] = {}
        self._snapshot: Any = None
        self._filling = False
        self._in_front = False
        # Reports come up to thirty times a second; drawing that often would only cost.
        self._draw = QTimer(self)
        self._draw.setSingleShot(True)
        self._draw.setInterval(_DRAW_MS)
        self._draw.timeout.connect(self._show_live)
        page.head.addWidget(self.offer_command())
        self._connect()
        context.actions.add(
            Action("quantize.start", "Quantize", self.start, "Run", "Ctrl+Return", self._may_start),
            Action("quantize.pause", "Pause or resume the run", self.pause, "Run", "", self._active),
            Action("quantize.cancel", "Cancel the run", self.cancel, "Run", "", self._active),
        )
        self._show_theme()
        self._project_opened()

    def _connect(self) -> None:
        page, project = self.page, self.project
        page.start_button.clicked.connect(self.start)
        page.pause_button.clicked.connect(self.pause)
        page.cancel_button.clicked.connect(self.cancel)
        page.keep_button.clicked.connect(self._keep)
        page.continue_button.clicked.connect(lambda: self.keeper.continue_(self.shown_id))
        page.measure_button.clicked.connect(lambda: self.keeper.measure(self.shown_id))
        page.remove_button.clicked.connect(self._remove)
        page.view_group.idClicked.connect(self._show_view)
        page.runs.view.selectionModel().selectionChanged.connect(self._rows_chosen)
        page.snapshots.view.selectionModel().selectionChanged.connect(lambda *_: self._enable())
        page.runs_model.renamed.connect(self.keeper.rename)
        self.keeper.reported.connect(self._reported)
        self.keeper.failed.connect(self._failed)
        self.keeper.measuring_changed.connect(lambda _: self._runs_changed(""))
        self.context.engines.work.beat.connect(self._beat)
        self.context.engines.work.changed.connect(self._enable)
        project.opened.connect(self._project_opened)
        project.runs_changed.connect(self._runs_changed)
        self.context.theme.changed.connect(self._show_theme)

    # A new run ---------------------------------------------------------------------------------------------

    def job(self) -> QuantizeJob | None:
        """The run with the settings as they are."""
        project = self.project.project
        if project is None:
            return None
        settings = self.project.settings
        analysis = project.folder if self.project.analysis else None
        return quantize_job(settings, project.run_folder(self.project.new_id(self.setup.name())), analysis)

    def _ask_preflight(self) -> None:
        try:
            wanted = self._in_front and self._may_start() and not self.context.engines.work.busy
            job = self.job() if wanted else None
        except QuantVSRError:
            job = None
        self.page.preflight.setVisible(job is not None)
        self.page.preflight.ask(job)

    def shown(self) -> None:
        """The page has come to the front."""
        self._in_front = True
        self.setup.load_analysis()

    def hidden(self) -> None:
        """Another page has come to the front."""
        self._in_front = False
        self.page.preflight.ask(None)

    # Runs --------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start a run with the settings as they are."""
        if not self._may_start():
            return
        try:
            job = self.job()
        except QuantVSRError as error:
            self.page.messages.show_message(str(error), "alert", key="job")
            return
        if job is None:
            return
        self.page.messages.clear("job")
        name = self.setup.name()
        run_id = self.project.new_id(name)
        number = run_id.rpartition("-")[2]
        self.keeper.start(run_id, f"{name} {number}" if number != "1" else name, job)
        self._show_run(run_id)
        self._ask_preflight()

    def pause(self) -> None:
        """Pause the shown run, or let it go on."""
        handle = self.keeper.handle(self.shown_id)
        if handle is not None:
            handle.resume() if handle.state == "paused" else handle.pause()

    def cancel(self) -> None:
        """Stop the shown run; it can be continued."""
        handle = self.keeper.handle(self.shown_id)
        if handle is not None:
            self.page.cancel_button.setEnabled(False)
            handle.cancel()

    def _may_start(self) -> bool:
        return self.project.is_open and not self.project.read_only

    def _active(self) -> bool:
        return self.keeper.handle(self.shown_id) is not None

    def _keep(self) -> None:
        rows = self.page.snapshots.view.selectionModel().selectedRows()
        if rows:
            info = self.page.snapshot_model.infos[self.page.snapshots.source_row(rows[0])]
            self.keeper.keep(self.shown_id, info.number)

    def _remove(self) -> None:
        run = self.project.run(self.shown_id)
        if run is None:
            return
        actions = {"Remove it": lambda: self._removed(run.id)}
        trials = len(trials_of([run]))
        what = f", its checkpoint and its trials ({trials})" if trials else " and its checkpoint"
        text = f"{run.name}{what} will be deleted from the project."
        self.page.messages.show_message(text, "warning", actions, "remove")

    def _removed(self, run_id: str) -> None:
        try:
            self.keeper.remove(run_id)
        except (QuantVSRError, OSError) as error:
            self.page.messages.show_message(str(error), "alert", key="remove")

    def _failed(self, run_id: str, sentence: str) -> None:
        run = self.project.run(run_id)
        name = run.name if run is not None else run_id
        actions = {"Continue": lambda: self.keeper.continue_(run_id)} if run and run.state.resumable else {}
        self.page.messages.show_message(f"{name}: {sentence}", "alert", actions, "run")

    # What is shown -----------------------------------------------------------------------------------------

    def _project_opened(self) -> None:
        for key in ("job", "run", "remove"):
            self.page.messages.clear(key)
        self._histories.clear()
        self._told.clear()
        self.shown_id = ""
        self.keeper.take_up()
        self.setup.load_analysis()
        self._runs_changed("")
        view = self.project.view("quantize")
        self.page.view_group.button(int(view.get("table", 0) == 1)).setChecked(True)
        self.page.views.setCurrentIndex(int(view.get("table", 0) == 1))
        wanted = str(view.get("run"))
        runs = self.project.runs
        self._show_run(wanted if self.project.run(wanted) else runs[-1].id if runs else "")

    def _show_view(self, number: int) -> None:
        self.page.views.setCurrentIndex(number)
        if self.project.is_open:
            self.project.set_view("quantize", table=number)
        self._show_live()

    def _runs_changed(self, run_id: str) -> None:
        self._filling = True
        self.page.runs_model.show_runs(self.project.runs, self.keeper.measuring)
        self._filling = False
        if self.shown_id and self.project.run(self.shown_id) is None:
            runs = self.project.runs
            self._show_run(runs[-1].id if runs else "")
        else:
            self._select_row()
            if run_id in ("", self.shown_id):
                self._show_state()
                if run_id and not self._active():
                    # Done or stopped: what is on disk is more complete than what was heard.
                    self._histories.pop(run_id, None)
                    self._show_live()
        self.context.actions.refresh()
        if not self.context.engines.work.busy:
            self._ask_preflight()

    def _rows_chosen(self, *_: QItemSelection) -> None:
        if self._filling:
            return
        rows = self.page.runs.view.selectionModel().selectedRows()
        ids = [self._id_of(index) for index in rows]
        if ids and self.shown_id not in ids:
            self._show_run(ids[-1])
        else:
            self._show_live()

    def _id_of(self, index: QModelIndex) -> str:
        return self.page.runs_model.run_id(self.page.runs.source_row(index))

    def _select_row(self) -> None:
        line = self.page.runs_model.line(self.shown_id)
        selection = self.page.runs.view.selectionModel()
        if line is None or any(self._id_of(index) == self.shown_id for index in selection.selectedRows()):
            return
        index = self.page.runs.proxy.mapFromSource(self.page.runs_model.index(line, 0))
        flags = QItemSelectionModel.SelectionFlag
        self._filling = True
        selection.select(index, flags.ClearAndSelect | flags.Rows)
        self._filling = False

    def _show_run(self, run_id: str) -> None:
        self.shown_id = run_id
        self.page.main.setCurrentWidget(self.page.shown_run if run_id else self.page.empty)
        if run_id:
            self.project.set_view("quantize", run=run_id)
            self._select_row()
        self._snapshot = None
        self._show_state()
        self._show_live()

    def _history(self, run_id: str) -> LossHistory:
        project = self.project.project
        if run_id not in self._histories and project is not None:
            self._histories[run_id] = LossHistory.load(project.run_folder(run_id))
        return self._histories.get(run_id, LossHistory())

    def _show_state(self) -> None:
        """Name, state and buttons of the shown run."""
        page, run = self.page, self.project.run(self.shown_id)
        if run is None:
            self._enable()
            return
        page.run_title.setText(run.name)
        fraction, message = self._told.get(run.id, (0.0, ""))
        active = self._active()
        page.progress.setVisible(active)
        page.progress.setValue(round(1000 * fraction))
        page.run_state.setText(_state_text(run, message if active else "", self.keeper.handle(run.id)))
        page.pause_button.setText("Resume" if run.state is RunState.PAUSED else "Pause")
        page.pause_button.setVisible(active)
        page.cancel_button.setVisible(active)
        page.cancel_button.setEnabled(active)
        for key in ("left", "memory"):
            page.figures.parts[key].setVisible(active)
        self._enable()

    def _enable(self) -> None:
        """Buttons that depend on what is selected."""
        page, run = self.page, self.project.run(self.shown_id)
        active = self._active()
        writable = not self.project.read_only
        kept = run is not None and "kept" in run.extra
        stopped = run is not None and not active and (run.state.resumable or kept)
        page.continue_button.setEnabled(stopped and writable)
        measured = run is not None and self.keeper.measuring(run.id)
        done = run is not None and run.state is RunState.DONE
        page.measure_button.setEnabled(done and not measured and writable)
        page.remove_button.setEnabled(run is not None and not active and writable)
        chosen = page.snapshots.view.selectionModel().hasSelection()
        page.keep_button.setEnabled(run is not None and chosen and writable)
        page.start_button.setEnabled(self._may_start())
        # A second press must not start the same run again unnoticed.
        busy = self.context.engines.work.busy
        page.start_button.setText("Start after the running job" if busy else "Start")
        reading = self.project.is_open and self.project.read_only
        page.start_button.setToolTip("The project is open for reading; save a copy first." if reading else "")

    def _reported(self, run_id: str, fraction: float, message: str, payload: Mapping[str, Any]) -> None:
        self._told[run_id] = fraction, message or self._told.get(run_id, (0.0, ""))[1]
        history = self._history(run_id)
        about_training = history.add(payload)
        if run_id != self.shown_id:
            return
        self._show_state()
        if about_training:
            left = payload.get("seconds_left")
            if isinstance(left, int | float):
                self.page.figures.show_value("left", duration(left))
            if payload.get("snapshot") != self._snapshot:
                self._snapshot = payload.get("snapshot")
                self._show_snapshots()
            if not self._draw.isActive():
                self._draw.start()

    def _show_live(self) -> None:
        """Curves and figures of the shown run."""
        page, run = self.page, self.project.run(self.shown_id)
        if run is None:
            page.loss.show_runs(None)
            return
        history = self._history(run.id)
        others = self._compared()
        if page.views.currentIndex() == 0:
            page.loss.show_runs(Shown(run.name, history), others)
            page.rate.show_run(history)
        else:
            page.loss_model.show_history(history)
        names = ", ".join(other.name for other in others)
        words = (
            f"Compared with {names}" if names else "Thin: each update. Thick: running mean. Dots: held out."
        )
        page.key.setText(words if page.views.currentIndex() == 0 else "")
        best, last = history.best, history.last
        start = history.untrained
        gain = f"untrained {start:.3g}" if best is not None and start is not None else ""
        page.figures.show_value("loss", "–" if last is None else f"{last:.3g}")
        page.figures.show_value("best", "–" if best is None else f"{best:.3g}", gain)
        _, rates = history.rates()
        page.figures.show_value("rate", f"{rates[-1]:.2g}" if len(rates) else "–")
        if not self._active() or self._snapshot is None:
            self._show_snapshots()

    def _compared(self) -> list[Shown]:
        """The other selected runs."""
        rows = self.page.runs.view.selectionModel().selectedRows()
        ids = [run_id for run_id in map(self._id_of, rows) if run_id != self.shown_id]
        runs = [run for run in map(self.project.run, ids) if run is not None]
        return [Shown(run.name, self._history(run.id)) for run in runs]

    def _show_snapshots(self) -> None:
        project = self.project.project
        page = self.page
        if project is None or not self.shown_id:
            return
        chosen = page.snapshots.view.selectionModel().selectedRows()
        number = page.snapshot_model.infos[page.snapshots.source_row(chosen[0])].number if chosen else None
        infos = list_snapshots(snapshot_folder(project.run_folder(self.shown_id)))
        page.snapshot_model.show_snapshots(infos)
        page.side.setVisible(bool(infos) or self._active())
        lines = [info.number for info in page.snapshot_model.infos]
        if number in lines:
            index = page.snapshots.proxy.mapFromSource(page.snapshot_model.index(lines.index(number), 0))
            page.snapshots.view.selectRow(index.row())
        self._enable()

    def _beat(self, memory: float) -> None:
        if memory and self._active():
            self.page.figures.show_value("memory", size(memory))

    def _show_theme(self) -> None:
        self.page.set_tokens(self.context.theme.tokens)


def _state_text(run: RunRecord, message: str, handle: JobHandle | None) -> str:
    if run.state is RunState.RUNNING and handle is not None:
        return f"{message or 'Starting the engine'} ({duration(handle.seconds)})"
    words = {
        RunState.WAITING: "Waits for the job before it",
        RunState.PAUSED: f"Paused. {message}",
        RunState.DONE: f"Done in {duration(run.seconds)}",
        RunState.CANCELLED: "Cancelled; it can be continued",
        RunState.INTERRUPTED: "Interrupted; it can be continued",
        RunState.FAILED: run.message,
    }
    return words.get(run.state, str(run.state))

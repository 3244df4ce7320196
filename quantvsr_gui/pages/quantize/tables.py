"""The tables of the Quantize page: runs side by side, snapshots, losses."""

from collections.abc import Callable, Iterable
from typing import Any

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, Qt, Signal

from quantvsr.calibration.snapshot_list import SnapshotInfo
from quantvsr.project import RunRecord
from quantvsr_gui.pages.quantize.history import SHORT, LossHistory
from quantvsr_gui.widgets.table import RowsModel
from quantvsr_gui.widgets.text import duration, size

Index = QModelIndex | QPersistentModelIndex
RUN_COLUMNS = (
    "Run|Double click to rename",
    "State",
    "Method",
    "Bits",
    "Budget",
    "Stored|Size of the checkpoint",
    "Smaller|Share of the FP32 bytes that is saved",
    "Bits/weight|All stored bits over the number of weights",
    "Loss|After training, on held-out samples where there are any",
    "PSNR to FP|Of its pictures against full precision's, in dB: middle of up to four clips, five frames",
    "Time",
    "Made",
)
RUN_WIDTHS = (104, 84, 80, 64, 72, 76, 76, 96, 84, 96, 104, 100)


class RunsModel(RowsModel):
    """All runs of the project, newest first.

    Signals:
        renamed: (run id, name).
    """

    renamed = Signal(str, str)

    def __init__(self) -> None:
        super().__init__(RUN_COLUMNS)
        self._ids: tuple[str, ...] = ()

    def show_runs(self, runs: Iterable[RunRecord], measuring: Callable[[str], bool]) -> None:
        """Show these; rows stay where they are while the runs are the same.

        Args:
            runs: Oldest first.
            measuring: Whether the pictures of a run are being measured.
        """
        newest = list(runs)[::-1]
        cells = [_run_cells(run, measuring(run.id)) for run in newest]
        rows = [tuple(value for value, _ in line) for line in cells]
        shown = [tuple(text for _, text in line) for line in cells]
        ids = tuple(run.id for run in newest)
        if ids == self._ids and rows:
            self._rows, self._shown = rows, shown
            self.dataChanged.emit(self.index(0, 0), self.index(len(rows) - 1, len(RUN_COLUMNS) - 1))
        else:
            self._ids = ids
            self.set_rows(rows, shown)

    def run_id(self, line: int) -> str:
        """The run in a row."""
        return self._ids[line]

    def line(self, run_id: str) -> int | None:
        """The row of a run."""
        return self._ids.index(run_id) if run_id in self._ids else None

    def flags(self, index: Index) -> Qt.ItemFlag:
        """Names can be edited."""
        flags = super().flags(index)
        return flags | Qt.ItemFlag.ItemIsEditable if index.column() == 0 else flags

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """As in other tables; editing starts with the name."""
        if role == Qt.ItemDataRole.EditRole and index.isValid():
            return self._shown[index.row()][index.column()]
        return super().data(index, role)

    def setData(self, index: Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        """Rename a run."""
        name = str(value).strip()
        if role != Qt.ItemDataRole.EditRole or not index.isValid() or index.column() != 0 or not name:
            return False
        self.renamed.emit(self._ids[index.row()], name)
        return True


def _run_cells(run: RunRecord, measuring: bool) -> tuple[tuple[Any, str], ...]:
    settings, result = run.job.get("settings", {}), run.result
    psnr = run.extra.get("psnr_fp")
    kept = run.extra.get("kept")
    budget = str(settings.get("preset", "")) + (f", stopped at {kept}" if kept is not None else "")
    reduction = result.get("reduction")
    seconds = run.seconds or None
    measured = "measuring" if measuring else _text(psnr, lambda value: f"{value:.2f} dB")
    return (
        (run.name, run.name),
        (str(run.state), str(run.state)),
        (str(settings.get("method", "")), str(settings.get("method", ""))),
        (str(settings.get("bits", "")), str(settings.get("bits", ""))),
        (budget, budget),
        (result.get("bytes_lowbit"), _text(result.get("bytes_lowbit"), size)),
        (reduction, _text(reduction, lambda value: f"{100 * value:.1f} %")),
        (result.get("effective_bits"), _text(result.get("effective_bits"), lambda value: f"{value:.2f}")),
        (result.get("loss_last"), _text(result.get("loss_last"), lambda value: f"{value:.3g}")),
        (psnr, measured),
        (seconds, _text(seconds, duration)),
        (run.created, run.created.replace("T", " ")[5:16]),
    )


def _text(value: Any, show: Any) -> str:
    return "–" if value is None else show(value)


class SnapshotModel(RowsModel):
    """Snapshots of a run, newest first."""

    def __init__(self) -> None:
        super().__init__(
            ("Update", "Stage", "Loss|On held-out samples where there are any; – where it was not measured")
        )
        self.infos: list[SnapshotInfo] = []

    def show_snapshots(self, infos: Iterable[SnapshotInfo]) -> None:
        """Show these."""
        self.infos = list(infos)[::-1]
        rows = [(info.number, SHORT.get(info.stage, info.stage), info.loss) for info in self.infos]
        losses = ["–" if loss is None else f"{loss:.4g}" for *_, loss in rows]
        shown = [(str(row[0]), row[1], loss) for row, loss in zip(rows, losses, strict=True)]
        self.set_rows([tuple(row) for row in rows], shown)


class LossModel(RowsModel):
    """The table behind the loss curves."""

    def __init__(self) -> None:
        super().__init__(("Update", "Stage", "Loss", "Held out|On samples not trained on", "Learning rate"))

    def show_history(self, history: LossHistory) -> None:
        """Show a run's losses."""
        rows = history.rows()
        shown = [
            (str(n), stage, *("–" if value is None else f"{value:.4g}" for value in values))
            for n, stage, *values in rows
        ]
        self.set_rows([tuple(row) for row in rows], shown)

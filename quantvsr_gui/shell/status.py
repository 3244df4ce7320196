"""What the engines are doing, in two short lines at the foot of the rail."""

from PySide6.QtWidgets import QProgressBar, QVBoxLayout, QWidget

from quantvsr_gui.engine import Engines, JobHandle, JobState
from quantvsr_gui.widgets.text import label, size

# What the engine for long jobs does, by the job's name.
_WORDS = {
    "analyze": "Analysing",
    "compare": "Comparing",
    "deliver": "Exporting",
    "measure": "Measuring",
    "preview": "Rendering",
    "quantize": "Quantizing",
    "repack": "Packing",
    "report": "Reporting",
    "score": "Measuring",
    "side-by-side": "Exporting",
    "upscale": "Exporting",
}


class EngineStatus(QWidget):
    """The long job under way with its progress; else how the engine is."""

    def __init__(self, engines: Engines, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._engines = engines
        self.text = label("", "small", wrap=True)
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName("Progress of the running job")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 4)
        column.setSpacing(4)
        column.addWidget(self.text)
        column.addWidget(self.bar)
        self._watched: JobHandle | None = None
        for engine in engines.all():
            engine.changed.connect(self._show)
        engines.work.beat.connect(lambda _: self._show())
        self._show()

    def _show(self) -> None:
        work = self._engines.work
        handle = work.current
        if handle is not self._watched:
            self._watched = handle
            if handle is not None:
                handle.progressed.connect(lambda *_: self._show())
        self.bar.setVisible(handle is not None)
        if handle is not None:
            what = "Paused" if handle.state is JobState.PAUSED else _WORDS.get(handle.job.name, "Working")
            memory = f", {size(work.memory)}" if work.memory else ""
            self.text.setText(f"{what} {handle.fraction:.0%}{memory}")
            self.bar.setValue(round(1000 * handle.fraction))
        else:
            alive = [engine for engine in self._engines.all() if engine.process_id]
            self.text.setText("Engine ready" if alive else "Engine asleep")

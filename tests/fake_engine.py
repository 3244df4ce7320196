"""A stand-in for the engine: takes jobs, does nothing until a test says so."""

from PySide6.QtCore import QObject, Signal

from quantvsr.jobs.base import Job
from quantvsr_gui.engine import JobHandle


class FakeEngine(QObject):
    """The interface of `Engine`. `submitted` holds the handles; drive them with their own methods:

    `engine.submitted[-1].begin()`, `.report(0.5, "refine", "step 1", loss=0.1)`, `.succeed({...})`.
    """

    changed = Signal()
    beat = Signal(float)
    crashed = Signal(object, str)
    silent = Signal(bool)
    printed = Signal(str)

    def __init__(self, name: str = "fake") -> None:
        super().__init__()
        self.name = name
        self.memory = 0
        self.process_id = 0
        self.submitted: list[JobHandle] = []
        self.asked: list[tuple[str, JobHandle]] = []
        self.prepared = False

    @property
    def current(self) -> JobHandle | None:
        return next((handle for handle in self.submitted if handle.state.active), None)

    @property
    def jobs(self) -> tuple[Job, ...]:
        return tuple(handle.job for handle in self.submitted if handle.state.active)

    @property
    def busy(self) -> bool:
        return self.current is not None

    def submit(self, job: Job) -> JobHandle:
        handle = JobHandle(job, self, str(len(self.submitted)), self)
        self.submitted.append(handle)
        return handle

    def enqueue(self, handle: JobHandle) -> None:
        self.asked.append(("retry", handle))

    def cancel(self, handle: JobHandle) -> None:
        self.asked.append(("cancel", handle))
        handle.stop()

    def pause(self, handle: JobHandle) -> None:
        self.asked.append(("pause", handle))
        handle.wait(True)

    def resume(self, handle: JobHandle) -> None:
        self.asked.append(("resume", handle))
        handle.wait(False)

    def prepare(self) -> None:
        self.prepared = True

    def restart(self) -> None: ...

    def shut_down(self) -> None:
        for handle in self.submitted:
            handle.blockSignals(True)

"""An engine that stays, and runs the jobs a parent sends: `python -m quantvsr.child --serve`.

Torch is loaded once, with the first job or at `prepare`, so that small jobs answer at once afterwards.

Standard input takes one JSON object a line: `{"run": ID, "job": {...}}` (the job as `Job.to_json` writes it),
`{"cancel": ID}`, `{"pause": ID}`, `{"resume": ID}`, `{"prepare": true}`. Standard output gives one a line:

- `{"ready": PROCESS}` once; `{"heartbeat": {"memory": BYTES}}` twice a second, whatever a job does
- `{"id": ID, "fraction": 0.25, "stage": "refine", "message": "step 40 of 160", ...}`
- `{"id": ID, "warning": "..."}`; `{"id": ID, "paused": true}` when the job really waits, or `false`
- `{"id": ID, "result": {...}}` or `{"id": ID, "error": "...", "exit_code": 2}`, once, as a job's last line

A GPU that fails ends the engine, as a crash does: CUDA does not recover within a process.
When standard input closes, the parent is gone: the job is cancelled and the engine ends.
"""

import contextlib
import importlib
import json
import os
import queue
import sys
import threading
import time
from pathlib import Path
from typing import Any, TextIO

from quantvsr.errors import Cancelled, QuantVSRError
from quantvsr.progress import Progress

HEARTBEAT_SECONDS = 0.5
_EVERY = 1 / 30


class Line:
    """The way out: whole JSON lines, from any thread."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def send(self, **message: Any) -> None:
        """Write one line; a parent that went away is no error here: standard input tells."""
        text = json.dumps(message, ensure_ascii=False, default=str)
        with self._lock, contextlib.suppress(BrokenPipeError, ValueError):
            self._stream.write(text + "\n")
            self._stream.flush()


class JobProgress(Progress):
    """Progress of one job as lines with its number."""

    def __init__(self, line: Line, job_id: str) -> None:
        super().__init__()
        self._line, self._id = line, job_id
        self._last_time, self._last_stage = float("-inf"), ""

    def report(self, fraction: float, message: str = "", **payload: object) -> None:
        """Send it, unless it follows too fast; a new stage, a curve's point and the end are always sent."""
        now, stage = time.monotonic(), str(payload.get("stage", ""))
        soon = now - self._last_time < _EVERY and stage == self._last_stage
        if soon and fraction < 1 and "loss" not in payload:
            return
        self._last_time, self._last_stage = now, stage
        self._line.send(id=self._id, fraction=fraction, message=message, **payload)

    def warn(self, message: str) -> None:
        """Send it."""
        self._line.send(id=self._id, warning=message)

    def check(self) -> None:
        """As the base class; tells when the job really waits, and when it goes on."""
        # One look at the flag: a pause that comes later waits for the next check, and is told there.
        if not self._running.is_set():
            self._line.send(id=self._id, paused=True)
            self._running.wait()
            self._line.send(id=self._id, paused=False)
        if self.cancelled:
            raise Cancelled


class Server:
    """Reads requests in a thread, runs jobs in the main thread.

    Args:
        requests: Standard input.
        line: The way out.
    """

    def __init__(self, requests: TextIO, line: Line) -> None:
        self._requests, self._line = requests, line
        self._waiting: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._progress: dict[str, JobProgress] = {}
        self._end = threading.Event()

    def serve(self) -> None:
        """Run until standard input closes."""
        self._line.send(ready=os.getpid())
        threading.Thread(target=self._read, daemon=True).start()
        threading.Thread(target=self._beat, daemon=True).start()
        try:
            while (request := self._waiting.get()) is not None:
                if request.get("prepare"):
                    importlib.import_module("quantvsr.jobs.work.machine")
                else:
                    self._run(str(request["run"]), request.get("job"))
        finally:
            self._end.set()

    def _read(self) -> None:
        for text in self._requests:
            with contextlib.suppress(json.JSONDecodeError):
                request = json.loads(text)
                if isinstance(request, dict):
                    self._take(request)
        for progress in list(self._progress.values()):
            progress.cancel()
        self._waiting.put(None)

    def _take(self, request: dict[str, Any]) -> None:
        if "run" in request:
            # Made here, so that a cancel that follows at once meets it.
            job_id = str(request["run"])
            self._progress[job_id] = JobProgress(self._line, job_id)
        if "run" in request or "prepare" in request:
            self._waiting.put(request)
            return
        for name in ("cancel", "pause", "resume"):
            progress = self._progress.get(str(request.get(name)))
            if progress is not None:
                getattr(progress, name)()

    def _beat(self) -> None:
        while not self._end.wait(HEARTBEAT_SECONDS):
            self._line.send(heartbeat={"memory": resident_memory()})

    def _run(self, job_id: str, content: Any) -> None:
        from quantvsr.jobs.base import job_from_json, run

        try:
            progress = self._progress[job_id]
            progress.check()
            result = run(job_from_json(content), progress)
            self._line.send(id=job_id, result=result.to_json())
        except QuantVSRError as error:
            self._line.send(id=job_id, error=str(error), exit_code=error.exit_code)
        except KeyboardInterrupt:
            self._line.send(id=job_id, error=str(Cancelled()), exit_code=Cancelled.exit_code)
        except Exception as error:
            if is_lost_gpu(error):
                # Nothing on the GPU works in this process any more: end, so that the parent starts another.
                raise
            import traceback

            traceback.print_exc()
            text = f"The engine failed ({type(error).__name__}: {error})."
            self._line.send(id=job_id, error=text, exit_code=1)
        finally:
            self._progress.pop(job_id, None)


def is_lost_gpu(error: Exception) -> bool:
    """Whether a GPU failed in a way after which this process can no longer use one."""
    return type(error).__name__ == "AcceleratorError" or "CUDA error" in str(error)


def resident_memory() -> int | None:
    """Bytes of main memory that this process takes now; None where the system does not tell easily."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        return None


def main() -> int:
    """Serve on this process's standard streams."""
    line = Line(sys.stdout)
    # Libraries may print; only our lines may reach the parent's reader.
    with contextlib.redirect_stdout(sys.stderr):
        Server(sys.stdin, line).serve()
    return 0

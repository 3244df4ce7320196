"""Run one job for a parent program, such as the desktop app: `python -m quantvsr.child COMMAND ...`.

The arguments are those of the `quantvsr` command. Standard output carries one JSON object a line:

- `{"fraction": 0.25, "stage": "refine", "message": "step 40 of 160"}`, at most about thirty a second
- `{"warning": "..."}`
- `{"result": {...}}` or `{"error": "...", "exit_code": 2}`, once, as the last line

Standard input carries `cancel`, `pause` or `resume`, one a line. When it closes, the parent is gone and the
job is cancelled: a crashed parent leaves no engine behind that goes on computing. Pipes are used rather than
signals because Windows has none that would reach a child. Nothing here imports torch; the job does.

`python -m quantvsr.child --serve` stays and runs one job after another: see `quantvsr.serve`.
"""

import contextlib
import json
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TextIO

from quantvsr.errors import BadInput, Cancelled, QuantVSRError
from quantvsr.progress import Progress

_EVERY = 1 / 30


class Messages(Progress):
    """Progress as JSON lines."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._lock = threading.Lock()
        self._last_time = float("-inf")
        self._last_stage = ""

    def send(self, **message: Any) -> None:
        """Write one line. A parent that went away is not an error here: standard input tells."""
        with self._lock, contextlib.suppress(BrokenPipeError, ValueError):
            self._stream.write(json.dumps(message, ensure_ascii=False, default=str) + "\n")
            self._stream.flush()

    def report(self, fraction: float, message: str = "", **payload: object) -> None:
        """Send it, unless it follows too fast; a new stage and the end are always sent."""
        now, stage = time.monotonic(), str(payload.get("stage", ""))
        if now - self._last_time < _EVERY and stage == self._last_stage and fraction < 1:
            return
        self._last_time, self._last_stage = now, stage
        self.send(fraction=fraction, message=message, **payload)

    def warn(self, message: str) -> None:
        """Send it."""
        self.send(warning=message)


def listen(commands: TextIO, progress: Progress) -> None:
    """Obey the parent until it closes the pipe, then cancel."""
    known: dict[str, Callable[[], None]] = {
        "cancel": progress.cancel,
        "pause": progress.pause,
        "resume": progress.resume,
    }
    for line in commands:
        action = known.get(line.strip())
        if action is not None:
            action()
    progress.cancel()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the job, or with `--serve` all jobs that the parent sends; returns the exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    if given == ["--serve"]:
        from quantvsr.serve import main as serve

        return serve()
    # Libraries may print; only our lines may reach the parent's reader.
    messages = Messages(sys.stdout)
    with contextlib.redirect_stdout(sys.stderr):
        threading.Thread(target=listen, args=(sys.stdin, messages), daemon=True).start()
        return _run(given, messages)


def _run(arguments: Sequence[str], messages: Messages) -> int:
    from quantvsr.cli import job_from_arguments
    from quantvsr.jobs.base import run

    try:
        job, _ = job_from_arguments(arguments)
        result = run(job, messages)
    except QuantVSRError as error:
        return _fail(messages, str(error), error.exit_code)
    except SystemExit:
        # Help was asked for, or the version; it stands on standard error.
        return _fail(messages, "The engine was given no job to run.", BadInput.exit_code)
    except KeyboardInterrupt:
        return _fail(messages, str(Cancelled()), Cancelled.exit_code)
    except Exception as error:  # noqa: BLE001  (the last one to catch it: the parent shows it)
        text = f"The engine failed ({type(error).__name__}: {error})."
        return _fail(messages, text, 1)
    messages.send(result=result.to_json())
    return 0


def _fail(messages: Messages, sentence: str, code: int) -> int:
    messages.send(error=sentence, exit_code=code)
    return code


if __name__ == "__main__":
    sys.exit(main())

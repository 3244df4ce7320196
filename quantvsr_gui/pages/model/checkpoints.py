"""A quantized checkpoint that a person opens becomes a finished run of the project."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from quantvsr.errors import QuantVSRError
from quantvsr.files import atomic_path, make_folder
from quantvsr.jobs.options import Bits
from quantvsr.jobs.settings import BUNDLED
from quantvsr.project import RunState
from quantvsr.project.requests import quantize_job
from quantvsr_gui.project import ProjectModel
from quantvsr_gui.widgets.banner import Messages

_FILE = "checkpoint.safetensors"


def adopt_checkpoint(
    project: ProjectModel, result: dict[str, Any], messages: Messages, go_to: Callable[[str], None]
) -> None:
    """Copy a checkpoint into the project and add it as a run.

    Args:
        project: The open project.
        result: Of `InspectJob` on a quantized checkpoint.
        messages: Where is said what happened.
        go_to: Shows a page.
    """
    found = result["checkpoint"]
    source = Path(found["path"])
    folder = project.project
    if folder is None or source.is_relative_to(folder.folder):
        return
    meta = found["meta"]
    try:
        bits = Bits.parse(str(meta.get("bits", "4")))
        run_id = project.new_id(f"opened-{bits}")
        target = folder.run_folder(run_id)
        settings = project.settings.replace(model=str(meta.get("model", BUNDLED)), exclude=())
        changes = {key: meta[key] for key in ("preset", "method", "seed") if key in meta}
        job = quantize_job(settings, target, bits=bits, **changes)
        with atomic_path(make_folder(target) / _FILE) as temporary:
            shutil.copyfile(source, temporary)
    except (QuantVSRError, OSError) as error:
        messages.show_message(str(error), "alert", key="checkpoint")
        return
    project.add_run(run_id, f"{source.stem} ({bits})", job)
    project.update_run(
        run_id,
        state=RunState.DONE,
        result={
            "checkpoint": str(target / _FILE),
            "bits": str(bits),
            "method": str(meta.get("method", "")),
            "layers": found["layers"],
            "bytes_fp32": found["bytes_fp32"],
            "bytes_lowbit": found["bytes_file"],
            "reduction": found["saving"],
        },
    )
    text = f"{source.name} is a quantized checkpoint ({bits}); it was added to the project's runs."
    messages.show_message(text, "good", {"Compare it": lambda: go_to("compare")}, "checkpoint")

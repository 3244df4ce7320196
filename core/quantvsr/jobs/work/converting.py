"""Converting models."""

from pathlib import Path

import torch

from quantvsr.errors import BadInput
from quantvsr.jobs.convert import ConvertJob, ConvertResult
from quantvsr.jobs.work.machine import quiet_loading
from quantvsr.jobs.work.models import tell_notes
from quantvsr.models.convert import check_empty, convert
from quantvsr.models.mgld.adapter import MGLDAdapter
from quantvsr.models.placing import PRECISIONS
from quantvsr.models.registry import family_of, model_files, model_hash, open_model
from quantvsr.progress import Progress


def convert_model(job: ConvertJob, progress: Progress) -> ConvertResult:
    """Open, write, and look at what was written."""
    family = family_of(job.model)
    target = Path(job.out).expanduser()
    check_empty(target)
    before = _bytes(model_files(job.model))
    progress.report(0.0, "opening")
    with quiet_loading():
        adapter = open_model(job.model)
    tell_notes(adapter, progress)
    if job.compute is not None:
        if not isinstance(adapter, MGLDAdapter):
            raise BadInput(f"{job.model} always computes in float32; leave --compute out.")
        adapter.compute_in(PRECISIONS[job.compute])
    progress.check()
    progress.report(0.5, "writing")
    convert(adapter, target, torch.float16 if job.half else torch.float32)
    progress.report(1.0, "done")
    return ConvertResult(
        out=target,
        family=family.title,
        bytes_before=before,
        bytes_after=_bytes(model_files(target)),
        sha256=model_hash(target),
    )


def _bytes(files: list[Path]) -> int:
    return sum(file.stat().st_size for file in files)

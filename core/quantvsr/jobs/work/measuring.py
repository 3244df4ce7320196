"""Measuring one clip, alone or against another; what cannot be measured is said, and the rest goes on."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import zip_longest
from pathlib import Path

from quantvsr.errors import BadInput
from quantvsr.files import atomic_json, file_for
from quantvsr.jobs.measure import MeasureJob, MeasureResult
from quantvsr.jobs.work.clips import Piece, likely_frames, tell_warnings
from quantvsr.jobs.work.machine import choose_device
from quantvsr.media.reader import ClipReader
from quantvsr.media.types import Frame
from quantvsr.metrics import Meter, Resources, get_metric, metrics
from quantvsr.progress import Progress, Stage

# Of folders of pictures; no figure depends on it.
_RATE = Fraction(25)


class _Told(Stage):
    """Passes everything on, and keeps what the user was told for the file."""

    def __init__(self, parent: Progress) -> None:
        super().__init__(parent, "measure", 0.0, 1.0)
        self.told: list[str] = []

    def warn(self, message: str) -> None:
        self.told.append(message)
        super().warn(message)


def measure_clip(job: MeasureJob, progress: Progress) -> MeasureResult:
    """Measure.

    Raises:
        BadInput: A clip cannot be read, a metric's name is unknown, or nothing is left to measure.
    """
    progress = told = _Told(progress)
    out = None if job.out is None else file_for(job.out, job.name, ".json")
    asked = tuple(dict.fromkeys(job.metrics))
    for name in asked:
        get_metric(name)
    clip = Piece(Path(job.clip).expanduser(), job.start, job.frames, frame_rate=_RATE)
    reference = None
    if job.reference is not None:
        start = job.start if job.reference_start is None else job.reference_start
        path = Path(job.reference).expanduser()
        reference = Piece(path, start, job.frames, frame_rate=_RATE)
    with clip.open() as reader:
        if 2 * job.border >= min(reader.info.width, reader.info.height):
            size = f"{reader.info.width}x{reader.info.height}"
            raise BadInput(f"--border {job.border} leaves nothing of {clip.path.name} ({size}); give less.")
    usable = _same_size(clip, reference, progress)
    names = _chosen(asked, clip.path, usable, reference is not None, progress)
    folder = None if job.weights is None else Path(job.weights).expanduser()
    resources = Resources(device=str(choose_device(job.device)), download=job.download)
    if folder is not None:
        resources = Resources(folder, resources.device, job.download)
    meter = Meter(names, border=job.border, resources=resources, missing=progress.warn)
    if not meter.names:
        raise BadInput(f"None of the metrics can be computed for {clip.path}; choose others.")
    per_frame: dict[str, list[float | None]] = {name: [] for name in meter.names}
    count = 0
    for frame, other in _pairs(clip, reference if usable else None, progress):
        values = meter.add(frame.rgb, None if other is None else other.rgb)
        count += 1
        for name, value in values.items():
            per_frame[name].append(value)
    result = MeasureResult(
        clip=clip.path,
        reference=reference.path if reference is not None and usable else None,
        frames=count,
        border=job.border,
        values=meter.result(),
        per_frame=per_frame,
        metrics={name: get_metric(name).to_json() for name in meter.names},
        out=out,
        explain=job.explain,
    )
    if out is not None:
        head = {"format": "quantvsr-measure", "version": 1, "command": job.command()}
        kept = {key: value for key, value in result.to_json().items() if key not in ("out", "explain")}
        atomic_json(out, {**head, **kept, "warnings": told.told})
    return result


def _same_size(clip: Piece, reference: Piece | None, progress: Progress) -> bool:
    """Whether there is a reference that the clip can be compared with; says so if it cannot."""
    if reference is None:
        return False
    with clip.open() as one, reference.open() as other:
        sizes = [(reader.info.width, reader.info.height) for reader in (one, other)]
    if sizes[0] == sizes[1]:
        return True
    (wa, ha), (wb, hb) = sizes
    progress.warn(
        f"{clip.path.name} is {wa}x{ha} and {reference.path.name} {wb}x{hb}: metrics that compare the two "
        "are left out; scale or crop one of them."
    )
    return False


def _chosen(
    asked: Sequence[str], clip: Path, usable: bool, given: bool, progress: Progress
) -> tuple[str, ...]:
    """The metrics to compute: those asked for, or all that need nothing else."""
    at_hand = {"motion", "reference"} if usable else {"motion"}
    if not asked:
        return tuple(name for name, each in metrics().items() if each.needs <= at_hand)
    lacking = [name for name in asked if "reference" in get_metric(name).needs and not usable]
    if lacking and not given:
        titles = ", ".join(get_metric(name).title for name in lacking)
        progress.warn(f"{titles}: left out, since they compare {clip.name} with a clip; give --reference.")
    on_layers = [name for name in asked if "layers" in get_metric(name).needs]
    for name in on_layers:
        progress.warn(
            f"{get_metric(name).title}: left out, it is measured on a model; see 'quantvsr sensitivity'."
        )
    return tuple(name for name in asked if name not in lacking and name not in on_layers)


def _pairs(clip: Piece, reference: Piece | None, progress: Progress) -> Iterator[tuple[Frame, Frame | None]]:
    """Frames of the clip and of the reference as long as both last; says so where one is longer."""
    with clip.open() as one:
        if reference is None:
            for frame in clip.frames(one):
                yield frame, None
                _tell(one, frame.index, progress)
            tell_warnings(one, progress)
            return
        with reference.open() as other:
            for a, b in zip_longest(clip.frames(one), reference.frames(other)):
                if a is None or b is None:
                    short, count = (clip, b.index) if b is not None else (reference, a.index if a else 0)
                    progress.warn(
                        f"{short.path.name} ends after {count} frames: only these are compared; trim the "
                        "longer clip, or shift it with --start or --reference-start."
                    )
                    break
                yield a, b
                _tell(one, a.index, progress)
            for reader in (one, other):
                tell_warnings(reader, progress)


def _tell(reader: ClipReader, index: int, progress: Progress) -> None:
    progress.check()
    total = likely_frames(reader)
    progress.report(min((index + 1) / total, 1.0) if total else 0.0, f"frame {index + 1}")

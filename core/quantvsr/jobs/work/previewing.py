"""Rendering the frames around a playhead: what is missing of each version, exactly as the whole run would."""

import gc
import math
import time
from collections import OrderedDict
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path

from quantvsr.errors import BadInput
from quantvsr.jobs.preview import PreviewJob, PreviewResult
from quantvsr.jobs.work.several import Lane, checked_versions, execution_of, open_version
from quantvsr.media.reader import ClipReader, open_clip
from quantvsr.media.times import frame_times
from quantvsr.media.types import Frame
from quantvsr.metrics.frames import Picture
from quantvsr.metrics.motion import DisMotion
from quantvsr.metrics.registry import get_metric
from quantvsr.models.adapter import VSRAdapter
from quantvsr.preview.keys import BICUBIC, FP, GT, LQ, fingerprint, rendered_key, version_key
from quantvsr.preview.store import ClipFacts, FrameStore, VersionFrames, read_rgb
from quantvsr.progress import Progress, Rising
from quantvsr.upscale.bicubic import enlarge
from quantvsr.upscale.engine import DEFAULT_OVERLAP, upscale_clip

# Frames read before the wanted ones, in which a cut is found that shifts the windows.
_BEFORE = 40
_REFERENCED = ("psnr", "ssim", "flicker")
_KEPT_MODELS = 2
_models: OrderedDict[tuple[str, ...], VSRAdapter] = OrderedDict()


def preview(job: PreviewJob, progress: Progress) -> PreviewResult:
    """Render, keep, and measure where asked."""
    began = time.perf_counter()
    versions = list(dict.fromkeys(checked_versions(job)))
    store = FrameStore(Path(job.out).expanduser())
    try:
        keys = {
            version: rendered_key(version_key(job.scene(), version), execution_of(job, version))
            for version in versions
        }
        clip_key = version_key(job.scene(), LQ)
    except OSError as error:
        raise BadInput(f"{error.filename} cannot be read ({error.strerror}); choose it again.") from error
    facts = _facts(job, store.version(clip_key).folder)
    stop = min(job.last or facts.frames, facts.frames)
    start = max(job.start, job.first)
    if start >= stop:
        raise BadInput(f"{job.clip} has no frame {start} (it ends at {stop}); choose an earlier one.")
    wanted = range(start, stop if job.frames is None else min(start + job.frames, stop))
    measure = job.measure and not _measured(store, keys, wanted)
    share = 0.8 if measure else 1.0
    rendered = 0
    for number, version in enumerate(versions):
        inner = progress.stage(
            f"render {version}", share * number / len(versions), share * (number + 1) / len(versions)
        )
        frames = store.version(keys[version])
        # A packed picture is good enough to look at, but says little about small differences.
        there = {i for i, frame in frames.scan().items() if frame.exact or not measure or version == LQ}
        rendered += _render(job, version, frames, sorted(set(wanted) - there), stop, inner)
        # Also where nothing was missing: of several devices' frames these are the ones to be seen now.
        store.touch(keys[version])
    if measure:
        _measure(store, keys, wanted, progress.stage("measure", share, 1.0))
    size = store.prune(round(job.limit * 1e9), frozenset({*keys.values(), clip_key}))
    return PreviewResult(
        out=store.folder,
        keys=keys,
        start=wanted.start,
        stop=wanted.stop,
        rendered=rendered,
        seconds=round(time.perf_counter() - began, 3),
        bytes=size,
    )


def _facts(job: PreviewJob, folder: Path) -> ClipFacts:
    """Times and size of the clip's frames, kept beside them."""
    facts = ClipFacts.read(folder)
    if facts is None:
        with open_clip(Path(job.clip).expanduser(), frame_rate=job.frame_rate) as reader:
            times = frame_times(reader)
            facts = ClipFacts(reader.info.width, reader.info.height, times)
        facts.write(folder)
    return facts


def _render(
    job: PreviewJob, version: str, frames: VersionFrames, missing: list[int], stop: int, progress: Progress
) -> int:
    if not missing:
        progress.report(1.0, "already there", version=version, key=frames.folder.name)
        return 0
    part = range(missing[0], missing[-1] + 1)
    count, told = 0, Rising(progress)
    with closing(_pictures(job, version, part, stop, told)) as pictures:
        for frame in pictures:
            progress.check()
            frames.write(frame.index, frame.rgb)
            count += 1
            told.report(
                count / len(part),
                f"frame {frame.index + 1}",
                version=version,
                key=frames.folder.name,
                frame=frame.index,
            )
    return count


def _pictures(job: PreviewJob, version: str, part: range, stop: int, progress: Progress) -> Generator[Frame]:
    """The frames of one version, numbered as in the clip."""
    source = job.gt if version == GT and job.gt is not None else job.clip
    place = Path(source).expanduser()
    if version in (LQ, BICUBIC, GT):
        with open_clip(place, start=part.start, stop=part.stop, frame_rate=job.frame_rate) as reader:
            for frame in reader:
                rgb = enlarge(frame.rgb).clip(0, 1) if version == BICUBIC else frame.rgb
                yield Frame(frame.index, rgb, frame.time, frame.duration)
        return
    progress.report(0.0, "opening the model", version=version)
    adapter = _model(job, version, progress)
    stride = adapter.window - 1
    begin = job.first + max(part.start - job.first - _BEFORE, 0) // stride * stride
    # One window more than wanted: the last one of what is read may lie off the grid.
    end = min(part.stop + adapter.window, stop)
    with open_clip(place, start=begin, stop=end, frame_rate=job.frame_rate) as reader:
        side = job.tile or adapter.default_tile
        yield from upscale_clip(
            adapter,
            _checked(reader, progress),
            seed=job.seed,
            steps=job.steps,
            tile=side,
            overlap=min(DEFAULT_OVERLAP, side // 4) if job.overlap is None else job.overlap,
            wanted=part,
            total=len(part),
            progress=Lane(progress, [0.0], 0),
        )


def _checked(reader: ClipReader, progress: Progress) -> Iterator[Frame]:
    for frame in reader:
        progress.check()
        yield frame


def _model(job: PreviewJob, version: str, progress: Progress) -> VSRAdapter:
    """A model ready to run; the last ones stay open, since the next look often wants the same."""
    checkpoint = "" if version == FP else fingerprint(version)
    key = (job.model, job.device, checkpoint, "" if version == FP else job.backend)
    adapter = _models.pop(key, None)
    if adapter is None:
        while len(_models) >= _KEPT_MODELS:
            _models.popitem(last=False)
            gc.collect()
        adapter = open_version(job, version, progress)
    _models[key] = adapter
    return adapter


# Figures --------------------------------------------------------------------------------------------------


def _measure(store: FrameStore, keys: Mapping[str, str], wanted: range, progress: Progress) -> None:
    """Figures of each frame: against ground truth and full precision, and along the motion."""
    references, candidates = _compared(keys)
    guide = references[0]
    frames = {version: store.version(keys[version]).scan() for version in {*references, *candidates}}
    # The frame before gives temporal figures a start.
    indices = [
        i for i in (wanted.start - 1, *wanted) if all(i in each and each[i].exact for each in frames.values())
    ]
    values: dict[str, dict[str, dict[int, float]]] = {version: {} for version in candidates}
    meters = {
        (name, reference, version): get_metric(name).function()
        for name in _REFERENCED
        for reference in references
        for version in candidates
        if version != reference
    }
    warps = {version: get_metric("warp_error").function() for version in candidates}
    motion_of = DisMotion()
    before: int | None = None
    for number, index in enumerate(indices):
        progress.check()
        if before is not None and index != before + 1:
            break
        before = index
        pictures = {version: Picture(read_rgb(each[index])) for version, each in frames.items()}
        motion = motion_of.add(pictures[guide])
        for (name, reference, version), meter in meters.items():
            value = meter.add(pictures[version], pictures[reference])
            _note(values[version], f"{name}/{keys[reference]}", index, value, wanted)
        for version, meter in warps.items():
            value = meter.add(pictures[version], None, motion)
            _note(values[version], f"warp_error/{keys[guide]}", index, value, wanted)
        progress.report((number + 1) / len(indices), f"measuring frame {index + 1}")
    for version, each in values.items():
        if each:
            store.version(keys[version]).add_values(each)


def _note(
    values: dict[str, dict[int, float]], name: str, index: int, value: float | None, wanted: Iterable[int]
) -> None:
    # Equal frames have no finite PSNR.
    if value is not None and math.isfinite(value) and index in wanted:
        values.setdefault(name, {})[index] = value


def _compared(keys: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """What figures are measured against, the guide of the motion first; and what is measured."""
    return [version for version in (GT, FP) if version in keys], [
        version for version in keys if version not in (LQ, GT)
    ]


def _measured(store: FrameStore, keys: Mapping[str, str], wanted: range) -> bool:
    """Whether all figures are known, or there is nothing to measure against."""
    references, candidates = _compared(keys)
    for version in candidates if references else ():
        kept, guide = store.version(keys[version]).values(), references[0]
        if version == guide:
            # Only along the motion, which the first frame has none of.
            known = set(wanted) - {wanted.start} <= set(kept.get(f"warp_error/{keys[guide]}", {}))
        else:
            known = set(wanted) <= set(kept.get(f"psnr/{keys[guide]}", {}))
        if not known:
            return False
    return True

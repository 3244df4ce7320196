"""Looking at clips and making small pictures of them."""

import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from quantvsr.errors import BadInput
from quantvsr.files import atomic_path
from quantvsr.hashing import hash_json
from quantvsr.jobs.probe import ProbeJob, ProbeResult
from quantvsr.jobs.work.clips import truth_of
from quantvsr.media import open_clip
from quantvsr.progress import Progress

_VIDEOS = (".mp4", ".mkv", ".mov", ".avi", ".webm", ".m4v", ".mpg", ".mpeg", ".ts", ".m2ts", ".mts")
_VIDEOS += (".wmv", ".flv", ".ogv", ".3gp", ".y4m", ".mxf", ".gif", ".264", ".265", ".h264")


def probe_clips(job: ProbeJob, progress: Progress) -> ProbeResult:
    """Look at each; one that cannot be read does not stop the others."""
    if not job.clips:
        raise BadInput("No clip is given; name a video or a folder.")
    places = [place for path in job.clips for place in expand(Path(path).expanduser())]
    found = []
    for number, place in enumerate(places):
        progress.check()
        progress.report(number / len(places), place.name)
        found.append(_entry(place, job, progress))
    return ProbeResult(clips=tuple(found))


def expand(place: Path) -> list[Path]:
    """A path as clips: the videos in a folder that has some, else itself."""
    if not place.is_dir():
        return [place]
    files = sorted(file for file in place.iterdir() if not file.name.startswith("."))
    return [file for file in files if file.suffix.lower() in _VIDEOS] or [place]


def _entry(place: Path, job: ProbeJob, progress: Progress) -> dict[str, Any]:
    entry: dict[str, Any] = {"path": str(place.absolute()), "gt": None}
    try:
        reader = open_clip(place)
        info = {**reader.info.to_json(), "frames": reader.expected_frames}
        if job.count:
            count = 0
            for count, _ in enumerate(reader, 1):  # noqa: B007
                progress.check()
            info["frames"] = count
        entry["info"] = info
        entry["pictures"] = _pictures(place, info, job, progress)
        entry["info"]["warnings"] = list(reader.warnings)
    except BadInput as error:
        return {**entry, "error": str(error)}
    truth = truth_of(place) if "_lq" in place.stem else None
    return {**entry, "gt": None if truth is None else str(truth.absolute())}


def _pictures(place: Path, info: dict[str, Any], job: ProbeJob, progress: Progress) -> list[str]:
    """Write the pictures, or find those of an earlier look at the same file."""
    if job.thumbnails is None:
        return []
    folder = Path(job.thumbnails).expanduser()
    stat = place.stat()
    about = [str(place.absolute()), stat.st_size, stat.st_mtime_ns, job.pictures, job.edge]
    name = hash_json(about)[:16]
    files = [folder / f"{name}-{number}.jpg" for number in range(job.pictures)]
    if all(file.is_file() for file in files):
        return [os.fspath(file) for file in files]
    total = info["frames"] or 1
    wanted = [round((number + 0.5) * total / job.pictures - 0.5) for number in range(job.pictures)]
    written: list[str] = []
    # From the beginning: seeking would need an index, which not every container has.
    with open_clip(place, stop=max(wanted) + 1) as reader:
        last = None
        for frame in reader:
            progress.check()
            last = frame.rgb
            while len(written) < job.pictures and wanted[len(written)] <= frame.index:
                written.append(_write(files[len(written)], last, job.edge))
        while last is not None and len(written) < job.pictures:
            # The container promised more frames than there are.
            written.append(_write(files[len(written)], last, job.edge))
    return written


def _write(file: Path, rgb: np.ndarray, edge: int) -> str:
    factor = min(edge / max(rgb.shape[:2]), 1.0)
    height, width = (max(round(side * factor), 1) for side in rgb.shape[:2])
    small = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)
    with atomic_path(file) as temporary:
        Image.fromarray(np.rint(small.clip(0, 1) * 255).astype(np.uint8)).save(temporary, "JPEG", quality=88)
    return os.fspath(file)
